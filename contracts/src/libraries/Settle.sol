// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../interfaces/IBook.sol";
import {IPolicy} from "../interfaces/IPolicy.sol";
import {CLIMBER, Result, SUBMISSION, VERDICT} from "../interfaces/Types.sol";
import {Calls} from "./Calls.sol";
import {History} from "./History.sol";
import {Pieces} from "./Pieces.sol";
import {Results} from "./Results.sol";
import {Rungs} from "./Rungs.sol";

/// @title From a deal's terms and history to its final result and what everybody gets (sections 6 and 8)
/// @dev Reads nothing but its arguments and the policies' ticks, writes nothing. Accounts are places: in the table of
/// the terms, and behind it those of challengers and keepers that the table lacks. Sets of accounts are bits by place;
/// whoever is slashed stands in the table (section 5, BadResult).
library Settle {
    uint256 private constant EXTRA = 5; // three challengers, a judge and a closer need not stand in the terms
    uint256 private constant NOBODY = type(uint256).max;
    // References of the roles.
    uint256 private constant CHALLENGER = 1;
    uint256 private constant KEEPER = 2;
    uint256 private constant DEPOSITOR = 3;

    /// A result, with its slashed as a set.
    struct Found {
        uint256 outcome;
        uint128[] values;
        uint256 slashed;
        bytes32 root;
        uint256 total;
    }

    /// What stays of a pot for its payout root.
    struct Kept {
        uint256 pot;
        uint256 amount;
        uint256 term;
        address residual;
    }

    struct Context {
        uint256 table;
        uint256 count; // of the table
        uint256 wrongBonds; // place
        uint256 rungs;
        uint256 pots; // where their number stands in the calldata
        uint256 last; // the highest rung reached
        Rungs.Facts[] facts; // of every rung
        Found[] results; // result(r) of each rung reached
        uint256[16] filled; // of ask 4r + a: bit (account × slots + slot)
        uint256 judged; // bit r: rung r recorded a verdict
        address[4] challengers; // by the rung challenged
        address judge; // caller of the last recorded verdict
        address closer;
        uint256 blocked; // the final slashed
        uint256 rights; // bit r: the challenge of rung r was right
        uint256 rightBonds;
        uint256[] amounts; // by place
        address[EXTRA] extra; // the accounts behind the table
        uint256 extras;
        Kept[] kept;
        uint256 keeps;
    }

    /// @notice Where the parts of the terms stand.
    function begin(bytes calldata terms) internal pure returns (Context memory c) {
        unchecked {
            uint256 p;
            assembly ("memory-safe") {
                p := terms.offset
            }
            c.count = Pieces.one(p);
            c.table = p + 1;
            c.amounts = new uint256[](c.count + EXTRA);
            p += 1 + 20 * c.count + 9;
            c.wrongBonds = Pieces.one(p) - Pieces.TABLE;
            c.rungs = Pieces.one(p + 1);
            p += 2;
            c.facts = new Rungs.Facts[](c.rungs);
            for (uint256 r; r < c.rungs; ++r) {
                c.facts[r].p = p + 2;
                p += 2 + Pieces.two(p);
            }
            c.pots = p;
        }
    }

    /// @notice Refunds a void deal: each joined pot (bit of `joined`) to its depositor.
    function refund(Context memory c, uint256 joined) internal pure {
        unchecked {
            uint256 p = c.pots + 1;
            for (uint256 i = Pieces.one(c.pots); i != 0; --i) {
                if (joined & 1 != 0) {
                    (uint256 amount,) = Pieces.amountOf(p + 3);
                    c.amounts[Pieces.one(p + 2) - Pieces.TABLE] += amount;
                }
                joined >>= 1;
                p += 2 + Pieces.two(p);
            }
        }
    }

    /// @notice The deal's token.
    function token(Context memory c) internal pure returns (address) {
        unchecked {
            return Pieces.account(Pieces.one(c.table + 20 * c.count), c.table);
        }
    }

    /// @notice Reads the rungs. `last`: the highest that was reached. To be called before the history is taken in.
    function reach(Context memory c, uint256 last) internal pure {
        c.last = last;
        c.results = new Found[](last + 1);
        for (uint256 r; r < c.rungs; ++r) Rungs.read(c.facts[r], c.facts[r].p);
    }

    /// @notice The final result and everybody's part, once the whole history was taken in.
    function settle(Context memory c) internal view {
        _results(c);
        c.blocked = c.results[c.last].slashed;
        if (c.last != 0) _bonds(c);
        _pots(c);
    }

    /// @notice The final result, slashed ascending as the table does.
    function result(Context memory c) internal pure returns (Result memory found) {
        unchecked {
            Found memory last = c.results[c.last];
            found.outcome = uint8(last.outcome);
            found.values = last.values;
            found.root = last.root;
            found.total = uint128(last.total);
            uint256 n;
            for (uint256 left = last.slashed; left != 0; left &= left - 1) ++n;
            found.slashed = new address[](n);
            n = 0;
            for (uint256 place; last.slashed >> place != 0; ++place) {
                if (last.slashed >> place & 1 != 0) found.slashed[n++] = account(c, place);
            }
        }
    }

    /// @notice The account at a place.
    function account(Context memory c, uint256 place) internal pure returns (address) {
        unchecked {
            if (place >= c.count) return c.extra[place - c.count];
            return Pieces.account(place + Pieces.TABLE, c.table);
        }
    }

    /// @dev The account's place in the table, or NOBODY.
    function _find(Context memory c, address who) private pure returns (uint256) {
        unchecked {
            uint256 p = c.table;
            for (uint256 i; i < c.count; ++i) {
                if (address(uint160(Pieces.some(p, 20))) == who) return i;
                p += 20;
            }
            return NOBODY;
        }
    }

    /// @dev The place of any account; one that the table lacks gets a place behind it.
    function _place(Context memory c, address who) private pure returns (uint256 place) {
        unchecked {
            place = _find(c, who);
            if (place != NOBODY) return place;
            for (uint256 i; i < c.extras; ++i) if (c.extra[i] == who) return c.count + i;
            c.extra[c.extras] = who;
            return c.count + c.extras++;
        }
    }

    // --- section 5: what a verdict at rung r may say

    /// @notice Whether a result slashes nobody but depositors and benches up to rung r, and no pot whose rule for its
    /// outcome is a root holds less than its total.
    function allowed(bytes calldata terms, uint256 r, Result memory said) internal pure returns (bool) {
        Context memory c = begin(terms);
        uint256 known;
        uint256 above;
        for (uint256 b = 1; b < c.rungs; ++b) {
            Rungs.read(c.facts[b], c.facts[b].p);
            uint256 bench = Rungs.set(Rungs.bench(c.facts[b]));
            known |= bench;
            // Who is yet to judge has done nothing, and benches do not count in comparisons: nobody could object.
            if (b > r) above |= bench;
        }
        uint256 p = c.pots + 1;
        for (uint256 i = Pieces.one(c.pots); i != 0; --i) {
            uint256 depositor = Pieces.one(p + 2);
            if (depositor >= Pieces.TABLE) known |= 1 << (depositor - Pieces.TABLE);
            (uint256 amount, uint256 rules) = Pieces.amountOf(p + 3);
            (uint256 kind,) = _rule(rules + 2 + Pieces.one(rules + 1), said.outcome, false);
            if (kind == 4 && said.total > amount) return false;
            p += 2 + Pieces.two(p);
        }
        for (uint256 i; i < said.slashed.length; ++i) {
            uint256 place = _find(c, said.slashed[i]);
            if (place == NOBODY || (known & ~above) >> place & 1 == 0) return false;
        }
        return true;
    }

    // --- section 6: results

    /// @notice Takes in a history in its short form; `h0` is where its hash starts.
    /// @return h Its hash, to be compared with the Book's.
    function replay(Context memory c, bytes calldata history, bytes32 h0) internal pure returns (bytes32 h) {
        h = h0;
        uint256 spot;
        while (spot < history.length) {
            bytes32 first;
            bytes calldata data;
            (first, data, spot, h) = History.short(history, spot, h);
            if (spot > history.length) revert IBook.BadHistory();
            enter(c, first, data);
        }
    }

    /// @notice Takes in a history of whole entries that was compared with the Book's.
    function replayWhole(Context memory c, bytes calldata history) internal pure {
        uint256 spot;
        while (spot < history.length) {
            bytes32 first;
            bytes calldata data;
            (first,, data, spot) = History.whole(history, spot);
            enter(c, first, uint8(first[0]) == VERDICT ? data : data[:0]);
        }
    }

    /// @notice Takes in one entry; of its data a verdict's alone counts.
    /// @dev An entry is taken for what it says before the hash is known to be the Book's: what it would lead beyond
    /// is BadHistory, as the whole of it is by the end.
    function enter(Context memory c, bytes32 first, bytes memory data) internal pure {
        uint256 r = uint8(first[1]);
        if (r > c.last) revert IBook.BadHistory();
        address by = address(uint160(uint256(first)));
        if (uint8(first[0]) == SUBMISSION) {
            uint256 ask = uint8(first[2]);
            if (ask >= c.facts[r].asks) revert IBook.BadHistory();
            (uint256 list, uint256 slots) = Rungs.asked(c.facts[r], ask);
            uint256 place = Rungs.place(list, c.table, by);
            if (place == NOBODY) revert IBook.BadHistory();
            c.filled[4 * r + ask] |= 1 << (place * slots + uint8(first[3]));
        } else if (uint8(first[0]) == VERDICT) {
            _verdict(c, c.results[r], data);
            c.judged |= 1 << r;
            c.judge = by;
        } else {
            if (r == c.last) revert IBook.BadHistory();
            c.challengers[r] = by;
        }
    }

    function _verdict(Context memory c, Found memory found, bytes memory data) private pure {
        (, Result memory said) = Results.decode(data);
        found.outcome = said.outcome;
        found.values = said.values;
        found.root = said.root;
        found.total = said.total;
        for (uint256 i; i < said.slashed.length; ++i) {
            uint256 place = _find(c, said.slashed[i]);
            // No verdict of the Book's slashes whom the terms do not name.
            if (place == NOBODY) revert IBook.BadHistory();
            found.slashed |= 1 << place;
        }
    }

    function _results(Context memory c) private pure {
        unchecked {
            uint256 missed;
            for (uint256 r; r <= c.last; ++r) {
                Found memory found = c.results[r];
                if (c.judged >> r & 1 == 0) {
                    // Silence is `silent`, or keeps the result of the rung below.
                    found.outcome = c.facts[r].silent;
                    if (found.outcome == 0) {
                        Found memory below = c.results[r - 1];
                        found.outcome = below.outcome;
                        found.values = below.values;
                        found.slashed = below.slashed;
                        found.root = below.root;
                        found.total = below.total;
                    }
                }
                missed |= _missed(c, r);
                found.slashed |= missed;
            }
        }
    }

    /// @dev Who left a slot of an ask of rung r unfilled; every ask of a rung reached is over at close.
    function _missed(Context memory c, uint256 r) private pure returns (uint256 missed) {
        unchecked {
            uint256 p = c.facts[r].asksAt;
            uint256 list;
            for (uint256 a; a < c.facts[r].asks; ++a) {
                uint256 slots;
                uint256 own;
                (, slots, own, p) = Rungs.ask(p);
                if (own != 0) list = own;
                uint256 filled = c.filled[4 * r + a];
                uint256 mask = (1 << slots) - 1;
                for (uint256 i; i < (list & 0xff); ++i) {
                    if (filled & mask != mask) missed |= 1 << (Pieces.one((list >> 8) + i) - Pieces.TABLE);
                    filled >>= slots;
                }
            }
        }
    }

    // --- section 8: right and wrong

    function _bonds(Context memory c) private view {
        uint256 benches;
        for (uint256 r = 1; r < c.rungs; ++r) benches |= Rungs.set(Rungs.bench(c.facts[r]));
        Found memory last = c.results[c.last];
        for (uint256 r; r < c.last; ++r) {
            uint256 bond = c.facts[r].bond;
            Found memory here = c.results[r];
            // Without a verdict above, only a miss there adds a party to the slashed.
            bool spoke = c.judged >> (r + 1) != 0 || last.slashed & ~here.slashed & ~benches != 0;
            if (spoke && !_differs(c, last, here, benches, r)) {
                c.amounts[c.wrongBonds] += bond;
                continue;
            }
            c.amounts[_place(c, c.challengers[r])] += bond;
            if (spoke) {
                c.rights |= 1 << r;
                c.rightBonds += bond;
            }
        }
    }

    function _differs(Context memory c, Found memory one, Found memory two, uint256 benches, uint256 r)
        private
        view
        returns (bool)
    {
        if (one.outcome != two.outcome || one.root != two.root || one.total != two.total) return true;
        if (one.values.length != two.values.length) return true;
        if ((one.slashed ^ two.slashed) & ~benches != 0) return true;
        bool same = true;
        for (uint256 i; i < one.values.length; ++i) same = same && one.values[i] == two.values[i];
        if (same) return false;
        uint256 tick = _tick(c, r);
        for (uint256 i; i < one.values.length; ++i) {
            uint256 a = one.values[i];
            uint256 b = two.values[i];
            if ((a > b ? a - b : b - a) > tick) return true;
        }
        return false;
    }

    /// @dev The tick of a policy, 0 if it cannot be read.
    function _tick(Context memory c, uint256 r) private view returns (uint256) {
        uint256 p = c.facts[r].p;
        address policy = Pieces.account(Pieces.one(p), c.table);
        if (policy.codehash != Pieces.word(p + 1)) return 0;
        (bool ok, bytes memory answer) = Calls.ask(policy, Calls.TICK_GAS, abi.encodeCall(IPolicy.tick, ()), 32);
        if (!ok || answer.length != 32) return 0;
        uint256 tick = uint256(bytes32(answer));
        return tick > type(uint128).max ? 0 : tick;
    }

    // --- section 8: pots

    function _pots(Context memory c) private pure {
        uint256 n = Pieces.one(c.pots);
        if (c.results[c.last].root != 0) c.kept = new Kept[](n);
        uint256 p = c.pots + 1;
        for (uint256 i; i < n; ++i) {
            _pot(c, i, p + 2);
            p += 2 + Pieces.two(p);
        }
    }

    function _pot(Context memory c, uint256 index, uint256 p) private pure {
        uint256 holder = Pieces.one(p);
        if (holder >= Pieces.TABLE) {
            holder -= Pieces.TABLE;
        } else {
            uint256 fee = holder - CLIMBER;
            if (fee > c.last) return;
            holder = _place(c, c.challengers[fee - 1]);
        }
        uint256 left;
        (left, p) = Pieces.amountOf(p + 1);
        uint256 residual = Pieces.one(p);
        p += 2 + Pieces.one(p + 1);
        (uint256 kind, uint256 rule) = _rule(p, c.results[c.last].outcome, _blocked(c, holder));
        uint256 kept;
        if (kind < 3) left = _split(c, left, kind, rule, holder);
        else if (kind == 3) left = _answered(c, left, Pieces.one(rule));
        else if (kind == 4 && c.results[c.last].root != 0) {
            kept = c.results[c.last].total < left ? c.results[c.last].total : left;
            left -= kept;
        }
        // What is left goes to the residual, or to wrong_bonds as far as the residual is blocked.
        if (residual == KEEPER) {
            left -= _keeper(c, left);
            residual = c.wrongBonds;
        } else {
            residual = residual == DEPOSITOR ? holder : residual - Pieces.TABLE;
            if (_blocked(c, residual)) residual = c.wrongBonds;
        }
        if (kept != 0) c.kept[c.keeps++] = Kept(index, kept, Pieces.four(rule), account(c, residual));
        c.amounts[residual] += left;
    }

    /// @dev The kind of the pot's rule and where its content begins: the rule for outcome 0 if the depositor is slashed
    /// and there is one, else that of the outcome; kind 5 for none. `p`: where the number of rules stands.
    function _rule(uint256 p, uint256 outcome, bool slashed) private pure returns (uint256 kind, uint256) {
        unchecked {
            uint256 n = Pieces.one(p);
            ++p;
            // Outcomes ascend, so a rule for outcome 0 is the first.
            for (uint256 i; i < n; ++i) {
                uint256 one = Pieces.one(p);
                kind = Pieces.one(p + 1);
                p += 2;
                if (one == outcome || (slashed && one == 0)) return (kind, p);
                if (kind == 3) p += 1;
                else if (kind == 4) p += 4;
                else {
                    p += 1 + Pieces.one(p);
                    if (kind != 2) {
                        uint256 numbers = Pieces.one(p);
                        ++p;
                        for (; numbers != 0; --numbers) p += 1 + Pieces.one(p);
                    }
                }
            }
            return (5, 0);
        }
    }

    function _split(Context memory c, uint256 amount, uint256 kind, uint256 p, uint256 holder)
        private
        pure
        returns (uint256 left)
    {
        left = amount;
        uint256 n = Pieces.one(p);
        uint256 numbers = p + 2 + n;
        uint256 sum = kind == 1 ? _sum(numbers, n) : 0;
        uint128[] memory values = c.results[c.last].values;
        for (uint256 i; i < n; ++i) {
            uint256 part;
            if (kind == 2) {
                if (i < values.length) part = values[i];
            } else {
                (part, numbers) = Pieces.amountOf(numbers);
                if (kind == 1) part = amount * part / sum;
            }
            if (part > left) part = left;
            uint256 payee = Pieces.one(p + 1 + i);
            if (payee == CHALLENGER) left -= _challengers(c, part);
            else if (payee == KEEPER) left -= _keeper(c, part);
            else left -= _give(c, payee == DEPOSITOR ? holder : payee - Pieces.TABLE, part);
        }
    }

    function _sum(uint256 p, uint256 n) private pure returns (uint256 sum) {
        for (; n != 0; --n) {
            uint256 number;
            (number, p) = Pieces.amountOf(p);
            sum += number;
        }
    }

    /// @dev Right challenges share by their bonds; a blocked challenger's share stays.
    function _challengers(Context memory c, uint256 part) private pure returns (uint256 paid) {
        for (uint256 r; c.rights >> r != 0; ++r) {
            if (c.rights & (1 << r) == 0) continue;
            paid += _give(c, _place(c, c.challengers[r]), part * c.facts[r].bond / c.rightBonds);
        }
    }

    /// @dev Half (floor) to the caller of the last recorded verdict, the rest to the closer.
    function _keeper(Context memory c, uint256 part) private pure returns (uint256 paid) {
        uint256 half = c.judged != 0 ? part / 2 : 0;
        if (half != 0) paid = _give(c, _place(c, c.judge), half);
        if (part != half) paid += _give(c, _place(c, c.closer), part - half);
    }

    /// @dev Equal seats to those of the bench that answered, if the rung gave a verdict. Whoever left a slot empty in a
    /// rung reached is among the final slashed (section 6), so blocked.
    function _answered(Context memory c, uint256 amount, uint256 r) private pure returns (uint256 left) {
        left = amount;
        if (c.judged & (1 << r) == 0) return left;
        uint256 list = Rungs.bench(c.facts[r]);
        uint256 n = list & 0xff;
        uint256 seat = amount / n;
        for (uint256 i; i < n; ++i) left -= _give(c, Pieces.one((list >> 8) + i) - Pieces.TABLE, seat);
    }

    function _give(Context memory c, uint256 place, uint256 amount) private pure returns (uint256) {
        if (_blocked(c, place)) return 0;
        c.amounts[place] += amount;
        return amount;
    }

    function _blocked(Context memory c, uint256 place) private pure returns (bool) {
        return place < 256 && c.blocked >> place & 1 != 0;
    }
}
