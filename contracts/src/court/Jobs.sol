// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

import {IBook} from "../interfaces/IBook.sol";
import {IJobs} from "../interfaces/IJobs.sol";
import {Entry, Pot, Rule, SUBMISSION, Terms, UPHELD} from "../interfaces/Types.sol";
import {State} from "../libraries/States.sol";
import {TermsLib} from "../libraries/TermsLib.sol";
import {Brought} from "./Brought.sol";

/// @title Deals of the job shape, readable as ERC-8183 jobs (docs/reference/court.md, section 7)
/// @notice Reads alone: a job is made, funded, answered and closed in the Book. The job's id is its deal's, as a
/// number; its client deposits the reward, its provider is asked for the result, its evaluator is the Book, which alone
/// completes it. Anybody publishes a deal once, with its terms, and anybody brings its history for the events.
contract Jobs is IJobs {
    error NotAJob();
    error Published();
    error Unknown();

    struct Known {
        address client;
        uint64 expiredAt;
        bool funded; // events so far
        bool submitted;
        bool over;
        JobStatus last; // once over
        address provider;
        uint128 budget;
        address token;
    }

    uint256 private constant FUNDING = 1;
    uint256 private constant CLOSED = 3;

    IBook public immutable book;
    mapping(uint256 jobId => Known) private jobs;

    constructor(IBook book_) {
        book = book_;
    }

    /// @notice Makes a deal readable as a job.
    /// @param pot The reward: deposited by an account, and paid to the provider when the result is upheld.
    function publish(bytes calldata deal_, uint256 pot) external returns (uint256 jobId) {
        (bytes32 deal, Terms memory terms,,) = Brought.read(book, deal_);
        jobId = uint256(deal);
        Known storage job = jobs[jobId];
        if (job.client != address(0)) revert Published();
        if (pot >= terms.pots.length || terms.rungs[0].asks.length != 1) revert NotAJob();
        Pot memory reward = terms.pots[pot];
        address[] memory who = terms.rungs[0].asks[0].who;
        if (who.length != 1 || TermsLib.isRole(reward.depositor) || !_pays(reward, who[0])) revert NotAJob();
        job.client = reward.depositor;
        job.provider = who[0];
        job.budget = reward.amount;
        job.token = terms.token;
        uint256 end = terms.fundBy;
        for (uint256 r; r < terms.rungs.length; ++r) {
            end += uint256(terms.rungs[r].verdictPeriod) + terms.rungs[r].window;
            for (uint256 i; i < terms.rungs[r].asks.length; ++i) end += terms.rungs[r].asks[i].period;
        }
        job.expiredAt = uint64(end);
        emit JobCreated(jobId, job.client, job.provider, address(book), end);
        emit BudgetSet(jobId, job.budget);
    }

    /// @notice Emits what has become of the job since the last time, and keeps how it ended. By anyone.
    function follow(bytes calldata deal_, bytes calldata history_) external {
        (bytes32 deal, Terms memory terms, bytes32 digest, State memory state) = Brought.read(book, deal_);
        Entry[] memory history = Brought.history(deal, digest, history_);
        uint256 jobId = uint256(deal);
        Known storage job = _known(jobId);
        uint256 status = state.status;
        // A void deal gave everything back: it was never funded.
        bool void_ = status > CLOSED;
        if (!job.funded && status != FUNDING && !void_) {
            job.funded = true;
            emit JobFunded(jobId, job.client, job.budget);
        }
        if (!job.submitted && history.length != 0 && history[0].kind == SUBMISSION) {
            job.submitted = true;
            emit JobSubmitted(jobId, job.provider, history[0].claim);
        }
        if (job.over || status < CLOSED) return;
        job.over = true;
        job.last = void_ ? JobStatus.Rejected : _end(terms, history, state.rung);
        if (job.last == JobStatus.Completed) emit JobCompleted(jobId, address(book), digest);
        else if (job.last == JobStatus.Rejected) emit JobRejected(jobId, address(book), digest);
        else emit JobExpired(jobId);
    }

    /// @inheritdoc IJobs
    /// @notice Follows the Book. How a closed deal ended stands in its history alone: until `follow` brought that, it
    /// reads as it did before it closed.
    function getJob(uint256 jobId) external view returns (Job memory) {
        Known storage job = _known(jobId);
        string memory named = string.concat("urn:troth:deal:", Strings.toHexString(jobId, 32));
        return Job(
            jobId,
            job.client,
            job.provider,
            address(book),
            named,
            job.budget,
            job.expiredAt,
            _status(bytes32(jobId), job),
            address(0)
        );
    }

    /// @notice The token that a job is paid in.
    function tokenOf(uint256 jobId) external view returns (address) {
        return _known(jobId).token;
    }

    function _known(uint256 jobId) private view returns (Known storage job) {
        job = jobs[jobId];
        if (job.client == address(0)) revert Unknown();
    }

    function _status(bytes32 deal, Known storage job) private view returns (JobStatus) {
        (, State memory state) = book.deals(deal);
        if (state.status == FUNDING) return JobStatus.Open;
        if (state.status > CLOSED) return JobStatus.Rejected;
        if (job.over) return job.last;
        // The Book moves on from the first ask when it is answered; a climb or a verdict comes later still.
        bool moved = state.rung != 0 || state.ask != 0 || state.judgedAt != 0;
        return moved ? JobStatus.Submitted : JobStatus.Funded;
    }

    /// @dev Expired: nobody ever gave a verdict, and so the outcome is the silence of the first rung.
    function _end(Terms memory terms, Entry[] memory history, uint256 reached) private pure returns (JobStatus) {
        (uint256 outcome, bool judged) = Brought.outcome(terms, history, reached);
        if (outcome == UPHELD) return JobStatus.Completed;
        return judged ? JobStatus.Rejected : JobStatus.Expired;
    }

    /// @dev Whether the pot pays the account when the result is upheld.
    function _pays(Pot memory pot, address account) private pure returns (bool) {
        for (uint256 i; i < pot.rules.length; ++i) {
            Rule memory rule = pot.rules[i];
            if (rule.outcome == UPHELD) return TermsLib.placeIn(rule.payees, account) != type(uint256).max;
        }
        return false;
    }
}
