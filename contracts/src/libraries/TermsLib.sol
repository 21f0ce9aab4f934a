// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CLIMBER, Entry, Head, LAST_ROLE, Rung, Terms} from "../interfaces/Types.sol";

/// @title Hashes of terms and histories, and who is asked (sections 1 and 4)
library TermsLib {
    /// @notice The terms' hash from the whole terms.
    function hash(Terms calldata terms) internal pure returns (bytes32) {
        bytes32[] memory pots = new bytes32[](terms.pots.length);
        for (uint256 i; i < pots.length; ++i) pots[i] = keccak256(abi.encode(terms.pots[i]));
        bytes32[] memory rungs = new bytes32[](terms.rungs.length);
        for (uint256 i; i < rungs.length; ++i) rungs[i] = keccak256(abi.encode(terms.rungs[i]));
        return keccak256(abi.encode(terms.token, terms.fundBy, terms.wrongBonds, pots, rungs));
    }

    /// @notice The same hash from the head.
    function hash(Head calldata head) internal pure returns (bytes32) {
        return keccak256(abi.encode(head.token, head.fundBy, head.wrongBonds, head.pots, head.rungs));
    }

    /// @notice The history's hash after one more entry.
    function append(bytes32 previous, Entry memory entry) internal pure returns (bytes32) {
        return keccak256(abi.encode(previous, keccak256(abi.encode(entry))));
    }

    /// @notice The hash of a whole history.
    function hash(bytes32 deal, Entry[] memory history) internal pure returns (bytes32 h) {
        h = deal;
        for (uint256 i; i < history.length; ++i) h = append(h, history[i]);
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

    /// @notice Whether the account is on the bench of a rung from `lowest` (1 or more) up.
    function onBench(Terms calldata terms, uint256 lowest, address account) internal pure returns (bool) {
        for (uint256 r = lowest; r < terms.rungs.length; ++r) {
            if (place(bench(terms.rungs[r]), account) != type(uint256).max) return true;
        }
        return false;
    }

    /// @notice Whether the account deposits a pot; fee pots name no account (section 1), and no role is one.
    function deposits(Terms calldata terms, address account) internal pure returns (bool) {
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
