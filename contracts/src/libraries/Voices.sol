// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Entry, Rung, SUBMISSION} from "../interfaces/Types.sol";
import {TermsLib} from "./TermsLib.sol";

/// @title What policies share: finding a voice, counting equal ones, reading padded bytes
library Voices {
    /// @notice The submission of an account to an ask (in slot 0), or no entry.
    function find(Entry[] calldata history, uint8 rung, uint256 ask, address account)
        internal
        pure
        returns (bool, uint256)
    {
        for (uint256 i; i < history.length; ++i) {
            Entry calldata entry = history[i];
            if (
                entry.kind == SUBMISSION && entry.rung == rung && entry.ask == ask && entry.by == account
                    && entry.slot == 0
            ) return (true, i);
        }
        return (false, 0);
    }

    /// @notice The first hash that at least `k` voices share (zero is no voice), or zero.
    function agreed(bytes32[] memory voices, uint256 k) internal pure returns (bytes32, uint256) {
        for (uint256 i; i < voices.length; ++i) {
            if (voices[i] == 0) continue;
            uint256 count;
            for (uint256 j; j < voices.length; ++j) if (voices[j] == voices[i]) ++count;
            if (count >= k) return (voices[i], i);
        }
        return (0, 0);
    }

    /// @notice `bytes` inside `data` whose length word is at `start`, padded with zeros to a word.
    /// @return ok Whether it lies within `data` and its padding is zero. `end`: where what follows begins.
    function tail(bytes calldata data, uint256 start) internal pure returns (bool ok, bytes calldata found, uint256 end) {
        found = data[:0];
        if (data.length < start + 32) return (false, found, 0);
        uint256 length = uint256(bytes32(data[start:start + 32]));
        if (length > data.length) return (false, found, 0);
        end = start + 32 + ((length + 31) / 32) * 32;
        if (end > data.length) return (false, found, 0);
        for (uint256 i = start + 32 + length; i < end; ++i) if (data[i] != 0) return (false, found, 0);
        return (true, data[start + 32:start + 32 + length], end);
    }

    /// @notice Whether the last ask has one slot an account and `k` is a majority of its accounts.
    function majority(Rung calldata rung, uint256 k) internal pure returns (bool) {
        uint256 n = TermsLib.bench(rung).length;
        return 2 * k > n && k <= n && rung.asks[rung.asks.length - 1].slots == 1;
    }
}
