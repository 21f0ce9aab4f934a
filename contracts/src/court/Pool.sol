// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

/// @title The standing pool of jurors' stakes (docs/reference/court.md, section 2)
/// @notice Stakes come in tickets of one unit, and each is drawn as often as any other: who stakes twice as much is
/// drawn twice as often, under one account or under many. The pool is a list without holes that remembers how it was,
/// so that a draw reads it as it was before the draw's round began.
abstract contract Pool is ReentrancyGuardTransient {
    using Checkpoints for Checkpoints.Trace208;

    error BadValue();
    error BadTicket();
    error Leaving();
    error NotLeaving();
    error TooEarly();
    error Serving();
    error Nothing();
    error PayFailed();

    event Staked(address indexed juror, uint256 first, uint256 count);
    event LeaveAsked(uint256 indexed ticket);
    event Taken(uint256 indexed ticket);
    event Fined(uint256 indexed ticket);

    /// One that is neither in the pool nor leaving is gone: taken or fined. Its record stays, as a draw may still see
    /// it, and its number is never another's.
    struct Ticket {
        address juror;
        uint40 leaving; // when its juror asked to leave, or 0
        uint32 place; // in the pool, from 1, or 0
        uint24 serving; // drawn rounds that are not settled
    }

    /// How many tickets an account has in the pool, and had before the second of the last change.
    struct Held {
        uint48 changed;
        uint104 now_;
        uint104 before;
    }

    uint256 private constant MOST_STAKED = 32; // tickets by one act

    uint256 public immutable unit;
    uint256 public immutable drawPeriod;

    Ticket[] internal tickets;
    /// How many tickets were in the pool, and which was at each place, by second.
    Checkpoints.Trace208 private counts;
    mapping(uint256 place => Checkpoints.Trace208) private places;
    mapping(address juror => Held) private held;
    /// Wei that wait for `withdraw`.
    mapping(address account => uint256) public credit;

    constructor(uint256 unit_, uint256 drawPeriod_) {
        unit = unit_;
        drawPeriod = drawPeriod_;
    }

    /// @notice Stakes `msg.value / unit` tickets. Rounds that start in a later second can draw them.
    function stake() external payable {
        uint256 count = msg.value / unit;
        if (count == 0 || count > MOST_STAKED || msg.value % unit != 0) revert BadValue();
        emit Staked(msg.sender, tickets.length, count);
        uint256 place = counts.latest();
        for (uint256 i; i < count; ++i) {
            places[++place].push(uint48(block.timestamp), uint208(tickets.length));
            tickets.push(Ticket(msg.sender, 0, uint32(place), 0));
        }
        counts.push(uint48(block.timestamp), uint208(place));
        Held storage own = _changed(msg.sender);
        own.now_ += uint104(count);
    }

    /// @notice Takes tickets of the caller's out of the pool and asks for their stake. Rounds that started before, or
    /// in this second, can still draw them.
    function unstake(uint256[] calldata ids) external {
        for (uint256 i; i < ids.length; ++i) {
            Ticket storage ticket = _own(ids[i]);
            if (ticket.leaving != 0) revert Leaving();
            _remove(ticket);
            ticket.leaving = uint40(block.timestamp);
            emit LeaveAsked(ids[i]);
        }
    }

    /// @notice Credits the stake of tickets whose leave was asked a draw period ago and that serve nowhere.
    function take(uint256[] calldata ids) external {
        for (uint256 i; i < ids.length; ++i) {
            Ticket storage ticket = _own(ids[i]);
            if (ticket.leaving == 0) revert NotLeaving();
            // Every draw that can see it is over by then.
            if (block.timestamp < ticket.leaving + drawPeriod) revert TooEarly();
            if (ticket.serving != 0) revert Serving();
            ticket.leaving = 0;
            emit Taken(ids[i]);
        }
        credit[msg.sender] += unit * ids.length;
    }

    function _own(uint256 id) private view returns (Ticket storage ticket) {
        if (id >= tickets.length) revert BadTicket();
        ticket = tickets[id];
        if (ticket.juror != msg.sender || _gone(ticket)) revert BadTicket();
    }

    function _gone(Ticket storage ticket) private view returns (bool) {
        return ticket.place == 0 && ticket.leaving == 0;
    }

    /// @dev The last ticket of the pool takes the place of one that goes.
    function _remove(Ticket storage ticket) private {
        uint256 last = counts.latest();
        uint32 place = ticket.place;
        if (place != last) {
            uint208 moved = places[last].latest();
            tickets[moved].place = place;
            places[place].push(uint48(block.timestamp), moved);
        }
        ticket.place = 0;
        --_changed(ticket.juror).now_;
        counts.push(uint48(block.timestamp), uint208(last - 1));
    }

    /// @dev To be called before an account's number changes.
    function _changed(address juror) private returns (Held storage one) {
        one = held[juror];
        if (one.changed != block.timestamp) (one.changed, one.before) = (uint48(block.timestamp), one.now_);
    }

    /// @dev How many tickets an account had in the pool just before this second.
    function _heldBefore(address juror) internal view returns (uint256) {
        Held storage one = held[juror];
        return one.changed == block.timestamp ? one.before : one.now_;
    }

    /// @notice How many tickets an account has in the pool.
    function holds(address juror) external view returns (uint256) {
        return held[juror].now_;
    }

    /// @notice Pays the caller's credit.
    function withdraw() external nonReentrant {
        uint256 amount = credit[msg.sender];
        if (amount == 0) revert Nothing();
        credit[msg.sender] = 0;
        (bool ok,) = msg.sender.call{value: amount}("");
        if (!ok) revert PayFailed();
    }

    /// @notice The tickets numbered `[first, first + size)`, as far as there are any.
    function ticketsOf(uint256 first, uint256 size) external view returns (Ticket[] memory found) {
        uint256 there = first < tickets.length ? tickets.length - first : 0;
        found = new Ticket[](size < there ? size : there);
        for (uint256 i; i < found.length; ++i) found[i] = tickets[first + i];
    }

    /// @notice The numbers of the tickets at places `[first, first + size)`, counted from 0, of the pool as it was at
    /// the end of second `when`. For a past second that never changes.
    function poolAt(uint48 when, uint256 first, uint256 size) external view returns (uint256[] memory found) {
        uint256 count = _countAt(when);
        uint256 there = first < count ? count - first : 0;
        found = new uint256[](size < there ? size : there);
        for (uint256 i; i < found.length; ++i) found[i] = _ticketAt(first + i, when);
    }

    function _countAt(uint48 when) internal view returns (uint256) {
        return counts.upperLookupRecent(when);
    }

    function _ticketAt(uint256 place, uint48 when) internal view returns (uint256) {
        return places[place + 1].upperLookupRecent(when);
    }

    /// @dev Its juror did not turn up: the ticket is gone, once, and what the penalty leaves of its stake is its
    /// juror's. Returns what was lost.
    function _fine(uint256 id, uint256 penalty) internal returns (uint256) {
        Ticket storage ticket = tickets[id];
        if (_gone(ticket)) return 0;
        if (ticket.place != 0) _remove(ticket);
        ticket.leaving = 0;
        credit[ticket.juror] += unit - penalty;
        emit Fined(id);
        return penalty;
    }
}
