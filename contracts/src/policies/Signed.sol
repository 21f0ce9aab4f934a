// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, Rung, SUBMISSION} from "../interfaces/Types.sol";
import {Results} from "../libraries/Results.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";

/// @title k of n named signers signed the same result on the same evidence (section 11)
contract Signed is IPolicy {
    bytes32 private constant VERDICT =
        keccak256("Verdict(bytes32 deal,uint8 rung,bytes32 evidence,bytes32 result,uint64 expiry)");

    uint256 public immutable k;
    /// @inheritdoc IPolicy
    uint128 public immutable tick;

    constructor(uint256 k_, uint128 tick_) {
        k = k_;
        tick = tick_;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external view returns (bool) {
        return rung.asks[rung.asks.length - 1].kind == "verdict" && rung.param == 0 && Voices.majority(rung, k);
    }

    /// @inheritdoc IPolicy
    function judge(bytes32 deal, uint8 rung, Rung calldata terms, uint64 frozenAt, Entry[] calldata history)
        external
        view
        returns (bytes memory)
    {
        address[] calldata bench = TermsLib.bench(terms);
        bytes32[] memory voices = new bytes32[](bench.length);
        uint256[] memory places = new uint256[](bench.length);
        uint256 last = terms.asks.length - 1;
        bytes32 evidence = _evidence(deal, rung, last, history);
        for (uint256 i; i < bench.length; ++i) {
            bool found;
            (found, places[i]) = Voices.find(history, rung, last, bench[i]);
            if (found) voices[i] = _voice(deal, rung, evidence, frozenAt, bench[i], history[places[i]].data);
        }
        (bytes32 winner, uint256 who) = Voices.agreed(voices, k);
        if (winner == 0) return "";
        (, bytes calldata said,) = Voices.tail(history[places[who]].data, 96);
        (bool ok,) = Results.decode(said);
        return ok ? said : bytes("");
    }

    /// @dev The history's hash before the ask's first entry; the signers are asked last, so nothing of the rung follows.
    function _evidence(bytes32 deal, uint8 rung, uint256 ask, Entry[] calldata history)
        private
        pure
        returns (bytes32 h)
    {
        h = deal;
        for (uint256 i; i < history.length; ++i) {
            Entry memory entry = history[i];
            if (entry.kind == SUBMISSION && entry.rung == rung && entry.ask == ask) return h;
            h = TermsLib.append(h, entry);
        }
    }

    /// @dev The hash of the signed result, or zero if the voice is malformed, expired or not the signer's.
    function _voice(
        bytes32 deal,
        uint8 rung,
        bytes32 evidence,
        uint64 frozenAt,
        address signer,
        bytes calldata data
    ) private view returns (bytes32) {
        // abi.encode(bytes result, uint64 expiry, bytes signature): offset 96, expiry, offset, result, signature
        if (data.length < 160 || uint256(bytes32(data[:32])) != 96) return 0;
        uint256 expiry = uint256(bytes32(data[32:64]));
        if (expiry > type(uint64).max || expiry < frozenAt) return 0;
        (bool ok, bytes calldata result, uint256 end) = Voices.tail(data, 96);
        if (!ok || uint256(bytes32(data[64:96])) != end) return 0;
        bytes calldata signature;
        (ok, signature, end) = Voices.tail(data, end);
        if (!ok || end != data.length) return 0;
        bytes32 said = keccak256(result);
        bytes32 message = keccak256(abi.encode(VERDICT, deal, rung, evidence, said, expiry));
        return Signatures.by(signer, Signatures.typed(msg.sender, message), signature) ? said : bytes32(0);
    }
}
