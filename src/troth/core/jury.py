"""The rules of a jury as a pure state machine: docs/reference/court.md, whose sections the comments cite.

No I/O, no clock, no chance: ``now`` is Unix seconds, ``block`` a block's number, and a seed comes in as bytes. A
``Jury`` never changes; each act returns the next one. A refused act raises ActRefused with the rule's code and gives
nothing back, so it can change nothing. Money is wei: what an act brings is its ``value``; it leaves by
``withdraw``.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from troth.core.encoding import keccak256
from troth.core.errors import ActRefused
from troth.core.jury_state import (
    HASHES,
    MOST_CHOICES,
    MOST_EXCLUDED,
    MOST_STAKED,
    MOST_TRIED,
    Case,
    Dispute,
    Jury,
    Phase,
    Round,
    Ticket,
    Vote,
)
from troth.core.terms import Account

# -- section 2: the pool -----------------------------------------------------------------------------------------------


def stake(jury: Jury, by: Account, value: int, now: int) -> Jury:
    """Stake ``value`` in tickets of one unit each. Rounds that start in a later second can draw them."""
    count, rest = divmod(value, jury.rules.unit)
    if rest or not 1 <= count <= MOST_STAKED:
        raise ActRefused("BadValue", "not a stake", expected=f"1 to {MOST_STAKED} times {jury.rules.unit}",
                         actual=value)
    first = len(jury.tickets)
    jury = replace(jury, tickets=jury.tickets + (Ticket(by),) * count)
    return _with_pool(jury, jury.pool + tuple(range(first, first + count)), now)


def unstake(jury: Jury, by: Account, ids: tuple[int, ...], now: int) -> Jury:
    """Take own tickets out of the pool and ask for their stake. Rounds that started before can still draw them."""
    for one in ids:
        ticket = _own(jury, by, one)
        if ticket.leaving:
            raise ActRefused("Leaving", "its stake is asked for already", actual=one)
        jury = _with_ticket(_removed(jury, one, now), one, replace(ticket, leaving=now))
    return jury


def take(jury: Jury, by: Account, ids: tuple[int, ...], now: int) -> Jury:
    """Credit the stake of own tickets that were asked for a draw period ago and serve nowhere."""
    for one in ids:
        ticket = _own(jury, by, one)
        if not ticket.leaving:
            raise ActRefused("NotLeaving", "its stake was not asked for", actual=one)
        if now < ticket.leaving + jury.rules.draw:
            raise ActRefused("TooEarly", "a draw that began before may still want it", actual=now,
                             expected=f"{ticket.leaving + jury.rules.draw} or later")
        if ticket.serving:
            raise ActRefused("Serving", "it serves on a jury", do="Wait until its rounds are settled.", actual=one)
        jury = _with_ticket(jury, one, replace(ticket, leaving=0, gone=True))
    return _credited(jury, by, jury.rules.unit * len(ids))


def _own(jury: Jury, by: Account, one: int) -> Ticket:
    ticket = jury.tickets[one] if 0 <= one < len(jury.tickets) else None
    if ticket is None or ticket.juror != by or ticket.gone:
        raise ActRefused("BadTicket", "not a ticket of yours", actual=one)
    return ticket


def _removed(jury: Jury, one: int, now: int) -> Jury:
    """The pool without this ticket; its last takes the place."""
    *others, last = jury.pool
    return _with_pool(jury, tuple(last if other == one else other for other in others), now)


def _with_pool(jury: Jury, pool: tuple[int, ...], now: int) -> Jury:
    return replace(jury, pool=pool, changed=now, earlier=jury.pool_before(now))


# -- section 3: disputes and draws -------------------------------------------------------------------------------------


def cost(jury: Jury, extra: bytes) -> int:
    """What a dispute with this extra data costs. Raises ActRefused BadCase."""
    return jury.rules.fee * Case.decode(extra).size


def create(jury: Jury, by: Account, choices: int, extra: bytes, value: int, now: int, block: int) -> Jury:
    """Ask the court; the dispute is its last one. Rulings are 0 (none) to ``choices``."""
    if not 1 <= choices <= MOST_CHOICES:
        raise ActRefused("BadCase", "not a number of choices", expected=f"1 to {MOST_CHOICES}", actual=choices)
    case = Case.decode(extra)
    payer = by if case.payer == bytes(20) else case.payer
    jury, begun = _start(jury, case.size, payer, frozenset((*case.excluded, payer)), value, now, block)
    return replace(jury, disputes=(*jury.disputes, Dispute(by, choices, keccak256(extra), (begun,))))


def appeal_cost(jury: Jury, dispute: int) -> int:
    """What the next round of a dispute costs."""
    return jury.rules.fee * (2 * _known(jury, dispute).rounds[-1].size + 1)


def appeal(jury: Jury, by: Account, dispute: int, extra: bytes, value: int, now: int, block: int) -> Jury:
    """Ask for a larger jury against the present ruling. By anyone, in the appeal period."""
    found = _known(jury, dispute)
    if phase(jury, found, now) != "appeal":
        raise ActRefused("NotAppealable", "there is no ruling to appeal, or its period is over", actual=f"time {now}")
    if keccak256(extra) != found.extra:
        raise ActRefused("BadCase", "not this dispute's extra data", expected=found.extra.hex())
    barred = _barred(found, extra) | {by}
    jury, begun = _start(jury, 2 * found.rounds[-1].size + 1, by, barred, value, now, block)
    return _with_dispute(jury, dispute, replace(found, rounds=(*found.rounds, begun)))


def _barred(dispute: Dispute, extra: bytes) -> frozenset[Account]:
    """Who is left out of a case, or paid for one of its rounds."""
    return frozenset(Case.decode(extra).excluded) | {one.payer for one in dispute.rounds}


def _start(jury: Jury, size: int, payer: Account, barred: frozenset[Account], value: int, now: int, block: int) \
        -> tuple[Jury, Round]:
    price = jury.rules.fee * size
    among = jury.pool_before(now)
    if len(among) < 2 * size:
        raise ActRefused("PoolTooSmall", "too few tickets to draw from", expected=f"{2 * size} or more",
                         actual=len(among))
    if value < price:
        raise ActRefused("WrongFee", "the jury's fee is not there", expected=price, actual=value)
    # Whoever could leave out whom it likes would choose the jury, and with one of its own take the others' deposits.
    left_out = sum(jury.tickets[one].juror in barred for one in among)
    if MOST_EXCLUDED * left_out > len(among):
        raise ActRefused("ExcludesTooMany", "too much of the pool is left out", actual=left_out,
                         expected=f"at most {len(among) // MOST_EXCLUDED} tickets")
    return _credited(jury, payer, value - price), Round(now, block + jury.rules.delay, among, size, payer, price)


def seed_of(jury: Jury, dispute: int, randomness: bytes) -> bytes:
    """The seed of a dispute's last round from its seed block's PREVRANDAO."""
    from eth_abi.abi import encode  # takes 0.2 s to load

    number = len(_known(jury, dispute).rounds) - 1
    return keccak256(encode(["bytes32", "uint256", "address", "uint256", "uint256"],
                            [randomness, jury.chain_id, jury.address, dispute, number]))


def seed_block(jury: Jury, dispute: int, now: int, block: int) -> int:
    """The block whose header ``seed`` needs now. Raises ActRefused; BadHeader where that block is too old."""
    found = _drawing(jury, dispute, now)
    if found.seed:
        raise ActRefused("Seeded", "this round has its seed")
    if block <= found.seed_block:
        raise ActRefused("TooEarly", "the seed block is not there yet", expected=f"a block after {found.seed_block}",
                         actual=block)
    if block > found.seed_block + HASHES:
        raise ActRefused("BadHeader", "the chain no longer tells that block's hash", expected=found.seed_block,
                         actual=block, do="Set a new seed block with rearm.")
    return found.seed_block


def seed(jury: Jury, dispute: int, randomness: bytes, now: int, block: int) -> Jury:
    """Record the seed from the PREVRANDAO (32 bytes) of the block that ``seed_block`` names."""
    seed_block(jury, dispute, now, block)
    return _with_round(jury, dispute, replace(_known(jury, dispute).rounds[-1],
                                              seed=seed_of(jury, dispute, randomness)))


def rearm(jury: Jury, dispute: int, now: int, block: int) -> Jury:
    """Set a later seed block where nobody recorded the first in time."""
    found = _drawing(jury, dispute, now)
    if found.seed:
        raise ActRefused("Seeded", "this round has its seed")
    if block <= found.seed_block + HASHES:
        raise ActRefused("TooEarly", "the seed block can still be recorded", actual=block,
                         expected=f"a block after {found.seed_block + HASHES}")
    return _with_round(jury, dispute, replace(found, seed_block=block + jury.rules.delay))


def draw(jury: Jury, dispute: int, extra: bytes, most: int, now: int) -> Jury:
    """Look at up to ``most`` more candidates. Nothing counts but the pool before the start, the case and the seed."""
    found = _drawing(jury, dispute, now)
    whole = _known(jury, dispute)
    if not found.seed:
        raise ActRefused("NotSeeded", "this round has no seed yet", do="Record it with seed.")
    if keccak256(extra) != whole.extra:
        raise ActRefused("BadCase", "not this dispute's extra data", expected=whole.extra.hex())
    if not 1 <= most <= MOST_TRIED:
        raise ActRefused("BadCount", "not a number of candidates", expected=f"1 to {MOST_TRIED}", actual=most)
    barred = _barred(whole, extra)
    seats, votes, tried = list(found.seats), dict(found.votes), found.tried
    while most and len(seats) < found.size:
        place = int.from_bytes(keccak256(found.seed + tried.to_bytes(32, "big")), "big") % len(found.among)
        tried, most = tried + 1, most - 1
        juror = jury.tickets[found.among[place]].juror
        seat = (juror, found.among[place])
        if juror in barred or seat in seats:
            continue
        seats.append(seat)
        votes[juror] = Vote(votes[juror].weight + 1 if juror in votes else 1)
    full = len(seats) == found.size
    if full:
        for _, one in seats:
            jury = _serving(jury, one, 1)
    return _with_round(jury, dispute, replace(found, seats=tuple(seats), votes=MappingProxyType(votes), tried=tried,
                                              drawn_at=now if full else 0))


# -- section 4: votes, the ruling and the money ------------------------------------------------------------------------


def vote_hash(jury: Jury, dispute: int, number: int, juror: Account, choice: int, salt: bytes) -> bytes:
    """What is committed: it fits one juror, round, dispute, court and chain."""
    from eth_abi.abi import encode  # takes 0.2 s to load

    types = ["uint256", "address", "uint256", "uint256", "address", "uint256", "bytes32"]
    return keccak256(encode(types, [jury.chain_id, jury.address, dispute, number, juror, choice, salt]))


def deposit(jury: Jury, dispute: int, juror: Account) -> int:
    """What a juror's commit in the last round must bring: the penalty of each of its seats."""
    return jury.rules.penalty * _known(jury, dispute).rounds[-1].votes.get(juror, Vote(0)).weight


