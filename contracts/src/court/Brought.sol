// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../interfaces/IBook.sol";
import {Entry, Terms} from "../interfaces/Types.sol";
import {History} from "../libraries/History.sol";
import {Packed} from "../libraries/Packed.sol";
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
}
