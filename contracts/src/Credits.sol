// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

/// @title A plain ERC-20 with permits and authorizations (ERC-2612, ERC-3009), for demonstrations and private consortia
/// @notice The whole supply is minted once, to one account; nobody can mint, burn, pause or take afterwards.
contract Credits is ERC20Permit, ERC3009 {
    constructor(address holder, uint256 supply) ERC20("Credits", "CREDIT") ERC20Permit("Credits") {
        _mint(holder, supply);
    }

    /// @notice Amounts are shown with six decimals.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
