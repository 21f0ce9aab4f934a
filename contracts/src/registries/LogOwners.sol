// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";

import {Record, Records} from "./Records.sol";

/// @title Which account anchored a log when (docs/reference/registries.md)
/// @notice An entry is named by the log's origin and the account that registered it: a registration proves nothing
/// about who runs the log of that name in the world, and takes the name from nobody. Whoever believes an account for an
/// origin can follow here to whom it handed the log. A hand-over needs both.
/// @dev Nothing here is owned or can be stopped. The owner's account alone hands over: whoever steals it can.
contract LogOwners is ERC2771Context {
    using Records for Record[];

    error Exists();
    error Nothing(); // a zero key
    error NotOwner();
    error NotOffered();

    /// @param log keccak256(abi.encode(origin, first owner)). `origin`: Keccak-256 of the origin line.
    event Registered(bytes32 indexed log, bytes32 indexed origin, address owner, bytes32 key);
    event Offered(bytes32 indexed log, address to);
    event HandedOver(bytes32 indexed log, uint256 tenure, address owner, bytes32 key);

    /// By entry: value is the Keccak-256 of the log's verifier key line, account the owner.
    mapping(bytes32 log => Record[]) private _records;
    /// To whom the owner offers the log; zero: nobody.
    mapping(bytes32 log => address) public offered;

    constructor(address forwarder) ERC2771Context(forwarder) {}

    /// @notice Begins the caller's entry for the log of this origin, whose notes this key signs.
    function register(bytes32 origin, bytes32 key) external returns (bytes32 log) {
        if (key == 0) revert Nothing();
        log = keccak256(abi.encode(origin, _msgSender()));
        if (_records[log].length != 0) revert Exists();
        _records[log].append(key, _msgSender());
        emit Registered(log, origin, _msgSender(), key);
    }

    /// @notice The owner offers the log to an account (to itself: to change the key); zero takes an offer back.
    function offer(bytes32 log, address to) external {
        if (_records[log].head().account != _msgSender()) revert NotOwner();
        offered[log] = to;
        emit Offered(log, to);
    }

    /// @notice Whom it was offered to takes the log over, with the key that signs its notes from now on.
    function accept(bytes32 log, bytes32 key) external {
        if (key == 0) revert Nothing();
        if (offered[log] != _msgSender()) revert NotOffered();
        delete offered[log];
        emit HandedOver(log, _records[log].append(key, _msgSender()), _msgSender(), key);
    }

    /// @notice Every record of the entry, oldest first.
    function history(bytes32 log) external view returns (Record[] memory) {
        return _records[log];
    }

    /// @notice The owner and key at the end of a past second.
    function ownerAt(bytes32 log, uint256 time) external view returns (address owner, bytes32 key) {
        (, Record memory found) = _records[log].atTime(time);
        return (found.account, found.value);
    }

    /// @notice The same at the end of a past block.
    function ownerAtBlock(bytes32 log, uint256 number) external view returns (address owner, bytes32 key) {
        (, Record memory found) = _records[log].atBlock(number);
        return (found.account, found.value);
    }
}
