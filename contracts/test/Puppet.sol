// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../src/interfaces/IPolicy.sol";
import {Entry, Rung, SUBMISSION} from "../src/interfaces/Types.sol";

/// @title A policy that does what the last answer of its rung says; for tests alone
/// @notice First byte 0: answer the rest; 1: fail; 2: nothing; 3: burn all gas; 4: 8,193 bytes; else: answer all
/// of it. No submission, or an empty one: nothing.
contract Puppet is IPolicy {
    uint128 private constant UNREADABLE = type(uint128).max;
    uint128 private immutable step;

    constructor(uint128 step_) {
        step = step_;
    }

    /// @inheritdoc IPolicy
    function tick() external view returns (uint128) {
        require(step != UNREADABLE);
        return step;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata) external pure returns (bool) {
        return true;
    }

    /// @inheritdoc IPolicy
    function judge(bytes32, uint8 rung, Rung calldata, uint64, Entry[] calldata history)
        external
        pure
        returns (bytes memory)
    {
        for (uint256 i = history.length; i > 0; --i) {
            Entry calldata entry = history[i - 1];
            if (entry.kind != SUBMISSION || entry.rung != rung) continue;
            if (entry.data.length == 0) return "";
            uint8 what = uint8(entry.data[0]);
            if (what == 0) return entry.data[1:];
            require(what != 1);
            if (what == 2) return "";
            if (what == 3) {
                assembly {
                    invalid()
                }
            }
            if (what == 4) return new bytes(8_193);
            return entry.data;
        }
        return "";
    }
}

/// @title A policy whose answers are not even an ABI encoding; for tests alone
/// @notice `mode` 0: a return bomb; 1: a length beyond the answer; 2: an offset that is not 32; 3: one word; 4: it writes first. Its
/// tick is a return bomb.
contract Garbler {
    uint256 private immutable mode;
    uint256 private written;

    constructor(uint256 mode_) {
        mode = mode_;
    }

    fallback() external {
        if (msg.sig == IPolicy.accepts.selector) {
            assembly {
                mstore(0, 1)
                return(0, 32)
            }
        }
        uint256 how = msg.sig == IPolicy.tick.selector ? 0 : mode;
        if (how == 4) ++written;
        assembly {
            if iszero(how) { return(0, 1000000) }
            mstore(0, 32)
            mstore(32, 32)
            mstore(64, 1)
            if eq(how, 1) {
                mstore(32, 33)
                return(0, 96)
            }
            if eq(how, 2) {
                mstore(0, 64)
                return(0, 96)
            }
            if eq(how, 3) { return(0, 32) }
            return(0, 96)
        }
    }
}
