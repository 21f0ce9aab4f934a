// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ask, Entry, Rung, SUBMISSION, VERDICT} from "../src/interfaces/Types.sol";

// A deal's terms as the proofs hold them (docs/reference/deals.md, section 1); the Book takes their bytes.

/// What a pot pays at one outcome.
struct Rule {
    uint8 outcome; // 0: the rule for a slashed depositor
    uint8 kind; // 0 amounts, 1 weights, 2 values, 3 answered, 4 root
    uint8 rung; // kind 3: whose bench
    uint32 term; // kind 4: seconds to collect
    address[] payees; // kinds 0 to 2
    uint128[] numbers; // kinds 0 and 1
}

/// A deposit and what becomes of it.
struct Pot {
    bytes32 name;
    address depositor;
    uint128 amount;
    address residual;
    Rule[] rules;
}

/// What is promised.
struct Terms {
    address token;
    uint64 fundBy;
    address wrongBonds;
    Pot[] pots;
    Rung[] rungs;
}

address constant CHALLENGER = address(0x01);
address constant KEEPER = address(0x02);
address constant DEPOSITOR = address(0x03);

/// @title From terms and histories to the bytes that the Book takes
/// @dev Written from the page alone, so that it is a second reading of it.
library Words {
    /// Accounts in the order they were met; sorted before they are used.
    struct Table {
        address[] accounts;
        uint256 count;
    }

    // --- terms

    function encode(Terms memory terms) internal pure returns (bytes memory out) {
        Table memory table = _table(terms);
        out = abi.encodePacked(uint8(table.count));
        for (uint256 i; i < table.count; ++i) out = abi.encodePacked(out, table.accounts[i]);
        out = abi.encodePacked(out, _ref(table, terms.token), terms.fundBy, _ref(table, terms.wrongBonds));
        out = abi.encodePacked(out, uint8(terms.rungs.length));
        for (uint256 i; i < terms.rungs.length; ++i) out = abi.encodePacked(out, _part(_rung(table, terms.rungs[i])));
        out = abi.encodePacked(out, uint8(terms.pots.length));
        for (uint256 i; i < terms.pots.length; ++i) out = abi.encodePacked(out, _part(_pot(table, terms.pots[i])));
    }

    function _rung(Table memory table, Rung memory rung) private pure returns (bytes memory out) {
        out = abi.encodePacked(_ref(table, rung.policy), rung.codehash, rung.verdictPeriod, rung.window);
        out = abi.encodePacked(out, _amount(rung.bond), rung.silent);
        out = rung.param == 0 ? abi.encodePacked(out, uint8(0)) : abi.encodePacked(out, uint8(1), rung.param);
        out = abi.encodePacked(out, uint8(rung.asks.length));
        for (uint256 i; i < rung.asks.length; ++i) {
            Ask memory ask = rung.asks[i];
            out = abi.encodePacked(out, ask.period, ask.slots, _refs(table, ask.who), _label(ask.kind));
        }
    }

    function _pot(Table memory table, Pot memory pot) private pure returns (bytes memory out) {
        out = abi.encodePacked(_ref(table, pot.depositor), _amount(pot.amount), _ref(table, pot.residual));
        out = abi.encodePacked(out, _label(pot.name), uint8(pot.rules.length));
        for (uint256 i; i < pot.rules.length; ++i) out = abi.encodePacked(out, _rule(table, pot.rules[i]));
    }

    function _rule(Table memory table, Rule memory rule) private pure returns (bytes memory out) {
        out = abi.encodePacked(rule.outcome, rule.kind);
        if (rule.kind < 3) out = abi.encodePacked(out, _refs(table, rule.payees));
        if (rule.kind < 2) {
            out = abi.encodePacked(out, uint8(rule.numbers.length));
            for (uint256 i; i < rule.numbers.length; ++i) out = abi.encodePacked(out, _amount(rule.numbers[i]));
        }
        if (rule.kind == 3) out = abi.encodePacked(out, rule.rung);
        if (rule.kind == 4) out = abi.encodePacked(out, rule.term);
    }

    function _part(bytes memory data) private pure returns (bytes memory) {
        return abi.encodePacked(uint16(data.length), data);
    }

    function _amount(uint128 value) private pure returns (bytes memory out) {
        uint256 n = 16;
        while (n != 0 && value >> (8 * n - 8) == 0) --n;
        return _cut(n, bytes32(uint256(value) << (256 - 8 * n)));
    }

    function _label(bytes32 text) private pure returns (bytes memory) {
        uint256 n = 31;
        while (n != 0 && text[n - 1] == 0) --n;
        return _cut(n, text);
    }

    /// @dev The length in a byte, and the first `n` bytes of the word.
    function _cut(uint256 n, bytes32 word) private pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(n), word);
        assembly ("memory-safe") {
            mstore(out, add(n, 1))
        }
    }

    // --- the table

    function _table(Terms memory terms) private pure returns (Table memory table) {
        table.accounts = new address[](224);
        _meet(table, terms.token);
        _meet(table, terms.wrongBonds);
        for (uint256 r; r < terms.rungs.length; ++r) {
            _meet(table, terms.rungs[r].policy);
            for (uint256 a; a < terms.rungs[r].asks.length; ++a) _meetAll(table, terms.rungs[r].asks[a].who);
        }
        for (uint256 p; p < terms.pots.length; ++p) {
            _meet(table, terms.pots[p].depositor);
            _meet(table, terms.pots[p].residual);
            for (uint256 i; i < terms.pots[p].rules.length; ++i) _meetAll(table, terms.pots[p].rules[i].payees);
        }
    }

    function _meetAll(Table memory table, address[] memory accounts) private pure {
        for (uint256 i; i < accounts.length; ++i) _meet(table, accounts[i]);
    }

    /// @dev In its place, unless it is there or needs none.
    function _meet(Table memory table, address account) private pure {
        if (uint160(account) < 0x20) return;
        uint256 spot;
        while (spot < table.count && table.accounts[spot] < account) ++spot;
        if (spot < table.count && table.accounts[spot] == account) return;
        for (uint256 i = table.count; i > spot; --i) table.accounts[i] = table.accounts[i - 1];
        table.accounts[spot] = account;
        ++table.count;
    }

    function _ref(Table memory table, address account) private pure returns (uint8) {
        if (uint160(account) < 0x20) return uint8(uint160(account));
        for (uint256 i; i < table.count; ++i) if (table.accounts[i] == account) return uint8(0x20 + i);
        revert("not in the table");
    }

    function _refs(Table memory table, address[] memory accounts) private pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(accounts.length));
        for (uint256 i; i < accounts.length; ++i) out = abi.encodePacked(out, _ref(table, accounts[i]));
    }

    // --- histories (sections 4, 5 and 8)

    /// @dev Kind, rung, ask, slot, time, account: one word.
    function head(Entry memory entry) internal pure returns (bytes32) {
        return bytes32(abi.encodePacked(entry.kind, entry.rung, entry.ask, entry.slot, entry.time, entry.by));
    }

    function unhead(bytes32 word) internal pure returns (Entry memory entry) {
        (entry.kind, entry.rung) = (uint8(word[0]), uint8(word[1]));
        (entry.ask, entry.slot) = (uint8(word[2]), uint8(word[3]));
        (entry.time, entry.by) = (uint64(uint256(word) >> 160), address(uint160(uint256(word))));
    }

    function chain(bytes32 before, Entry memory entry) internal pure returns (bytes32) {
        return keccak256(abi.encode(before, head(entry), keccak256(abi.encodePacked(entry.claim, entry.data))));
    }

    /// @notice As `judge` takes it.
    function long(Entry[] memory history) internal pure returns (bytes memory out) {
        for (uint256 i; i < history.length; ++i) {
            Entry memory one = history[i];
            out = abi.encodePacked(out, head(one), one.claim, _part(one.data));
        }
    }

    /// @notice As `close` takes it.
    function short(Entry[] memory history) internal pure returns (bytes memory out) {
        for (uint256 i; i < history.length; ++i) {
            Entry memory one = history[i];
            out = abi.encodePacked(out, head(one));
            if (one.kind == SUBMISSION) out = abi.encodePacked(out, keccak256(abi.encodePacked(one.claim, one.data)));
            if (one.kind == VERDICT) out = abi.encodePacked(out, _part(one.data));
        }
    }
}
