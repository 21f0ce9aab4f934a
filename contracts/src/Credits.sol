// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title A plain ERC-20 with permits, for demonstrations and private consortia
/// @notice The whole supply is minted once, to one account; nobody can mint, burn, pause or take afterwards.
contract Credits is ERC20, ERC20Permit {
    constructor(address holder, uint256 supply) ERC20("Credits", "CREDIT") ERC20Permit("Credits") {
        _mint(holder, supply);
    }

    /// @notice Amounts are shown with six decimals.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
