// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../interfaces/IBook.sol";
import {Entry, SUBMISSION, VERDICT} from "../interfaces/Types.sol";

/// @title The rolling hash of a deal's history, and its entries from their bytes (section 4)
/// @dev An entry's head is one word: kind, rung, ask, slot (a byte each), time (8 bytes), account (20 bytes).
library History {
    /// @notice The head of an entry.
    function head(uint8 kind, uint256 rung, uint256 ask, uint256 slot, address by) internal view returns (bytes32) {
        return bytes32(
            uint256(kind) << 248 | rung << 240 | ask << 232 | slot << 224 | block.timestamp << 160 | uint160(by)
        );
    }

    /// @notice The history's hash after one more entry; `content` is keccak256(claim, data).
    function append(bytes32 previous, bytes32 first, bytes32 content) internal pure returns (bytes32) {
        return keccak256(abi.encode(previous, first, content));
    }

    /// @notice Whole entries from `head, claim, length of data (2 bytes), data` each, with room for `more`.
    /// @return all In order. `h`: the history's hash after them, from `h0`.
    function entries(bytes calldata history, bytes32 h0, uint256 more)
        internal
        pure
        returns (Entry[] memory all, bytes32 h)
    {
        uint256 count;
        uint256 spot;
        for (; spot < history.length; ++count) spot += 66 + _number(history, spot + 64, 2);
        if (spot != history.length) revert IBook.BadHistory();
        all = new Entry[](count + more);
        h = h0;
        spot = 0;
        for (uint256 i; i < count; ++i) {
            bytes32 first = bytes32(_number(history, spot, 32));
            uint256 length = _number(history, spot + 64, 2);
            bytes calldata data = history[spot + 66:spot + 66 + length];
            bytes32 claim = bytes32(_number(history, spot + 32, 32));
            all[i] = entry(first, claim, data);
            h = append(h, first, keccak256(abi.encodePacked(claim, data)));
            spot += 66 + length;
        }
    }

    /// @notice An entry from its parts.
    function entry(bytes32 first, bytes32 claim, bytes memory data) internal pure returns (Entry memory) {
        uint256 word = uint256(first);
        return Entry(
            uint8(word >> 248),
            address(uint160(word)),
            uint8(word >> 240),
            uint8(word >> 232),
            uint8(word >> 224),
            uint64(word >> 160),
            claim,
            data
        );
    }

    /// @notice One entry of the short form that `close` takes: `head`, then of a submission its content's hash, of a
    /// verdict `length (2 bytes), data`, of a challenge nothing.
    /// @return first The head. `data`: a verdict's, else empty. `next`: where the next entry begins.
    /// `h`: the history's hash after it, from `h0`.
    function short(bytes calldata history, uint256 spot, bytes32 h0)
        internal
        pure
        returns (bytes32 first, bytes calldata data, uint256 next, bytes32 h)
    {
        first = bytes32(_number(history, spot, 32));
        next = spot + 32;
        data = history[:0];
        bytes32 content;
        if (uint8(first[0]) == SUBMISSION) {
            content = bytes32(_number(history, next, 32));
            next += 32;
        } else {
            if (uint8(first[0]) == VERDICT) {
                uint256 length = _number(history, next, 2);
                next += 2 + length;
                if (next > history.length) revert IBook.BadHistory();
                data = history[next - length:next];
            }
            content = keccak256(abi.encodePacked(bytes32(0), data));
        }
        h = append(h0, first, content);
    }

    /// @dev What lies beyond the end reads as anything: no hash of it is one that the Book stores.
    function _number(bytes calldata data, uint256 spot, uint256 bytes_) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, bytes_)), calldataload(add(data.offset, spot)))
        }
    }
}
