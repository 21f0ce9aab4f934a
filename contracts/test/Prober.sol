// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Entry, Result, Rung, Terms} from "../src/interfaces/Types.sol";
import {Asking} from "../src/libraries/Asking.sol";
import {History} from "../src/libraries/History.sol";
import {Packed} from "../src/libraries/Packed.sol";
import {Results} from "../src/libraries/Results.sol";
import {TermsLib} from "../src/libraries/TermsLib.sol";
import {Walk} from "../src/libraries/Walk.sol";

/// @title The libraries' own functions, for the tests that compare them with Python's
contract Prober {
    function terms(bytes calldata value) external pure returns (Terms memory) {
        return Packed.terms(value);
    }

    /// @dev Decodes what was written for a policy, and hashes its entries as policies do.
    function history(bytes calldata value, bytes32 deal) external view returns (Entry[] memory all, bytes32 h) {
        bytes memory input = abi.encode(uint256(32));
        h = History.writeAll(input, value, deal, 0);
        all = this.entries(input);
        bytes32 again = deal;
        for (uint256 i; i < all.length; ++i) again = TermsLib.append(again, all[i]);
        assert(again == h);
        (Entry[] memory read, bytes32 same) = History.entries(value, deal, 0);
        assert(same == h && keccak256(abi.encode(read)) == keccak256(abi.encode(all)));
    }

    function entries(bytes calldata input) external pure returns (Entry[] memory) {
        return abi.decode(input, (Entry[]));
    }

    /// @dev A rung of terms, as it is written for a policy.
    function rung(bytes calldata value, uint256 index) external pure returns (Rung memory found) {
        Walk.Reader memory r;
        Walk.start(r, value);
        r.spot += 11;
        Walk.skip(r, index);
        bytes memory input = abi.encode(uint256(32));
        uint256 end = Asking.rung(r.spot + 2, r.table, _behind(input));
        assembly ("memory-safe") {
            mstore(input, sub(sub(end, input), 32))
            mstore(0x40, and(add(end, 31), not(31)))
        }
        found = abi.decode(input, (Rung));
        assert(keccak256(abi.encode(found)) == keccak256(input));
    }

    function _behind(bytes memory input) private pure returns (uint256 end) {
        assembly ("memory-safe") {
            end := add(input, 64)
        }
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
