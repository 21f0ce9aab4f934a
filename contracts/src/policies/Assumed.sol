// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, Rung} from "../interfaces/Types.sol";
import {Results} from "../libraries/Results.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";

/// @title The claim alone decides, until somebody challenges it (section 11)
/// @notice Proves nothing by itself: it makes the claim's own result the one that a challenge has to beat.
contract Assumed is IPolicy {
    /// @inheritdoc IPolicy
    uint128 public immutable tick;

    constructor(uint128 tick_) {
        tick = tick_;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external pure returns (bool) {
        return TermsLib.bench(rung).length == 1 && rung.param == 0;
    }

    /// @inheritdoc IPolicy
    function judge(bytes32, uint8 rung, Rung calldata terms, uint64, Entry[] calldata history)
        external
        pure
        returns (bytes memory answer)
    {
        (bool found, uint256 i) = Voices.find(history, rung, terms.asks.length - 1, TermsLib.bench(terms)[0]);
        if (!found) return answer;
        (bool ok,) = Results.decode(history[i].data);
        return ok ? history[i].data : answer;
    }
}