def commit(jury: Jury, by: Account, dispute: int, digest: bytes, value: int, now: int) -> Jury:
    """Commit a vote for all of one's seats, once. It brings exactly its ``deposit``, and stands for itself."""
    found = _voting(jury, dispute, now, "commit", "NotCommitting")
    vote = _seated(found, by)
    if vote.commit:
        raise ActRefused("Committed", "your vote is committed and cannot be replaced")
    if digest == bytes(32):
        raise ActRefused("BadCommit", "no commitment", expected="a hash")
    if value != deposit(jury, dispute, by):
        raise ActRefused("WrongDeposit", "not the deposit of your seats", expected=deposit(jury, dispute, by),
                         actual=value)
    return _with_vote(jury, dispute, by, replace(vote, commit=digest))


def reveal(jury: Jury, by: Account, dispute: int, choice: int, salt: bytes, now: int) -> Jury:
    """Reveal one's vote."""
    found = _voting(jury, dispute, now, "reveal", "NotRevealing")
    vote = _seated(found, by)
    if not vote.commit:
        raise ActRefused("NotCommitted", "you committed no vote", do="Your seats count as silent.")
    if vote.told:
        raise ActRefused("Told", "your vote was shown before the commits were over and is void")
    if vote.choice is not None:
        raise ActRefused("Revealed", "your vote is revealed")
    if choice > _known(jury, dispute).choices:
        raise ActRefused("BadChoice", "no such choice", expected=f"0 to {_known(jury, dispute).choices}", actual=choice)
    number = len(_known(jury, dispute).rounds) - 1
    if vote_hash(jury, dispute, number, by, choice, salt) != vote.commit:
        raise ActRefused("BadReveal", "not what you committed")
    return _with_vote(jury, dispute, by, replace(vote, choice=choice))


