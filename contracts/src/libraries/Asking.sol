// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Pieces} from "./Pieces.sol";

/// @title A rung's ABI form, written straight from its bytes: what policies are called with
library Asking {
    /// @notice Writes the tail of a `Rung` (its tuple, without an offset before it) to memory at `to`.
    /// @param p Where the rung's bytes begin, behind their length. `table`: where the table begins.
    /// @return end Where it ends in memory. Nothing is allocated: the caller moves the free memory pointer.
    function rung(uint256 p, uint256 table, uint256 to) internal pure returns (uint256 end) {
        unchecked {
            _put(to, uint160(Pieces.account(Pieces.one(p), table)));
            _put(to + 32, uint256(Pieces.word(p + 1)));
            _put(to + 64, 256);
            _put(to + 96, Pieces.four(p + 33));
            _put(to + 128, Pieces.four(p + 37));
            (uint256 bond, uint256 next) = Pieces.amountOf(p + 41);
            _put(to + 160, bond);
            _put(to + 192, Pieces.one(next));
            uint256 given = Pieces.one(next + 1);
            _put(to + 224, given == 0 ? 0 : uint256(Pieces.word(next + 2)));
            p = next + 2 + 32 * given;
            uint256 n = Pieces.one(p);
            ++p;
            _put(to + 256, n);
            to += 288;
            end = to + 32 * n;
            for (uint256 i; i < n; ++i) {
                _put(to + 32 * i, end - to);
                (p, end) = _ask(p, table, end);
            }
        }
    }

    function _ask(uint256 p, uint256 table, uint256 to) private pure returns (uint256 next, uint256 end) {
        unchecked {
            _put(to + 32, 128);
            _put(to + 64, Pieces.four(p));
            _put(to + 96, Pieces.one(p + 4));
            uint256 n = Pieces.one(p + 5);
            p += 6;
            _put(to + 128, n);
            end = to + 160;
            for (uint256 i; i < n; ++i) {
                _put(end, uint160(Pieces.account(Pieces.one(p + i), table)));
                end += 32;
            }
            bytes32 kind;
            (kind, next) = Pieces.label(p + n);
            _put(to, uint256(kind));
        }
    }

    function _put(uint256 to, uint256 value) private pure {
        assembly ("memory-safe") {
            mstore(to, value)
        }
    }
}
