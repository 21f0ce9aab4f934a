// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, Result, Rung, UPHELD} from "../interfaces/Types.sol";
import {Readings} from "../libraries/Readings.sol";

/// @title k of n named reporters read the same value (section 11)
/// @notice Slashes nobody: two honest readings of a world that moves may differ.
contract Quorum is IPolicy {
    uint256 public immutable k;
    /// How old a reading may be at the freeze, in seconds.
    uint64 public immutable maxAge;
    /// The least confidence that counts, in parts of a million.
    uint32 public immutable least;
    /// @inheritdoc IPolicy
    uint128 public immutable tick;

    constructor(uint256 k_, uint64 maxAge_, uint32 least_, uint128 tick_) {
        k = k_;
        maxAge = maxAge_;
        least = least_;
        tick = tick_;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external view returns (bool) {
        return Readings.accepts(rung, k, maxAge);
    }

    /// @inheritdoc IPolicy
    function judge(bytes32 deal, uint8 rung, Rung calldata terms, uint64 frozenAt, Entry[] calldata history)
        external
        view
        returns (bytes memory)
    {
        (bool[] memory has, uint128[] memory values) =
            Readings.counted(deal, rung, terms, frozenAt, history, maxAge, least);
        for (uint256 i; i < has.length; ++i) {
            if (!has[i]) continue;
            uint256 same;
            for (uint256 j; j < has.length; ++j) if (has[j] && values[j] == values[i]) ++same;
            if (same < k) continue;
            Result memory result;
            result.outcome = UPHELD;
            result.values = new uint128[](1);
            result.values[0] = values[i];
            return abi.encode(result);
        }
        return "";
    }
}
