// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";

import {Guarded} from "./Guarded.sol";
import {Record, Records} from "./Records.sol";

/// @title Which document of an identity was in force when (docs/reference/registries.md)
/// @notice An entry is the chain of SHA-256 of an identity's documents, oldest first. It is named by the first
/// document's hash and the account that registered it, so nobody can take another's place: whoever registers a
/// stranger's document has an entry that nobody is led to. Each record names a *turn account*, whose key nobody has
/// seen: only its signature adds the next record, whoever sends it, or else the guardians that it named, after a delay in
/// which it can overrule them. A thief of the account in use can do nothing here.
/// @dev What a document says, and that both suites signed its change, is checked off chain: the EVM cannot verify
/// ML-DSA. Nothing here is owned or can be stopped.
contract Identities is ERC2771Context, Guarded {
    using Records for Record[];

    error Exists();
    error BadSignature();

    /// @param identity keccak256(abi.encode(genesis, account)).
    event Registered(bytes32 indexed identity, bytes32 indexed genesis, address account, address turn);
    /// @param document Zero: the identity is revoked, for good.
    event Updated(bytes32 indexed identity, uint256 version, bytes32 document, address turn);

    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant UPDATE =
        keccak256("Update(bytes32 identity,uint256 version,bytes32 document,address turn)");
    bytes32 private constant GUARD = keccak256(
        "Guard(bytes32 identity,uint256 version,bytes32 document,address turn,bytes32 guardians)"
    );

    /// By entry: value is the document's SHA-256, account the turn account.
    mapping(bytes32 identity => Record[]) private _records;

    constructor(address forwarder) ERC2771Context(forwarder) {}

    /// @notice Begins the caller's entry for the identity whose first document has this SHA-256.
    function register(bytes32 genesis, address turn) external returns (bytes32 identity) {
        if (genesis == 0 || turn == address(0)) revert Nothing();
        identity = keccak256(abi.encode(genesis, _msgSender()));
        if (_records[identity].length != 0) revert Exists();
        _records[identity].append(genesis, turn);
        emit Registered(identity, genesis, _msgSender(), turn);
    }

    /// @notice Adds the next document, signed (EIP-712) by the turn account of the record before. Anyone may send it.
    function update(bytes32 identity, bytes32 document, address turn, bytes calldata signature) external {
        Record[] storage records = _records[identity];
        _follows(records.head(), document, turn);
        _check(records, keccak256(abi.encode(UPDATE, identity, records.length, document, turn)), signature);
        _append(identity, document, turn);
    }

    /// @notice The same, and says who may recover the identity from now on (`hashOf` a quorum; zero: nobody).
    function guard(bytes32 identity, bytes32 document, address turn, bytes32 who, bytes calldata signature) external {
        Record[] storage records = _records[identity];
        _follows(records.head(), document, turn);
        _check(records, keccak256(abi.encode(GUARD, identity, records.length, document, turn, who)), signature);
        _setGuardians(identity, who);
        _append(identity, document, turn);
    }

    /// @notice Ends the entry for good, signed as an update to a zero document and account.
    function revoke(bytes32 identity, bytes calldata signature) external {
        Record[] storage records = _records[identity];
        if (records.head().value == 0) revert Revoked();
        _check(records, keccak256(abi.encode(UPDATE, identity, records.length, bytes32(0), address(0))), signature);
        _append(identity, 0, address(0));
    }

    /// @notice How many records the entry has; the newest is one less.
    function count(bytes32 identity) external view returns (uint256) {
        return _records[identity].length;
    }

    /// @notice Every record of the entry, oldest first.
    function history(bytes32 identity) external view returns (Record[] memory) {
        return _records[identity];
    }

    /// @notice The version and document in force at the end of a past second. Document zero: revoked by then.
    function inForce(bytes32 identity, uint256 time) external view returns (uint256 version, bytes32 document) {
        Record memory found;
        (version, found) = _records[identity].atTime(time);
        document = found.value;
    }

    /// @notice The same at the end of a past block.
    function inForceAtBlock(bytes32 identity, uint256 number)
        external
        view
        returns (uint256 version, bytes32 document)
    {
        Record memory found;
        (version, found) = _records[identity].atBlock(number);
        document = found.value;
    }

    /// @dev Refuses what the turn account of the newest record did not sign.
    function _check(Record[] storage records, bytes32 message, bytes calldata signature) private view {
        (address signer, ECDSA.RecoverError err,) = ECDSA.tryRecoverCalldata(_typed(message), signature);
        if (err != ECDSA.RecoverError.NoError || signer != records.head().account) revert BadSignature();
    }

    function _history(bytes32 identity) internal view override returns (Record[] storage) {
        return _records[identity];
    }

    function _append(bytes32 identity, bytes32 document, address turn) internal override {
        emit Updated(identity, _records[identity].append(document, turn), document, turn);
    }

    function _typed(bytes32 message) internal view override returns (bytes32) {
        bytes32 domain =
            keccak256(abi.encode(DOMAIN, keccak256("Troth identities"), keccak256("1"), block.chainid, address(this)));
        return MessageHashUtils.toTypedDataHash(domain, message);
    }
}
