"""One state machine for juries: it drives ``MemoryJury`` and, if it has one, the contract side by side.

After every act, accepted or refused: both gave the same answer or refused with the same code; both show the same court;
a refused act changed nothing; nobody but who acted has other money, and exactly by what the act brings or pays; and
the court has exactly the wei of its stakes, unsettled fees and deposits, and credits. Every jury is the one that the
pool before its round, the case and the seed give. What a settled round pays is predicted from votes. At the end time
passes: every dispute is solved, every stake and credit leaves, and nothing stays.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ports.books import account
from ports.courts import JURORS, PEOPLE, RULES, SINK, MemoryCourts, OnChain, plain
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused
from troth.core.jury import phase
from troth.core.jury_state import Case, Dispute, Round, Vote
from troth.core.terms import Account

COUNTS: Counter[str] = Counter()
NAMES = ("asker", "rival", "worker", "client")
ASKERS = tuple(account(name) for name in NAMES)
SEEDS = st.integers(0, 2**32 - 1)


class JuryMachine(RuleBasedStateMachine):
    """``worlds`` gives a fresh MemoryCourts and its twin (or None)."""

    def worlds(self) -> tuple[MemoryCourts, OnChain | None]:
        return MemoryCourts(), None

    @initialize(seed=SEEDS)
    def begin(self, seed: int) -> None:
        self.memory, self.twin = self.worlds()
        self.extras: list[bytes] = []
        self.votes: dict[tuple[int, int, Account], tuple[int, bytes]] = {}
        self.supply = sum(self.memory.coins(who) for who in PEOPLE)
        dice = Random(seed)
        for juror in JURORS[: dice.choice((6, 8, 12, 12))]:
            self.act("stake", juror, RULES.unit * dice.randint(1, 6))
        self.pass_time(1)

    # -- acts ---------------------------------------------------------------------------------------------------------

    def act(self, name: str, by: Account, *arguments: Any, value: int = 0) -> bool:
        """Do one act on every court and check everything that must hold; whether it was accepted."""
        memory = self.memory
        before, coins = plain(memory.court()), {who: memory.coins(who) for who in PEOPLE}
        owed = memory.court().credits.get(by, 0)
        told = perform(memory.jury, name, by, arguments)
        note(f"{memory.now()} {name} {told} {arguments}")
        if self.twin is not None:
            assert perform(self.twin.jury, name, by, arguments) == told, name
        COUNTS[name if told[0] == "done" else f"{name} refused {told[1]}"] += 1
        brought = 0
        if told[0] == "done":
            brought = {"stake": arguments[0] if arguments else 0, "create_dispute": value, "appeal": value,
                       "commit": value, "withdraw": -owed}.get(name, 0)
            if name in ("create_dispute", "appeal"):
                number = told[1] if name == "create_dispute" else arguments[0]
                # What came or went in this second does not count.
                assert memory.court().disputes[number].rounds[-1].among == self.before
        else:
            assert plain(memory.court()) == before
        for who in PEOPLE:
            assert memory.coins(who) == coins[who] - (brought if who == by else 0)
        assert memory.coins(memory.jury.address) == memory.court().held
        if self.twin is not None:
            assert self.twin.coins(by) == memory.coins(by)
            assert self.twin.coins(self.twin.court_address) == memory.court().held
        # Reading a whole court takes many calls.
        if self.twin is not None and sum(COUNTS.values()) % 12 == 0:
            assert plain(self.twin.court()) == plain(memory.court()), name
        return told[0] == "done"

    def pass_time(self, seconds: int) -> None:
        self.before = self.memory.court().pool
        self.memory.advance(seconds)
        if self.twin is not None:
            self.twin.advance(seconds)
            assert self.twin.now() == self.memory.now()

    def mine(self, blocks: int) -> None:
        (self.twin or self.memory).mine(blocks)

    def open_disputes(self) -> list[tuple[int, Dispute]]:
        return [(n, one) for n, one in enumerate(self.memory.court().disputes)
                if not all(found.settled for found in one.rounds)]

    # -- rules --------------------------------------------------------------------------------------------------------

    @rule(seed=SEEDS)
    def go(self, seed: int) -> None:
        """Mostly what some dispute waits for; else a new dispute, stakes in and out, time."""
        dice = Random(seed)
        what = dice.random()
        if what < 0.2 or not self.open_disputes():
            self.ask(dice)
        elif what < 0.3:
            self.pool(dice)
        elif what < 0.4:
            self.pass_time(dice.choice((1, 1, 60, 60, 299, RULES.draw)))
        for _ in range(3):
            self.one_step(dice)

    def ask(self, dice: Random) -> None:
        """A dispute, mostly of a sort that is taken."""
        if len(self.open_disputes()) >= 2 and dice.random() < 0.8:
            return
        size = dice.choice((1, 3, 3, 5, 2, 17)) if dice.random() < 0.3 else dice.choice((1, 3, 3, 5))
        barred = tuple(dice.choices(JURORS, k=dice.randint(0, 4)))
        extra = Case(size, dice.choice((bytes(20), *ASKERS)), barred).encode() if dice.random() < 0.8 \
            else size.to_bytes(32, "big")
        value = RULES.fee * size + dice.choice((0, 0, 0, 7, -1))
        if self.act("create_dispute", dice.choice(ASKERS), dice.choice((2, 2, 3, 0)), extra, value, value=value):
            self.extras.append(extra)

    def one_step(self, dice: Random) -> None:
        """What a dispute waits for, or something out of turn."""
        waiting = self.open_disputes()
        if not waiting:
            return
        number, found = dice.choice(waiting)
        now = phase(self.memory.court(), found, self.memory.now())
        if dice.random() < 0.15:
            now = dice.choice(("draw", "commit", "reveal", "appeal", "solved"))
        getattr(self, f"_{now}")(dice, number, found)

    def _draw(self, dice: Random, number: int, found: Dispute) -> None:
        last = found.rounds[-1]
        if last.seed:
            extra = self.extras[number] if dice.random() < 0.95 else b"other"
            self.act("draw", dice.choice(PEOPLE), number, extra, dice.choice((256, 256, 256, 2, 0)))
            after = self.memory.court()
            if after.disputes[number].rounds[-1].drawn_at:
                barred = {*Case.decode(self.extras[number]).excluded, *(one.payer for one in found.rounds)}
                assert list(after.disputes[number].rounds[-1].seats) == chosen(
                    after.disputes[number].rounds[-1], [one.juror for one in after.tickets], barred)
        elif dice.random() < 0.05:
            self.act("rearm", dice.choice(PEOPLE), number)
        else:
            self.mine(dice.choice((0, 3, 3, 3)))
            # A node may answer a call as of its newest block: where that is the seed block itself, it is not past.
            if self.memory.blocks.number() == last.seed_block + 1:
                self.mine(1)
            self.act("seed", dice.choice(PEOPLE), number)

    def _commit(self, dice: Random, number: int, found: Dispute) -> None:
        place = len(found.rounds) - 1
        for juror in sorted(found.rounds[-1].votes) or JURORS[:1]:
            if dice.random() < 0.1 or ((number, place, juror) in self.votes and dice.random() < 0.9):
                continue
            vote = (dice.choice((0, 1, 1, 1, 2)), dice.randbytes(32))
            digest = self.memory.jury.vote_hash(number, place, juror, *vote)
            value = self.memory.jury.deposit(number, juror) + dice.choice((0,) * 15 + (1, -RULES.penalty))
            value = max(value, 0)
            if self.act("commit", juror, number, digest if dice.random() < 0.97 else bytes(32), value, value=value):
                self.votes[number, place, juror] = vote
            if dice.random() < 0.1:
                self.act("commit", juror, number, digest, value, value=value)
            if dice.random() < 0.1:
                told = self.votes.get((number, place, juror), vote)
                self.act("denounce", dice.choice(PEOPLE), number, juror, *told)
        if dice.random() < 0.7:
            self.pass_time(RULES.commit)

    def _reveal(self, dice: Random, number: int, found: Dispute) -> None:
        place = len(found.rounds) - 1
        for juror in sorted(found.rounds[-1].votes) or JURORS[:1]:
            if dice.random() < 0.1 or found.rounds[-1].votes.get(juror, Vote(0)).choice is not None:
                continue
            choice, salt = self.votes.get((number, place, juror), (1, bytes(32)))
            if dice.random() < 0.05:
                choice = dice.choice((choice + 1, 99))
            self.act("reveal", juror if dice.random() < 0.97 else dice.choice(PEOPLE), number, choice, salt)
        if dice.random() < 0.7:
            self.pass_time(RULES.reveal)

    def _appeal(self, dice: Random, number: int, found: Dispute) -> None:
        if dice.random() < 0.5:
            cost = self.memory.jury.appeal_cost(number)
            value = cost + dice.choice((0, 0, 5, -1))
            extra = self.extras[number] if dice.random() < 0.95 else b"other"
            self.act("appeal", dice.choice(ASKERS), number, extra, value, value=value)
        else:
            self.pass_time(RULES.appeal)

    def _solved(self, dice: Random, number: int, found: Dispute) -> None:
        if dice.random() < 0.4:
            self.act("execute_ruling", dice.choice(PEOPLE), number)
        for place in range(len(found.rounds) + (dice.random() < 0.1)):
            self.settled(number, place, dice.choice(PEOPLE))

    def settled(self, number: int, place: int, by: Account) -> None:
        """Settle a round and compare with what its votes say."""
        court = self.memory.court()
        found = court.disputes[number]
        if place < len(found.rounds) and not found.rounds[place].settled:
            expected = predicted(found, place, frozenset(n for n, one in enumerate(court.tickets) if one.gone))
            if self.act("settle", by, number, place):
                after = self.memory.court().credits
                gained = {who: after.get(who, 0) - court.credits.get(who, 0) for who in PEOPLE}
                assert gained == {who: expected.get(who, 0) for who in PEOPLE}
        else:
            self.act("settle", by, number, place)

    def pool(self, dice: Random) -> None:
        """Stakes in and out."""
        juror = dice.choice(JURORS)
        tickets = self.memory.court().tickets
        own = [n for n, one in enumerate(tickets) if one.juror == juror and not one.gone]
        name = dice.choice(("stake", "unstake", "unstake", "take", "withdraw"))
        if name == "stake":
            self.act("stake", juror, dice.choice((1, 1, 2, 0, 33)) * RULES.unit + dice.choice((0, 0, 0, 1)))
        elif name == "withdraw":
            self.act("withdraw", dice.choice(PEOPLE))
        else:
            self.act(name, juror, tuple(dice.sample(own, min(len(own), 2))) if own and dice.random() < 0.9 else (0, 77))

    # -- the end ------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "memory"):
            return
        if self.twin is not None:
            assert plain(self.twin.court()) == plain(self.memory.court())
        self.pass_time(2 * RULES.longest)
        for number, found in self.open_disputes():
            for place, one in enumerate(found.rounds):
                if not one.settled:
                    self.settled(number, place, PEOPLE[0])
        for name in ("unstake", "take"):
            for juror in JURORS:
                mine = tuple(n for n, one in enumerate(self.memory.court().tickets) if one.juror == juror
                             and not one.gone and (name == "take" or not one.leaving))
                for first in range(0, len(mine), 40):
                    assert self.act(name, juror, mine[first : first + 40])
            self.pass_time(RULES.draw)
        for who in PEOPLE:
            if self.memory.court().credits.get(who):
                assert self.act("withdraw", who)
        assert self.memory.court().held == 0
        assert not self.memory.court().pool
        assert all(one.gone and not one.serving for one in self.memory.court().tickets)
        assert sum(self.memory.coins(who) for who in PEOPLE) == self.supply


def predicted(found: Dispute, place: int, gone: frozenset[int]) -> dict[Account, int]:
    """What settling a round credits, from the votes of all rounds and which tickets are gone (section 4)."""
    seated = [one for one in found.rounds if len(one.seats) == one.size]
    one = found.rounds[place]
    if len(one.seats) < one.size:
        return {one.payer: one.paid}
    said = {juror: vote.choice for juror, vote in one.votes.items()}
    counts = Counter(seated[-1].votes[juror].choice for juror, _ in seated[-1].seats)
    counts.pop(None, None)
    most = max(counts.values(), default=0)
    leaders = [choice for choice, count in counts.items() if count == most]
    final = leaders[0] if len(leaders) == 1 else None
    right = [juror for juror, _ in one.seats if said[juror] is not None and (final is None or said[juror] == final)]
    lost = RULES.penalty * (sum(bool(one.votes[juror].commit) for juror, _ in one.seats) - len(right))
    paid: Counter[Account] = Counter()
    for juror, ticket in one.seats:
        if juror in right:
            paid[juror] += RULES.penalty + RULES.fee + lost // len(right)
        else:
            paid[SINK] += RULES.fee
        if not one.votes[juror].commit and ticket not in gone:
            paid[juror] += RULES.unit - RULES.penalty
            paid[SINK] += RULES.penalty
    paid[SINK] += lost % len(right) if right else lost
    return dict(paid)


def chosen(one: Round, owners: list[Account], barred: set[Account]) -> list[tuple[Account, int]]:
    """The whole jury, from the pool before the round, whom the case leaves out, and the seed (section 3)."""
    seats: list[tuple[Account, int]] = []
    number = 0
    while len(seats) < one.size:
        throw = keccak256(one.seed + number.to_bytes(32, "big"))
        ticket = one.among[int.from_bytes(throw, "big") % len(one.among)]
        if owners[ticket] not in barred and (owners[ticket], ticket) not in seats:
            seats.append((owners[ticket], ticket))
        number += 1
    return seats


def perform(jury: Any, name: str, by: Account, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """("done", what it answered) or ("refused", code)."""
    try:
        return "done", getattr(jury, name)(by, *arguments)
    except ActRefused as error:
        return "refused", error.code
