// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, Rung} from "../interfaces/Types.sol";
import {Results} from "../libraries/Results.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";

/// @title k of n named verifiers of hardware quotes say that the expected code gave this result (section 11)
/// @notice The rung's parameter is the digest of the expected measurement. Who checked the quote is trusted for that;
/// a quote shows where a result comes from, not that it is true.
contract Quote is IPolicy {
    bytes32 private constant QUOTE =
        keccak256("Quote(bytes32 deal,uint8 rung,bytes32 measurement,bytes32 report,bytes32 quote,uint64 expiry)");

    uint256 public immutable k;
    /// @inheritdoc IPolicy
    uint128 public immutable tick;

    constructor(uint256 k_, uint128 tick_) {
        k = k_;
        tick = tick_;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external view returns (bool) {
        return rung.asks[rung.asks.length - 1].kind == "quote" && rung.param != 0 && Voices.majority(rung, k);
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
        for (uint256 i; i < bench.length; ++i) {
            bool found;
            (found, places[i]) = Voices.find(history, rung, terms.asks.length - 1, bench[i]);
            if (found) voices[i] = _voice(deal, rung, terms.param, frozenAt, bench[i], history[places[i]].data);
        }
        (bytes32 winner, uint256 who) = Voices.agreed(voices, k);
        if (winner == 0) return "";
        (, bytes calldata said,) = Voices.tail(history[places[who]].data, 128);
        (bool ok,) = Results.decode(said);
        return ok ? said : bytes("");
    }

    /// @dev The hash of the result that the verifier found bound to this rung, or zero if the voice is malformed,
    /// expired, not the verifier's, or about another measurement or report.
    function _voice(
        bytes32 deal,
        uint8 rung,
        bytes32 measurement,
        uint64 frozenAt,
        address verifier,
        bytes calldata data
    ) private view returns (bytes32) {
        // abi.encode(bytes result, bytes32 quote, uint64 expiry, bytes signature): 128, quote, expiry, offset, two tails
        if (data.length < 192 || uint256(bytes32(data[:32])) != 128) return 0;
        uint256 expiry = uint256(bytes32(data[64:96]));
        if (expiry > type(uint64).max || expiry < frozenAt) return 0;
        (bool ok, bytes calldata result, uint256 end) = Voices.tail(data, 128);
        if (!ok || uint256(bytes32(data[96:128])) != end) return 0;
        bytes calldata signature;
        (ok, signature, end) = Voices.tail(data, end);
        if (!ok || end != data.length) return 0;
        bytes32 said = keccak256(result);
        // What the hardware must have signed over: this deal, this rung, this result.
        bytes32 report = keccak256(abi.encode(deal, rung, said));
        bytes32 message =
            keccak256(abi.encode(QUOTE, deal, rung, measurement, report, bytes32(data[32:64]), expiry));
        return Signatures.by(verifier, Signatures.typed(msg.sender, message), signature) ? said : bytes32(0);
    }
}
