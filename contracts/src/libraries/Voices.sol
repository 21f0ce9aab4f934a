// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Entry, Rung, SUBMISSION} from "../interfaces/Types.sol";
import {TermsLib} from "./TermsLib.sol";

/// @title What policies share: finding a voice, counting equal ones, reading padded bytes
library Voices {
    /// @notice The submission of an account to an ask (in slot 0), or no entry.
    /// @dev There is one at most. Policies ask for those of the last asks, so the search begins at the end.
    function find(Entry[] calldata history, uint8 rung, uint256 ask, address account)
        internal
        pure
        returns (bool, uint256)
    {
        for (uint256 i = history.length; i != 0; --i) {
            Entry calldata entry = history[i - 1];
            if (
                entry.by == account && entry.kind == SUBMISSION && entry.rung == rung && entry.ask == ask
                    && entry.slot == 0
            ) return (true, i - 1);
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

    /// @notice What was revealed, if it is well formed and is what was committed; `ok` is false otherwise.
    function opened(bytes32 deal, uint8 rung, address account, bytes calldata commit, bytes calldata reveal)
        internal
        pure
        returns (bool ok, bytes calldata said)
    {
        said = reveal[:0];
        // abi.encode(bytes said, bytes32 salt): offset 64, salt, length, bytes
        if (commit.length != 32 || reveal.length < 96 || uint256(bytes32(reveal[:32])) != 64) return (false, said);
        uint256 end;
        (ok, said, end) = tail(reveal, 64);
        if (!ok || end != reveal.length) return (false, said);
        bytes32 expected = keccak256(abi.encode(deal, rung, account, keccak256(said), bytes32(reveal[32:64])));
        ok = bytes32(commit) == expected;
    }

    /// @notice Whether the last two asks are *commit* and *reveal*, of one bench, one slot each.
    function twoSteps(Rung calldata rung) internal pure returns (bool) {
        uint256 n = rung.asks.length;
        if (n < 2 || rung.asks[n - 2].kind != "commit" || rung.asks[n - 1].kind != "reveal") return false;
        if (rung.asks[n - 2].slots != 1 || rung.asks[n - 1].slots != 1) return false;
        address[] calldata one = TermsLib.asked(rung, n - 2);
        address[] calldata two = TermsLib.bench(rung);
        if (one.length != two.length) return false;
        for (uint256 i; i < one.length; ++i) if (one[i] != two[i]) return false;
        return true;
    }

    /// @notice Whether the last ask has one slot an account and `k` is a majority of its accounts.
    function majority(Rung calldata rung, uint256 k) internal pure returns (bool) {
        uint256 n = TermsLib.bench(rung).length;
        return 2 * k > n && k <= n && rung.asks[rung.asks.length - 1].slots == 1;
    }
}
