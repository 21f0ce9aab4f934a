// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../interfaces/IBook.sol";

/// @title The smallest pieces of terms' bytes (section 1, "Bytes"), read straight from the calldata
/// @dev `p` is a place in the calldata; what lies beyond its end reads as anything, so readers check where they end.
library Pieces {
    /// References below this are the addresses 0x…00 to 0x…1f themselves.
    uint256 internal constant TABLE = 0x20;

    function one(uint256 p) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(0, calldataload(p))
        }
    }

    function two(uint256 p) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(240, calldataload(p))
        }
    }

    function four(uint256 p) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(224, calldataload(p))
        }
    }

    function word(uint256 p) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := calldataload(p)
        }
    }

    /// @notice `n` bytes as a number; n at most 32.
    function some(uint256 p, uint256 n) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, n)), calldataload(p))
        }
    }

    /// @notice An amount, in its one form, and what follows it.
    function amount(uint256 p) internal pure returns (uint256 value, uint256 next) {
        unchecked {
            uint256 n = one(p);
            value = some(p + 1, n);
            if (n > 16 || (n != 0 && value >> (8 * n - 8) == 0)) revert IBook.BadTerms();
            next = p + 1 + n;
        }
    }

    /// @notice The same of terms that were opened: `Shape` has checked its form.
    function amountOf(uint256 p) internal pure returns (uint256 value, uint256 next) {
        unchecked {
            uint256 n = one(p);
            value = some(p + 1, n);
            next = p + 1 + n;
        }
    }

    /// @notice A label, in its one form and padded with zeros, and what follows it.
    function label(uint256 p) internal pure returns (bytes32 value, uint256 next) {
        unchecked {
            uint256 n = one(p);
            uint256 text = some(p + 1, n);
            if (n > 31 || (n != 0 && text & 0xff == 0)) revert IBook.BadTerms();
            value = bytes32(text << (256 - 8 * n));
            next = p + 1 + n;
        }
    }

    /// @notice The account of a reference; `table` is where the table of terms that were opened begins.
    function account(uint256 ref, uint256 table) internal pure returns (address value) {
        assembly ("memory-safe") {
            value := ref
            if gt(ref, 0x1f) { value := shr(96, calldataload(add(table, mul(20, sub(ref, 0x20))))) }
        }
    }
}
