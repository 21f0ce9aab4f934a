// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../interfaces/IBook.sol";
import {Ask, Pot, Rule, Rung, Terms} from "../interfaces/Types.sol";

/// @title Terms from their bytes (docs/reference/deals.md, section 1, "Bytes")
/// @dev Every value has one form: accounts stand once in an ascending table and each is used, numbers have no leading
/// zero byte, labels no trailing one, and parts are exactly as long as they say. Anything else is BadTerms.
library Packed {
    uint256 private constant ROLES = 0x20; // references below this are the addresses 0x…00 to 0x…1f themselves
    uint256 private constant MAX_ACCOUNTS = 224;

    /// Where in the calldata we read, and the table that references lead into.
    struct Reader {
        uint256 spot;
        uint256 end;
        uint256 table;
        uint256 count;
        uint256 used; // bit by place in the table
    }

    /// @notice A reader that stands behind the table, at the token.
    function start(bytes calldata data) internal pure returns (Reader memory r) {
        assembly ("memory-safe") {
            mstore(r, data.offset)
            mstore(add(r, 32), add(data.offset, data.length))
        }
        r.count = number(r, 1);
        r.table = r.spot;
        r.spot += 20 * r.count;
    }

    /// @notice The whole terms, all of their form checked.
    function terms(bytes calldata data) internal pure returns (Terms memory t) {
        Reader memory r = start(data);
        _table(r);
        t.token = account(r);
        t.fundBy = uint64(number(r, 8));
        t.wrongBonds = account(r);
        t.rungs = new Rung[](number(r, 1));
        for (uint256 i; i < t.rungs.length; ++i) {
            uint256 end = _end(r);
            _rung(r, t.rungs[i]);
            if (r.spot != end) revert IBook.BadTerms();
        }
        t.pots = new Pot[](number(r, 1));
        for (uint256 i; i < t.pots.length; ++i) {
            uint256 end = _end(r);
            _pot(r, t.pots[i]);
            if (r.spot != end) revert IBook.BadTerms();
        }
        if (r.spot != r.end || r.used != (1 << r.count) - 1) revert IBook.BadTerms();
    }

    /// @notice One rung of terms that were opened, from a reader at the number of rungs. The reader stays.
    function rung(Reader memory r, uint256 index) internal pure returns (Rung memory found) {
        uint256 here = r.spot;
        r.spot += 1;
        skip(r, index);
        r.spot += 2;
        _rung(r, found);
        r.spot = here;
    }

    /// @notice Moves from the number of rungs to the number of pots.
    function toPots(Reader memory r) internal pure {
        skip(r, number(r, 1));
    }

    /// @notice The depositor and amount of the pot that the reader stands at; it moves to the next.
    function deposit(Reader memory r) internal pure returns (address depositor, uint256 amount) {
        uint256 end = _end(r);
        depositor = account(r);
        amount = _amount(r);
        r.spot = end;
    }

    /// @notice Moves over `n` rungs or pots.
    function skip(Reader memory r, uint256 n) internal pure {
        for (uint256 i; i < n; ++i) r.spot = _end(r);
    }

    /// @notice The next byte; the reader stays.
    function peek(Reader memory r) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(0, calldataload(mload(r)))
        }
    }

    /// @notice The next `bytes_` bytes as a number.
    function number(Reader memory r, uint256 bytes_) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            let spot := mload(r)
            value := shr(sub(256, shl(3, bytes_)), calldataload(spot))
            mstore(r, add(spot, bytes_))
        }
    }

    /// @notice The account that the next byte refers to.
    function account(Reader memory r) internal pure returns (address value) {
        uint256 place = number(r, 1);
        if (place < ROLES) return address(uint160(place));
        place -= ROLES;
        if (place >= r.count) revert IBook.BadTerms();
        r.used |= 1 << place;
        assembly ("memory-safe") {
            value := shr(96, calldataload(add(mload(add(r, 64)), mul(20, place))))
        }
    }

    function _table(Reader memory r) private pure {
        if (r.count > MAX_ACCOUNTS) revert IBook.BadTerms();
        uint256 last = ROLES - 1;
        uint256 spot = r.table;
        for (uint256 i; i < r.count; ++i) {
            uint256 value;
            assembly ("memory-safe") {
                value := shr(96, calldataload(spot))
                spot := add(spot, 20)
            }
            if (value <= last) revert IBook.BadTerms();
            last = value;
        }
    }

    /// @dev Where the part ends whose length comes next.
    function _end(Reader memory r) private pure returns (uint256) {
        uint256 length = number(r, 2);
        return r.spot + length;
    }

    function _amount(Reader memory r) private pure returns (uint256 value) {
        uint256 length = number(r, 1);
        value = number(r, length);
        if (length > 16 || (length != 0 && value >> (8 * (length - 1)) == 0)) revert IBook.BadTerms();
    }

    function _label(Reader memory r) private pure returns (bytes32) {
        uint256 length = number(r, 1);
        uint256 value = number(r, length);
        if (length > 31 || (length != 0 && value & 0xff == 0)) revert IBook.BadTerms();
        return length == 0 ? bytes32(0) : bytes32(value << (256 - 8 * length));
    }

    function _accounts(Reader memory r) private pure returns (address[] memory list) {
        list = new address[](number(r, 1));
        for (uint256 i; i < list.length; ++i) list[i] = account(r);
    }

    function _rung(Reader memory r, Rung memory found) private pure {
        found.policy = account(r);
        found.codehash = bytes32(number(r, 32));
        found.verdictPeriod = uint32(number(r, 4));
        found.window = uint32(number(r, 4));
        found.bond = uint128(_amount(r));
        found.silent = uint8(number(r, 1));
        uint256 given = number(r, 1);
        if (given != 0) {
            found.param = bytes32(number(r, 32));
            if (given != 1 || found.param == 0) revert IBook.BadTerms();
        }
        found.asks = new Ask[](number(r, 1));
        for (uint256 i; i < found.asks.length; ++i) {
            Ask memory ask = found.asks[i];
            ask.period = uint32(number(r, 4));
            ask.slots = uint8(number(r, 1));
            ask.who = _accounts(r);
            ask.kind = _label(r);
        }
    }

    function _pot(Reader memory r, Pot memory found) private pure {
        found.depositor = account(r);
        found.amount = uint128(_amount(r));
        found.residual = account(r);
        found.name = _label(r);
        found.rules = new Rule[](number(r, 1));
        for (uint256 i; i < found.rules.length; ++i) {
            Rule memory rule = found.rules[i];
            rule.outcome = uint8(number(r, 1));
            uint256 kind = number(r, 1);
            rule.kind = uint8(kind);
            if (kind < 3) {
                rule.payees = _accounts(r);
                if (kind == 2) continue;
                rule.numbers = new uint128[](number(r, 1));
                for (uint256 j; j < rule.numbers.length; ++j) rule.numbers[j] = uint128(_amount(r));
            } else if (kind == 3) {
                rule.rung = uint8(number(r, 1));
            } else if (kind == 4) {
                rule.term = uint32(number(r, 4));
            } else {
                revert IBook.BadTerms();
            }
        }
    }
}