def denounce(jury: Jury, dispute: int, juror: Account, choice: int, salt: bytes, now: int) -> Jury:
    """Void a vote that became known before the commits were over, by showing it: its deposit is lost."""
    found = _voting(jury, dispute, now, "commit", "NotCommitting")
    vote = found.votes.get(juror, Vote(0))
    if vote.told:
        raise ActRefused("Told", "this vote is void already")
    number = len(_known(jury, dispute).rounds) - 1
    if not vote.commit or vote_hash(jury, dispute, number, juror, choice, salt) != vote.commit:
        raise ActRefused("BadReveal", "not what this juror committed")
    return _with_vote(jury, dispute, juror, replace(vote, told=True))


def phase(jury: Jury, dispute: Dispute, now: int) -> Phase:
    """Where a dispute stands. A round whose seats were not all drawn in time leaves the ruling before it."""
    rules, last = jury.rules, dispute.rounds[-1]
    if not last.drawn_at:
        return "draw" if now < last.start + rules.draw else "solved"
    at = now - last.drawn_at - rules.commit
    if at < 0:
        return "commit"
    if at < rules.reveal:
        return "reveal"
    return "appeal" if len(dispute.rounds) < rules.rounds and at < rules.reveal + rules.appeal else "solved"


def ruling(jury: Jury, dispute: Dispute, now: int) -> int | None:
    """What the last round whose reveals are over ruled; None if none did, for a tie, and where nobody revealed.

    None is told as ruling 0. A jury that itself votes 0 by majority is an answer: others were incoherent.
    """
    for one in reversed(dispute.rounds):
        if one.drawn_at and now >= one.drawn_at + jury.rules.commit + jury.rules.reveal:
            return one.winner()
    return None


