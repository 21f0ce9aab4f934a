// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title A token with votes that anybody mints, whose clock counts seconds or blocks; for tests alone
contract VotesToken is ERC20Votes {
    bool private immutable _seconds;

    constructor(bool seconds_) ERC20("Votes", "VOTE") EIP712("Votes", "1") {
        _seconds = seconds_;
    }

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function clock() public view override returns (uint48) {
        return _seconds ? uint48(block.timestamp) : super.clock();
    }

    function CLOCK_MODE() public view override returns (string memory) {
        return _seconds ? "mode=timestamp" : super.CLOCK_MODE();
    }
}
