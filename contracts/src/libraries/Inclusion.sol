// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title That a leaf is in a log's Merkle tree (RFC 6962, section 2.1; RFC 9162, section 2.1.3.2)
library Inclusion {
    error BadPath();

    /// @notice The hash of a claim's leaf: its id and the seal over its signatures.
    function leaf(bytes32 claim, bytes32 seal) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"00", claim, seal));
    }

    /// @notice The root that `path` leads to from a leaf hash. Refused with BadPath for a path of another length.
    function root(bytes32 leafHash, uint256 index, uint256 size, bytes32[] memory path)
        internal
        pure
        returns (bytes32 found)
    {
        if (index >= size) revert BadPath();
        uint256 last = size - 1;
        found = leafHash;
        for (uint256 i; i < path.length; ++i) {
            if (last == 0) revert BadPath();
            if (index & 1 == 1 || index == last) {
                found = sha256(abi.encodePacked(hex"01", path[i], found));
                while (index & 1 == 0 && index != 0) {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                found = sha256(abi.encodePacked(hex"01", found, path[i]));
            }
            index >>= 1;
            last >>= 1;
        }
        if (last != 0) revert BadPath();
    }
}
