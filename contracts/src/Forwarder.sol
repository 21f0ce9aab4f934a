// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Forwarder} from "@openzeppelin/contracts/metatx/ERC2771Forwarder.sol";

/// @title The relayed form of every act: a signed request, carried by anybody
contract Forwarder is ERC2771Forwarder {
    constructor() ERC2771Forwarder("Troth Forwarder") {}
}
