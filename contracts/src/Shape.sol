// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "./interfaces/IBook.sol";
import {IPolicy} from "./interfaces/IPolicy.sol";
import {CLIMBER, LAST_ROLE} from "./interfaces/Types.sol";
import {Asking} from "./libraries/Asking.sol";
import {Calls} from "./libraries/Calls.sol";
import {Pieces} from "./libraries/Pieces.sol";

/// @title What terms a deal may have (docs/reference/deals.md, sections 1 and 2), refused in the page's order
/// @notice A contract of its own because the Book has no room for it; the Book runs its code by DELEGATECALL, so that
/// policies are asked by the Book. It writes nothing, and the Book's constructor makes it: nothing else can stand in
/// its place.
/// @dev One walk over the bytes. Accounts are compared by their places in the table, as bits: the table ascends, so a
/// place is an account. What is refused later than another rule is noted and refused at the end.
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
    uint256 private constant ACCOUNTS = 224;

    // References of the roles.
    uint256 private constant CHALLENGER = 1;
    uint256 private constant KEEPER = 2;
    uint256 private constant DEPOSITOR = 3;

    // What was found, in the order in which it is refused.
    uint256 private constant TIMES = 1;
    uint256 private constant BOND = 2;
    uint256 private constant SILENT = 4;
    uint256 private constant POT = 8;
    uint256 private constant WRONG_BONDS = 16;
    uint256 private constant BENCH = 32;

    /// What the walk has found so far. Sets of accounts are bits by place in the table.
    struct Walk {
        uint256 p; // where we are
        uint256 table;
        uint256 count; // of the table
        uint256 lowest; // the first reference to an address that is no role
        uint256 used; // every account referred to
        uint256 named; // those among them that wrong bonds may not go to
        uint256 bad;
        uint256 rungs;
        uint256 life;
        uint256 below; // the bond of the rung below
        uint256 seats;
        uint256 payees;
        uint256 payments;
        uint256 missing;
        uint256 asks; // how many have accounts of their own
        uint256[4] rungAt; // where each rung's bytes begin
        uint256[4] benches; // each rung's bench
        uint256[4] benchAt; // its list: place in the calldata × 256 + how many
        uint256[16] sets; // the accounts of each such ask
        uint256[16] lists; // its list, as above
    }

    /// @notice Reverts with the first rule that the terms break, also if a policy does not accept its rung.
    /// @return missing How many pots must be joined before the deal runs.
    function check(bytes calldata data) external view returns (uint256 missing) {
        Walk memory w;
        unchecked {
            uint256 end;
            assembly ("memory-safe") {
                mstore(w, data.offset)
                end := add(data.offset, data.length)
            }
            _table(w);
            uint256 token = _ref(w, Pieces.one(w.p));
            uint256 fundBy = Pieces.some(w.p + 1, 8);
            uint256 wrongBonds = _ref(w, Pieces.one(w.p + 9));
            w.p += 10;
            if (fundBy <= block.timestamp) w.bad |= TIMES;
            else w.life = fundBy - block.timestamp;
            _rungs(w);
            _pots(w);
            if (w.p != end || w.used != (1 << w.count) - 1) revert IBook.BadTerms();
            if (w.life > LIFE) w.bad |= TIMES;
            if (wrongBonds < w.lowest || w.named & _bit(wrongBonds) != 0) w.bad |= WRONG_BONDS;
            if (w.bad < BENCH) _benches(w);
            _refuse(w.bad);
            if (Pieces.account(token, w.table).code.length == 0) revert IBook.BadToken();
            for (uint256 r; r < w.rungs; ++r) _accepts(w.rungAt[r], w.table);
            missing = w.missing;
        }
    }

    function _refuse(uint256 bad) private pure {
        if (bad == 0) return;
        if (bad & TIMES != 0) revert IBook.BadTimes();
        if (bad & BOND != 0) revert IBook.BadBond();
        if (bad & SILENT != 0) revert IBook.BadSilent();
        if (bad & POT != 0) revert IBook.BadPot();
        if (bad & WRONG_BONDS != 0) revert IBook.BadWrongBonds();
        revert IBook.BadBench();
    }

    function _table(Walk memory w) private pure {
        unchecked {
            uint256 p = w.p;
            uint256 n = Pieces.one(p);
            if (n > ACCOUNTS) revert IBook.BadTerms();
            w.count = n;
            w.table = ++p;
            uint256 last = Pieces.TABLE - 1;
            uint256 lowest = Pieces.TABLE;
            for (uint256 i; i < n; ++i) {
                uint256 value = Pieces.some(p, 20);
                if (value <= last) revert IBook.BadTerms();
                if (value <= LAST_ROLE) ++lowest;
                last = value;
                p += 20;
            }
            w.lowest = lowest;
            w.p = p;
        }
    }

    /// @dev A reference, noted as used.
    function _ref(Walk memory w, uint256 ref) private pure returns (uint256) {
        unchecked {
            if (ref >= Pieces.TABLE) {
                if (ref - Pieces.TABLE >= w.count) revert IBook.BadTerms();
                w.used |= 1 << (ref - Pieces.TABLE);
            }
            return ref;
        }
    }

    function _bit(uint256 ref) private pure returns (uint256) {
        unchecked {
            return ref < Pieces.TABLE ? 0 : 1 << (ref - Pieces.TABLE);
        }
    }

    // --- rungs

    function _rungs(Walk memory w) private pure {
        unchecked {
            uint256 n = Pieces.one(w.p);
            if (n == 0 || n > RUNGS) revert IBook.BadShape();
            w.rungs = n;
            uint256 p = w.p + 1;
            for (uint256 r; r < n; ++r) {
                uint256 end = p + 2 + Pieces.two(p);
                w.p = w.rungAt[r] = p + 2;
                _rung(w, r);
                p = w.p;
                if (p != end) revert IBook.BadTerms();
            }
            w.p = p;
            if (w.seats > SEATS) revert IBook.BadShape();
        }
    }

    function _rung(Walk memory w, uint256 r) private pure {
        unchecked {
            uint256 p = w.p;
            _ref(w, Pieces.one(p));
            uint256 period = Pieces.four(p + 33);
            uint256 window = Pieces.four(p + 37);
            bool top = r + 1 == w.rungs;
            // The top rung has no window, every other one has.
            if (period == 0 || (window == 0) != top) w.bad |= TIMES;
            w.life += period + window;
            uint256 bond;
            (bond, p) = Pieces.amount(p + 41);
            if (top ? bond != 0 : bond == 0 || bond < 2 * w.below) w.bad |= BOND;
            w.below = bond;
            if (r == 0 && Pieces.one(p) == 0) w.bad |= SILENT;
            uint256 given = Pieces.one(p + 1);
            p += 2;
            if (given != 0) {
                if (given != 1 || Pieces.word(p) == 0) revert IBook.BadTerms();
                p += 32;
            }
            _asks(w, r, p);
        }
    }

    function _asks(Walk memory w, uint256 r, uint256 p) private pure {
        unchecked {
            uint256 asks = Pieces.one(p);
            ++p;
            // An empty list repeats the ask before it, so the first cannot be empty.
            if (asks == 0 || asks > ASKS || Pieces.one(p + 5) == 0) revert IBook.BadShape();
            uint256 list;
            uint256 set;
            for (uint256 a; a < asks; ++a) {
                uint256 period = Pieces.four(p);
                uint256 slots = Pieces.one(p + 4);
                uint256 n = Pieces.one(p + 5);
                p += 6;
                if (n > WHO || slots == 0 || slots > SLOTS) revert IBook.BadShape();
                if (period == 0) w.bad |= TIMES;
                w.life += period;
                if (n != 0) {
                    list = p << 8 | n;
                    set = _who(w, p, n);
                    w.sets[w.asks] = set;
                    w.lists[w.asks++] = list;
                }
                w.seats += (list & 0xff) * slots;
                bytes32 kind;
                (kind, p) = Pieces.label(p + n);
                if (kind == 0) revert IBook.BadShape();
            }
            w.benches[r] = set;
            w.benchAt[r] = list;
            w.p = p;
        }
    }

    function _who(Walk memory w, uint256 p, uint256 n) private pure returns (uint256 set) {
        unchecked {
            for (uint256 end = p + n; p < end; ++p) {
                uint256 ref = Pieces.one(p);
                uint256 bit = _bit(ref);
                if (ref < w.lowest || set & bit != 0) w.bad |= BENCH;
                set |= bit;
            }
            // A bit beyond the table is noticed where all that is used is compared with it.
            w.used |= set;
            w.named |= set;
        }
    }

    /// @dev Benches share nobody, and an ask names one exactly, in its order, or nobody of it.
    function _benches(Walk memory w) private pure {
        unchecked {
            for (uint256 b = 1; b < w.rungs; ++b) {
                uint256 bench = w.benches[b];
                for (uint256 c = b + 1; c < w.rungs; ++c) if (bench & w.benches[c] != 0) w.bad |= BENCH;
                uint256 list = w.benchAt[b];
                for (uint256 a; a < w.asks; ++a) {
                    if (w.sets[a] & bench != 0 && !_same(w.lists[a], list)) w.bad |= BENCH;
                }
            }
        }
    }

    /// @dev Whether two lists are equal; no list is longer than a word.
    function _same(uint256 one, uint256 two) private pure returns (bool) {
        unchecked {
            uint256 n = one & 0xff;
            return one == two || (n == two & 0xff && Pieces.some(one >> 8, n) == Pieces.some(two >> 8, n));
        }
    }

    // --- pots

    function _pots(Walk memory w) private pure {
        unchecked {
            uint256 n = Pieces.one(w.p);
            if (n == 0 || n > POTS) revert IBook.BadShape();
            uint256 p = w.p + 1;
            bytes32[] memory names = new bytes32[](n);
            for (uint256 i; i < n; ++i) {
                uint256 end = p + 2 + Pieces.two(p);
                w.p = p + 2;
                bytes32 name = _pot(w);
                p = w.p;
                if (p != end) revert IBook.BadTerms();
                for (uint256 j; j < i; ++j) if (names[j] == name) revert IBook.BadShape();
                names[i] = name;
            }
            if (w.missing == 0 || w.payees > ALL_PAYEES || w.payments > PAYMENTS) revert IBook.BadShape();
        }
    }

    function _pot(Walk memory w) private pure returns (bytes32 name) {
        unchecked {
            uint256 p = w.p;
            uint256 depositor = _ref(w, Pieces.one(p));
            uint256 amount;
            (amount, p) = Pieces.amount(p + 1);
            uint256 residual = _ref(w, Pieces.one(p));
            (name, p) = Pieces.label(p + 1);
            uint256 rules = Pieces.one(p);
            if (name == 0 || rules > RULES) revert IBook.BadShape();
            bool fee = depositor > CLIMBER && depositor < CLIMBER + w.rungs;
            if (!fee) ++w.missing;
            if (amount == 0 || (depositor < w.lowest && !fee)) w.bad |= POT;
            if (residual < w.lowest && residual != KEEPER && residual != DEPOSITOR) w.bad |= POT;
            w.named |= _bit(depositor) | _bit(residual);
            w.p = p + 1;
            uint256 widest;
            uint256 least = fee ? 1 : 0; // a fee pot has no rule for a slashed depositor; outcomes ascend
            for (uint256 i; i < rules; ++i) {
                uint256 outcome = Pieces.one(w.p);
                if (outcome < least) w.bad |= POT;
                least = outcome + 1;
                uint256 width = _rule(w, amount, residual);
                if (width > widest) widest = width;
            }
            w.payments += 1 + widest;
        }
    }

    /// @return How many accounts the rule pays at most.
    function _rule(Walk memory w, uint256 amount, uint256 residual) private pure returns (uint256) {
        unchecked {
            uint256 kind = Pieces.one(w.p + 1);
            uint256 p = w.p + 2;
            if (kind < 3) return _split(w, p, kind, amount);
            if (kind == 3) {
                w.p = p + 1;
                uint256 r = Pieces.one(p);
                if (r < w.rungs) return w.benchAt[r] & 0xff;
                w.bad |= POT;
                return 0;
            }
            if (kind != 4) revert IBook.BadTerms();
            uint256 term = Pieces.four(p);
            w.p = p + 4;
            // What of a root is never collected goes to one account.
            if (term == 0 || term > LIFE || residual == KEEPER) w.bad |= POT;
            return 0;
        }
    }

    function _split(Walk memory w, uint256 p, uint256 kind, uint256 amount) private pure returns (uint256 n) {
        unchecked {
            n = Pieces.one(p);
            if (n > PAYEES) revert IBook.BadShape();
            w.payees += n;
            uint256 first = ++p;
            (uint256 set, bool challenged) = _payees(w, p, n);
            w.used |= set;
            w.named |= set;
            p += n;
            if (n == 0 || (kind == 2 && challenged)) w.bad |= POT;
            if (kind != 2) {
                uint256 numbers = Pieces.one(p);
                if (numbers != n) w.bad |= POT;
                (uint256 sum, uint256 reward) = _numbers(w, p + 1, numbers, first);
                if (kind == 1 && (sum == 0 || sum > type(uint128).max)) w.bad |= POT;
                // Half at most: who challenges itself first must not get back what it forfeits.
                if (reward > (kind == 0 ? amount : sum) / 2) w.bad |= POT;
            } else {
                w.p = p;
            }
        }
    }

    function _payees(Walk memory w, uint256 p, uint256 n) private pure returns (uint256 set, bool challenged) {
        unchecked {
            for (uint256 end = p + n; p < end; ++p) {
                uint256 ref = Pieces.one(p);
                set |= _bit(ref);
                if (ref < w.lowest) {
                    if (ref == 0 || ref > DEPOSITOR) w.bad |= POT;
                    if (ref == CHALLENGER) challenged = true;
                }
            }
        }
    }

    /// @dev Sums the numbers, and those that stand for CHALLENGER among the payees from `first`.
    function _numbers(Walk memory w, uint256 p, uint256 n, uint256 first)
        private
        pure
        returns (uint256 sum, uint256 reward)
    {
        unchecked {
            for (uint256 i; i < n; ++i) {
                uint256 number;
                (number, p) = Pieces.amount(p);
                sum += number;
                if (Pieces.one(first + i) == CHALLENGER) reward += number;
            }
            w.p = p;
        }
    }

    // --- policies

    function _accepts(uint256 p, uint256 table) private view {
        address policy = Pieces.account(Pieces.one(p), table);
        if (policy.code.length == 0 || policy.codehash != Pieces.word(p + 1)) revert IBook.BadPolicy();
        bytes memory input;
        bytes4 selector = IPolicy.accepts.selector;
        uint256 start;
        assembly ("memory-safe") {
            input := mload(0x40)
            mstore(add(input, 32), selector)
            mstore(add(input, 36), 32)
            start := add(input, 68)
        }
        uint256 end = Asking.rung(p, table, start);
        assembly ("memory-safe") {
            mstore(input, sub(sub(end, input), 32))
            mstore(0x40, and(add(end, 31), not(31)))
        }
        (bool ok, bytes memory answer) = Calls.ask(policy, Calls.POLICY_GAS, input, 32);
        if (!ok || answer.length != 32 || uint256(bytes32(answer)) != 1) revert IBook.BadPolicy();
    }
}
