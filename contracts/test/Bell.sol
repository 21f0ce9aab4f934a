// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Counts how often it is rung, refuses 13, and at 77 calls back with what it was armed with; for tests alone
contract Bell {
    uint256 public pokes;
    address public target;
    bytes public attack;
    bool public entered;

    function arm(address target_, bytes calldata attack_) external {
        (target, attack) = (target_, attack_);
    }

    function poke(uint256 number) external {
        require(number != 13, "thirteen");
        ++pokes;
        if (number == 77) (entered,) = target.call(attack);
    }
}
