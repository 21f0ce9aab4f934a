// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title What one thing earned and nobody has collected yet
/// @notice Takes any ERC-20 and the chain's own coin from anybody. Only the contract that made it pays out.
contract Purse {
    error NotRoyalties();
    error PaymentFailed();

    address private immutable _royalties = msg.sender;

    receive() external payable {}

    /// @notice Pays `amount` of `token` (zero: the chain's coin) to `to`.
    function pay(address token, address to, uint256 amount) external {
        if (msg.sender != _royalties) revert NotRoyalties();
        if (token != address(0)) return SafeERC20.safeTransfer(IERC20(token), to, amount);
        (bool paid,) = to.call{value: amount}("");
        if (!paid) revert PaymentFailed();
    }
}
