// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";
import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";

import {IPolicy} from "../interfaces/IPolicy.sol";
import {Entry, Result, Rung, SUBMISSION} from "../interfaces/Types.sol";
import {Inclusion} from "../libraries/Inclusion.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Voices} from "../libraries/Voices.sol";

/// What is to be shown; its hash is the rung's param.
struct Shown {
    uint256 chain; // the other chain: its id
    bytes32 genesis; // and its first block's hash
    address anchor; // its Anchor contract
    address owner; // who anchors the log
    bytes32 origin; // Keccak-256 of the log's origin line
    bytes32 claim; // the claim's id
}

/// A block of the other chain, as witnesses sign it (EIP-712): "this is a final block of that chain".
struct Block {
    uint256 chain;
    bytes32 genesis;
    uint64 number;
    bytes32 hash;
}

/// What the claimant brings.
struct Proof {
    Shown shown;
    bytes32 seal; // over the claim's signatures: the other half of its leaf
    uint64 place; // of the claim in the log
    bytes32[] path; // from the claim's leaf to the anchored root
    uint64 index; // of the anchoring transaction in its block
    uint16 log; // of the event in the transaction's receipt
    bytes header; // RLP of the block
    bytes[] nodes; // of the block's receipts trie, root first
}

/// @title A claim was anchored on another chain, by k of n witnesses of a block of it (docs/reference/across-chains.md)
/// @notice The proof shows that a block holds the anchor and the anchor the claim; that the block is one of the other
/// chain, and final, is the word of k named witnesses and of nobody else.
contract Anchored is IPolicy {
    using Memory for *;

    error BadProof();

    bytes32 private constant DOMAIN = keccak256(
        abi.encode(
            keccak256("EIP712Domain(string name,string version)"), keccak256("Troth witness"), keccak256("1")
        )
    );
    bytes32 private constant BLOCK = keccak256("Block(uint256 chain,bytes32 genesis,uint64 number,bytes32 hash)");
    bytes32 private constant ANCHORED = keccak256("Anchored(address,bytes32,uint64,bytes32)");
    /// Gas for the proof, so that no claimant can starve the voices: a real one needs a tenth, and 32 witnesses with all
    /// the statements they may show, in a long history, less than what is left of a policy's 5,000,000.
    uint256 private constant PROOF_GAS = 2_000_000;
    uint256 private constant MAX_PARTS = 4;
    /// Statements of others that a witness may show; few, so that no witness can starve the rest.
    uint256 private constant MAX_SHOWN = 4;
    uint8 private constant UPHELD = 1;
    uint8 private constant REFUTED = 2;
    /// A witness's answer that it does not hold the block for final. No block hashes to it.
    bytes32 private constant NO = bytes32(uint256(1));
    uint256 private constant SIGNED = 97; // hash, signature
    uint256 private constant STATEMENT = 98; // seat, hash, signature

    uint256 public immutable k;
    /// @inheritdoc IPolicy
    uint128 public constant tick = 0;

    constructor(uint256 k_) {
        k = k_;
    }

    /// @inheritdoc IPolicy
    function accepts(Rung calldata rung) external view returns (bool) {
        uint256 n = rung.asks.length;
        if (n < 2 || rung.param == 0 || rung.asks[n - 2].kind != "proof" || rung.asks[n - 1].kind != "witness") return false;
        if (rung.asks[n - 2].slots > MAX_PARTS || !Voices.majority(rung, k)) return false;
        address[] calldata claimant = TermsLib.asked(rung, n - 2);
        return claimant.length == 1 && TermsLib.place(TermsLib.bench(rung), claimant[0]) == type(uint256).max;
    }

    /// @inheritdoc IPolicy
    function judge(bytes32, uint8 rung, Rung calldata terms, uint64, Entry[] calldata history)
        external
        view
        returns (bytes memory)
    {
        try this.prove{gas: PROOF_GAS}(terms.param, _joined(rung, terms, history)) returns (Block memory found) {
            return _count(rung, terms, history, found);
        } catch {
            return _answer(REFUTED, new address[](0));
        }
    }

    /// @notice The block in which the claim stands by this proof.
    /// @dev Refused, in any way, where the proof does not show what `param` promises. A call of its own, so that a
    /// malformed proof, or one that burns gas, is no proof instead of a policy that fails.
    function prove(bytes32 param, bytes calldata data) external pure returns (Block memory found) {
        Proof memory proof = abi.decode(data, (Proof));
        // One proof has one encoding, as in Python.
        if (keccak256(abi.encode(proof)) != keccak256(data)) revert BadProof();
        if (keccak256(abi.encode(proof.shown)) != param) revert BadProof();
        Memory.Slice[] memory fields = BlockHeader.parseHeader(proof.header);
        (uint64 size, bytes32 root) = _anchored(proof, BlockHeader.getReceiptsRoot(fields));
        bytes32 leaf = Inclusion.leaf(proof.shown.claim, proof.seal);
        if (Inclusion.root(leaf, proof.place, size, proof.path) != root) revert BadProof();
        uint256 number = BlockHeader.getNumber(fields);
        if (number > type(uint64).max) revert BadProof();
        return Block(proof.shown.chain, proof.shown.genesis, uint64(number), keccak256(proof.header));
    }

    /// @dev The size and root of the event that the block's receipt holds.
    function _anchored(Proof memory proof, bytes32 receipts) private pure returns (uint64, bytes32) {
        bytes memory receipt = TrieProof.traverse(receipts, RLP.encode(uint256(proof.index)), proof.nodes);
        Memory.Slice whole = receipt.asSlice();
        if (uint8(receipt[0]) < 0x80) whole = whole.slice(1); // the type of the transaction (EIP-2718)
        Memory.Slice[] memory parts = RLP.readList(whole);
        if (parts.length != 4 || RLP.readUint256(parts[0]) != 1) revert BadProof();
        Memory.Slice[] memory entry = RLP.readList(RLP.readList(parts[3])[proof.log]);
        Memory.Slice[] memory topics = RLP.readList(entry[1]);
        bytes memory data = RLP.readBytes(entry[2]);
        if (entry.length != 3 || topics.length != 3 || data.length != 64) revert BadProof();
        if (RLP.readAddress(entry[0]) != proof.shown.anchor || RLP.readBytes32(topics[0]) != ANCHORED) revert BadProof();
        if (RLP.readUint256(topics[1]) != uint160(proof.shown.owner)) revert BadProof();
        if (RLP.readBytes32(topics[2]) != proof.shown.origin) revert BadProof();
        return abi.decode(data, (uint64, bytes32));
    }

    /// @dev The parts of the proof that the claimant brought, one after the other. A missing one is empty.
    function _joined(uint8 rung, Rung calldata terms, Entry[] calldata history)
        private
        pure
        returns (bytes memory proof)
    {
        uint256 ask = terms.asks.length - 2;
        address claimant = TermsLib.asked(terms, ask)[0];
        for (uint256 slot; slot < terms.asks[ask].slots; ++slot) {
            for (uint256 i; i < history.length; ++i) {
                Entry calldata entry = history[i];
                if (
                    entry.kind == SUBMISSION && entry.rung == rung && entry.ask == ask && entry.by == claimant
                        && entry.slot == slot
                ) {
                    proof = bytes.concat(proof, entry.data);
                    break;
                }
            }
        }
    }

    /// @dev What k of the witnesses say of the proven block; nothing where no k say the same.
    function _count(uint8 rung, Rung calldata terms, Entry[] calldata history, Block memory found)
        private
        view
        returns (bytes memory)
    {
        address[] calldata bench = TermsLib.bench(terms);
        bytes32[] memory voices = new bytes32[](bench.length); // what each says here; NO for "not final"
        bytes32[] memory signed = new bytes32[](bench.length); // a hash that each signed, here or elsewhere
        bool[] memory two = new bool[](bench.length); // who signed two
        uint256 last = terms.asks.length - 1;
        for (uint256 i; i < bench.length; ++i) {
            (bool answered, uint256 j) = Voices.find(history, rung, last, bench[i]);
            if (!answered) continue;
            bytes calldata data = history[j].data;
            uint256 start = _head(data);
            if (start == 0) continue;
            voices[i] = NO;
            if (start == SIGNED) {
                bytes32 hash = bytes32(data[:32]);
                voices[i] = _note(bench[i], found, hash, data[32:SIGNED], signed, two, i) ? hash : bytes32(0);
            }
            for (; start < data.length; start += STATEMENT) {
                uint256 seat = uint8(data[start]);
                if (seat >= bench.length) continue;
                bytes32 hash = bytes32(data[start + 1:start + 33]);
                _note(bench[seat], found, hash, data[start + 33:start + STATEMENT], signed, two, seat);
            }
        }
        for (uint256 i; i < bench.length; ++i) if (two[i]) voices[i] = 0;
        (bytes32 winner,) = Voices.agreed(voices, k);
        if (winner == 0) return "";
        // On rung 0 witnesses are parties, and may have no stake: a result that slashes them would be none.
        address[] memory slashed = rung == 0 ? new address[](0) : _slashed(bench, signed, two, winner);
        return _answer(winner == found.hash ? UPHELD : REFUTED, slashed);
    }

    /// @dev Where the statements of others begin in a witness's answer; 0 for a malformed one.
    function _head(bytes calldata data) private pure returns (uint256 start) {
        if (data.length < 32) return 0;
        start = bytes32(data[:32]) == 0 ? 32 : SIGNED;
        if (data.length < start || (data.length - start) % STATEMENT != 0) return 0;
        if ((data.length - start) / STATEMENT > MAX_SHOWN) return 0;
    }

    /// @dev Whether the account signed this hash for the block's number; if so, keeps it, or notes that it signed two.
    function _note(
        address account,
        Block memory found,
        bytes32 hash,
        bytes calldata signature,
        bytes32[] memory signed,
        bool[] memory two,
        uint256 seat
    ) private pure returns (bool) {
        bytes32 message = keccak256(abi.encode(BLOCK, found.chain, found.genesis, found.number, hash));
        (address signer, ECDSA.RecoverError err,) =
            ECDSA.tryRecoverCalldata(MessageHashUtils.toTypedDataHash(DOMAIN, message), signature);
        if (hash == 0 || err != ECDSA.RecoverError.NoError || signer != account) return false;
        if (signed[seat] == 0) signed[seat] = hash;
        else if (signed[seat] != hash) two[seat] = true;
        return true;
    }

    /// @dev Who signed two hashes, and who signed another than the one that k agree on; ascending.
    function _slashed(address[] calldata bench, bytes32[] memory signed, bool[] memory two, bytes32 winner)
        private
        pure
        returns (address[] memory all)
    {
        all = new address[](bench.length);
        uint256 n;
        for (uint256 i; i < bench.length; ++i) {
            if (!two[i] && (winner == NO || signed[i] == 0 || signed[i] == winner)) continue;
            uint256 spot = n++;
            for (; spot != 0 && all[spot - 1] > bench[i]; --spot) all[spot] = all[spot - 1];
            all[spot] = bench[i];
        }
        assembly ("memory-safe") {
            mstore(all, n)
        }
    }

    function _answer(uint8 outcome, address[] memory slashed) private pure returns (bytes memory) {
        return abi.encode(Result(outcome, new uint128[](0), slashed, 0, 0));
    }
}
