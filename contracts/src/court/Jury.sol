// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";

import {IArbitrable, IArbitrator} from "../interfaces/IArbitration.sol";
import {Pool} from "./Pool.sol";

/// @title A court of drawn, staked jurors (docs/reference/court.md; "section" below means a section of that page)
/// @notice An ERC-792 arbitrator. Stakes and fees are wei. Nobody owns it and nothing can be stopped; every round ends
/// by a time fixed when it starts, and money leaves by `withdraw` alone.
contract Jury is IArbitrator, Pool {
    error BadRules();
    error BadCase();
    error PoolTooSmall();
    error WrongFee();
    error Unknown();
    error NotDrawing();
    error Seeded();
    error NotSeeded();
    error BadHeader();
    error BadCount();
    error NotCommitting();
    error NotJuror();
    error Committed();
    error BadCommit();
    error NotRevealing();
    error NotCommitted();
    error Revealed();
    error Told();
    error BadChoice();
    error BadReveal();
    error NotAppealable();
    error NotFinal();
    error Executed();
    error NoRound();
    error Settled();

    /// All that `draw` needs besides the seed.
    event RoundStarted(uint256 indexed dispute, uint256 round, uint256 size, uint256 seedBlock, bytes extraData);
    event SeedRecorded(uint256 indexed dispute, uint256 round, bytes32 seed);
    event SeedMissed(uint256 indexed dispute, uint256 round, uint256 seedBlock);
    event JurorDrawn(uint256 indexed dispute, uint256 round, address indexed juror, uint256 ticket);
    event VoteCommitted(uint256 indexed dispute, uint256 round, address indexed juror);
    event VoteRevealed(uint256 indexed dispute, uint256 round, address indexed juror, uint256 choice);
    event VoteTold(uint256 indexed dispute, uint256 round, address indexed juror);
    event RoundSettled(uint256 indexed dispute, uint256 round, uint256 coherent);

    /// What is fixed when a court is made (section 1).
    struct Rules {
        uint96 unit; // stake of one ticket, in wei
        uint96 penalty; // what a silent or incoherent seat loses, at most `unit`
        uint64 fee; // of one seat
        uint32 draw; // the four periods, in seconds
        uint32 commit;
        uint32 reveal;
        uint32 appeal;
        uint8 delay; // blocks from a round's start to its seed block
        uint8 rounds; // at most
        address sink; // gets what no coherent juror can be paid
    }

    struct Seat {
        address juror;
        uint32 ticket;
    }

    struct Vote {
        bytes32 commit;
        uint16 weight; // seats
        uint8 choice;
        bool revealed;
        bool told;
    }

    struct Round {
        uint40 start;
        uint40 drawnAt; // when its last seat was drawn, or 0
        uint48 seedBlock;
        uint32 among; // tickets there were at the start
        uint32 tried; // candidates so far
        uint16 size; // seats
        uint16 most; // of the leading choice
        uint8 leading;
        bool tied;
        bool settled;
        address payer;
        uint96 paid;
        bytes32 seed;
        Seat[] seats;
        mapping(address juror => Vote) votes;
        mapping(uint256 choice => uint16) counts;
    }

    struct Dispute {
        IArbitrable arbitrated;
        uint8 choices;
        bool executed;
        bytes32 extra; // hash of the extra data
        Round[] rounds;
    }

    uint256 private constant MOST_TRIED = 256; // candidates by one act
    uint256 private constant MOST_CHOICES = 250;
    uint256 private constant MOST_SEATS = 15; // of a first round
    uint256 private constant MOST_ROUNDS = 4;
    uint256 private constant HASHES = 256; // blocks whose hash the chain still tells

    uint256 public immutable penalty;
    uint256 public immutable fee;
    uint256 public immutable commitPeriod;
    uint256 public immutable revealPeriod;
    uint256 public immutable appealTime;
    uint256 public immutable delay;
    uint256 public immutable maxRounds;
    address public immutable sink;

    Dispute[] private disputes;

    constructor(Rules memory rules) Pool(rules.unit, rules.draw) {
        if (rules.unit == 0 || rules.penalty == 0 || rules.penalty > rules.unit || rules.fee == 0) revert BadRules();
        if (rules.draw == 0 || rules.commit == 0 || rules.reveal == 0 || rules.appeal == 0) revert BadRules();
        if (rules.delay == 0 || rules.delay > 200 || rules.sink == address(0)) revert BadRules();
        if (rules.rounds == 0 || rules.rounds > MOST_ROUNDS) revert BadRules();
        penalty = rules.penalty;
        fee = rules.fee;
        commitPeriod = rules.commit;
        revealPeriod = rules.reveal;
        appealTime = rules.appeal;
        delay = rules.delay;
        maxRounds = rules.rounds;
        sink = rules.sink;
    }

    /// @notice The longest from `createDispute` to the last ruling, in seconds.
    function longest() external view returns (uint256) {
        return maxRounds * (drawPeriod + commitPeriod + revealPeriod + appealTime) - appealTime;
    }

    // --- section 3: disputes and draws

    /// @inheritdoc IArbitrator
    /// @dev Extra data: seats of the first round (odd, 1 to 15), and optionally `abi.encode(payer, excluded)`: who gets
    /// back what is not spent (otherwise the caller), and accounts that may not be drawn.
    function createDispute(uint256 choices, bytes calldata extraData) external payable returns (uint256 id) {
        if (choices == 0 || choices > MOST_CHOICES) revert BadCase();
        (uint256 size, address payer,) = _extra(extraData);
        id = disputes.length;
        Dispute storage dispute = disputes.push();
        dispute.arbitrated = IArbitrable(msg.sender);
        dispute.choices = uint8(choices);
        dispute.extra = keccak256(extraData);
        emit DisputeCreation(id, IArbitrable(msg.sender));
        _start(id, dispute, size, payer == address(0) ? msg.sender : payer, extraData);
    }

    /// @inheritdoc IArbitrator
    function arbitrationCost(bytes calldata extraData) external view returns (uint256) {
        (uint256 size,,) = _extra(extraData);
        return fee * size;
    }

    /// @inheritdoc IArbitrator
    /// @notice By anyone, against the ruling of the round before: a round of twice as many seats and one more.
    function appeal(uint256 id, bytes calldata extraData) external payable {
        Dispute storage dispute = _known(id);
        Round storage round = _last(dispute);
        if (_status(dispute) != DisputeStatus.Appealable) revert NotAppealable();
        emit AppealDecision(id, dispute.arbitrated);
        _start(id, dispute, 2 * uint256(round.size) + 1, msg.sender, extraData);
    }

    function _start(uint256 id, Dispute storage dispute, uint256 size, address payer, bytes calldata extraData) private {
        uint256 cost = fee * size;
        if (staying < 2 * size) revert PoolTooSmall();
        if (msg.value < cost) revert WrongFee();
        if (msg.value > cost) credit[payer] += msg.value - cost;
        ++waiting;
        Round storage round = dispute.rounds.push();
        round.start = uint40(block.timestamp);
        round.seedBlock = uint48(block.number + delay);
        round.among = uint32(tickets.length);
        round.size = uint16(size);
        round.payer = payer;
        round.paid = uint96(cost);
        emit RoundStarted(id, dispute.rounds.length - 1, size, round.seedBlock, extraData);
    }

    /// @notice Records a round's seed from the header of its seed block. By anyone.
    function seed(uint256 id, bytes calldata header) external {
        Dispute storage dispute = _known(id);
        Round storage round = _drawing(dispute);
        if (round.seed != 0) revert Seeded();
        if (block.number <= round.seedBlock) revert TooEarly();
        bytes32 known = blockhash(round.seedBlock);
        if (known == 0 || keccak256(header) != known) revert BadHeader();
        uint256 number = dispute.rounds.length - 1;
        // PREVRANDAO and not the block's hash: its proposer can choose among two values, not among any number.
        round.seed = keccak256(abi.encode(BlockHeader.getPrevRandao(header), block.chainid, address(this), id, number));
        emit SeedRecorded(id, number, round.seed);
    }

    /// @notice Sets a later seed block where nobody recorded the first in time. By anyone.
    function rearm(uint256 id) external {
        Dispute storage dispute = _known(id);
        Round storage round = _drawing(dispute);
        if (round.seed != 0) revert Seeded();
        if (block.number <= round.seedBlock + HASHES) revert TooEarly();
        round.seedBlock = uint48(block.number + delay);
        emit SeedMissed(id, dispute.rounds.length - 1, round.seedBlock);
    }

    /// @notice Looks at up to `most` more candidates for the round's seats. By anyone.
    /// @param extraData That of `createDispute`.
    function draw(uint256 id, bytes calldata extraData, uint256 most) external {
        Dispute storage dispute = _known(id);
        Round storage round = _drawing(dispute);
        if (round.seed == 0) revert NotSeeded();
        if (keccak256(extraData) != dispute.extra) revert BadCase();
        if (most == 0 || most > MOST_TRIED) revert BadCount();
        (,, address[] memory excluded) = _extra(extraData);
        uint256 tried = round.tried;
        uint256 missing = round.size - round.seats.length;
        for (; most != 0 && missing != 0; --most) {
            uint256 place = uint256(keccak256(abi.encode(round.seed, tried++))) % round.among;
            Ticket storage ticket = tickets[place];
            if (!_drawable(dispute, ticket, round.start, excluded)) continue;
            ticket.serving = true;
            round.seats.push(Seat(ticket.juror, uint32(place)));
            ++round.votes[ticket.juror].weight;
            --missing;
            emit JurorDrawn(id, dispute.rounds.length - 1, ticket.juror, place);
        }
        round.tried = uint32(tried);
        if (missing != 0) return;
        round.drawnAt = uint40(block.timestamp);
        --waiting;
        // Its times are known from now on (`appealPeriod`).
        if (dispute.rounds.length < maxRounds) emit AppealPossible(id, dispute.arbitrated);
    }

    /// @dev Only what was so when the round started counts, and that the ticket serves nowhere else.
    function _drawable(Dispute storage dispute, Ticket storage ticket, uint256 start, address[] memory excluded)
        private
        view
        returns (bool)
    {
        address juror = ticket.juror;
        if (juror == address(0) || ticket.since >= start || ticket.serving) return false;
        if (ticket.leaving != 0 && ticket.leaving < start) return false;
        for (uint256 i; i < dispute.rounds.length; ++i) if (dispute.rounds[i].payer == juror) return false;
        for (uint256 i; i < excluded.length; ++i) if (excluded[i] == juror) return false;
        return true;
    }

    function _extra(bytes calldata extraData) private pure returns (uint256 size, address payer, address[] memory who) {
        if (extraData.length < 32) revert BadCase();
        size = uint256(bytes32(extraData[:32]));
        if (size % 2 == 0 || size > MOST_SEATS) revert BadCase();
        if (extraData.length > 32) (payer, who) = abi.decode(extraData[32:], (address, address[]));
    }

    // --- section 4: votes

    /// @notice Commits the caller's vote, for all of its seats, once.
    /// @param hash `voteHash` of it.
    function commit(uint256 id, bytes32 hash) external {
        (Round storage round, uint256 number) = _voting(id, true);
        Vote storage vote = round.votes[msg.sender];
        if (vote.weight == 0) revert NotJuror();
        if (vote.commit != 0) revert Committed();
        if (hash == 0) revert BadCommit();
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

    /// @notice Whoever learns a juror's vote before the commits are over voids it by showing it: it counts as silence.
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
        if (round.drawnAt == 0) {
            --waiting;
            for (uint256 i; i < round.seats.length; ++i) _release(round.seats[i].ticket);
            credit[round.payer] += round.paid;
            emit RoundSettled(id, number, 0);
        } else {
            (uint256 ruling, bool decided) = _ruling(dispute);
            _pay(id, number, round, ruling, decided);
        }
    }

    function _pay(uint256 id, uint256 number, Round storage round, uint256 ruling, bool decided) private {
        uint256 size = round.size;
        address[] memory coherent = new address[](size);
        uint256 right;
        for (uint256 i; i < size; ++i) {
            Seat memory seat = round.seats[i];
            Vote storage vote = round.votes[seat.juror];
            // Where no choice won, nobody who spoke was wrong.
            if (vote.revealed && (!decided || vote.choice == ruling)) {
                coherent[right++] = seat.juror;
                _release(seat.ticket);
            } else {
                _fine(seat.ticket, penalty);
            }
        }
        uint256 lost = penalty * (size - right);
        if (right == 0) {
            credit[round.payer] += round.paid;
            credit[sink] += lost;
        } else {
            uint256 share = (round.paid + lost) / right;
            for (uint256 i; i < right; ++i) credit[coherent[i]] += share;
            credit[sink] += round.paid + lost - share * right;
        }
        emit RoundSettled(id, number, right);
    }

    // --- reads

    /// @inheritdoc IArbitrator
    function appealCost(uint256 id, bytes calldata) external view returns (uint256) {
        return fee * (2 * uint256(_last(_known(id)).size) + 1);
    }

    /// @inheritdoc IArbitrator
    function appealPeriod(uint256 id) external view returns (uint256 start, uint256 end) {
        Dispute storage dispute = _known(id);
        uint256 drawnAt = _last(dispute).drawnAt;
        if (drawnAt == 0 || dispute.rounds.length == maxRounds) return (0, 0);
        start = drawnAt + commitPeriod + revealPeriod;
        end = start + appealTime;
    }

    /// @inheritdoc IArbitrator
    function disputeStatus(uint256 id) external view returns (DisputeStatus) {
        return _status(_known(id));
    }

    /// @inheritdoc IArbitrator
    function currentRuling(uint256 id) external view returns (uint256 ruling) {
        (ruling,) = _ruling(_known(id));
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

    /// @notice Where a round stands.
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

    // --- shared

    function _known(uint256 id) private view returns (Dispute storage) {
        if (id >= disputes.length) revert Unknown();
        return disputes[id];
    }

    function _last(Dispute storage dispute) private view returns (Round storage) {
        return dispute.rounds[dispute.rounds.length - 1];
    }

    function _round(uint256 id, uint256 number) private view returns (Round storage) {
        Dispute storage dispute = _known(id);
        if (number >= dispute.rounds.length) revert NoRound();
        return dispute.rounds[number];
    }

    function _drawing(Dispute storage dispute) private view returns (Round storage round) {
        round = _last(dispute);
        if (round.drawnAt != 0 || block.timestamp >= round.start + drawPeriod) revert NotDrawing();
    }

    function _status(Dispute storage dispute) private view returns (DisputeStatus) {
        Round storage round = _last(dispute);
        if (round.drawnAt == 0) {
            return block.timestamp < round.start + drawPeriod ? DisputeStatus.Waiting : DisputeStatus.Solved;
        }
        uint256 told = round.drawnAt + commitPeriod + revealPeriod;
        if (block.timestamp < told) return DisputeStatus.Waiting;
        bool open = dispute.rounds.length < maxRounds && block.timestamp < told + appealTime;
        return open ? DisputeStatus.Appealable : DisputeStatus.Solved;
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