def execute(jury: Jury, dispute: int, now: int) -> tuple[Jury, int]:
    """The final ruling, to be told to whoever asked, once."""
    found = _known(jury, dispute)
    if phase(jury, found, now) != "solved":
        raise ActRefused("NotFinal", "the ruling is not final", actual=phase(jury, found, now))
    if found.executed:
        raise ActRefused("Executed", "the ruling was told")
    return _with_dispute(jury, dispute, replace(found, executed=True)), ruling(jury, found, now) or 0


def settle(jury: Jury, dispute: int, number: int, now: int) -> Jury:
    """Pay and release the jurors of one round of a solved dispute. By anyone."""
    found = _known(jury, dispute)
    if phase(jury, found, now) != "solved":
        raise ActRefused("NotFinal", "the ruling is not final", actual=phase(jury, found, now))
    if not 0 <= number < len(found.rounds):
        raise ActRefused("NoRound", "no such round", actual=number)
    one = found.rounds[number]
    if one.settled:
        raise ActRefused("Settled", "this round is settled")
    jury = _with_round(jury, dispute, replace(one, settled=True), number)
    if not one.drawn_at:
        return _credited(jury, one.payer, one.paid)
    right, lost, rules = [], 0, jury.rules
    final = ruling(jury, found, now)
    for juror, ticket in one.seats:
        jury, vote = _serving(jury, ticket, -1), one.votes[juror]
        # Where no choice won, nobody who spoke was wrong.
        if vote.choice is not None and (final is None or vote.choice == final):
            right.append(juror)
        elif vote.commit:
            lost += rules.penalty
        else:
            jury = _fined(jury, ticket, now)
    share, rest = divmod(lost, len(right)) if right else (0, lost)
    for juror in right:
        jury = _credited(jury, juror, rules.penalty + rules.fee + share)
    # Nobody gets the fees of others' seats: rounds that jurors cannot afford would cost nothing.
    return _credited(jury, rules.sink, rest + rules.fee * (one.size - len(right)))


