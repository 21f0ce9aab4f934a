// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Pieces} from "./Pieces.sol";

/// @title A walk over the bytes of terms that were opened (docs/reference/deals.md, section 1, "Bytes")
/// @dev `Shape` has checked their form, and the deal's id commits to them: nothing is checked again here.
library Walk {
    /// Where in the calldata we are, and where the table of accounts begins.
    struct Reader {
        uint256 spot;
        uint256 table;
    }

    /// @notice Puts a reader behind the table, at the token.
    function start(Reader memory r, bytes calldata data) internal pure {
        unchecked {
            uint256 p;
            assembly ("memory-safe") {
                p := data.offset
            }
            r.table = p + 1;
            r.spot = r.table + 20 * Pieces.one(p);
        }
    }

    /// @notice The next `n` bytes as a number.
    function number(Reader memory r, uint256 n) internal pure returns (uint256 value) {
        unchecked {
            value = Pieces.some(r.spot, n);
            r.spot += n;
        }
    }

    /// @notice The account that the next byte refers to.
    function account(Reader memory r) internal pure returns (address) {
        return Pieces.account(number(r, 1), r.table);
    }

    /// @notice Moves over `n` rungs or pots.
    function skip(Reader memory r, uint256 n) internal pure {
        unchecked {
            for (; n != 0; --n) r.spot += 2 + Pieces.two(r.spot);
        }
    }

    /// @notice The depositor and amount of the pot that the reader stands at; it moves to the next.
    function deposit(Reader memory r) internal pure returns (address depositor, uint256 amount) {
        unchecked {
            uint256 p = r.spot + 2;
            depositor = Pieces.account(Pieces.one(p), r.table);
            (amount,) = Pieces.amountOf(p + 1);
            skip(r, 1);
        }
    }
}
