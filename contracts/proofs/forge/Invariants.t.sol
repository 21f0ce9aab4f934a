// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Attacks} from "./Attacks.sol";
import {Handler} from "./Handler.sol";
import {vm} from "./Vm.sol";

/// @title What holds after every act of anybody, in any order
contract InvariantsTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Attacks private handler;

    function setUp() external {
        handler = new Attacks();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory acts = new bytes4[](15);
        acts[0] = Handler.open.selector;
        acts[1] = Handler.join.selector;
        acts[2] = Handler.submit.selector;
        acts[3] = Handler.judge.selector;
        acts[4] = Handler.challenge.selector;
        acts[5] = Handler.close.selector;
        acts[6] = Handler.onward.selector;
        acts[7] = Handler.collect.selector;
        acts[8] = Handler.sweep.selector;
        acts[9] = Handler.withdraw.selector;
        acts[10] = Handler.wait.selector;
        acts[11] = Handler.mood.selector;
        acts[12] = Handler.stop.selector;
        acts[13] = Handler.donate.selector;
        acts[14] = Attacks.attack.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), acts);
    }

    /// @dev Authorisation, "no verdict overwritten" and "a refused act changes nothing" are checked by the handler
    /// around each act, since they are about what an act changed.
    function invariant_money_and_histories() external view {
        handler.conservation();
        handler.nothingRewritten();
    }

    function afterInvariant() external {
        vm.writeLine("../build/forge/tally", handler.tally());
        handler.end();
        handler.conservation();
        handler.nothingRewritten();
    }
}
