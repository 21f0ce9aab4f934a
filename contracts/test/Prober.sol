// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Entry, Result, Terms} from "../src/interfaces/Types.sol";
import {History} from "../src/libraries/History.sol";
import {Packed} from "../src/libraries/Packed.sol";
import {Results} from "../src/libraries/Results.sol";
import {TermsLib} from "../src/libraries/TermsLib.sol";

/// @title The libraries' own functions, for the tests that compare them with Python's
contract Prober {
    function terms(bytes calldata value) external pure returns (Terms memory) {
        return Packed.terms(value);
    }

    function history(bytes calldata value, bytes32 deal) external pure returns (Entry[] memory all, bytes32 h) {
        (all, h) = History.entries(value, deal, 0);
        bytes32 again = deal;
        for (uint256 i; i < all.length; ++i) again = TermsLib.append(again, all[i]);
        assert(again == h);
    }

    function short(bytes calldata value, bytes32 h) external pure returns (bytes32, uint256 spot) {
        while (spot < value.length) (,, spot, h) = History.short(value, spot, h);
        return (h, spot);
    }

    function decode(bytes calldata data) external pure returns (bool ok, bytes memory again) {
        Result memory result;
        (ok, result) = Results.decode(data);
        if (ok) again = abi.encode(result);
    }
}
