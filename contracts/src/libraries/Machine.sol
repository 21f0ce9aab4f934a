// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Integer programs, run by the contract itself (docs/reference/answers.md)
/// @notice The same integers as everywhere else. A program is, all numbers big-endian, signed ones in two's complement:
/// inputs (2 bytes), of each its lowest and highest value (8, 8); steps (1); of each step its kind (1), its source (2, a
/// step's number, 0 the inputs), and
///   affine (1): bytes of a weight (1, at most 8), outputs (2); of each its bias (8) and weights
///   rescale (2): bits (1)
///   clamp (3): low, high (8, 8)
///   forest (4): outputs, trees (2, 2); biases (8 each); of each tree its nodes and leaves (2, 2); of each node feature
///   (2, 65535 at a leaf), threshold (5), left or the leaf's number (2), right (2); of each leaf its values (5 each)
/// @dev Whoever names a program has read it: bytes that are no program give false or some numbers, and never end late.
library Machine {
    uint256 private constant LEAF = 0xffff;
    uint256 private constant NODE = 11;

    /// @notice The scores for inputs of 8 bytes each; `ok` is false for another number of them, one out of its range, or
    /// bytes that are no program.
    function run(bytes memory code, bytes calldata inputs) internal pure returns (bool ok, int256[] memory x) {
        uint256 p;
        assembly ("memory-safe") {
            p := add(code, 32)
        }
        uint256 end = p + code.length;
        uint256 n = _number(p, 2);
        if (inputs.length != 8 * n || code.length < 3 + 16 * n) return (false, x);
        (ok, x) = _inputs(p + 2, inputs);
        if (!ok) return (false, x);
        p += 2 + 16 * n;
        int256[][] memory vectors = new int256[][](1 + _number(p++, 1));
        vectors[0] = x;
        for (uint256 s = 1; s < vectors.length; ++s) {
            uint256 kind = _number(p, 1);
            uint256 source = _number(p + 1, 2);
            if (source >= s || p >= end) return (false, x);
            x = vectors[source];
            if (kind == 1) (p, x) = _affine(p + 3, x);
            else if (kind == 2) (p, x) = _rescale(p + 3, x);
            else if (kind == 3) (p, x) = _clamp(p + 3, x);
            else if (kind == 4) (p, x) = _forest(p + 3, x);
            else return (false, x);
            vectors[s] = x;
        }
        return (p == end, x);
    }

    function _inputs(uint256 p, bytes calldata inputs) private pure returns (bool ok, int256[] memory y) {
        y = new int256[](inputs.length / 8);
        ok = true;
        for (uint256 i; i < y.length; ++i) {
            y[i] = int64(uint64(bytes8(inputs[8 * i:8 * i + 8])));
            if (y[i] < _integer(p, 8) || y[i] > _integer(p + 8, 8)) ok = false;
            p += 16;
        }
    }

    function _affine(uint256 p, int256[] memory x) private pure returns (uint256, int256[] memory y) {
        uint256 size = _number(p, 1);
        y = new int256[](_number(p + 1, 2));
        p += 3;
        if (size == 0 || size > 8) return (0, y);
        for (uint256 o; o < y.length; ++o) {
            int256 sum = _integer(p, 8);
            p += 8;
            assembly ("memory-safe") {
                let shift := sub(256, shl(3, size))
                let last := sub(size, 1)
                let to := add(p, mul(size, mload(x)))
                for { let i := add(x, 32) } lt(p, to) { p := add(p, size) i := add(i, 32) } {
                    sum := add(sum, mul(signextend(last, shr(shift, mload(p))), mload(i)))
                }
            }
            y[o] = sum;
        }
        return (p, y);
    }

    function _rescale(uint256 p, int256[] memory x) private pure returns (uint256, int256[] memory y) {
        uint256 bits = _number(p, 1);
        y = new int256[](x.length);
        if (bits == 0) return (0, y);
        unchecked {
            for (uint256 i; i < y.length; ++i) y[i] = (x[i] + int256(1 << (bits - 1))) >> bits;
        }
        return (p + 1, y);
    }

    function _clamp(uint256 p, int256[] memory x) private pure returns (uint256, int256[] memory y) {
        int256 low = _integer(p, 8);
        int256 high = _integer(p + 8, 8);
        y = new int256[](x.length);
        for (uint256 i; i < y.length; ++i) y[i] = x[i] < low ? low : x[i] > high ? high : x[i];
        return (p + 16, y);
    }

    function _forest(uint256 p, int256[] memory x) private pure returns (uint256, int256[] memory y) {
        y = new int256[](_number(p, 2));
        uint256 trees = _number(p + 2, 2);
        p += 4;
        for (uint256 o; o < y.length; ++o) y[o] = _integer(p + 8 * o, 8);
        p += 8 * y.length;
        for (uint256 t; t < trees; ++t) {
            uint256 nodes = _number(p, 2);
            uint256 leaves = _number(p + 2, 2);
            uint256 leaf = _fall(p + 4, nodes, x);
            if (leaf >= leaves) return (0, y);
            p += 4 + NODE * nodes;
            for (uint256 o; o < y.length; ++o) {
                unchecked {
                    y[o] += _integer(p + 5 * (leaf * y.length + o), 5);
                }
            }
            p += 5 * leaves * y.length;
        }
        return (p, y);
    }

    /// @dev The leaf that `x` falls into, or the largest number. Children come after their parents, so it ends.
    function _fall(uint256 p, uint256 nodes, int256[] memory x) private pure returns (uint256) {
        uint256 i;
        while (i < nodes) {
            uint256 node = _number(p + NODE * i, NODE);
            uint256 feature = node >> 72;
            if (feature == LEAF) return uint16(node >> 16);
            if (feature >= x.length) break;
            uint256 next = x[feature] <= int256(int40(uint40(node >> 32))) ? uint16(node >> 16) : uint16(node);
            if (next <= i) break;
            i = next;
        }
        return type(uint256).max;
    }

    /// @dev So many bytes of memory, unsigned and signed.
    function _number(uint256 p, uint256 size) private pure returns (uint256 found) {
        assembly ("memory-safe") {
            found := shr(sub(256, shl(3, size)), mload(p))
        }
    }

    function _integer(uint256 p, uint256 size) private pure returns (int256 found) {
        assembly ("memory-safe") {
            found := signextend(sub(size, 1), shr(sub(256, shl(3, size)), mload(p)))
        }
    }
}
