// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CLIMBER, Entry, LAST_ROLE, Rung, Terms} from "../interfaces/Types.sol";

/// @title The hash of a history, and who is asked (sections 1 and 4)
library TermsLib {
    /// @notice The history's hash after one more entry.
    function append(bytes32 previous, Entry memory entry) internal pure returns (bytes32) {
        bytes32 head = bytes32(
            uint256(entry.kind) << 248 | uint256(entry.rung) << 240 | uint256(entry.ask) << 232
                | uint256(entry.slot) << 224 | uint256(entry.time) << 160 | uint160(entry.by)
        );
        return keccak256(abi.encode(previous, head, keccak256(abi.encodePacked(entry.claim, entry.data))));
    }

    /// @notice The accounts that an ask names, through asks that repeat the one before.
    function asked(Rung calldata rung, uint256 ask) internal pure returns (address[] calldata) {
        while (rung.asks[ask].who.length == 0) --ask;
        return rung.asks[ask].who;
    }

    /// @notice The accounts of the rung's last ask.
    function bench(Rung calldata rung) internal pure returns (address[] calldata) {
        return asked(rung, rung.asks.length - 1);
    }

    /// @notice The same of terms that were read.
    function askedOf(Rung memory rung, uint256 ask) internal pure returns (address[] memory) {
        while (rung.asks[ask].who.length == 0) --ask;
        return rung.asks[ask].who;
    }

    /// @notice The accounts of the rung's last ask.
    function benchOf(Rung memory rung) internal pure returns (address[] memory) {
        return askedOf(rung, rung.asks.length - 1);
    }

    /// @notice Whether the account is on the bench of a rung from `lowest` (1 or more) up.
    function onBench(Terms memory terms, uint256 lowest, address account) internal pure returns (bool) {
        for (uint256 r = lowest; r < terms.rungs.length; ++r) {
            if (placeIn(benchOf(terms.rungs[r]), account) != type(uint256).max) return true;
        }
        return false;
    }

    /// @notice Whether the account deposits a pot; fee pots name no account (section 1), and no role is one.
    function deposits(Terms memory terms, address account) internal pure returns (bool) {
        if (isRole(account)) return false;
        for (uint256 i; i < terms.pots.length; ++i) {
            if (terms.pots[i].depositor == account) return true;
        }
        return false;
    }

    /// @notice The account's index in the list, or the largest number.
    function place(address[] calldata list, address account) internal pure returns (uint256) {
        for (uint256 i; i < list.length; ++i) {
            if (list[i] == account) return i;
        }
        return type(uint256).max;
    }

    /// @notice The same of a list in memory.
    function placeIn(address[] memory list, address account) internal pure returns (uint256) {
        uint256 n = list.length;
        unchecked {
            for (uint256 i; i < n; ++i) {
                address one;
                assembly ("memory-safe") {
                    one := mload(add(add(list, 32), shl(5, i)))
                }
                if (one == account) return i;
            }
        }
        return type(uint256).max;
    }

    /// @notice Whether the address stands for a role (or is zero) and can be no account.
    function isRole(address account) internal pure returns (bool) {
        return uint160(account) <= LAST_ROLE;
    }

    /// @notice The rung whose climber deposits this pot, or 0 for a pot deposited with `join`.
    function feeRung(address depositor, uint256 rungs) internal pure returns (uint256) {
        uint160 number = uint160(depositor);
        return number > CLIMBER && number < CLIMBER + rungs ? number - CLIMBER : 0;
    }
}
