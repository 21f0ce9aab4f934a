// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../../src/interfaces/IPolicy.sol";
import {Entry, Rung} from "../../src/interfaces/Types.sol";

/// @dev The cheat codes that only Halmos has.
interface Symbolic {
    function enableSymbolicStorage(address account) external;
}

Symbolic constant svm = Symbolic(address(uint160(uint256(keccak256("svm cheat code")))));

/// @title The plainest token: moves what it is told, and anybody may take what the owner allowed
/// @dev Everybody allows the Book everything, so nothing but the Book itself stands between a caller and their money.
contract PlainToken {
    mapping(address account => uint256) public balanceOf;
    address private immutable trusted;

    constructor(address trusted_) {
        trusted = trusted_;
    }

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        require(msg.sender == trusted);
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// @title A policy that answers what it was told to
contract Says is IPolicy {
    bytes private answer;

    function say(bytes calldata answer_) external {
        answer = answer_;
    }

    function tick() external pure returns (uint128) {
        return 0;
    }

    function accepts(Rung calldata) external pure returns (bool) {
        return true;
    }

    function judge(bytes32, uint8, Rung calldata, uint64, Entry[] calldata) external view returns (bytes memory) {
        return answer;
    }
}
