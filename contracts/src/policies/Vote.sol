// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, LAST_ROLE, REFUTED, Result, Rung, UPHELD} from "../interfaces/Types.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";

/// @title The holders of a token decided by their votes at a snapshot (section 11)
/// @notice The rung's parameter is the token. The tally is what `Ballots` submitted; without the quorum, nothing.
contract Vote is IPolicy {
    uint256 private constant WHOLE = 1_000_000;

    /// Where holders cast: the one account of the rung's last ask.
    address public immutable ballots;
    /// The least share of the whole supply that must be for or abstain, in parts of a million.
    uint32 public immutable quorum;
    /// The share of those for or against that must be passed, in parts of a million.
    uint32 public immutable threshold;
    /// @inheritdoc IPolicy
    uint128 public constant tick = 0;

    constructor(address ballots_, uint32 quorum_, uint32 threshold_) {
        ballots = ballots_;
        quorum = quorum_;
        threshold = threshold_;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external view returns (bool) {
        uint256 last = rung.asks.length - 1;
        address[] calldata bench = TermsLib.bench(rung);
        uint256 token = uint256(rung.param);
        return rung.asks[last].kind == "vote" && rung.asks[last].slots == 1 && rung.asks[last].period >= 8
            && bench.length == 1 && bench[0] == ballots && token > LAST_ROLE && token <= type(uint160).max;
    }

    /// @inheritdoc IPolicy
    function judge(bytes32, uint8 rung, Rung calldata terms, uint64, Entry[] calldata history)
        external
        view
        returns (bytes memory)
    {
        (bool found, uint256 i) = Voices.find(history, rung, terms.asks.length - 1, ballots);
        if (!found) return "";
        bytes calldata data = history[i].data;
        // abi.encode(against, for, abstain, supply, snapshot)
        if (data.length != 160) return "";
        uint256 against = uint256(bytes32(data[:32]));
        uint256 yes = uint256(bytes32(data[32:64]));
        uint256 abstain = uint256(bytes32(data[64:96]));
        uint256 supply = uint256(bytes32(data[96:128]));
        if ((against | yes | abstain | supply) >> 128 != 0 || uint256(bytes32(data[128:160])) >> 48 != 0) return "";
        if (supply == 0 || (yes + abstain) * WHOLE < supply * quorum) return "";
        Result memory result;
        result.outcome = yes * WHOLE > (yes + against) * threshold ? UPHELD : REFUTED;
        return abi.encode(result);
    }
}
