// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";

/// @title The latest checkpoint of each owner's log
/// @notice One transaction anchors any number of claims. An owner's log only grows; nobody writes for another, and
/// nothing here is owned or can be stopped. What the root means is checked off chain, against the log.
contract Anchor is ERC2771Context {
    /// A log does not grow by this: `size` must be more than `latest`.
    error NotLarger(uint64 latest, uint64 size);
    error NoRoot();

    event Anchored(address indexed owner, bytes32 indexed origin, uint64 size, bytes32 root);

    struct Checkpoint {
        bytes32 root;
        uint64 size; // claims under the root
        uint64 time; // Unix seconds of the block
    }

    /// The latest checkpoint by owner and hash of the log's origin.
    mapping(address owner => mapping(bytes32 origin => Checkpoint)) public latest;

    constructor(address forwarder) ERC2771Context(forwarder) {}

    /// @notice Anchors the caller's checkpoint of the log with this origin (the Keccak-256 of its origin line).
    function anchor(bytes32 origin, uint64 size, bytes32 root) external {
        if (root == 0) revert NoRoot();
        Checkpoint storage checkpoint = latest[_msgSender()][origin];
        if (size <= checkpoint.size) revert NotLarger(checkpoint.size, size);
        checkpoint.root = root;
        checkpoint.size = size;
        checkpoint.time = uint64(block.timestamp);
        emit Anchored(_msgSender(), origin, size, root);
    }
}
