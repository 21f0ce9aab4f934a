// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// An outside court for the tests, of the package @kleros/erc-792 (MIT), as it is.
import {CentralizedArbitratorWithAppeal} from "@kleros/erc-792/contracts/examples/CentralizedArbitratorWithAppeal.sol";

import {Jury} from "../src/court/Jury.sol";
import {IArbitrable} from "../src/interfaces/IArbitration.sol";

/// @title The outside court with a name of ours
contract OutsideCourt is CentralizedArbitratorWithAppeal {}

/// @title A court that rules what and when its owner says, and once gave one number to every dispute
contract LyingCourt {
    uint256 public constant NUMBER = 7;

    function arbitrationCost(bytes calldata) external pure returns (uint256) {
        return 5;
    }

    function createDispute(uint256, bytes calldata) external payable returns (uint256) {
        return NUMBER;
    }

    function tell(IArbitrable whom, uint256 dispute, uint256 ruling) external {
        whom.rule(dispute, ruling);
    }
}

/// @title A juror whose code calls back when it is paid
contract GreedyJuror {
    Jury private immutable court;
    uint256 public refused;

    constructor(Jury court_) payable {
        court = court_;
    }

    function stake(uint256 amount) external {
        court.stake{value: amount}();
    }

    function unstake(uint256[] calldata ids) external {
        court.unstake(ids);
    }

    function take(uint256[] calldata ids) external {
        court.take(ids);
    }

    function withdraw() external {
        court.withdraw();
    }

    receive() external payable {
        try court.withdraw() {}
        catch {
            ++refused;
        }
    }
}

/// @title Brings a case and is told the ruling; may refuse to hear it
contract Asker is IArbitrable {
    Jury private immutable court;
    bool public deaf;
    uint256 public told;

    constructor(Jury court_) {
        court = court_;
    }

    function ask(uint256 choices, bytes calldata extraData) external payable {
        court.createDispute{value: msg.value}(choices, extraData);
    }

    function setDeaf(bool deaf_) external {
        deaf = deaf_;
    }

    function rule(uint256, uint256 ruling) external {
        require(!deaf);
        told = ruling + 1;
    }
}
