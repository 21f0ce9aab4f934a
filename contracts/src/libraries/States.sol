// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where a deal stands: what changes of it, besides its history.
struct State {
    uint256 status; // 0 unknown, 1 funding, 2 running, 3 closed, 4 void
    uint256 missing; // pots that have still to join
    uint256 rung; // the current one
    uint256 ask; // the current one, or the number of asks once all are over (as last stored)
    uint256 joined; // bit by pot
    uint256 start; // of that ask, or the freeze
    uint256 judgedAt; // when the current rung's verdict was recorded, or 0
    uint256 filled; // of the current ask: bit (account × slots + slot)
}

/// @title A deal's state in one word, so that an act writes one slot
/// @dev From the low end: status, missing, rung, ask (a byte each), joined (4), start, judgedAt (5 each), filled (8).
/// Times fit 40 bits for 34,000 years; a deal has at most 64 seats (section 1, "Limits").
library States {
    function pack(State memory s) internal pure returns (uint256) {
        return s.status | s.missing << 8 | s.rung << 16 | s.ask << 24 | s.joined << 32 | s.start << 64
            | s.judgedAt << 104 | s.filled << 144;
    }

    /// @dev Into what the caller has: a struct that is returned is one more in memory.
    function unpack(State memory s, uint256 word) internal pure {
        s.status = uint8(word);
        s.missing = uint8(word >> 8);
        s.rung = uint8(word >> 16);
        s.ask = uint8(word >> 24);
        s.joined = uint32(word >> 32);
        s.start = uint40(word >> 64);
        s.judgedAt = uint40(word >> 104);
        s.filled = word >> 144;
    }
}