def _fined(jury: Jury, one: int, now: int) -> Jury:
    """Its juror did not turn up: the ticket is gone, once. Nobody gains by that, its juror's friends least of all."""
    ticket = jury.tickets[one]
    if ticket.gone:
        return jury
    if not ticket.leaving:
        jury = _removed(jury, one, now)
    jury = _with_ticket(jury, one, replace(ticket, leaving=0, gone=True))
    jury = _credited(jury, ticket.juror, jury.rules.unit - jury.rules.penalty)
    return _credited(jury, jury.rules.sink, jury.rules.penalty)


def withdraw(jury: Jury, by: Account) -> tuple[Jury, int]:
    """The caller's credit, paid out."""
    amount = jury.credits.get(by, 0)
    if not amount:
        raise ActRefused("Nothing", "nothing waits for you")
    return replace(jury, credits=MappingProxyType({who: one for who, one in jury.credits.items() if who != by})), amount


# -- shared ------------------------------------------------------------------------------------------------------------


def _known(jury: Jury, dispute: int) -> Dispute:
    if not 0 <= dispute < len(jury.disputes):
        raise ActRefused("Unknown", "there is no such dispute", actual=dispute)
    return jury.disputes[dispute]


def _drawing(jury: Jury, dispute: int, now: int) -> Round:
    found = _known(jury, dispute)
    if phase(jury, found, now) != "draw":
        raise ActRefused("NotDrawing", "there is nothing to draw", actual=phase(jury, found, now))
    return found.rounds[-1]


def _voting(jury: Jury, dispute: int, now: int, expected: Phase, code: str) -> Round:
    found = _known(jury, dispute)
    if phase(jury, found, now) != expected:
        raise ActRefused(code, "not the time for it", expected=expected, actual=phase(jury, found, now))
    return found.rounds[-1]


def _seated(found: Round, by: Account) -> Vote:
    if by not in found.votes:
        raise ActRefused("NotJuror", "you are not on this jury", actual=by.hex())
    return found.votes[by]


def _serving(jury: Jury, one: int, more: int) -> Jury:
    ticket = jury.tickets[one]
    return _with_ticket(jury, one, replace(ticket, serving=ticket.serving + more))


def _credited(jury: Jury, account: Account, amount: int) -> Jury:
    if not amount:
        return jury
    return replace(jury, credits=MappingProxyType({**jury.credits, account: jury.credits.get(account, 0) + amount}))


def _with_ticket(jury: Jury, one: int, ticket: Ticket) -> Jury:
    return replace(jury, tickets=(*jury.tickets[:one], ticket, *jury.tickets[one + 1 :]))


def _with_dispute(jury: Jury, number: int, dispute: Dispute) -> Jury:
    return replace(jury, disputes=(*jury.disputes[:number], dispute, *jury.disputes[number + 1 :]))


def _with_round(jury: Jury, dispute: int, one: Round, number: int = -1) -> Jury:
    found = jury.disputes[dispute]
    rounds = list(found.rounds)
    rounds[number] = one
    return _with_dispute(jury, dispute, replace(found, rounds=tuple(rounds)))


def _with_vote(jury: Jury, dispute: int, juror: Account, vote: Vote) -> Jury:
    last = jury.disputes[dispute].rounds[-1]
    return _with_round(jury, dispute, replace(last, votes=MappingProxyType({**last.votes, juror: vote})))
