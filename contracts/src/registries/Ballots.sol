// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC5805} from "@openzeppelin/contracts/interfaces/IERC5805.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IBook} from "../interfaces/IBook.sol";
import {Rung} from "../interfaces/Types.sol";
import {Packed} from "../libraries/Packed.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {State} from "../libraries/States.sol";
import {TermsLib} from "../libraries/TermsLib.sol";

/// @title Where the holders of an ERC-5805 token vote on a rung (docs/reference/deals.md, section 11, "Vote")
/// @notice No owner and no money. A rung's last ask names this contract; while it runs, holders cast, each once, with
/// the votes they had just before it began. In the ask's last eighth anybody makes this contract submit the tally.
/// Everything is kept by Book, deal and rung: a false Book can only fill polls of its own.
contract Ballots is EIP712 {
    error BadTerms();
    error NotAsked();
    error TooEarly();
    error TooLate();
    error Started();
    error NoPoll();
    error BadChoice();
    error Voted();
    error NoVotes();
    error TooMany();

    /// One more voice. `choice`: 0 against, 1 for, 2 abstains.
    event Cast(bytes32 indexed poll, address indexed voter, uint8 choice, uint256 weight);
    event PollStarted(bytes32 indexed poll, address book, bytes32 deal, uint8 rung, address token, uint48 snapshot);

    struct Poll {
        // One slot:
        address token;
        uint40 snapshot; // in the token's clock (ERC-6372)
        uint32 closes; // Unix seconds
        uint24 number; // among the polls of its Book
        uint128[3] votes; // by choice
    }

    /// A choice and who signed it.
    struct Ballot {
        address voter;
        uint8 choice;
        bytes signature;
    }

    bytes32 private constant BALLOT = keccak256("Ballot(address book,bytes32 deal,uint8 rung,uint8 choice)");
    uint8 private constant NONE = 3; // no choice
    uint256 private constant RUNNING = 2;
    uint256 private constant BEFORE_TERMS = 52; // of a deal's bytes: opener 20, salt 32
    uint256 private constant TO_RUNGS = 10; // of terms behind their table: token, fundBy, wrongBonds
    /// Of a token that counts blocks: how many seconds after the ask began its snapshot may be fixed.
    uint256 public constant GRACE = 600;
    /// The part of the ask in which the tally is submitted, and nobody votes.
    uint256 public constant COUNTING = 8;

    mapping(bytes32 poll => Poll) private _polls;
    mapping(address book => uint24) private _count;
    /// One bit a poll, by its number: who votes again pays for a slot that is there.
    mapping(address book => mapping(address voter => mapping(uint256 word => uint256))) private _voted;

    constructor() EIP712("Troth Ballots", "1") {}

    /// @notice Fixes the snapshot of the rung that runs; by anybody, once. `choice`: the caller's own ballot with it, or
    /// 3 for none.
    /// @dev A token whose clock is time is read one second before the ask began, whoever calls when. One that counts
    /// blocks is read at the block before this call, which must come within GRACE.
    function start(address book, bytes calldata deal, uint8 choice) external returns (bytes32 poll) {
        (bytes32 dealId, uint8 index, Rung memory rung, uint256 ask, uint256 begun) = _asked(book, deal);
        if (ask + 1 < rung.asks.length) revert TooEarly();
        uint256 period = rung.asks[rung.asks.length - 1].period;
        uint256 closes = begun + period - period / COUNTING;
        if (ask == rung.asks.length || block.timestamp >= closes) revert TooLate();
        poll = id(book, dealId, index);
        Poll storage found = _polls[poll];
        if (found.closes != 0) revert Started();
        IERC5805 token = IERC5805(address(uint160(uint256(rung.param))));
        uint256 snapshot = begun - 1;
        if (keccak256(bytes(token.CLOCK_MODE())) != keccak256("mode=timestamp")) {
            if (block.timestamp >= begun + GRACE) revert TooLate();
            snapshot = token.clock() - 1;
        }
        if (closes > type(uint32).max || snapshot > type(uint40).max) revert TooMany();
        found.token = address(token);
        found.snapshot = uint40(snapshot);
        found.closes = uint32(closes);
        found.number = _count[book]++; // reverts past the last number
        emit PollStarted(poll, book, dealId, index, address(token), uint48(snapshot));
        if (choice > NONE) revert BadChoice();
        if (choice != NONE && !_cast(book, poll, found, msg.sender, choice)) revert NoVotes();
    }

    /// @notice Votes with all the votes the caller had at the snapshot, once and for all.
    function cast(address book, bytes32 deal, uint8 rung, uint8 choice) external {
        (bytes32 poll, Poll storage found) = _open(book, deal, rung);
        if (choice >= NONE) revert BadChoice();
        if (_has(book, msg.sender, found.number)) revert Voted();
        if (!_cast(book, poll, found, msg.sender, choice)) revert NoVotes();
    }

    /// @notice Brings ballots that their voters signed (EIP-712, or ERC-1271 for contract accounts).
    /// @return counted How many counted: a ballot that is badly signed, repeated, of no choice or without votes is
    /// passed over, so that none can spoil the others.
    function castSigned(address book, bytes32 deal, uint8 rung, Ballot[] calldata ballots)
        external
        returns (uint256 counted)
    {
        (bytes32 poll, Poll storage found) = _open(book, deal, rung);
        for (uint256 i; i < ballots.length; ++i) {
            Ballot calldata one = ballots[i];
            if (one.choice >= NONE || _has(book, one.voter, found.number)) continue;
            bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(BALLOT, book, deal, rung, one.choice)));
            if (!Signatures.by(one.voter, digest, one.signature)) continue;
            if (_cast(book, poll, found, one.voter, one.choice)) ++counted;
        }
    }

    /// @notice Submits the tally as this contract's answer to the ask; by anybody, once nobody can vote any more.
    function count(address book, bytes calldata deal) external {
        (bytes32 dealId, uint8 index, Rung memory rung,,) = _asked(book, deal);
        bytes32 poll = id(book, dealId, index);
        Poll storage found = _polls[poll];
        if (found.closes == 0) revert NoPoll();
        if (block.timestamp < found.closes) revert TooEarly();
        uint256 supply = IERC5805(found.token).getPastTotalSupply(found.snapshot);
        if (supply > type(uint128).max) revert TooMany();
        bytes memory data = abi.encode(found.votes[0], found.votes[1], found.votes[2], uint128(supply), uint48(found.snapshot));
        IBook(book).submit(deal, uint8(rung.asks.length - 1), 0, poll, data);
    }

    /// @notice The poll of a rung of a deal of a Book.
    function id(address book, bytes32 deal, uint8 rung) public pure returns (bytes32) {
        return keccak256(abi.encode(book, deal, rung));
    }

    /// @notice The token, the snapshot, when voting ends, and the votes against, for and abstaining.
    function polls(bytes32 poll) external view returns (address, uint48, uint48, uint128[3] memory) {
        Poll storage found = _polls[poll];
        return (found.token, found.snapshot, found.closes, found.votes);
    }

    /// @notice Whether the account has voted there.
    function voted(address book, bytes32 deal, uint8 rung, address voter) external view returns (bool) {
        Poll storage found = _polls[id(book, deal, rung)];
        return found.closes != 0 && _has(book, voter, found.number);
    }

    /// @dev The deal's id, its current rung, the ask that runs now (their number: none), and when it began. The bytes
    /// are those that the Book's acts bring: opener, salt, terms; the id is made of all of them.
    function _asked(address book, bytes calldata deal)
        private
        view
        returns (bytes32 dealId, uint8 index, Rung memory rung, uint256 ask, uint256 begun)
    {
        if (deal.length < BEFORE_TERMS) revert BadTerms();
        bytes calldata terms = deal[BEFORE_TERMS:];
        dealId = keccak256(
            abi.encode(
                block.chainid, book, address(bytes20(deal[:20])), bytes32(deal[20:BEFORE_TERMS]), keccak256(terms)
            )
        );
        (, State memory state) = IBook(book).deals(dealId);
        if (state.status != RUNNING) revert BadTerms();
        Packed.Reader memory reader = Packed.start(terms);
        reader.spot += TO_RUNGS;
        rung = Packed.rung(reader, state.rung);
        address[] memory bench = TermsLib.benchOf(rung);
        if (bench.length != 1 || bench[0] != address(this)) revert NotAsked();
        (index, ask, begun) = (uint8(state.rung), state.ask, state.start);
        while (ask < rung.asks.length && block.timestamp >= begun + rung.asks[ask].period) {
            begun += rung.asks[ask++].period;
        }
    }

    function _open(address book, bytes32 deal, uint8 rung) private view returns (bytes32 poll, Poll storage found) {
        poll = id(book, deal, rung);
        found = _polls[poll];
        if (found.closes == 0) revert NoPoll();
        if (block.timestamp >= found.closes) revert TooLate();
    }

    function _has(address book, address voter, uint256 number) private view returns (bool) {
        return _voted[book][voter][number >> 8] & (1 << (number & 0xff)) != 0;
    }

    /// @dev Whether the voter had votes; the token is asked by STATICCALL and can change nothing.
    function _cast(address book, bytes32 poll, Poll storage found, address voter, uint8 choice) private returns (bool) {
        uint256 weight = IERC5805(found.token).getPastVotes(voter, found.snapshot);
        if (weight == 0) return false;
        if (weight > type(uint128).max) revert TooMany();
        uint256 number = found.number;
        _voted[book][voter][number >> 8] |= 1 << (number & 0xff);
        found.votes[choice] += uint128(weight);
        emit Cast(poll, voter, choice, weight);
        return true;
    }
}
