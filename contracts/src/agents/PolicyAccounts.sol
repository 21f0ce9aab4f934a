// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {Limits} from "./IPolicyAccount.sol";
import {PolicyAccount} from "./PolicyAccount.sol";

/// @title Makes policy accounts: small clones of one code, at addresses that are known beforehand
/// @notice No owner and no money. An account's owner stands in its code and never changes.
contract PolicyAccounts {
    event AccountMade(address indexed owner, address indexed account, bytes32 salt);

    /// The code that every account runs.
    address public immutable code = address(new PolicyAccount());

    /// @notice Makes the caller's account with this salt, and gives it its first limits.
    function make(bytes32 salt, Limits calldata limits) external returns (address account) {
        account = Clones.cloneDeterministicWithImmutableArgs(code, abi.encodePacked(msg.sender), salt);
        emit AccountMade(msg.sender, account, salt);
        PolicyAccount(account).begin(limits);
    }

    /// @notice Where an owner's account with this salt is, or will be.
    function accountOf(address owner, bytes32 salt) external view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(
            code, abi.encodePacked(owner), salt, address(this)
        );
    }
}
