// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../interfaces/IBook.sol";
import {IPolicy} from "../interfaces/IPolicy.sol";
import {
    CHALLENGER,
    DEPOSITOR,
    KEEPER,
    Pot,
    Result,
    Rule,
    Rung,
    SUBMISSION,
    Terms,
    VERDICT
} from "../interfaces/Types.sol";
import {Calls} from "./Calls.sol";
import {History} from "./History.sol";
import {Results} from "./Results.sol";
import {TermsLib} from "./TermsLib.sol";

/// @title From a deal's terms and history to its final result and what everybody gets (sections 6 and 8)
/// @dev Reads nothing but its arguments and the policies' ticks, writes nothing.
library Settle {
    uint256 private constant ROLES = 5; // three challengers, a judge and a closer need not stand in the terms

    /// What the history says.
    struct Run {
        Result[] results; // result(r) of each rung reached
        uint256[16] filled; // of ask 4r + a: bit (account × slots + slot)
        uint256 judged; // bit r: rung r recorded a verdict
        address[4] challengers; // by the rung challenged
        address[] missed; // who left a slot of an ask unfilled
        uint256 misses; // how many
        address judge; // caller of the last recorded verdict
        Result last; // the final result
    }

    /// What is to be paid; one line an account.
    struct Payments {
        address[] to;
        uint256[] amounts;
        uint256 count;
    }

    /// Everything that paying a pot needs.
    struct Context {
        Run run;
        Payments payments;
        address closer;
        uint256 rights; // bit r: the challenge of rung r was right
        uint256 rightBonds;
        uint256[] kept; // by pot: what stays for its payout root
        uint256[] terms; // by pot: seconds to collect
        address[] residuals; // by pot
    }

    /// @notice Refunds a void deal: each joined pot (bit of `joined`) to its depositor.
    function refund(Terms memory terms, uint256 joined) internal pure returns (Payments memory payments) {
        payments = _payments(terms.pots.length);
        for (uint256 i; i < terms.pots.length; ++i) {
            if (joined & (1 << i) != 0) _pay(payments, terms.pots[i].depositor, terms.pots[i].amount);
        }
    }

    /// @notice The final result and everybody's part.
    /// @param named How many accounts the terms name.
    /// @param history In the short form.
    /// @param id The deal's id, where the history's hash starts.
    /// @param digest What it must lead to, or BadHistory.
    /// @param last The highest rung reached.
    function settle(
        Terms memory terms,
        uint256 named,
        bytes calldata history,
        bytes32 id,
        bytes32 digest,
        uint256 last,
        address closer
    ) internal view returns (Context memory c) {
        _replay(terms, c.run, named, history, id, digest, last);
        c.payments = _payments(named + ROLES);
        c.closer = closer;
        uint256 pots = terms.pots.length;
        c.kept = new uint256[](pots);
        c.terms = new uint256[](pots);
        c.residuals = new address[](pots);
        _bonds(terms, c, last);
        for (uint256 i; i < pots; ++i) _pot(terms, c, i, last);
    }

    // --- section 6: results

    function _replay(
        Terms memory terms,
        Run memory run,
        uint256 named,
        bytes calldata history,
        bytes32 h,
        bytes32 digest,
        uint256 last
    ) private pure {
        run.results = new Result[](last + 1);
        _read(terms, run, history, h, digest, last);
        run.missed = new address[](named);
        for (uint256 r; r <= last; ++r) {
            if (run.judged & (1 << r) == 0) _silence(terms.rungs[r].silent, run.results, r);
            _missed(terms, run, r);
            if (run.misses != 0) run.results[r].slashed = _union(run.results[r].slashed, run.missed, run.misses);
        }
        run.last = run.results[last];
    }

    /// @dev An entry is taken for what it says before the hash is known to be the Book's: what it would lead beyond
    /// is BadHistory, as the whole of it is by the end.
    function _read(Terms memory terms, Run memory run, bytes calldata history, bytes32 h, bytes32 digest, uint256 last)
        private
        pure
    {
        uint256 spot;
        while (spot < history.length) {
            bytes32 first;
            bytes calldata data;
            (first, data, spot, h) = History.short(history, spot, h);
            uint256 r = uint8(first[1]);
            uint256 ask = uint8(first[2]);
            address by = address(uint160(uint256(first)));
            if (r > last || spot > history.length) revert IBook.BadHistory();
            if (uint8(first[0]) == SUBMISSION) {
                Rung memory rung = terms.rungs[r];
                if (ask >= rung.asks.length) revert IBook.BadHistory();
                uint256 place = TermsLib.placeIn(TermsLib.askedOf(rung, ask), by);
                if (place == type(uint256).max) revert IBook.BadHistory();
                run.filled[4 * r + ask] |= 1 << (place * rung.asks[ask].slots + uint8(first[3]));
            } else if (uint8(first[0]) == VERDICT) {
                (, run.results[r]) = Results.decode(data);
                run.judged |= 1 << r;
                run.judge = by;
            } else {
                if (r == last) revert IBook.BadHistory();
                run.challengers[r] = by;
            }
        }
        if (h != digest) revert IBook.BadHistory();
    }

    /// @dev Silence is `silent`, or keeps the result of the rung below.
    function _silence(uint8 silent, Result[] memory results, uint256 r) private pure {
        if (silent != 0) {
            results[r].outcome = silent;
        } else {
            Result memory below = results[r - 1];
            results[r] = Result(below.outcome, below.values, below.slashed, below.root, below.total);
        }
    }

    /// @dev Adds who left a slot of an ask of rung r unfilled; every ask of a rung reached is over at close.
    function _missed(Terms memory terms, Run memory run, uint256 r) private pure {
        Rung memory rung = terms.rungs[r];
        for (uint256 a; a < rung.asks.length; ++a) {
            address[] memory who = TermsLib.askedOf(rung, a);
            uint256 slots = rung.asks[a].slots;
            uint256 filled = run.filled[4 * r + a];
            if (filled == (1 << (who.length * slots)) - 1) continue;
            for (uint256 i; i < who.length; ++i) {
                if (_full(filled, slots, i)) continue;
                if (!_has(run.missed, run.misses, who[i])) run.missed[run.misses++] = who[i];
            }
        }
    }

    function _full(uint256 filled, uint256 slots, uint256 place) private pure returns (bool) {
        uint256 mask = ((1 << slots) - 1) << (place * slots);
        return filled & mask == mask;
    }

    // --- section 8: right and wrong

    function _bonds(Terms memory terms, Context memory c, uint256 last) private view {
        Run memory run = c.run;
        for (uint256 r; r < last; ++r) {
            uint256 bond = terms.rungs[r].bond;
            // Without a verdict above, only a miss there adds a party to the slashed.
            bool spoke = run.judged >> (r + 1) != 0 || _beyond(terms, run.last.slashed, run.results[r].slashed);
            if (spoke && !_differs(terms, run.last, run.results[r], terms.rungs[r])) {
                _pay(c.payments, terms.wrongBonds, bond);
                continue;
            }
            _pay(c.payments, run.challengers[r], bond);
            if (spoke) {
                c.rights |= 1 << r;
                c.rightBonds += bond;
            }
        }
    }

    function _differs(Terms memory terms, Result memory one, Result memory two, Rung memory rung)
        private
        view
        returns (bool)
    {
        if (one.outcome != two.outcome || one.root != two.root || one.total != two.total) return true;
        if (one.values.length != two.values.length) return true;
        if (_beyond(terms, one.slashed, two.slashed) || _beyond(terms, two.slashed, one.slashed)) return true;
        bool same = true;
        for (uint256 i; i < one.values.length; ++i) same = same && one.values[i] == two.values[i];
        if (same) return false;
        uint256 tick = _tick(rung);
        for (uint256 i; i < one.values.length; ++i) {
            uint256 a = one.values[i];
            uint256 b = two.values[i];
            if ((a > b ? a - b : b - a) > tick) return true;
        }
        return false;
    }

    /// @dev Whether `one` names somebody, off every bench, that `two` does not.
    function _beyond(Terms memory terms, address[] memory one, address[] memory two) private pure returns (bool) {
        for (uint256 i; i < one.length; ++i) {
            if (!_has(two, two.length, one[i]) && !TermsLib.onBench(terms, 1, one[i])) return true;
        }
        return false;
    }

    /// @dev The tick of a policy, 0 if it cannot be read.
    function _tick(Rung memory rung) private view returns (uint256) {
        if (rung.policy.codehash != rung.codehash) return 0;
        (bool ok, bytes memory answer) = Calls.ask(rung.policy, Calls.TICK_GAS, abi.encodeCall(IPolicy.tick, ()), 32);
        if (!ok || answer.length != 32) return 0;
        uint256 tick = uint256(bytes32(answer));
        return tick > type(uint128).max ? 0 : tick;
    }

    // --- section 8: pots

    function _pot(Terms memory terms, Context memory c, uint256 index, uint256 last) private pure {
        Pot memory pot = terms.pots[index];
        address depositor = pot.depositor;
        uint256 fee = TermsLib.feeRung(depositor, terms.rungs.length);
        if (fee != 0) {
            if (fee > last) return;
            depositor = c.run.challengers[fee - 1];
        }
        uint256 left = pot.amount;
        (bool found, Rule memory rule) = _rule(pot, c.run.last.outcome, _blocked(c, depositor));
        if (found) {
            if (rule.kind < 3) left = _split(terms, c, pot, rule, depositor);
            else if (rule.kind == 3) left = _answered(terms, c, pot.amount, rule.rung);
            else if (c.run.last.root != 0) {
                c.kept[index] = c.run.last.total < left ? c.run.last.total : left;
                c.terms[index] = rule.term;
                left -= c.kept[index];
            }
        }
        // What is left goes to the residual, or to wrong_bonds as far as the residual is blocked.
        address residual = pot.residual;
        if (residual == KEEPER) {
            left -= _keeper(c, left);
            residual = terms.wrongBonds;
        } else if (residual == DEPOSITOR) {
            residual = depositor;
        }
        if (_blocked(c, residual)) residual = terms.wrongBonds;
        c.residuals[index] = residual;
        _pay(c.payments, residual, left);
    }

    /// @dev The rule for outcome 0 if the depositor is slashed and there is one, else that of the outcome.
    function _rule(Pot memory pot, uint8 outcome, bool slashed) private pure returns (bool, Rule memory rule) {
        // Outcomes ascend, so a rule for outcome 0 is the first.
        for (uint256 i; i < pot.rules.length; ++i) {
            rule = pot.rules[i];
            if (rule.outcome == outcome || (slashed && rule.outcome == 0)) return (true, rule);
        }
        return (false, rule);
    }

    function _split(Terms memory terms, Context memory c, Pot memory pot, Rule memory rule, address depositor)
        private
        pure
        returns (uint256 left)
    {
        left = pot.amount;
        uint256 sum;
        for (uint256 i; i < rule.numbers.length; ++i) sum += rule.numbers[i];
        uint128[] memory values = c.run.last.values;
        for (uint256 i; i < rule.payees.length; ++i) {
            uint256 part;
            if (rule.kind == 0) part = rule.numbers[i];
            else if (rule.kind == 1) part = uint256(pot.amount) * rule.numbers[i] / sum;
            else if (i < values.length) part = values[i];
            if (part > left) part = left;
            address payee = rule.payees[i];
            if (payee == CHALLENGER) {
                left -= _challengers(terms, c, part);
            } else if (payee == KEEPER) {
                left -= _keeper(c, part);
            } else {
                left -= _give(c, payee == DEPOSITOR ? depositor : payee, part);
            }
        }
    }

    /// @dev Right challenges share by their bonds; a blocked challenger's share stays.
    function _challengers(Terms memory terms, Context memory c, uint256 part) private pure returns (uint256 paid) {
        for (uint256 r; c.rights >> r != 0; ++r) {
            if (c.rights & (1 << r) == 0) continue;
            paid += _give(c, c.run.challengers[r], part * terms.rungs[r].bond / c.rightBonds);
        }
    }

    /// @dev Half (floor) to the caller of the last recorded verdict, the rest to the closer.
    function _keeper(Context memory c, uint256 part) private pure returns (uint256 paid) {
        uint256 half = c.run.judged != 0 ? part / 2 : 0;
        if (half != 0) paid = _give(c, c.run.judge, half);
        paid += _give(c, c.closer, part - half);
    }

    /// @dev Equal seats to those of the bench that answered, if the rung gave a verdict. Whoever left a slot empty in a
    /// rung reached is among the final slashed (section 6), so blocked.
    function _answered(Terms memory terms, Context memory c, uint256 amount, uint256 r)
        private
        pure
        returns (uint256 left)
    {
        left = amount;
        if (c.run.judged & (1 << r) == 0) return left;
        address[] memory bench = TermsLib.benchOf(terms.rungs[r]);
        uint256 seat = amount / bench.length;
        for (uint256 i; i < bench.length; ++i) {
            left -= _give(c, bench[i], seat);
        }
    }

    // --- payments

    function _give(Context memory c, address account, uint256 amount) private pure returns (uint256) {
        if (_blocked(c, account)) return 0;
        _pay(c.payments, account, amount);
        return amount;
    }

    function _blocked(Context memory c, address account) private pure returns (bool) {
        return _has(c.run.last.slashed, c.run.last.slashed.length, account);
    }

    function _payments(uint256 accounts) private pure returns (Payments memory) {
        return Payments(new address[](accounts), new uint256[](accounts), 0);
    }

    function _pay(Payments memory payments, address account, uint256 amount) private pure {
        if (amount == 0) return;
        for (uint256 i; i < payments.count; ++i) {
            if (payments.to[i] == account) {
                payments.amounts[i] += amount;
                return;
            }
        }
        payments.to[payments.count] = account;
        payments.amounts[payments.count++] = amount;
    }

    function _has(address[] memory list, uint256 count, address account) private pure returns (bool) {
        for (uint256 i; i < count; ++i) {
            if (list[i] == account) return true;
        }
        return false;
    }

    /// @dev `one` with those of the first `count` of `two` that it lacks.
    function _union(address[] memory one, address[] memory two, uint256 count) private pure returns (address[] memory) {
        address[] memory all = new address[](one.length + count);
        uint256 n = one.length;
        for (uint256 i; i < n; ++i) all[i] = one[i];
        for (uint256 i; i < count; ++i) {
            if (!_has(one, one.length, two[i])) all[n++] = two[i];
        }
        assembly ("memory-safe") {
            mstore(all, n)
        }
        return all;
    }
}
