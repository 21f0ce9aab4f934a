// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Record, Records} from "./Records.sol";
import {Signatures} from "../libraries/Signatures.sol";

/// @dev Who may recover an identity: `k` of these accounts, and then nobody says otherwise for `delay` seconds.
struct Quorum {
    uint8 k;
    uint32 delay;
    address[] accounts; // ascending
}

/// @dev The signature of one of them. `place`: in `accounts`.
struct Approval {
    uint8 place;
    bytes signature;
}

/// @title Recovery of an identity by its guardians (docs/reference/identities.md)
/// @notice The holder names guardians by their hash, with the signature that adds a document. k of them can propose
/// another document and turn account in place of the holder's next ones. Whoever still holds the turn key overrules
/// them by using it: every proposal is for one version, and dies with it. After the delay anybody can carry it out.
/// @dev An approval is for one document of one version of one entry, here, on this chain: it is good nowhere else. The
/// same proposal is made once; another one beside it has a delay of its own, so none holds up another.
abstract contract Guarded {
    using Records for Record[];

    error BadQuorum();
    error NoGuardians(); // or others
    error TooFew();
    error Proposed(); // already
    error NotProposed();
    error NotDue();
    error Reused(); // the document or turn account of the record before
    error Nothing(); // a zero document or turn account
    error Revoked();

    /// @param guardians Hash of the quorum (`hashOf`); zero: none from now on.
    event GuardiansSet(bytes32 indexed identity, bytes32 guardians);
    /// @param due From this second on it can be carried out.
    event RecoveryProposed(bytes32 indexed identity, uint256 version, bytes32 document, address turn, uint256 due);
    event Recovered(bytes32 indexed identity, uint256 version, uint256 by, uint256 of_);

    bytes32 private constant RECOVER =
        keccak256("Recover(bytes32 identity,uint256 version,bytes32 document,address turn)");
    uint256 public constant MIN_DELAY = 1 days;
    uint256 public constant MAX_DELAY = 365 days;
    uint256 public constant MAX_GUARDIANS = 16;

    /// Hash of who may recover the identity; zero: nobody.
    mapping(bytes32 identity => bytes32) public guardians;
    /// When a proposal can be carried out; zero: there is none. By keccak256(identity, version, document, turn).
    mapping(bytes32 proposal => uint256) public due;
    /// By how many of how many guardians a version was made: k << 8 | n; zero: by the holder.
    mapping(bytes32 identity => mapping(uint256 version => uint256)) public recoveredBy;

    /// @notice How a quorum is named. Refused with BadQuorum where it is none.
    function hashOf(Quorum calldata quorum) public pure returns (bytes32) {
        uint256 n = quorum.accounts.length;
        if (quorum.k == 0 || quorum.k > n || n > MAX_GUARDIANS) revert BadQuorum();
        if (quorum.delay < MIN_DELAY || quorum.delay > MAX_DELAY) revert BadQuorum();
        address last;
        for (uint256 i; i < n; ++i) {
            if (quorum.accounts[i] <= last) revert BadQuorum();
            last = quorum.accounts[i];
        }
        return keccak256(abi.encode(quorum.k, quorum.delay, quorum.accounts));
    }

    /// @notice k of the guardians propose the next document and turn account. Anyone may send it.
    /// @param approvals Ascending by place.
    function propose(
        bytes32 identity,
        bytes32 document,
        address turn,
        Quorum calldata quorum,
        Approval[] calldata approvals
    ) external {
        uint256 version = _next(identity, document, turn, quorum);
        bytes32 digest = _typed(keccak256(abi.encode(RECOVER, identity, version, document, turn)));
        if (approvals.length < quorum.k) revert TooFew();
        uint256 least;
        for (uint256 i; i < approvals.length; ++i) {
            uint256 place = approvals[i].place;
            if (place < least || place >= quorum.accounts.length) revert TooFew();
            least = place + 1;
            if (!Signatures.by(quorum.accounts[place], digest, approvals[i].signature)) revert TooFew();
        }
        bytes32 proposal = keccak256(abi.encode(identity, version, document, turn));
        if (due[proposal] != 0) revert Proposed();
        due[proposal] = block.timestamp + quorum.delay;
        emit RecoveryProposed(identity, version, document, turn, due[proposal]);
    }

    /// @notice Carries out what was proposed, once its delay is over and if the holder changed nothing meanwhile.
    function execute(bytes32 identity, bytes32 document, address turn, Quorum calldata quorum) external {
        uint256 version = _next(identity, document, turn, quorum);
        uint256 from = due[keccak256(abi.encode(identity, version, document, turn))];
        if (from == 0) revert NotProposed();
        if (block.timestamp < from) revert NotDue();
        recoveredBy[identity][version] = uint256(quorum.k) << 8 | quorum.accounts.length;
        emit Recovered(identity, version, quorum.k, quorum.accounts.length);
        _append(identity, document, turn);
    }

    /// @dev The version that such a record would have, if it may follow and this is who may recover the identity.
    function _next(bytes32 identity, bytes32 document, address turn, Quorum calldata quorum)
        private
        view
        returns (uint256)
    {
        bytes32 who = guardians[identity];
        if (who == 0 || who != hashOf(quorum)) revert NoGuardians();
        Record[] storage records = _history(identity);
        _follows(records.head(), document, turn);
        return records.length;
    }

    /// @dev Refuses a document or turn account that cannot come next.
    function _follows(Record storage last, bytes32 document, address turn) internal view {
        if (document == 0 || turn == address(0)) revert Nothing();
        if (document == last.value || turn == last.account) revert Reused();
        if (last.value == 0) revert Revoked();
    }

    function _setGuardians(bytes32 identity, bytes32 who) internal {
        guardians[identity] = who;
        emit GuardiansSet(identity, who);
    }

    function _history(bytes32 identity) internal view virtual returns (Record[] storage);

    function _append(bytes32 identity, bytes32 document, address turn) internal virtual;

    /// @dev The EIP-712 digest of a struct's hash, in the domain of this registry.
    function _typed(bytes32 message) internal view virtual returns (bytes32);
}
