// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Entry, Head, Result, Terms} from "../src/interfaces/Types.sol";
import {Results} from "../src/libraries/Results.sol";
import {TermsLib} from "../src/libraries/TermsLib.sol";

/// @title The libraries' own functions, for the tests that compare them with Python's
contract Prober {
    function terms(Terms calldata value) external pure returns (bytes32) {
        return TermsLib.hash(value);
    }

    function head(Head calldata value) external pure returns (bytes32) {
        return TermsLib.hash(value);
    }

    function history(bytes32 deal, Entry[] calldata entries) external pure returns (bytes32) {
        return TermsLib.hash(deal, entries);
    }

    function decode(bytes calldata data) external pure returns (bool ok, bytes memory again) {
        Result memory result;
        (ok, result) = Results.decode(data);
        if (ok) again = abi.encode(result);
    }
}
