// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../interfaces/IBook.sol";
import {Entry, Result, Terms, VERDICT} from "../interfaces/Types.sol";
import {History} from "../libraries/History.sol";
import {Packed} from "../libraries/Packed.sol";
import {Results} from "../libraries/Results.sol";
import {State} from "../libraries/States.sol";

/// @title Deals of a Book as their bytes are brought to another contract, checked against what the Book stores
/// @dev The one place beside the Book that knows the form of a deal's bytes: opener (20), salt (32), terms.
library Brought {
    /// @notice The id that these bytes make.
    function id(IBook book, bytes calldata deal) internal view returns (bytes32) {
        if (deal.length < 52) revert IBook.Unknown();
        address opener = address(bytes20(deal[:20]));
        return keccak256(
            abi.encode(block.chainid, address(book), opener, bytes32(deal[20:52]), keccak256(deal[52:]))
        );
    }

    /// @notice The deal with its terms; Unknown if the Book has none of this id.
    function read(IBook book, bytes calldata deal)
        internal
        view
        returns (bytes32 found, Terms memory terms, bytes32 digest, State memory state)
    {
        found = id(book, deal);
        (digest, state) = book.deals(found);
        if (state.status == 0) revert IBook.Unknown();
        terms = Packed.terms(deal[52:]);
    }

    /// @notice The whole history, which must hash to `digest`.
    function history(bytes32 deal, bytes32 digest, bytes calldata entries) internal pure returns (Entry[] memory all) {
        bytes32 h;
        (all, h) = History.entries(entries, deal, 0);
        if (h != digest) revert IBook.BadHistory();
    }

    /// @notice How a closed deal ended, as the Book's close finds it (deals.md, section 6): a missed ask changes who is
    /// slashed, not the outcome.
    /// @param reached The rung at which it closed.
    /// @return value The outcome. `judged`: whether a rung gave a verdict; else it is the silence of the first.
    function outcome(Terms memory terms, Entry[] memory all, uint256 reached)
        internal
        pure
        returns (uint256 value, bool judged)
    {
        for (uint256 r; r <= reached; ++r) {
            bool spoke;
            for (uint256 i; i < all.length; ++i) {
                if (all[i].kind != VERDICT || all[i].rung != r) continue;
                (, Result memory result) = Results.decode(all[i].data);
                value = result.outcome;
                spoke = true;
            }
            if (!spoke && terms.rungs[r].silent != 0) value = terms.rungs[r].silent;
            judged = judged || spoke;
        }
    }
}
