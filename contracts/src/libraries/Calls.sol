// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../interfaces/IBook.sol";

/// @title Calls to code that may be hostile: bounded gas, bounded answers, never a revert of ours by theirs
library Calls {
    /// Gas a policy gets for `accepts` and `judge` (section 1), and for `tick`.
    uint256 internal constant POLICY_GAS = 5_000_000;
    uint256 internal constant TICK_GAS = 100_000;
    /// Gas a token gets for a transfer out; one that needs more is credited and withdrawn without a cap.
    uint256 internal constant TRANSFER_GAS = 200_000;
    /// Left to us after a call: enough to write a credit and an event.
    uint256 internal constant RESERVE = 60_000;

    /// @notice STATICCALL with exactly `cap` gas; copies at most `most` bytes of the answer.
    /// @dev Refused with LowGas if the callee could get less: else the caller would choose, by its gas, which inner
    /// calls of the policy fail. `ok` is false if it reverts, runs out, or answers more than `most` bytes.
    function ask(address target, uint256 cap, bytes memory input, uint256 most)
        internal
        view
        returns (bool ok, bytes memory answer)
    {
        _whole(cap);
        assembly ("memory-safe") {
            ok := staticcall(cap, target, add(input, 32), mload(input), 0, 0)
            let size := returndatasize()
            if gt(size, most) { ok := 0 }
            if ok {
                answer := mload(0x40)
                mstore(answer, size)
                returndatacopy(add(answer, 32), 0, size)
                mstore(0x40, and(add(add(answer, 63), size), not(31)))
            }
        }
    }

    /// @notice ERC-20 transfer of ours. False if it reverts, returns false, answers nonsense or there is no code.
    function send(address token, address to, uint256 amount) internal returns (bool) {
        _whole(TRANSFER_GAS);
        return _transfer(token, TRANSFER_GAS, abi.encodeWithSignature("transfer(address,uint256)", to, amount));
    }

    /// @notice The same with all the gas there is.
    function sendUncapped(address token, address to, uint256 amount) internal returns (bool) {
        return _transfer(token, gasleft(), abi.encodeWithSignature("transfer(address,uint256)", to, amount));
    }

    /// @notice Takes exactly `amount` from `from`. False if the token refuses or the Book receives anything else.
    function take(address token, address from, uint256 amount) internal returns (bool) {
        return takeBy(
            token, abi.encodeWithSignature("transferFrom(address,address,uint256)", from, address(this), amount), amount
        );
    }

    /// @notice The same by any call of the token.
    function takeBy(address token, bytes memory input, uint256 amount) internal returns (bool) {
        (bool known, uint256 before) = _balance(token);
        if (!known || !_transfer(token, gasleft(), input)) return false;
        (bool still, uint256 found) = _balance(token);
        return still && found >= before && found - before == amount;
    }

    /// @dev The answer's first word alone is copied, so a token that returns megabytes costs only itself.
    function _transfer(address token, uint256 cap, bytes memory input) private returns (bool ok) {
        assembly ("memory-safe") {
            mstore(0, 0)
            ok := call(cap, token, 0, add(input, 32), mload(input), 0, 32)
            switch returndatasize()
            // No answer is success only from a contract.
            case 0 { ok := and(ok, gt(extcodesize(token), 0)) }
            default { ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), 1))) }
        }
    }

    function _balance(address token) private view returns (bool ok, uint256 held) {
        bytes memory input = abi.encodeWithSignature("balanceOf(address)", address(this));
        assembly ("memory-safe") {
            ok := staticcall(gas(), token, add(input, 32), mload(input), 0, 32)
            ok := and(ok, gt(returndatasize(), 31))
            held := mload(0)
        }
    }

    /// @dev EIP-150: a callee gets at most 63/64 of what is left.
    function _whole(uint256 cap) private view {
        if (gasleft() < (cap * 64) / 63 + RESERVE) revert IBook.LowGas();
    }
}
