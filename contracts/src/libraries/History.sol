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

    /// @notice Appends to `input` the ABI form of `Entry[]`, from `head, claim, length of data (2 bytes), data` each, for
    /// so many entries and `more`, which `write` is then to write. `input` lies last in memory.
    /// @return h The history's hash after the entries, from `h0`.
    function writeAll(bytes memory input, bytes calldata history, bytes32 h0, uint256 more)
        internal
        pure
        returns (bytes32 h)
    {
        unchecked {
            uint256 count;
            uint256 spot;
            for (; spot < history.length; ++count) spot += 66 + _number(history, spot + 64, 2);
            if (spot != history.length) revert IBook.BadHistory();
            _begin(input, count, more);
            h = h0;
            spot = 0;
            while (spot < history.length) {
                bytes32 first;
                bytes32 claim;
                bytes calldata data;
                (first, claim, data, spot) = whole(history, spot);
                write(input, first, claim, data);
                h = append(h, first, hash(claim, data));
            }
        }
    }

    /// @notice The entry at `spot` of whole ones, and where the next begins. `writeAll` checks that they end well.
    function whole(bytes calldata history, uint256 spot)
        internal
        pure
        returns (bytes32 first, bytes32 claim, bytes calldata data, uint256 next)
    {
        unchecked {
            first = bytes32(_number(history, spot, 32));
            claim = bytes32(_number(history, spot + 32, 32));
            next = spot + 66 + _number(history, spot + 64, 2);
            data = history[spot + 66:next];
        }
    }

    /// @dev Writes the number of entries, leaves room for their offsets, and notes in the first of these how many were
    /// written: `write` fills them one by one.
    function _begin(bytes memory input, uint256 count, uint256 more) private pure {
        assembly ("memory-safe") {
            let total := add(count, more)
            let end := add(add(input, 32), mload(input))
            mstore(end, total)
            // Behind the input, where nothing of it is: where the offsets stand, and how many of them are written.
            let next := add(add(end, 32), mul(32, total))
            mstore(input, sub(next, add(input, 32)))
            mstore(next, end)
            mstore(add(next, 32), 0)
            mstore(0x40, and(add(next, 95), not(31)))
        }
    }

    /// @notice Writes one more entry behind the others.
    function write(bytes memory input, bytes32 first, bytes32 claim, bytes calldata data) internal pure {
        assembly ("memory-safe") {
            let end := add(add(input, 32), mload(input))
            let list := mload(end)
            let done := mload(add(end, 32))
            mstore(add(add(list, 32), mul(32, done)), sub(end, add(list, 32)))
            mstore(end, shr(248, first))
            mstore(add(end, 32), and(first, 0xffffffffffffffffffffffffffffffffffffffff))
            mstore(add(end, 64), byte(1, first))
            mstore(add(end, 96), byte(2, first))
            mstore(add(end, 128), byte(3, first))
            mstore(add(end, 160), and(shr(160, first), 0xffffffffffffffff))
            mstore(add(end, 192), claim)
            mstore(add(end, 224), 256)
            mstore(add(end, 256), data.length)
            let to := add(end, 288)
            let next := add(to, and(add(data.length, 31), not(31)))
            // The last word may be half data: zeros first.
            if data.length { mstore(sub(next, 32), 0) }
            calldatacopy(to, data.offset, data.length)
            mstore(input, sub(next, add(input, 32)))
            mstore(next, list)
            mstore(add(next, 32), add(done, 1))
            mstore(0x40, and(add(next, 95), not(31)))
        }
    }

    /// @notice keccak256(claim, data).
    function hash(bytes32 claim, bytes calldata data) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            let to := mload(0x40)
            mstore(to, claim)
            calldatacopy(add(to, 32), data.offset, data.length)
            value := keccak256(to, add(32, data.length))
        }
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
            content = hash(0, data);
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
