// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Pieces} from "./Pieces.sol";

/// @title A rung of terms that were opened, read from its bytes (section 1, "Bytes")
/// @dev A list of accounts is one number: its place in the calldata × 256, and how many references it holds.
library Rungs {
    /// What acts need of a rung, besides its asks.
    struct Facts {
        uint256 p; // where its bytes begin
        uint256 verdictPeriod;
        uint256 window;
        uint256 bond;
        uint256 silent;
        uint256 asks; // how many
        uint256 asksAt; // where the first begins
    }

    /// @notice Reads the rung whose bytes begin at `p`.
    /// @dev Into what the caller has: a struct that is returned is one more in memory.
    function read(Facts memory f, uint256 p) internal pure {
        unchecked {
            f.p = p;
            f.verdictPeriod = Pieces.four(p + 33);
            f.window = Pieces.four(p + 37);
            (f.bond, p) = Pieces.amountOf(p + 41);
            f.silent = Pieces.one(p);
            p += 2 + 32 * Pieces.one(p + 1);
            f.asks = Pieces.one(p);
            f.asksAt = p + 1;
        }
    }

    /// @notice The ask at `p`, and where the next begins. `list` is zero if it repeats the ask before it.
    function ask(uint256 p) internal pure returns (uint256 period, uint256 slots, uint256 list, uint256 next) {
        unchecked {
            period = Pieces.four(p);
            slots = Pieces.one(p + 4);
            uint256 n = Pieces.one(p + 5);
            p += 6;
            if (n != 0) list = p << 8 | n;
            p += n;
            next = p + 1 + Pieces.one(p);
        }
    }

    /// @notice Whom ask `index` names, through asks that repeat the one before, and its slots.
    function asked(Facts memory f, uint256 index) internal pure returns (uint256 list, uint256 slots) {
        unchecked {
            uint256 p = f.asksAt;
            for (uint256 a; a <= index; ++a) {
                uint256 own;
                (, slots, own, p) = ask(p);
                if (own != 0) list = own;
            }
        }
    }

    /// @notice The accounts of the last ask.
    function bench(Facts memory f) internal pure returns (uint256 list) {
        unchecked {
            (list,) = asked(f, f.asks - 1);
        }
    }

    /// @notice The account's index in a list, or the largest number.
    function place(uint256 list, uint256 table, address account) internal pure returns (uint256) {
        unchecked {
            uint256 p = list >> 8;
            uint256 n = list & 0xff;
            for (uint256 i; i < n; ++i) if (Pieces.account(Pieces.one(p + i), table) == account) return i;
            return type(uint256).max;
        }
    }

    /// @notice A list as a set: bits by place in the table.
    function set(uint256 list) internal pure returns (uint256 bits) {
        unchecked {
            uint256 p = list >> 8;
            for (uint256 end = p + (list & 0xff); p < end; ++p) bits |= 1 << (Pieces.one(p) - Pieces.TABLE);
        }
    }
}
