// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrator} from "../interfaces/IArbitration.sol";
import {IBook} from "../interfaces/IBook.sol";
import {ISeat} from "../interfaces/ISeat.sol";
import {CHALLENGE, Entry, Pot, Rule, Rung, Terms, VERDICT} from "../interfaces/Types.sol";
import {State} from "../libraries/States.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Brought} from "./Brought.sol";

/// @title A seat on a bench whose holder is a court (docs/reference/court.md, section 5)
/// @notice Anybody brings a deal's case to the court, paying its fee, and anybody carries the ruling to the Book. It
/// holds no money, is owned by nobody, and answers nothing but what the deal's terms fixed for the choice ruled.
contract Seat is ISeat {
    error NotRunning();
    error NotOurs();
    error BadResults();
    error TooEarly();
    error TooLate();
    error Asked();
    error WrongFee(uint256 cost);
    error BadDispute();
    error NotArbitrator();
    error Unknown();
    error Ruled();
    error NotRuled();
    error NoRuling();

    event CaseAsked(bytes32 indexed deal, uint256 indexed dispute, address payer);

    struct Case {
        uint256 dispute;
        bytes32 results; // hash of the results by choice, verdicts filled in
        bool known;
        bool ruled;
        uint8 choices;
        uint8 ruling;
        uint8 ask; // the one that asks for the ruling
    }

    uint256 private constant RUNNING = 2;
    uint256 private constant MOST_CHOICES = 16;

    /// @inheritdoc ISeat
    IBook public immutable book;
    /// @inheritdoc ISeat
    IArbitrator public immutable arbitrator;
    /// @inheritdoc ISeat
    uint32 public immutable longest;
    /// How every extra data of this seat begins.
    bytes public prefix;
    mapping(bytes32 deal => Case) public cases;
    mapping(uint256 dispute => bytes32) public dealOf;

    /// @param longest_ The longest that a case may take there; of a `Jury`, its `longest()`.
    /// @param prefix_ What the court is told before payer and excluded accounts: of a `Jury`, the seats of the first
    /// round; of a Kleros court, its subcourt and number of jurors. Courts that read less ignore the rest.
    constructor(IBook book_, IArbitrator arbitrator_, uint32 longest_, bytes memory prefix_) {
        book = book_;
        arbitrator = arbitrator_;
        longest = longest_;
        prefix = prefix_;
    }

    /// @notice Brings a deal's case to the court. The caller pays exactly `cost` of the same arguments.
    /// @param results By choice, from 1: the encoding of a Result; or empty for the verdict that rung 0, 1, … recorded,
    /// in order. Their hash is the rung's `param`, so that the parties agreed to them.
    function ask(bytes calldata deal_, bytes calldata history_, bytes[] calldata results) external payable {
        (bytes32 deal, Terms memory terms, bytes32 digest, State memory state) = Brought.read(book, deal_);
        Entry[] memory history = Brought.history(deal, digest, history_);
        Rung memory rung = _current(terms, state);
        if (keccak256(abi.encode(results)) != rung.param || results.length > MOST_CHOICES) revert BadResults();
        Case storage found = cases[deal];
        if (found.known) revert Asked();
        bytes memory extra = _extraData(msg.sender, terms, history);
        uint256 fee = arbitrator.arbitrationCost(extra);
        if (msg.value != fee) revert WrongFee(fee);
        found.known = true;
        found.choices = uint8(results.length);
        found.ask = uint8(rung.asks.length - 1);
        found.results = keccak256(abi.encode(_resolve(results, history)));
        uint256 dispute = arbitrator.createDispute{value: fee}(results.length, extra);
        if (dealOf[dispute] != 0) revert BadDispute();
        found.dispute = dispute;
        dealOf[dispute] = deal;
        emit CaseAsked(deal, dispute, msg.sender);
    }

    /// @notice What `ask` costs, in wei.
    function cost(address payer, bytes calldata deal_, bytes calldata history_) external view returns (uint256) {
        return arbitrator.arbitrationCost(extraData(payer, deal_, history_));
    }

    /// @notice The court rules. Ruling 0, and one beyond the choices, is silence of the rung.
    function rule(uint256 dispute, uint256 ruling) external {
        if (msg.sender != address(arbitrator)) revert NotArbitrator();
        bytes32 deal = dealOf[dispute];
        if (deal == 0) revert Unknown();
        Case storage found = cases[deal];
        if (found.ruled) revert Ruled();
        found.ruled = true;
        if (ruling <= found.choices) found.ruling = uint8(ruling);
        emit Ruling(arbitrator, dispute, ruling);
    }

    /// @notice Carries the ruling to the Book. By anyone; `deal_` as for the Book's `submit`.
    /// @param resolved The results that were asked with, each empty one replaced by its verdict.
    function answer(bytes calldata deal_, bytes[] calldata resolved) external {
        Case storage found = cases[Brought.id(book, deal_)];
        if (!found.ruled) revert NotRuled();
        if (keccak256(abi.encode(resolved)) != found.results) revert BadResults();
        if (found.ruling == 0 || resolved[found.ruling - 1].length == 0) revert NoRuling();
        bytes32 claim = keccak256(abi.encode(block.chainid, arbitrator, found.dispute, found.ruling));
        book.submit(deal_, found.ask, 0, claim, resolved[found.ruling - 1]);
    }

    /// @dev The results with each empty one replaced by the verdict of rung 0, 1, … in order; one that is not there
    /// stays empty, and a ruling for it is silence.
    function _resolve(bytes[] calldata results, Entry[] memory history) private pure returns (bytes[] memory all) {
        all = new bytes[](results.length);
        uint256 next;
        for (uint256 i; i < all.length; ++i) {
            all[i] = results[i];
            if (all[i].length != 0) continue;
            for (uint256 j; j < history.length; ++j) {
                if (history[j].kind == VERDICT && history[j].rung == next) all[i] = history[j].data;
            }
            ++next;
        }
    }

    /// @notice What the court is told: the prefix, who pays, and who may not judge: every account that the terms name
    /// and every challenger.
    function extraData(address payer, bytes calldata deal_, bytes calldata history_)
        public
        view
        returns (bytes memory)
    {
        (bytes32 deal, Terms memory terms, bytes32 digest,) = Brought.read(book, deal_);
        return _extraData(payer, terms, Brought.history(deal, digest, history_));
    }

    function _extraData(address payer, Terms memory terms, Entry[] memory history)
        private
        view
        returns (bytes memory)
    {
        return bytes.concat(prefix, abi.encode(payer, _involved(terms, history)));
    }

    /// @dev The current rung: the deal runs, this is its bench, and the court has time enough.
    function _current(Terms memory terms, State memory state) private view returns (Rung memory rung) {
        if (state.status != RUNNING) revert NotRunning();
        rung = terms.rungs[state.rung];
        address[] memory bench = TermsLib.benchOf(rung);
        if (bench.length != 1 || bench[0] != address(this)) revert NotOurs();
        uint256 last = rung.asks.length - 1;
        uint256 begins = state.start;
        uint256 now_ = state.ask;
        while (now_ < last && block.timestamp >= begins + rung.asks[now_].period) begins += rung.asks[now_++].period;
        if (now_ < last) revert TooEarly();
        // Later, the ruling could come when nobody can carry it any more.
        if (now_ > last || block.timestamp + longest > begins + rung.asks[last].period) revert TooLate();
    }

    function _involved(Terms memory terms, Entry[] memory history) private pure returns (address[] memory all) {
        all = new address[](_most(terms, history));
        uint256 n;
        all[n++] = terms.wrongBonds;
        for (uint256 i; i < terms.pots.length; ++i) {
            Pot memory pot = terms.pots[i];
            if (!TermsLib.isRole(pot.depositor)) all[n++] = pot.depositor;
            if (!TermsLib.isRole(pot.residual)) all[n++] = pot.residual;
            for (uint256 j; j < pot.rules.length; ++j) {
                address[] memory payees = pot.rules[j].payees;
                for (uint256 k; k < payees.length; ++k) if (!TermsLib.isRole(payees[k])) all[n++] = payees[k];
            }
        }
        for (uint256 i; i < terms.rungs.length; ++i) {
            for (uint256 j; j < terms.rungs[i].asks.length; ++j) {
                address[] memory who = terms.rungs[i].asks[j].who;
                for (uint256 k; k < who.length; ++k) all[n++] = who[k];
            }
        }
        for (uint256 i; i < history.length; ++i) if (history[i].kind == CHALLENGE) all[n++] = history[i].by;
        assembly ("memory-safe") {
            mstore(all, n)
        }
    }

    /// @dev As many accounts as there can be.
    function _most(Terms memory terms, Entry[] memory history) private pure returns (uint256 n) {
        n = 1 + 2 * terms.pots.length + history.length;
        for (uint256 i; i < terms.pots.length; ++i) {
            Rule[] memory rules = terms.pots[i].rules;
            for (uint256 j; j < rules.length; ++j) n += rules[j].payees.length;
        }
        for (uint256 i; i < terms.rungs.length; ++i) {
            for (uint256 j; j < terms.rungs[i].asks.length; ++j) n += terms.rungs[i].asks[j].who.length;
        }
    }
}
