// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Data} from "../libraries/Data.sol";
import {Machine} from "../libraries/Machine.sol";

/// @title Small models kept as code, and run here (docs/reference/answers.md)
/// @notice Anybody publishes a program, nobody changes or removes one. Its name is of its bytes: whoever relies on a name
/// has made it from a program that it read. `run` is a view, for a reader off the chain and for other contracts.
contract Programs {
    error BadInputs();

    event ProgramPublished(bytes32 indexed name, address where);

    /// @notice Keeps a program; one that is here already is left as it is.
    function publish(bytes calldata program) external returns (bytes32 name) {
        bool fresh;
        (name, fresh) = Data.keep(program);
        if (fresh) emit ProgramPublished(name, where(name));
    }

    /// @notice The account whose code is a zero byte and the program of this name, once it was published.
    function where(bytes32 name) public view returns (address) {
        return Data.where(address(this), name);
    }

    /// @notice The scores that the program of this name gives for inputs of 8 bytes each.
    function run(bytes32 name, bytes calldata inputs) external view returns (int256[] memory scores) {
        bool ok;
        (ok, scores) = Machine.run(Data.load(where(name)), inputs);
        if (!ok) revert BadInputs();
    }
}
