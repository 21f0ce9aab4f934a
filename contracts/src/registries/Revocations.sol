// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title When a principal took a mandate back (docs/reference/deals.md, section 11, "Mandated")
/// @notice No owner and no money; each account writes for itself alone, once for each digest.
contract Revocations {
    error Revoked();

    event MandateRevoked(address indexed principal, bytes32 indexed digest);

    /// Unix seconds, or 0.
    mapping(address principal => mapping(bytes32 digest => uint64)) public revokedAt;

    /// @notice From the next second on, no act is covered by the mandate with this EIP-712 digest.
    function revoke(bytes32 digest) external {
        if (revokedAt[msg.sender][digest] != 0) revert Revoked();
        revokedAt[msg.sender][digest] = uint64(block.timestamp);
        emit MandateRevoked(msg.sender, digest);
    }
}
