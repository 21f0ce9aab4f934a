// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, REFUTED, Result, Rung, UPHELD} from "../interfaces/Types.sol";
import {Groth16} from "../libraries/Groth16.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";
import {Keys} from "../registries/Keys.sol";

/// @title The account that is asked proved its answer in zero knowledge, or it did not (docs/reference/answers.md)
/// @notice One verifier for all circuits. The parameter is the Keccak-256 of the key's name, of how many publics the deal
/// fixes beforehand, and of those. An answer is name, that number, proof, and the publics but the first, which is
/// computed here and never taken from anybody: it binds the proof to chain, Book, deal, rung and account.
contract Proof is IPolicy {
    bytes32 private constant CONTEXT = keccak256("Troth proven answer in a deal, version 1");
    uint256 private constant PUBLICS = 64 + Groth16.PROOF;

    /// Where keys are kept.
    Keys public immutable keys;
    /// @inheritdoc IPolicy
    uint128 public constant tick = 0;

    constructor(Keys keys_) {
        keys = keys_;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external pure returns (bool) {
        uint256 last = rung.asks.length - 1;
        return rung.asks[last].kind == "answer" && rung.asks[last].slots == 1 && TermsLib.bench(rung).length == 1
            && rung.param != 0;
    }

    /// @inheritdoc IPolicy
    function judge(bytes32 deal, uint8 rung, Rung calldata terms, uint64, Entry[] calldata history)
        external
        view
        returns (bytes memory)
    {
        Result memory result;
        result.outcome = REFUTED;
        address account = TermsLib.bench(terms)[0];
        (bool found, uint256 i) = Voices.find(history, rung, terms.asks.length - 1, account);
        if (found && _proves(terms.param, context(msg.sender, deal, rung, account), history[i].data)) {
            result.outcome = UPHELD;
        }
        return abi.encode(result);
    }

    /// @notice The first public of a proof for this rung by this account.
    function context(address book, bytes32 deal, uint8 rung, address account) public view returns (uint256) {
        return uint256(keccak256(abi.encode(CONTEXT, block.chainid, book, deal, rung, account))) >> 8;
    }

    /// @notice Whether a proof fits the key of this name and all publics, whatever they are bound to.
    function holds(bytes32 key, bytes calldata proof, uint256 first, bytes calldata rest) external view returns (bool) {
        return Groth16.holds(keys.where(key), proof, first, rest);
    }

    function _proves(bytes32 param, uint256 first, bytes calldata data) private view returns (bool) {
        if (data.length < PUBLICS) return false;
        uint256 given = uint256(bytes32(data[32:64]));
        bytes calldata rest = data[PUBLICS:];
        if (given > rest.length / 32 || keccak256(abi.encodePacked(data[:64], rest[:32 * given])) != param) return false;
        return Groth16.holds(keys.where(bytes32(data[:32])), data[64:PUBLICS], first, rest);
    }
}
