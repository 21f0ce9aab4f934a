// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrator} from "../interfaces/IArbitration.sol";
import {Draws} from "./Draws.sol";

/// @title A court of drawn, staked jurors (docs/reference/court.md; "section" below means a section of that page)
/// @notice An ERC-792 arbitrator. Stakes, deposits and fees are wei. Nobody owns it and nothing can be stopped; every
/// round ends by a time fixed when it starts, and money leaves by `withdraw` alone.
contract Jury is Draws {
    error NotCommitting();
    error NotJuror();
    error Committed();
    error BadCommit();
    error WrongDeposit();
    error NotRevealing();
    error NotCommitted();
    error Revealed();
    error Told();
    error BadChoice();
    error BadReveal();
    error NotFinal();
    error Executed();
    error Settled();

    event VoteCommitted(uint256 indexed dispute, uint256 round, address indexed juror);
    event VoteRevealed(uint256 indexed dispute, uint256 round, address indexed juror, uint256 choice);
    event VoteTold(uint256 indexed dispute, uint256 round, address indexed juror);
    event RoundSettled(uint256 indexed dispute, uint256 round, uint256 coherent);

    constructor(Rules memory rules) Draws(rules) {}

    // --- section 4: votes

    /// @notice Commits the caller's vote, for all of its seats, once. It brings exactly `deposit` of the caller's: each
    /// vote stands for itself, whatever else becomes of a juror's stake.
    /// @param hash `voteHash` of it.
    function commit(uint256 id, bytes32 hash) external payable {
        (Round storage round, uint256 number) = _voting(id, true);
        Vote storage vote = round.votes[msg.sender];
        if (vote.weight == 0) revert NotJuror();
        if (vote.commit != 0) revert Committed();
        if (hash == 0) revert BadCommit();
        if (msg.value != penalty * vote.weight) revert WrongDeposit();
        vote.commit = hash;
        emit VoteCommitted(id, number, msg.sender);
    }

    /// @notice Reveals the caller's vote.
    function reveal(uint256 id, uint256 choice, bytes32 salt) external {
        (Round storage round, uint256 number) = _voting(id, false);
        Vote storage vote = round.votes[msg.sender];
        if (vote.weight == 0) revert NotJuror();
        if (vote.commit == 0) revert NotCommitted();
        if (vote.told) revert Told();
        if (vote.revealed) revert Revealed();
        if (choice > disputes[id].choices) revert BadChoice();
        if (voteHash(id, number, msg.sender, choice, salt) != vote.commit) revert BadReveal();
        vote.revealed = true;
        vote.choice = uint8(choice);
        uint16 count = round.counts[choice] += vote.weight;
        if (count > round.most) {
            (round.most, round.leading, round.tied) = (count, uint8(choice), false);
        } else if (count == round.most) {
            round.tied = true;
        }
        emit VoteRevealed(id, number, msg.sender, choice);
    }

    /// @notice Whoever learns a juror's vote before the commits are over voids it by showing it: its deposit is lost.
    function denounce(uint256 id, address juror, uint256 choice, bytes32 salt) external {
        (Round storage round, uint256 number) = _voting(id, true);
        Vote storage vote = round.votes[juror];
        if (vote.told) revert Told();
        if (vote.commit == 0 || voteHash(id, number, juror, choice, salt) != vote.commit) revert BadReveal();
        vote.told = true;
        emit VoteTold(id, number, juror);
    }

    /// @notice What is committed: it fits one juror, round, dispute, court and chain.
    function voteHash(uint256 id, uint256 round, address juror, uint256 choice, bytes32 salt)
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), id, round, juror, choice, salt));
    }

    function _voting(uint256 id, bool committing) private view returns (Round storage round, uint256 number) {
        Dispute storage dispute = _known(id);
        number = dispute.rounds.length - 1;
        round = dispute.rounds[number];
        uint256 start = round.drawnAt;
        bool drawn = start != 0;
        if (committing) {
            if (!drawn || block.timestamp >= start + commitPeriod) revert NotCommitting();
        } else {
            start += commitPeriod;
            if (!drawn || block.timestamp < start || block.timestamp >= start + revealPeriod) revert NotRevealing();
        }
    }

    // --- section 4: the ruling and the money

    /// @notice Tells whoever asked the final ruling, if that is a contract. By anyone, until it succeeds once.
    function executeRuling(uint256 id) external nonReentrant {
        Dispute storage dispute = _known(id);
        if (_status(dispute) != DisputeStatus.Solved) revert NotFinal();
        if (dispute.executed) revert Executed();
        dispute.executed = true;
        (uint256 ruling,) = _ruling(dispute);
        if (address(dispute.arbitrated).code.length != 0) dispute.arbitrated.rule(id, ruling);
    }

    /// @notice Pays and releases the jurors of a round, once the dispute is solved. By anyone.
    function settle(uint256 id, uint256 number) external {
        Dispute storage dispute = _known(id);
        if (_status(dispute) != DisputeStatus.Solved) revert NotFinal();
        if (number >= dispute.rounds.length) revert NoRound();
        Round storage round = dispute.rounds[number];
        if (round.settled) revert Settled();
        round.settled = true;
        uint256 right;
        if (round.drawnAt == 0) {
            credit[round.payer] += round.paid;
        } else {
            (uint256 ruling, bool decided) = _ruling(dispute);
            right = _pay(round, ruling, decided);
        }
        emit RoundSettled(id, number, right);
    }

    function _pay(Round storage round, uint256 ruling, bool decided) private returns (uint256 right) {
        uint256 size = round.size;
        address[] memory coherent = new address[](size);
        uint256 lost;
        uint256 rest;
        for (uint256 i; i < size; ++i) {
            Seat memory seat = round.seats[i];
            Vote storage vote = round.votes[seat.juror];
            --tickets[seat.ticket].serving;
            // Where no choice won, nobody who spoke was wrong.
            if (vote.revealed && (!decided || vote.choice == ruling)) {
                coherent[right++] = seat.juror;
            } else if (vote.commit != 0) {
                lost += penalty;
            } else {
                // Nobody gains by silence, or a juror could move its stake to friends and be fined for nothing.
                rest += _fine(seat.ticket, penalty);
            }
        }
        if (right != 0) {
            uint256 share = lost / right;
            for (uint256 i; i < right; ++i) credit[coherent[i]] += penalty + fee + share;
            lost -= share * right;
        }
        // Nor does anybody get the fees of others' seats: rounds that jurors cannot afford would cost nothing.
        credit[sink] += rest + lost + fee * (size - right);
    }

    // --- reads

    /// @inheritdoc IArbitrator
    function currentRuling(uint256 id) external view returns (uint256 ruling) {
        (ruling,) = _ruling(_known(id));
    }

    /// @notice What a juror's commit in the last round must bring: the penalty of each of its seats.
    function deposit(uint256 id, address juror) external view returns (uint256) {
        return penalty * _last(_known(id)).votes[juror].weight;
    }

    /// @notice How many disputes there were.
    function disputeCount() external view returns (uint256) {
        return disputes.length;
    }

    /// @notice A dispute without its rounds.
    function disputeOf(uint256 id)
        external
        view
        returns (address arbitrated, uint256 choices, bool executed, bytes32 extra, uint256 rounds)
    {
        Dispute storage dispute = _known(id);
        return (address(dispute.arbitrated), dispute.choices, dispute.executed, dispute.extra, dispute.rounds.length);
    }

    /// @notice Where a round stands. It was drawn from `poolAt(start - 1, 0, among)`.
    function roundOf(uint256 id, uint256 number)
        external
        view
        returns (
            uint256 start,
            uint256 drawnAt,
            uint256 seedBlock,
            uint256 among,
            uint256 tried,
            uint256 size,
            bool settled,
            address payer,
            uint256 paid,
            bytes32 seed_,
            Seat[] memory seats
        )
    {
        Round storage round = _round(id, number);
        start = round.start;
        drawnAt = round.drawnAt;
        seedBlock = round.seedBlock;
        among = round.among;
        tried = round.tried;
        size = round.size;
        settled = round.settled;
        payer = round.payer;
        paid = round.paid;
        seed_ = round.seed;
        seats = round.seats;
    }

    /// @notice A juror's vote in a round.
    function voteOf(uint256 id, uint256 number, address juror) external view returns (Vote memory) {
        return _round(id, number).votes[juror];
    }

    /// @dev The choice that won the last round whose reveals are over, or (0, false): none, a tie, or nobody spoke.
    function _ruling(Dispute storage dispute) private view returns (uint256, bool) {
        for (uint256 i = dispute.rounds.length; i != 0; --i) {
            Round storage round = dispute.rounds[i - 1];
            if (round.drawnAt == 0 || block.timestamp < round.drawnAt + commitPeriod + revealPeriod) continue;
            return round.most == 0 || round.tied ? (0, false) : (uint256(round.leading), true);
        }
        return (0, false);
    }
}
