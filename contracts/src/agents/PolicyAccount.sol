// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {ERC1155Holder} from "@openzeppelin/contracts/token/ERC1155/utils/ERC1155Holder.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Signatures} from "../libraries/Signatures.sol";
import {Act, IPolicyAccount, Limits, Standing, Voice} from "./IPolicyAccount.sol";
import {Money} from "./Money.sol";

/// @title The code of every policy account; accounts are clones of it, with their owner in their own code
/// @dev The limits are kept as their hash and come with each act: other limits are one slot, however long they are.
contract PolicyAccount is IPolicyAccount, IERC1271, ERC721Holder, ERC1155Holder {
    using SafeERC20 for IERC20;

    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME = keccak256("Troth policy account");
    bytes32 private constant ACT =
        keccak256("Act(uint256 nonce,address target,bytes data,bytes32 voices,uint64 deadline)");
    bytes32 private constant VOICE =
        keccak256("Voice(uint256 nonce,address target,bytes data,uint16 confidence,uint64 expiry)");
    bytes32 private constant OWNED = keccak256("Owned(bytes32 hash)");
    uint256 private constant WHOLE = 10_000;

    uint8 private constant OVER_ACT = 4;
    uint8 private constant OVER_DAY = 5;
    uint8 private constant UNSURE = 6;

    /// @inheritdoc IPolicyAccount
    bytes32 public limitsHash;
    Standing private _standing;

    modifier onlyOwner() {
        if (msg.sender != owner()) revert NotOwner();
        _;
    }

    /// @dev The code itself is nobody's account.
    constructor() {
        limitsHash = bytes32(uint256(1));
    }

    /// @inheritdoc IPolicyAccount
    /// @dev `PolicyAccounts` calls it in the transaction that makes the account.
    function begin(Limits calldata limits) external {
        if (limitsHash != 0) revert Begun();
        _limit(limits);
    }

    /// @inheritdoc IPolicyAccount
    function act(bytes calldata limits, Act calldata what, Voice[] calldata voices, bytes calldata signature)
        external
        returns (bool)
    {
        if (keccak256(limits) != limitsHash) revert OtherLimits();
        // These bytes are abi.encode(limits), by their hash: a word that says 32, and the struct.
        Limits calldata l;
        assembly ("memory-safe") {
            l := add(limits.offset, 32)
        }
        Standing memory s = _standing;
        if (s.stopped) revert Stopped();
        if (s.tripped) revert Tripped();
        if (block.timestamp > l.expiry) revert Expired();
        if (block.timestamp > what.deadline) revert Late();
        uint64 nonce = s.nonce++;
        uint256 sure = _sure(l, what, voices, signature, nonce);
        (uint8 reason, uint256 amount, address payee) = Money.read(l, what.target, what.data);
        uint32 today = uint32(block.timestamp / 1 days);
        uint256 spent = s.day == today ? s.spent : 0;
        if (reason == 0) {
            if (amount > l.perAct) reason = OVER_ACT;
            else if (spent + amount > l.perDay) reason = OVER_DAY;
            else if (sure < l.agree) reason = UNSURE;
        }
        if (reason != 0) {
            // A refusal must not revert: what it records would be lost with it.
            if (reason == UNSURE && ++s.strikes >= l.strikes) {
                s.tripped = true;
                emit BreakerTripped(nonce);
            }
            _standing = s;
            emit Refused(nonce, what.target, reason, sure, what.data);
            return false;
        }
        s.day = today;
        s.spent = uint128(spent + amount);
        _standing = s;
        emit Acted(nonce, what.target, bytes4(what.data), amount, payee);
        _do(l, what.target, what.data, amount);
        return true;
    }

    /// @inheritdoc IPolicyAccount
    function stop(bool stopped) external onlyOwner {
        _standing.stopped = stopped;
        emit StopSet(stopped);
    }

    /// @inheritdoc IPolicyAccount
    function reset() external onlyOwner {
        _standing.strikes = 0;
        _standing.tripped = false;
        emit BreakerReset();
    }

    /// @inheritdoc IPolicyAccount
    function limit(Limits calldata limits) external onlyOwner {
        _limit(limits);
    }

    /// @inheritdoc IPolicyAccount
    function withdraw(address token, address to, uint256 amount) external onlyOwner {
        emit Withdrawn(token, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc IPolicyAccount
    function execute(address target, bytes calldata data) external onlyOwner returns (bytes memory) {
        emit OwnerActed(target, data);
        return _call(target, data);
    }

    /// @inheritdoc IPolicyAccount
    function owner() public view returns (address) {
        return address(bytes20(Clones.fetchCloneArgs(address(this))));
    }

    /// @inheritdoc IPolicyAccount
    function standing() external view returns (Standing memory) {
        return _standing;
    }

    /// @inheritdoc IERC1271
    /// @dev The owner's signature alone, over the hash in this account's own domain. Never the agent's: a signature
    /// can be spent where no counter sees it.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        bool good = Signatures.by(owner(), _typed(keccak256(abi.encode(OWNED, hash))), signature);
        return good ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    function _limit(Limits calldata l) private {
        bool asked = l.confidence != 0;
        if (
            l.agent == address(0) || l.token == address(0) || l.agent == address(this) || l.perAct > l.perDay
                || l.confidence > WHOLE || (l.agree != 0) != asked || (l.strikes != 0) != asked
                || l.agree > l.verifiers.length || l.hot == address(this) || (l.hot != address(0)) != (l.fill != 0)
                || l.verifiers.length > Money.MAX_VERIFIERS || l.payees.length > Money.MAX_PAYEES
                || l.calls.length > Money.MAX_CALLS
        ) revert BadLimits();
        address last;
        for (uint256 i; i < l.verifiers.length; ++i) {
            address one = l.verifiers[i];
            // Nobody speaks twice, and the agent never about itself.
            if (one <= last || one == l.agent || one == l.hot || one == address(this)) revert BadLimits();
            last = one;
        }
        bytes memory data = abi.encode(l);
        limitsHash = keccak256(data);
        emit LimitsSet(limitsHash, data);
    }

    /// @dev How many verifiers, each counted once, are sure of this act. Reverts if the agent did not sign it with
    /// exactly these voices: nobody who brings it may leave some out.
    function _sure(
        Limits calldata l,
        Act calldata what,
        Voice[] calldata voices,
        bytes calldata signature,
        uint256 nonce
    ) private view returns (uint256 count) {
        bytes32 data = keccak256(what.data);
        bytes32 message =
            keccak256(abi.encode(ACT, nonce, what.target, data, keccak256(abi.encode(voices)), what.deadline));
        if (!_by(l.agent, _typed(message), signature)) revert BadSignature();
        if (l.confidence == 0) return 0;
        uint256 heard;
        for (uint256 i; i < voices.length; ++i) {
            Voice calldata voice = voices[i];
            uint256 place = voice.place;
            if (place >= l.verifiers.length || heard >> place & 1 != 0) continue;
            if (voice.confidence < l.confidence || voice.confidence > WHOLE) continue;
            if (block.timestamp > voice.expiry) continue;
            message = keccak256(abi.encode(VOICE, nonce, what.target, data, voice.confidence, voice.expiry));
            if (!_by(l.verifiers[place], _typed(message), voice.signature)) continue;
            heard |= 1 << place;
            ++count;
        }
    }

    /// @dev By its key alone: what code answers can depend on the gas that a bringer chooses.
    function _by(address signer, bytes32 digest, bytes calldata signature) private pure returns (bool) {
        (address found, ECDSA.RecoverError err,) = ECDSA.tryRecoverCalldata(digest, signature);
        return err == ECDSA.RecoverError.NoError && found == signer;
    }

    function _typed(bytes32 message) private view returns (bytes32) {
        bytes32 domain = keccak256(abi.encode(DOMAIN, NAME, keccak256("1"), block.chainid, address(this)));
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }

    function _do(Limits calldata l, address target, bytes calldata data, uint256 amount) private {
        IERC20 token = IERC20(l.token);
        if (target == address(this)) {
            if (amount != 0) token.safeTransfer(l.hot, amount);
        } else if (target != l.token && Money.joins(data)) {
            // The Book may take what was counted, in this call, and nothing after it.
            token.forceApprove(target, amount);
            _call(target, data);
            if (token.allowance(address(this), target) != 0) token.forceApprove(target, 0);
        } else {
            bytes memory answer = _call(target, data);
            if (target == l.token && answer.length != 0 && bytes32(answer) != bytes32(uint256(1))) {
                revert Failed(answer);
            }
        }
    }

    function _call(address target, bytes calldata data) private returns (bytes memory) {
        (bool ok, bytes memory answer) = target.call(data);
        if (!ok || target.code.length == 0) revert Failed(answer);
        return answer;
    }
}
