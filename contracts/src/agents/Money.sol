// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IBook} from "../interfaces/IBook.sol";
import {DEPOSITOR, LAST_ROLE, Pot, Rule, Rung, Terms} from "../interfaces/Types.sol";
import {Packed} from "../libraries/Packed.sol";
import {Call, Limits} from "./IPolicyAccount.sol";

/// @title What a call of an account can move, and to whom, read from its bytes
/// @notice Never what the caller says of it. A call of the token that is none of those known here is refused.
library Money {
    uint256 internal constant MAX_VERIFIERS = 16;
    uint256 internal constant MAX_PAYEES = 64;
    uint256 internal constant MAX_CALLS = 64;

    uint8 private constant NOT_LISTED = 1;
    uint8 private constant UNREADABLE = 2;
    uint8 private constant NOT_PAYEE = 3;

    bytes4 private constant REFILL = bytes4(keccak256("refill()"));
    bytes4 private constant AUTHORIZED = bytes4(
        keccak256(
            "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
        )
    );

    /// @return reason 0 where the limits name the call and everybody it can pay; else why not.
    function read(Limits calldata l, address target, bytes calldata data)
        internal
        view
        returns (uint8 reason, uint256 amount, address payee)
    {
        payee = target;
        if (target == address(this)) {
            if (data.length != 4 || bytes4(data) != REFILL || l.hot == address(0)) return (NOT_LISTED, 0, payee);
            uint256 held = IERC20(l.token).balanceOf(l.hot);
            return (0, held < l.fill ? l.fill - held : 0, l.hot);
        }
        if (data.length < 4 || !_listed(l.calls, target, bytes4(data))) return (NOT_LISTED, 0, payee);
        bytes4 kind = bytes4(data);
        bytes calldata rest = data[4:];
        if (target == l.token) return _ofToken(l, kind, rest);
        if (kind == IBook.join.selector || kind == IBook.openAndJoin.selector) return _ofDeal(l, target, kind, rest);
        // Money of another token than the one that the caps are in.
        (uint256 size,) = _place(kind);
        if (size != 0) return (UNREADABLE, 0, payee);
    }

    /// @notice Whether a call joins a deal.
    function joins(bytes calldata data) internal pure returns (bool) {
        bytes4 kind = bytes4(data);
        return kind == IBook.join.selector || kind == IBook.openAndJoin.selector;
    }

    function _listed(Call[] calldata calls, address target, bytes4 kind) private pure returns (bool) {
        for (uint256 i; i < calls.length; ++i) {
            if (calls[i].target == target && calls[i].selector == kind) return true;
        }
        return false;
    }

    function _named(Limits calldata l, address account) private pure returns (bool) {
        for (uint256 i; i < l.payees.length; ++i) {
            if (l.payees[i] == account) return true;
        }
        return false;
    }

    /// @dev Of a call that moves a token: how many words it has, and which of them is the payee, before the amount.
    function _place(bytes4 kind) private pure returns (uint256 size, uint256 to) {
        if (kind == IERC20.transfer.selector || kind == IERC20.approve.selector) return (2, 0);
        if (kind == IERC20.transferFrom.selector) return (3, 1);
        if (kind == AUTHORIZED) return (9, 1);
    }

    function _ofToken(Limits calldata l, bytes4 kind, bytes calldata rest)
        private
        pure
        returns (uint8, uint256 amount, address payee)
    {
        (uint256 size, uint256 to) = _place(kind);
        // In its one form: a word whose upper bytes are not zero could mean another account to the token.
        if (size == 0 || rest.length != 32 * size) return (UNREADABLE, 0, l.token);
        uint256 account = _word(rest, to);
        if (account > type(uint160).max) return (UNREADABLE, 0, l.token);
        amount = _word(rest, to + 1);
        payee = address(uint160(account));
        return (_named(l, payee) ? 0 : NOT_PAYEE, amount, payee);
    }

    function _ofDeal(Limits calldata l, address book, bytes4 kind, bytes calldata rest)
        private
        view
        returns (uint8, uint256, address)
    {
        bool opens = kind == IBook.openAndJoin.selector;
        uint256 first = opens ? 1 : 0;
        (bool ok, bytes calldata found) = _tail(rest, first);
        if (!ok || rest.length < 32 * first + 64 || (!opens && found.length < 52)) return (UNREADABLE, 0, book);
        uint256 index = _word(rest, first + 1);
        if (index > type(uint8).max) return (UNREADABLE, 0, book);
        Terms memory terms = Packed.terms(opens ? found : found[52:]);
        if (terms.token != l.token || index >= terms.pots.length) return (UNREADABLE, 0, book);
        Pot memory pot = terms.pots[index];
        if (pot.depositor != address(this)) return (UNREADABLE, 0, book);
        return (_named(l, book) ? 0 : _reaches(l, terms, pot), pot.amount, book);
    }

    /// @dev Whether everybody whom a pot can pay is named. What would be the account's own goes where wrong bonds go,
    /// once a policy slashes the account or an ask names it that it does not answer.
    function _reaches(Limits calldata l, Terms memory terms, Pot memory pot) private view returns (uint8 reason) {
        if (!_known(l, pot.residual) || !_known(l, terms.wrongBonds)) reason = NOT_PAYEE;
        for (uint256 i; i < pot.rules.length; ++i) {
            Rule memory rule = pot.rules[i];
            address[] memory payees = rule.payees;
            if (rule.kind == 4) reason = NOT_PAYEE; // whoever stands under a root that is not yet known
            if (rule.kind == 3) {
                if (rule.rung >= terms.rungs.length) return UNREADABLE;
                payees = _bench(terms.rungs[rule.rung]);
            }
            for (uint256 j; j < payees.length; ++j) {
                if (!_known(l, payees[j])) reason = NOT_PAYEE;
            }
        }
    }

    /// @dev A role but the depositor's is whoever comes: a challenger, a keeper.
    function _known(Limits calldata l, address account) private view returns (bool) {
        if (account == DEPOSITOR || account == address(this)) return true;
        return uint160(account) > LAST_ROLE && _named(l, account);
    }

    /// @dev The accounts of the last ask that names some.
    function _bench(Rung memory rung) private pure returns (address[] memory who) {
        for (uint256 a = rung.asks.length; a != 0 && who.length == 0; --a) who = rung.asks[a - 1].who;
    }

    /// @dev The bytes that the argument at this place leads to, as the Book's decoder reads them.
    function _tail(bytes calldata rest, uint256 place) private pure returns (bool ok, bytes calldata found) {
        found = rest[:0];
        if (rest.length < 32 * place + 32) return (false, found);
        uint256 start = _word(rest, place);
        if (start >= rest.length || start + 32 > rest.length) return (false, found);
        uint256 size = uint256(bytes32(rest[start:]));
        if (size > rest.length - start - 32) return (false, found);
        return (true, rest[start + 32:start + 32 + size]);
    }

    function _word(bytes calldata rest, uint256 place) private pure returns (uint256) {
        return uint256(bytes32(rest[32 * place:32 * place + 32]));
    }
}
