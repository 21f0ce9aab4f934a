// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, REFUTED, Result, Rung, UPHELD} from "../interfaces/Types.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";

/// @title The secret behind the rung's parameter was revealed in time, or it was not (section 11)
/// @notice The parameter is the SHA-256 of a secret of exactly 32 bytes: what every other chain can check too.
contract Preimage is IPolicy {
    /// @inheritdoc IPolicy
    uint128 public constant tick = 0;

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external pure returns (bool) {
        uint256 last = rung.asks.length - 1;
        return rung.asks[last].kind == "preimage" && rung.asks[last].slots == 1 && TermsLib.bench(rung).length == 1
            && rung.param != 0;
    }

    /// @inheritdoc IPolicy
    function judge(bytes32, uint8 rung, Rung calldata terms, uint64, Entry[] calldata history)
        external
        pure
        returns (bytes memory)
    {
        Result memory result;
        result.outcome = REFUTED;
        (bool found, uint256 i) = Voices.find(history, rung, terms.asks.length - 1, TermsLib.bench(terms)[0]);
        if (found && history[i].data.length == 32 && sha256(history[i].data) == terms.param) result.outcome = UPHELD;
        return abi.encode(result);
    }
}
