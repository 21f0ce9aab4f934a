// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Data} from "../libraries/Data.sol";
import {Groth16} from "../libraries/Groth16.sol";

/// @title Verifying keys of circuits, kept as code and found by their name (docs/reference/answers.md)
/// @notice Anybody publishes a key, nobody changes or removes one. A name is the Keccak-256 of the code that creates the
/// key's account, so it says where the key is without a look into any storage. It says nothing of the circuit, nor of
/// who ran its setup.
contract Keys {
    error NotAKey();

    event KeyPublished(bytes32 indexed name, address where);

    /// @notice Keeps a key that is one; a key that is here already is left as it is.
    function publish(bytes calldata key) external returns (bytes32 name) {
        if (!Groth16.wellFormed(key)) revert NotAKey();
        bool fresh;
        (name, fresh) = Data.keep(key);
        if (fresh) emit KeyPublished(name, where(name));
    }

    /// @notice The account whose code is a zero byte and the key of this name, once it was published.
    function where(bytes32 name) public view returns (address) {
        return Data.where(address(this), name);
    }
}
