// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Result} from "../interfaces/Types.sol";

/// @title Reads a Result without ever reverting
/// @dev `abi.decode` reverts on malformed bytes and takes several byte strings for one value. A malformed answer must
/// be an absent answer, and one value must have one form, so every offset, length and unused bit is checked here.
library Results {
    /// @return ok Whether `data` is exactly `abi.encode(result)` with slashed strictly ascending.
    function decode(bytes memory data) internal pure returns (bool ok, Result memory result) {
        // tuple offset | outcome, offset of values, offset of slashed, root, total | n, values | m, slashed
        if (data.length < 256 || _word(data, 0) != 32) return (false, result);
        uint256 outcome = _word(data, 32);
        uint256 total = _word(data, 160);
        uint256 n = _word(data, 192);
        if (outcome > type(uint8).max || total > type(uint128).max || n > data.length / 32) return (false, result);
        if (_word(data, 64) != 160 || _word(data, 96) != 192 + 32 * n || data.length < 256 + 32 * n) {
            return (false, result);
        }
        uint256 m = _word(data, 224 + 32 * n);
        if (m > data.length / 32 || data.length != 256 + 32 * (n + m)) return (false, result);
        result.outcome = uint8(outcome);
        result.root = bytes32(_word(data, 128));
        result.total = uint128(total);
        result.values = new uint128[](n);
        for (uint256 i; i < n; ++i) {
            uint256 value = _word(data, 224 + 32 * i);
            if (value > type(uint128).max) return (false, result);
            result.values[i] = uint128(value);
        }
        result.slashed = new address[](m);
        uint256 last;
        for (uint256 i; i < m; ++i) {
            uint256 account = _word(data, 256 + 32 * (n + i));
            if (account > type(uint160).max || (i != 0 && account <= last)) return (false, result);
            result.slashed[i] = address(uint160(account));
            last = account;
        }
        return (true, result);
    }

    /// @dev The word at `spot`; the callers have checked the length.
    function _word(bytes memory data, uint256 spot) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), spot))
        }
    }
}
