// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title The standing pool of jurors' stakes (docs/reference/court.md, section 2)
/// @notice Stakes come in tickets of one unit, and each is drawn as often as any other: who stakes twice as much is
/// drawn twice as often, under one account or under many.
abstract contract Pool is ReentrancyGuardTransient {
    error BadValue();
    error BadTicket();
    error Leaving();
    error NotLeaving();
    error TooEarly();
    error Serving();
    error DrawsWait();
    error Nothing();
    error PayFailed();

    event Staked(address indexed juror, uint256 first, uint256 count);
    event LeaveAsked(uint256 indexed ticket);
    event Taken(uint256 indexed ticket);
    event Moved(uint256 from, uint256 to);

    struct Ticket {
        address juror; // zero: a hole
        uint40 since; // draws of rounds that started later count it
        uint40 leaving; // when its juror asked to leave, or 0
        bool serving;
    }

    uint256 private constant MOST_STAKED = 32; // tickets by one act

    uint256 public immutable unit;
    uint256 public immutable drawPeriod;

    Ticket[] internal tickets;
    /// Tickets that are not leaving.
    uint256 public staying;
    /// Rounds whose draw is not over: while there are any, no ticket changes its place.
    uint256 public waiting;
    /// Wei that wait for `withdraw`.
    mapping(address account => uint256) public credit;

    constructor(uint256 unit_, uint256 drawPeriod_) {
        unit = unit_;
        drawPeriod = drawPeriod_;
    }

    /// @notice Stakes `msg.value / unit` tickets.
    function stake() external payable {
        uint256 count = msg.value / unit;
        if (count == 0 || count > MOST_STAKED || msg.value % unit != 0) revert BadValue();
        emit Staked(msg.sender, tickets.length, count);
        for (uint256 i; i < count; ++i) tickets.push(Ticket(msg.sender, uint40(block.timestamp), 0, false));
        staying += count;
    }

    /// @notice Asks for the stake of tickets of the caller's. Rounds that started before can still draw them.
    function unstake(uint256[] calldata ids) external {
        for (uint256 i; i < ids.length; ++i) {
            Ticket storage ticket = _own(ids[i]);
            if (ticket.leaving != 0) revert Leaving();
            ticket.leaving = uint40(block.timestamp);
            emit LeaveAsked(ids[i]);
        }
        staying -= ids.length;
    }

    /// @notice Credits the stake of tickets whose leave was asked a draw period ago.
    function take(uint256[] calldata ids) external {
        for (uint256 i; i < ids.length; ++i) {
            Ticket storage ticket = _own(ids[i]);
            if (ticket.leaving == 0) revert NotLeaving();
            if (block.timestamp < ticket.leaving + drawPeriod) revert TooEarly();
            if (ticket.serving) revert Serving();
            delete tickets[ids[i]];
            emit Taken(ids[i]);
        }
        credit[msg.sender] += unit * ids.length;
    }

    /// @notice Fills a hole with the last ticket, so that draws stay short. By anyone, while no draw waits.
    function compact(uint256 hole) external {
        if (waiting != 0) revert DrawsWait();
        if (hole >= tickets.length || tickets[hole].juror != address(0)) revert BadTicket();
        uint256 last = tickets.length - 1;
        if (tickets[last].serving) revert Serving();
        tickets[hole] = tickets[last];
        tickets.pop();
        emit Moved(last, hole);
    }

    function _own(uint256 id) private view returns (Ticket storage ticket) {
        if (id >= tickets.length) revert BadTicket();
        ticket = tickets[id];
        if (ticket.juror != msg.sender) revert BadTicket();
    }

    /// @notice Pays the caller's credit.
    function withdraw() external nonReentrant {
        uint256 amount = credit[msg.sender];
        if (amount == 0) revert Nothing();
        credit[msg.sender] = 0;
        (bool ok,) = msg.sender.call{value: amount}("");
        if (!ok) revert PayFailed();
    }

    /// @notice The tickets in `[first, first + size)`, as far as there are any.
    function pool(uint256 first, uint256 size) external view returns (Ticket[] memory found) {
        uint256 there = first < tickets.length ? tickets.length - first : 0;
        found = new Ticket[](size < there ? size : there);
        for (uint256 i; i < found.length; ++i) found[i] = tickets[first + i];
    }

    /// @dev It can be drawn for rounds that start from now on: what waits for its draw never sees it come back.
    function _release(uint256 id) internal {
        tickets[id].serving = false;
        tickets[id].since = uint40(block.timestamp);
    }

    /// @dev The ticket is gone; what the penalty leaves of its stake is its juror's.
    function _fine(uint256 id, uint256 penalty) internal {
        Ticket storage ticket = tickets[id];
        if (ticket.leaving == 0) --staying;
        credit[ticket.juror] += unit - penalty;
        delete tickets[id];
    }
}
