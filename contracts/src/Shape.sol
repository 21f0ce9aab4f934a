// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "./interfaces/IBook.sol";
import {IPolicy} from "./interfaces/IPolicy.sol";
import {Ask, CHALLENGER, DEPOSITOR, KEEPER, Pot, Rule, Rung, Terms} from "./interfaces/Types.sol";
import {Calls} from "./libraries/Calls.sol";
import {Packed} from "./libraries/Packed.sol";
import {TermsLib} from "./libraries/TermsLib.sol";

/// @title What terms a deal may have (docs/reference/deals.md, sections 1 and 2), refused in the page's order
/// @notice A contract of its own because the Book has no room for it. It has no storage, no owner and no money; the
/// Book's constructor makes it, so that nothing else can stand in its place.
contract Shape {
    uint256 private constant POTS = 32;
    uint256 private constant RUNGS = 4;
    uint256 private constant ASKS = 4;
    uint256 private constant WHO = 32;
    uint256 private constant SLOTS = 8;
    uint256 private constant SEATS = 64; // accounts × slots over all asks
    uint256 private constant PAYEES = 32;
    uint256 private constant ALL_PAYEES = 128;
    uint256 private constant RULES = 8;
    uint256 private constant PAYMENTS = 112; // of one close: the widest rule and the residual of every pot
    uint256 private constant LIFE = 63_072_000;

    /// @notice Reverts with the first rule that the terms break.
    /// @return missing How many pots must be joined before the deal runs.
    function check(bytes calldata data) external view returns (uint8 missing) {
        Terms memory terms = Packed.terms(data);
        missing = _shape(terms);
        _times(terms);
        _bonds(terms.rungs);
        if (terms.rungs[0].silent == 0) revert IBook.BadSilent();
        for (uint256 i; i < terms.pots.length; ++i) _pot(terms.pots[i], terms.rungs.length);
        if (_named(terms, terms.wrongBonds)) revert IBook.BadWrongBonds();
        _benches(terms.rungs);
        if (terms.token.code.length == 0) revert IBook.BadToken();
        for (uint256 r; r < terms.rungs.length; ++r) _accepts(terms.rungs[r]);
    }

    function _accepts(Rung memory rung) private view {
        address policy = rung.policy;
        if (policy.code.length == 0 || policy.codehash != rung.codehash) revert IBook.BadPolicy();
        (bool ok, bytes memory answer) =
            Calls.ask(policy, Calls.POLICY_GAS, abi.encodeCall(IPolicy.accepts, (rung)), 32);
        if (!ok || answer.length != 32 || uint256(bytes32(answer)) != 1) revert IBook.BadPolicy();
    }

    function _shape(Terms memory terms) private pure returns (uint8 missing) {
        uint256 rungs = terms.rungs.length;
        uint256 pots = terms.pots.length;
        if (pots == 0 || pots > POTS || rungs == 0 || rungs > RUNGS) revert IBook.BadShape();
        uint256 seats;
        for (uint256 r; r < rungs; ++r) seats += _asks(terms.rungs[r]);
        uint256 payees;
        uint256 payments;
        for (uint256 i; i < pots; ++i) {
            Pot memory pot = terms.pots[i];
            // A name is 1 to 31 bytes, padded with zeros.
            if (pot.name[0] == 0 || pot.name[31] != 0 || pot.rules.length > RULES) revert IBook.BadShape();
            for (uint256 j; j < i; ++j) if (terms.pots[j].name == pot.name) revert IBook.BadShape();
            uint256 widest;
            for (uint256 j; j < pot.rules.length; ++j) {
                Rule memory rule = pot.rules[j];
                uint256 n = rule.payees.length;
                if (n > PAYEES) revert IBook.BadShape();
                payees += n;
                // A rung that is not there is BadPot, later.
                if (rule.kind == 3 && rule.rung < rungs) n = TermsLib.benchOf(terms.rungs[rule.rung]).length;
                if (n > widest) widest = n;
            }
            payments += 1 + widest;
            if (TermsLib.feeRung(pot.depositor, rungs) == 0) ++missing;
        }
        if (missing == 0 || payees > ALL_PAYEES || payments > PAYMENTS || seats > SEATS) revert IBook.BadShape();
    }

    function _asks(Rung memory rung) private pure returns (uint256 seats) {
        uint256 asks = rung.asks.length;
        if (asks == 0 || asks > ASKS || rung.asks[0].who.length == 0) revert IBook.BadShape();
        for (uint256 a; a < asks; ++a) {
            Ask memory ask = rung.asks[a];
            if (ask.kind[0] == 0 || ask.kind[31] != 0 || ask.who.length > WHO) revert IBook.BadShape();
            if (ask.slots == 0 || ask.slots > SLOTS) revert IBook.BadShape();
            seats += TermsLib.askedOf(rung, a).length * ask.slots;
        }
    }

    function _times(Terms memory terms) private view {
        if (terms.fundBy <= block.timestamp) revert IBook.BadTimes();
        uint256 life = terms.fundBy - block.timestamp;
        uint256 top = terms.rungs.length - 1;
        for (uint256 r; r <= top; ++r) {
            Rung memory rung = terms.rungs[r];
            // The top rung has no window, every other one has.
            if (rung.verdictPeriod == 0 || (rung.window == 0) != (r == top)) revert IBook.BadTimes();
            life += uint256(rung.verdictPeriod) + rung.window;
            for (uint256 a; a < rung.asks.length; ++a) {
                if (rung.asks[a].period == 0) revert IBook.BadTimes();
                life += rung.asks[a].period;
            }
        }
        if (life > LIFE) revert IBook.BadTimes();
    }

    function _bonds(Rung[] memory rungs) private pure {
        uint256 top = rungs.length - 1;
        uint256 below;
        for (uint256 r; r < top; ++r) {
            uint256 bond = rungs[r].bond;
            if (bond == 0 || bond < 2 * below) revert IBook.BadBond();
            below = bond;
        }
        if (rungs[top].bond != 0) revert IBook.BadBond();
    }

    function _pot(Pot memory pot, uint256 rungs) private pure {
        bool fee = TermsLib.feeRung(pot.depositor, rungs) != 0;
        if (pot.amount == 0 || (TermsLib.isRole(pot.depositor) && !fee)) revert IBook.BadPot();
        address residual = pot.residual;
        if (TermsLib.isRole(residual) && residual != KEEPER && residual != DEPOSITOR) revert IBook.BadPot();
        for (uint256 i; i < pot.rules.length; ++i) {
            Rule memory rule = pot.rules[i];
            if (i != 0 && rule.outcome <= pot.rules[i - 1].outcome) revert IBook.BadPot();
            if (fee && rule.outcome == 0) revert IBook.BadPot();
            _rule(rule, pot.amount, rungs);
            // What of a root is never collected goes to one account.
            if (rule.kind == 4 && residual == KEEPER) revert IBook.BadPot();
        }
    }

    function _rule(Rule memory rule, uint256 amount, uint256 rungs) private pure {
        uint8 kind = rule.kind;
        if (kind > 4 || (kind < 3) != (rule.payees.length != 0)) revert IBook.BadPot();
        if (kind == 3 ? rule.rung >= rungs : rule.rung != 0) revert IBook.BadPot();
        if (kind == 4 ? rule.term == 0 || rule.term > LIFE : rule.term != 0) revert IBook.BadPot();
        if (rule.numbers.length != (kind < 2 ? rule.payees.length : 0)) revert IBook.BadPot();
        uint256 sum;
        uint256 reward; // to challengers
        bool challenged;
        for (uint256 i; i < rule.payees.length; ++i) {
            address payee = rule.payees[i];
            if (TermsLib.isRole(payee) && payee != CHALLENGER && payee != KEEPER && payee != DEPOSITOR) {
                revert IBook.BadPot();
            }
            uint256 number = kind < 2 ? rule.numbers[i] : 0;
            sum += number;
            if (payee == CHALLENGER) {
                challenged = true;
                reward += number;
            }
        }
        if (kind == 1 && (sum == 0 || sum > type(uint128).max)) revert IBook.BadPot();
        // Half at most: who challenges itself first must not get back what it forfeits.
        if (kind == 2 && challenged) revert IBook.BadPot();
        if (reward > (kind == 0 ? amount : sum) / 2) revert IBook.BadPot();
    }

    /// @dev Whether the account is zero, a role, or named anywhere in the terms (section 2, BadWrongBonds).
    function _named(Terms memory terms, address account) private pure returns (bool) {
        if (TermsLib.isRole(account)) return true;
        for (uint256 i; i < terms.pots.length; ++i) {
            Pot memory pot = terms.pots[i];
            if (pot.depositor == account || pot.residual == account) return true;
            for (uint256 j; j < pot.rules.length; ++j) {
                if (_has(pot.rules[j].payees, account)) return true;
            }
        }
        for (uint256 r; r < terms.rungs.length; ++r) {
            for (uint256 a; a < terms.rungs[r].asks.length; ++a) {
                if (_has(terms.rungs[r].asks[a].who, account)) return true;
            }
        }
        return false;
    }

    function _benches(Rung[] memory rungs) private pure {
        for (uint256 r; r < rungs.length; ++r) {
            for (uint256 a; a < rungs[r].asks.length; ++a) {
                address[] memory who = rungs[r].asks[a].who;
                for (uint256 i; i < who.length; ++i) {
                    // The first place of an account that stands twice is not its second.
                    if (TermsLib.isRole(who[i]) || TermsLib.placeIn(who, who[i]) != i) revert IBook.BadBench();
                }
                for (uint256 b = 1; b < rungs.length; ++b) _apart(who, TermsLib.benchOf(rungs[b]));
            }
        }
        for (uint256 b = 2; b < rungs.length; ++b) {
            for (uint256 c = 1; c < b; ++c) {
                if (_shared(TermsLib.benchOf(rungs[b]), TermsLib.benchOf(rungs[c])) != 0) revert IBook.BadBench();
            }
        }
    }

    /// @dev An ask names a bench exactly, in its order, or nobody of it.
    function _apart(address[] memory who, address[] memory bench) private pure {
        if (_shared(who, bench) == 0) return;
        if (who.length != bench.length) revert IBook.BadBench();
        for (uint256 i; i < who.length; ++i) if (who[i] != bench[i]) revert IBook.BadBench();
    }

    function _shared(address[] memory one, address[] memory two) private pure returns (uint256 count) {
        for (uint256 i; i < one.length; ++i) if (_has(two, one[i])) ++count;
    }

    function _has(address[] memory list, address account) private pure returns (bool) {
        return TermsLib.placeIn(list, account) != type(uint256).max;
    }
}
