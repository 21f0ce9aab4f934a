// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Arrays} from "@openzeppelin/contracts/utils/Arrays.sol";
import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";

import {IArbitrable, IArbitrator} from "../interfaces/IArbitration.sol";
import {Pool} from "./Pool.sol";

/// @title Disputes and the draws of their juries (docs/reference/court.md, sections 1 and 3)
/// @notice Who sits on a jury follows from three things alone: the pool in the last second before its round started,
/// whom the case leaves out, and the seed. What any other round does, whoever draws, and when, changes no seat.
abstract contract Draws is IArbitrator, Pool {
    error BadRules();
    error BadCase();
    error PoolTooSmall();
    error ExcludesTooMany();
    error WrongFee();
    error Unknown();
    error NoRound();
    error NotDrawing();
    error Seeded();
    error NotSeeded();
    error BadHeader();
    error BadCount();
    error NotAppealable();

    /// All that `draw` needs besides the seed.
    event RoundStarted(uint256 indexed dispute, uint256 round, uint256 size, uint256 seedBlock, bytes extraData);
    event SeedRecorded(uint256 indexed dispute, uint256 round, bytes32 seed);
    event SeedMissed(uint256 indexed dispute, uint256 round, uint256 seedBlock);
    event JurorDrawn(uint256 indexed dispute, uint256 round, address indexed juror, uint256 ticket);

    /// What is fixed when a court is made (section 1).
    struct Rules {
        uint96 unit; // stake of one ticket, in wei
        uint96 penalty; // what a seat loses that is silent or incoherent, at most `unit`
        uint64 fee; // of one seat
        uint32 draw; // the four periods, in seconds
        uint32 commit;
        uint32 reveal;
        uint32 appeal;
        uint8 delay; // blocks from a round's start to its seed block
        uint8 rounds; // at most
        address sink; // gets what no coherent juror is paid
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
        uint32 among; // tickets in the pool just before the start
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
    uint256 private constant MOST_EXCLUDED = 3; // one part in so many of the pool
    uint256 private constant HASHES = 256; // blocks whose hash the chain still tells

    uint256 public immutable penalty;
    uint256 public immutable fee;
    uint256 public immutable commitPeriod;
    uint256 public immutable revealPeriod;
    uint256 public immutable appealTime;
    uint256 public immutable delay;
    uint256 public immutable maxRounds;
    address public immutable sink;

    Dispute[] internal disputes;

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

    /// @inheritdoc IArbitrator
    /// @dev Extra data: seats of the first round (odd, 1 to 15), and optionally `abi.encode(payer, excluded)`: who gets
    /// back what is not spent (otherwise the caller), and accounts that may not be drawn.
    function createDispute(uint256 choices, bytes calldata extraData) external payable returns (uint256 id) {
        if (choices == 0 || choices > MOST_CHOICES) revert BadCase();
        (uint256 size, address payer, address[] memory excluded) = _extra(extraData);
        id = disputes.length;
        Dispute storage dispute = disputes.push();
        dispute.arbitrated = IArbitrable(msg.sender);
        dispute.choices = uint8(choices);
        dispute.extra = keccak256(extraData);
        emit DisputeCreation(id, IArbitrable(msg.sender));
        _start(id, size, payer == address(0) ? msg.sender : payer, excluded);
        emit RoundStarted(id, 0, size, block.number + delay, extraData);
    }

    /// @inheritdoc IArbitrator
    function arbitrationCost(bytes calldata extraData) external view returns (uint256) {
        (uint256 size,,) = _extra(extraData);
        return fee * size;
    }

    /// @inheritdoc IArbitrator
    /// @notice By anyone, against the ruling of the round before: a round of twice as many seats and one more.
    /// @param extraData That of `createDispute`.
    function appeal(uint256 id, bytes calldata extraData) external payable {
        Dispute storage dispute = _known(id);
        Round storage round = _last(dispute);
        if (_status(dispute) != DisputeStatus.Appealable) revert NotAppealable();
        if (keccak256(extraData) != dispute.extra) revert BadCase();
        emit AppealDecision(id, dispute.arbitrated);
        uint256 size = 2 * uint256(round.size) + 1;
        (,, address[] memory excluded) = _extra(extraData);
        _start(id, size, msg.sender, excluded);
        emit RoundStarted(id, dispute.rounds.length - 1, size, block.number + delay, extraData);
    }

    function _start(uint256 id, uint256 size, address payer, address[] memory excluded) private {
        Dispute storage dispute = disputes[id];
        uint256 cost = fee * size;
        // What comes in this second never counts, in whichever of its blocks and before or after this act.
        uint256 among = _countAt(uint48(block.timestamp - 1));
        if (among < 2 * size) revert PoolTooSmall();
        if (msg.value < cost) revert WrongFee();
        if (msg.value > cost) credit[payer] += msg.value - cost;
        Round storage round = dispute.rounds.push();
        round.start = uint40(block.timestamp);
        round.seedBlock = uint48(block.number + delay);
        round.among = uint32(among);
        round.size = uint16(size);
        round.payer = payer;
        round.paid = uint96(cost);
        if (MOST_EXCLUDED * _leftOut(dispute, excluded) > among) revert ExcludesTooMany();
    }

    /// @dev How many tickets of the pool just before this second are of accounts that are left out, each account counted
    /// once: nobody can refuse a case that it sees coming by staking, or let one pass by leaving. Whoever could
    /// leave out whom it likes would choose the jury, and with a jury of its own take the deposits of the rest.
    function _leftOut(Dispute storage dispute, address[] memory excluded) private view returns (uint256 count) {
        uint256 n = excluded.length;
        address[] memory all = new address[](n + dispute.rounds.length);
        for (uint256 i; i < all.length; ++i) all[i] = i < n ? excluded[i] : dispute.rounds[i - n].payer;
        Arrays.sort(all);
        for (uint256 i; i < all.length; ++i) if (i == 0 || all[i] != all[i - 1]) count += _heldBefore(all[i]);
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
        uint256[] memory drawn = new uint256[](round.size);
        uint256 n = round.seats.length;
        for (uint256 i; i < n; ++i) drawn[i] = round.seats[i].ticket;
        uint256 tried = round.tried;
        for (; most != 0 && n != drawn.length; --most) {
            uint256 place = uint256(keccak256(abi.encode(round.seed, tried++))) % round.among;
            uint256 ticket = _ticketAt(place, round.start - 1);
            address juror = tickets[ticket].juror;
            if (_among(drawn, n, ticket) || _barred(dispute, juror, excluded)) continue;
            drawn[n++] = ticket;
            round.seats.push(Seat(juror, uint32(ticket)));
            ++round.votes[juror].weight;
            emit JurorDrawn(id, dispute.rounds.length - 1, juror, ticket);
        }
        round.tried = uint32(tried);
        if (n == drawn.length) _drawn(id, dispute, round, drawn);
    }

    /// @dev The jury is whole: its times run from now on, and only now do its tickets serve.
    function _drawn(uint256 id, Dispute storage dispute, Round storage round, uint256[] memory drawn) private {
        round.drawnAt = uint40(block.timestamp);
        for (uint256 i; i < drawn.length; ++i) ++tickets[drawn[i]].serving;
        if (dispute.rounds.length < maxRounds) emit AppealPossible(id, dispute.arbitrated);
    }

    /// @dev A ticket has one seat at most on one jury, and any number of juries.
    function _among(uint256[] memory drawn, uint256 n, uint256 ticket) private pure returns (bool) {
        for (uint256 i; i < n; ++i) if (drawn[i] == ticket) return true;
        return false;
    }

    /// @dev Who is left out of the case, or paid for one of its rounds.
    function _barred(Dispute storage dispute, address juror, address[] memory excluded) private view returns (bool) {
        for (uint256 i; i < dispute.rounds.length; ++i) if (dispute.rounds[i].payer == juror) return true;
        for (uint256 i; i < excluded.length; ++i) if (excluded[i] == juror) return true;
        return false;
    }

    function _extra(bytes calldata extraData) private pure returns (uint256 size, address payer, address[] memory who) {
        if (extraData.length < 32) revert BadCase();
        size = uint256(bytes32(extraData[:32]));
        if (size % 2 == 0 || size > MOST_SEATS) revert BadCase();
        if (extraData.length > 32) (payer, who) = abi.decode(extraData[32:], (address, address[]));
    }

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

    // --- shared

    function _known(uint256 id) internal view returns (Dispute storage) {
        if (id >= disputes.length) revert Unknown();
        return disputes[id];
    }

    function _last(Dispute storage dispute) internal view returns (Round storage) {
        return dispute.rounds[dispute.rounds.length - 1];
    }

    function _round(uint256 id, uint256 number) internal view returns (Round storage) {
        Dispute storage dispute = _known(id);
        if (number >= dispute.rounds.length) revert NoRound();
        return dispute.rounds[number];
    }

    function _drawing(Dispute storage dispute) private view returns (Round storage round) {
        round = _last(dispute);
        if (round.drawnAt != 0 || block.timestamp >= round.start + drawPeriod) revert NotDrawing();
    }

    function _status(Dispute storage dispute) internal view returns (DisputeStatus) {
        Round storage round = _last(dispute);
        if (round.drawnAt == 0) {
            return block.timestamp < round.start + drawPeriod ? DisputeStatus.Waiting : DisputeStatus.Solved;
        }
        uint256 told = round.drawnAt + commitPeriod + revealPeriod;
        if (block.timestamp < told) return DisputeStatus.Waiting;
        bool open = dispute.rounds.length < maxRounds && block.timestamp < told + appealTime;
        return open ? DisputeStatus.Appealable : DisputeStatus.Solved;
    }
}
