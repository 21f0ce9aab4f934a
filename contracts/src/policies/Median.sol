// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, Result, Rung, UPHELD} from "../interfaces/Types.sol";
import {Readings} from "../libraries/Readings.sol";
import {TermsLib} from "../libraries/TermsLib.sol";

/// @title The median of what at least k of n named reporters read (section 11)
/// @notice Of an even number of readings the lower of the two in the middle: always a value that somebody read.
contract Median is IPolicy {
    uint256 public immutable k;
    /// How old a reading may be at the freeze, in seconds.
    uint64 public immutable maxAge;
    /// The least confidence that counts, in parts of a million.
    uint32 public immutable least;
    /// How far from the median a reading may lie, in parts of a million of it; 0: nobody is slashed.
    uint32 public immutable spread;
    /// @inheritdoc IPolicy
    uint128 public immutable tick;

    constructor(uint256 k_, uint64 maxAge_, uint32 least_, uint32 spread_, uint128 tick_) {
        k = k_;
        maxAge = maxAge_;
        least = least_;
        spread = spread_;
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
        (uint256 count, uint128 middle) = _median(has, values);
        if (count == 0 || count < k) return "";
        Result memory result;
        result.outcome = UPHELD;
        result.values = new uint128[](1);
        result.values[0] = middle;
        // At rung 0 reporters sit on no bench, and a verdict that slashes one without a stake would be refused.
        if (spread != 0 && rung != 0) result.slashed = _off(TermsLib.bench(terms), has, values, middle);
        return abi.encode(result);
    }

    /// @dev How many readings count, and their lower median.
    function _median(bool[] memory has, uint128[] memory values) private pure returns (uint256 count, uint128 middle) {
        uint128[] memory sorted = new uint128[](values.length);
        for (uint256 i; i < values.length; ++i) {
            if (!has[i]) continue;
            uint256 j = count++;
            for (; j > 0 && sorted[j - 1] > values[i]; --j) sorted[j] = sorted[j - 1];
            sorted[j] = values[i];
        }
        if (count != 0) middle = sorted[(count - 1) / 2];
    }

    /// @dev Who read something further from the median than the spread, ascending; nobody unless k are within it.
    function _off(address[] calldata bench, bool[] memory has, uint128[] memory values, uint128 middle)
        private
        view
        returns (address[] memory off)
    {
        off = new address[](bench.length);
        uint256 count;
        uint256 near;
        for (uint256 i; i < bench.length; ++i) {
            if (!has[i]) continue;
            uint256 distance = values[i] > middle ? values[i] - middle : middle - values[i];
            if (distance * Readings.WHOLE <= uint256(middle) * spread) {
                ++near;
                continue;
            }
            uint256 j = count++;
            for (; j > 0 && off[j - 1] > bench[i]; --j) off[j] = off[j - 1];
            off[j] = bench[i];
        }
        if (near < k) count = 0;
        assembly ("memory-safe") {
            mstore(off, count)
        }
    }
}
