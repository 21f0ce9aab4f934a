// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {ISeat} from "../interfaces/ISeat.sol";
import {Entry, Rung} from "../interfaces/Types.sol";
import {Results} from "../libraries/Results.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";

interface IShaped {
    function shape() external view returns (address);
}

/// @title A court decides: what its seat answers is the verdict (docs/reference/court.md, section 5)
/// @notice Judges nothing itself. It lets a deal open only if the seat serves this Book and its court's longest case
/// fits the time of the ask.
contract Court is IPolicy {
    /// @inheritdoc IPolicy
    uint128 public immutable tick;

    constructor(uint128 tick_) {
        tick = tick_;
    }

    /// @inheritdoc IPolicy
    /// @dev Asked when a deal is opened. A seat that is none makes this revert, which the Book takes for no.
    function accepts(Rung calldata rung) external view returns (bool) {
        address[] calldata bench = TermsLib.bench(rung);
        uint256 last = rung.asks.length - 1;
        if (bench.length != 1 || rung.param == 0) return false;
        if (rung.asks[last].kind != "ruling" || rung.asks[last].slots != 1) return false;
        ISeat seat = ISeat(bench[0]);
        return _asks(address(seat.book())) && rung.asks[last].period > seat.longest();
    }

    /// @dev Whether it is this Book that asks, itself or through the contract that checks terms for it.
    function _asks(address book) private view returns (bool) {
        return msg.sender == book || msg.sender == IShaped(book).shape();
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
