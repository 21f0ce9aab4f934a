// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Entry, Rung} from "./Types.sol";

/// @title A way to judge frozen evidence (docs/reference/deals.md, section 11)
/// @notice A policy has no storage that changes, no owner and no money. The Book calls it by STATICCALL with a gas
/// and a size cap. A malformed answer of a voice is an absent voice, never a failure.
interface IPolicy {
    /// @notice Whether this policy can judge such a rung; asked once, when a deal is opened.
    function accepts(Rung calldata rung) external view returns (bool);

    /// @notice By how much a value may differ without making a challenger right.
    function tick() external view returns (uint128);

    /// @notice The result on the frozen evidence, as `abi.encode(Result)`, or nothing.
    /// @param deal The deal's id; the caller is the Book that holds it.
    /// @param rung The index of the rung to judge.
    /// @param terms That rung's terms.
    /// @param frozenAt When its evidence froze.
    /// @param history Every entry of the deal up to the freeze.
    function judge(bytes32 deal, uint8 rung, Rung calldata terms, uint64 frozenAt, Entry[] calldata history)
        external
        view
        returns (bytes memory);
}
