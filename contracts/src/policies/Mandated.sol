// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, REFUTED, Result, Rung} from "../interfaces/Types.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {Voices} from "../libraries/Voices.sol";
import {Revocations} from "../registries/Revocations.sol";

/// @title What another policy finds, if the agent's mandate covered the act (section 11)
/// @notice The rung's parameter is the digest of a mandate that its principal signed. The first ask, *act*, is the
/// agent's: what it does, under which mandate. An act that is not covered is refuted, whatever the inner policy says.
contract Mandated is IPolicy {
    bytes32 private constant MANDATE = keccak256(
        "Mandate(address principal,address agent,bytes32 scope,uint128 most,uint64 expiry,bytes32 salt)"
    );
    uint256 private constant MAX_ANSWER = 8_192;

    address public immutable inner;
    bytes32 public immutable innerHash;
    /// Where mandates are taken back; zero: they cannot be.
    Revocations public immutable revocations;
    /// Whether an act that is not covered slashes the agent. Only for deals in which it deposits: the Book refuses a
    /// verdict that slashes anybody else.
    bool public immutable slashing;
    /// @inheritdoc IPolicy
    uint128 public immutable tick;

    constructor(address inner_, Revocations revocations_, bool slashing_) {
        inner = inner_;
        innerHash = inner_.codehash;
        revocations = revocations_;
        slashing = slashing_;
        tick = IPolicy(inner_).tick();
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external view returns (bool) {
        if (rung.param == 0 || rung.asks.length < 2 || inner.codehash != innerHash) return false;
        if (rung.asks[0].kind != "act" || rung.asks[0].slots != 1 || rung.asks[0].who.length != 1) return false;
        return IPolicy(inner).accepts(_plain(rung));
    }

    /// @inheritdoc IPolicy
    function judge(bytes32 deal, uint8 rung, Rung calldata terms, uint64 frozenAt, Entry[] calldata history)
        external
        view
        returns (bytes memory)
    {
        address agent = terms.asks[0].who[0];
        (bool found, uint256 i) = Voices.find(history, rung, 0, agent);
        if (!found || !_covered(agent, terms.param, history[i].time, history[i].data)) {
            Result memory result;
            result.outcome = REFUTED;
            if (slashing) {
                result.slashed = new address[](1);
                result.slashed[0] = agent;
            }
            return abi.encode(result);
        }
        if (inner.codehash != innerHash) return "";
        return _ask(abi.encodeCall(IPolicy.judge, (deal, rung, _plain(terms), frozenAt, history)));
    }

    /// @dev Whether the data is exactly one act, and the mandate that the deal names covers it at that time.
    function _covered(address agent, bytes32 mandate, uint64 time, bytes calldata data) private view returns (bool) {
        // abi.encode(kind, amount, principal, scope, most, expiry, salt, signature): seven words, 256, one tail
        if (data.length < 288 || uint256(bytes32(data[224:256])) != 256) return false;
        (bool ok, bytes calldata signature, uint256 end) = Voices.tail(data, 256);
        if (!ok || end != data.length) return false;
        uint256 amount = uint256(bytes32(data[32:64]));
        uint256 principal = uint256(bytes32(data[64:96]));
        uint256 most = uint256(bytes32(data[128:160]));
        uint256 expiry = uint256(bytes32(data[160:192]));
        if (principal > type(uint160).max || most > type(uint128).max || expiry > type(uint64).max) return false;
        // The act's kind is the mandate's scope, its amount within the mandate's, its time before the expiry.
        if (bytes32(data[:32]) != bytes32(data[96:128]) || amount > most || time > expiry) return false;
        bytes32 digest = Signatures.typed(
            msg.sender,
            keccak256(
                abi.encode(
                    MANDATE, principal, agent, bytes32(data[96:128]), most, expiry, bytes32(data[192:224])
                )
            )
        );
        address signer = address(uint160(principal));
        if (digest != mandate || !Signatures.by(signer, digest, signature)) return false;
        if (address(revocations) == address(0)) return true;
        uint256 revoked = revocations.revokedAt(signer, digest);
        // Only what was taken back in an earlier second than the act, so that nothing changes after it.
        return revoked == 0 || revoked >= time;
    }

    /// @dev The rung as the inner policy sees it: without the parameter, which is ours.
    function _plain(Rung calldata rung) private pure returns (Rung memory plain) {
        plain = rung;
        plain.param = 0;
    }

    /// @dev The inner policy's answer; nothing if it reverts, runs out of gas, answers too much or no bytes.
    function _ask(bytes memory input) private view returns (bytes memory answer) {
        address target = inner;
        bool ok;
        bytes memory found;
        assembly ("memory-safe") {
            ok := staticcall(gas(), target, add(input, 32), mload(input), 0, 0)
            let size := returndatasize()
            ok := and(ok, and(gt(size, 63), lt(size, add(MAX_ANSWER, 65))))
            if ok {
                found := mload(0x40)
                mstore(found, size)
                returndatacopy(add(found, 32), 0, size)
                mstore(0x40, and(add(add(found, 63), size), not(31)))
            }
        }
        if (!ok) return "";
        uint256 offset;
        uint256 length;
        assembly ("memory-safe") {
            offset := mload(add(found, 32))
            answer := add(found, 64)
            length := mload(answer)
        }
        if (offset != 32 || length > found.length - 64) return "";
    }
}
