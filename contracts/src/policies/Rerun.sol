// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, Result, Rung} from "../interfaces/Types.sol";
import {Results} from "../libraries/Results.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";

/// @title k of n named verifiers re-executed the work and say the same (section 11)
/// @notice They commit before anybody reveals, so that none can copy. Whoever reveals something else is slashed.
contract Rerun is IPolicy {
    uint256 public immutable k;
    /// @inheritdoc IPolicy
    uint128 public immutable tick;

    constructor(uint256 k_, uint128 tick_) {
        k = k_;
        tick = tick_;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external view returns (bool) {
        return rung.param == 0 && Voices.twoSteps(rung) && Voices.majority(rung, k);
    }

    /// @inheritdoc IPolicy
    function judge(bytes32 deal, uint8 rung, Rung calldata terms, uint64, Entry[] calldata history)
        external
        view
        returns (bytes memory)
    {
        address[] calldata bench = TermsLib.bench(terms);
        bytes32[] memory voices = new bytes32[](bench.length);
        bool[] memory revealed = new bool[](bench.length);
        uint256[] memory places = new uint256[](bench.length);
        uint256 last = terms.asks.length - 1;
        for (uint256 i; i < bench.length; ++i) {
            (revealed[i], places[i]) = Voices.find(history, rung, last, bench[i]);
            if (!revealed[i]) continue;
            (bool committed, uint256 j) = Voices.find(history, rung, last - 1, bench[i]);
            if (!committed) continue;
            (bool ok, bytes calldata said) =
                Voices.opened(deal, rung, bench[i], history[j].data, history[places[i]].data);
            if (ok) voices[i] = keccak256(said);
        }
        (bytes32 winner, uint256 who) = Voices.agreed(voices, k);
        if (winner == 0) return "";
        (, bytes calldata agreed,) = Voices.tail(history[places[who]].data, 64);
        (bool whole, Result memory result) = Results.decode(agreed);
        if (!whole) return "";
        result.slashed = _with(result.slashed, bench, voices, revealed, winner);
        return abi.encode(result);
    }

    /// @dev `slashed` with the members that revealed anything but the winner, ascending.
    function _with(
        address[] memory slashed,
        address[] calldata bench,
        bytes32[] memory voices,
        bool[] memory revealed,
        bytes32 winner
    ) private pure returns (address[] memory all) {
        all = new address[](slashed.length + bench.length);
        uint256 n = slashed.length;
        for (uint256 i; i < n; ++i) all[i] = slashed[i];
        for (uint256 i; i < bench.length; ++i) {
            if (!revealed[i] || voices[i] == winner) continue;
            // Insert in its place, unless it is there.
            uint256 spot;
            while (spot < n && all[spot] < bench[i]) ++spot;
            if (spot < n && all[spot] == bench[i]) continue;
            for (uint256 j = n; j > spot; --j) all[j] = all[j - 1];
            all[spot] = bench[i];
            ++n;
        }
        assembly ("memory-safe") {
            mstore(all, n)
        }
    }
}
