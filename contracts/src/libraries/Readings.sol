// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Entry, Rung} from "../interfaces/Types.sol";
import {TermsLib} from "./TermsLib.sol";
import {Voices} from "./Voices.sol";

/// @title What reporters measured: which readings count (section 11, "Readings")
/// @dev A reading is abi.encode(uint128 value, uint32 confidence, uint64 measured at): 96 bytes and no other.
library Readings {
    /// Confidence and spread are parts of a million.
    uint256 internal constant WHOLE = 1_000_000;

    /// @notice Whether the rung asks a bench for readings in one step or two, `k` is a majority of it, and nobody can
    /// make a reading of the first second too old by being the last to answer.
    function accepts(Rung calldata rung, uint256 k, uint64 maxAge) internal pure returns (bool) {
        if (!Voices.majority(rung, k)) return false;
        uint256 last = rung.asks.length - 1;
        uint256 time = rung.asks[last].period;
        if (rung.asks[last].kind == "reading") return time <= maxAge;
        return Voices.twoSteps(rung) && time + rung.asks[last - 1].period <= maxAge;
    }

    /// @notice By place on the bench: whether there is a reading that counts, and its value.
    function counted(
        bytes32 deal,
        uint8 rung,
        Rung calldata terms,
        uint64 frozenAt,
        Entry[] calldata history,
        uint64 maxAge,
        uint32 least
    ) internal pure returns (bool[] memory has, uint128[] memory values) {
        address[] calldata bench = TermsLib.bench(terms);
        has = new bool[](bench.length);
        values = new uint128[](bench.length);
        for (uint256 i; i < bench.length; ++i) {
            (bool said, bytes calldata data, uint64 time) = _said(deal, rung, terms, history, bench[i]);
            if (!said || data.length != 96) continue;
            uint256 value = uint256(bytes32(data[:32]));
            uint256 confidence = uint256(bytes32(data[32:64]));
            uint256 measured = uint256(bytes32(data[64:96]));
            if (value > type(uint128).max || confidence > WHOLE || measured > time) continue;
            if (confidence < least || measured + maxAge < frozenAt) continue;
            has[i] = true;
            values[i] = uint128(value);
        }
    }

    /// @dev The bytes of a reading, and when its reporter was bound to it.
    function _said(bytes32 deal, uint8 rung, Rung calldata terms, Entry[] calldata history, address reporter)
        private
        pure
        returns (bool found, bytes calldata data, uint64 time)
    {
        uint256 last = terms.asks.length - 1;
        uint256 i;
        (found, i) = Voices.find(history, rung, last, reporter);
        data = msg.data[:0];
        if (!found) return (false, data, 0);
        if (terms.asks[last].kind == "reading") return (true, history[i].data, history[i].time);
        uint256 j;
        (found, j) = Voices.find(history, rung, last - 1, reporter);
        if (!found) return (false, data, 0);
        (found, data) = Voices.opened(deal, rung, reporter, history[j].data, history[i].data);
        time = history[j].time;
    }
}
