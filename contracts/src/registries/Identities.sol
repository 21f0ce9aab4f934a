// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";

import {Record, Records} from "./Records.sol";

/// @title Which document of an identity was in force when (docs/reference/registries.md)
/// @notice An entry is the chain of SHA-256 of an identity's documents, oldest first. It is named by the first
/// document's hash and the account that registered it, so nobody can take another's place: whoever registers a
/// stranger's document has an entry that nobody is led to. Each record names a *turn account*, whose key nobody has
/// seen: only its signature adds the next record, whoever sends it. A thief of the account in use can do nothing here.
/// @dev What a document says, and that both suites signed its change, is checked off chain: the EVM cannot verify
/// ML-DSA. Nothing here is owned or can be stopped.
contract Identities is ERC2771Context {
    using Records for Record[];

    error Exists();
    error Nothing(); // a zero document or turn account
    error Reused(); // the document or turn account of the record before
    error Revoked();
    error BadSignature();

    /// @param identity keccak256(abi.encode(genesis, account)).
    event Registered(bytes32 indexed identity, bytes32 indexed genesis, address account, address turn);
    /// @param document Zero: the identity is revoked, for good.
    event Updated(bytes32 indexed identity, uint256 version, bytes32 document, address turn);

    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant UPDATE =
        keccak256("Update(bytes32 identity,uint256 version,bytes32 document,address turn)");

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
        if (document == 0 || turn == address(0)) revert Nothing();
        Record storage last = _records[identity].head();
        if (document == last.value || turn == last.account) revert Reused();
        _add(identity, document, turn, signature);
    }

    /// @notice Ends the entry for good, signed as an update to a zero document and account.
    function revoke(bytes32 identity, bytes calldata signature) external {
        _add(identity, 0, address(0), signature);
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

    function _add(bytes32 identity, bytes32 document, address turn, bytes calldata signature) private {
        Record[] storage records = _records[identity];
        Record storage last = records.head();
        if (last.value == 0) revert Revoked();
        bytes32 domain =
            keccak256(abi.encode(DOMAIN, keccak256("Troth identities"), keccak256("1"), block.chainid, address(this)));
        bytes32 message = keccak256(abi.encode(UPDATE, identity, records.length, document, turn));
        (address signer, ECDSA.RecoverError err,) =
            ECDSA.tryRecoverCalldata(MessageHashUtils.toTypedDataHash(domain, message), signature);
        if (err != ECDSA.RecoverError.NoError || signer != last.account) revert BadSignature();
        emit Updated(identity, records.append(document, turn), document, turn);
    }
}
