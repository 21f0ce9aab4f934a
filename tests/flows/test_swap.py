"""A swap between two chains that re-organise, stall and raise their fees, against parties who stay silent or cheat.

The chains are MemoryBooks with what a real one adds: an act is broadcast first (its content is public from then on)
and included later, and the newest blocks may be taken back, after which what they held waits again.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted, TrothError
from troth.core.terms import Account, DealState, Terms
from troth.flows.parts import Pin
from troth.flows.swap import Leg, Maker, Swap, Taker
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.memory import MemoryBook, Policy
from troth.ledger.memory_token import MemoryToken
from troth.verify.policies.preimage import Preimage, hash_lock

START = 1_700_000_000
TICK = 10
FINALITY, MARGIN, PERIOD = 60, 60, 400
PREIMAGE = Pin(b"\x70" * 20, b"\x71" * 32)
TOKEN, BOOK = b"\x72" * 20, b"\x73" * 20
MAKER, TAKER = b"\x01" * 20, b"\x02" * 20
SECRET = hashlib.sha256(b"secret").digest()
PURSE, FIRST, SECOND = 10_000, 700, 900
EVER = 1 << 40
"""Until when a cheat sends: it minds no time."""
Act = tuple[Account, Callable[[MemoryBook], Any]]
"""Whose it is, and what it does."""


class Chain:
    """One chain: its Book as of the newest block, what waits to be included, and blocks that can be taken back."""

    def __init__(self, chain_id: int, holder: Account) -> None:
        self.clock = ManualClock(START)
        self.head = MemoryBook(self.clock, chain_id=chain_id, address=BOOK, owner=BOOK)
        self.head.policies[PREIMAGE.address] = Policy(PREIMAGE.codehash, Preimage())
        token = self.head.tokens[TOKEN] = MemoryToken()
        token.mint(holder, PURSE)
        token.approve(holder, BOOK, PURSE)
        self.waiting: list[Act] = []
        self.blocks: list[tuple[int, MemoryBook, list[Act]]] = []
        self.stalled_until = 0

    def now(self) -> int:
        return self.clock.now()

    def tick(self) -> None:
        """A block, unless fees are too high for anybody: what waits is included in order, refused acts vanish."""
        self.clock.advance(TICK)
        if self.now() < self.stalled_until:
            return
        before, included = self._copy(), self.waiting
        self.blocks = [block for block in self.blocks if block[0] > self.now() - FINALITY]
        self.blocks.append((self.now(), before, included))
        self.waiting = []
        for _, act in included:
            try:
                act(self.head)
            except ActRefused:
                continue

    def reorganise(self, seconds: int, without: Account = b"") -> None:
        """Take back the blocks of the last ``seconds``; what they held waits to be included again.

        without: the party that caused it, whose own acts are gone for good.
        """
        gone = [block for block in self.blocks if block[0] > self.now() - min(seconds, FINALITY)]
        if not gone:
            return
        self.head = self._copy(gone[0][1])
        self.blocks = self.blocks[:-len(gone)]
        self.waiting = [act for _, _, acts in gone for act in acts if act[0] != without] + self.waiting

    def final(self, deal: bytes) -> bool:
        """Whether the deal stands in a block that can no longer be taken back."""
        oldest = next((book for at, book, _ in self.blocks if at > self.now() - FINALITY), self.head)
        try:
            return bool(oldest.state(deal).joined)
        except ActRefused:
            return False

    def _copy(self, book: MemoryBook | None = None) -> MemoryBook:
        """The Book as it stands: deals never change, so the tables are copied and what is in them shared."""
        made = copy.copy(book or self.head)
        vars(made).update({name: dict(table) for name, table in vars(made).items() if isinstance(table, dict)})
        made.tokens = {account: copy.copy(token) for account, token in made.tokens.items()}
        for token in made.tokens.values():
            vars(token).update({name: dict(table) for name, table in vars(token).items() if isinstance(table, dict)})
        return made

    def holds(self, account: Account) -> int:
        return self.head.tokens[TOKEN].balance_of(account)


@dataclass
class View:
    """One party's Book on a chain: reads the newest block, broadcasts its acts. Each act is broadcast once."""

    chain: Chain
    public: list[bytes]
    owner: Account
    sent: set[Any] = field(default_factory=set)

    @property
    def book(self) -> Any:
        return self

    @property
    def chain_id(self) -> int:
        return self.chain.head.chain_id

    def now(self) -> int:
        return self.chain.now()

    def final(self, deal: bytes) -> bool:
        return self.chain.final(deal)

    def allow(self, token: Account, amount: int) -> None:
        """Both approved the Book beforehand."""

    def until(self, not_after: int) -> Any:
        """What is asked for here is broadcast at once, and so must be in time."""
        assert self.now() <= not_after
        return self

    def state(self, deal: bytes) -> DealState:
        return self.chain.head.state(deal)

    def _broadcast(self, name: tuple[Any, ...], act: Callable[[MemoryBook], Any]) -> None:
        if name not in self.sent:
            self.sent.add(name)
            self.chain.waiting.append((self.owner, act))

    def open_and_join(self, by: Account, terms: Terms, salt: bytes, pot: int) -> bytes:
        self._broadcast(("open", salt), lambda book: book.open_and_join(by, terms, salt, pot))
        return b""

    def join(self, by: Account, deal: bytes, pot: int) -> None:
        self._broadcast(("join", deal), lambda book: book.join(by, deal, pot))

    def submit_and_close(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> None:
        self.public.append(data)
        self._broadcast(("reveal", deal, data),
                        lambda book: book.submit_and_close(by, deal, ask, slot, claim, data))

    def close(self, by: Account, deal: bytes) -> None:
        # A close that came too early vanished: it may be sent again.
        self.chain.waiting.append((self.owner, lambda book: book.close(by, deal)))


class World:
    def __init__(self) -> None:
        self.first, self.second = Chain(1, MAKER), Chain(2, TAKER)
        self.swap = agreed()
        self.public: list[bytes] = []
        self.maker = Maker(self.swap, *self.views(MAKER), SECRET)
        self.taker = Taker(self.swap, *self.views(TAKER))

    def views(self, owner: Account) -> tuple[View, View]:
        """What a party without memory sees of both chains."""
        return View(self.first, self.public, owner), View(self.second, self.public, owner)

    def tick(self) -> None:
        self.first.tick()
        self.second.tick()

    def gains(self) -> tuple[int, int, int, int]:
        """Money: what the maker gave and got, what the taker gave and got."""
        return (PURSE - self.first.holds(MAKER), self.second.holds(MAKER),
                PURSE - self.second.holds(TAKER), self.first.holds(TAKER))


def agreed(**changes: Any) -> Swap:
    """A swap that is safe for both, with some of its numbers changed."""
    first = {"fund_by": START + 200, "period": 1_200, "finality": FINALITY, "amount": FIRST} | changes.pop("first", {})
    second = {"fund_by": START + 400, "period": PERIOD, "finality": FINALITY, "amount": SECOND} \
        | changes.pop("second", {})
    return Swap(Leg(1, bytes(32), BOOK, PREIMAGE, TOKEN, MAKER, TAKER, **first),
                Leg(2, bytes(32), BOOK, PREIMAGE, TOKEN, TAKER, MAKER, **second),
                hash_lock(SECRET), changes.get("margin", MARGIN), bytes(32))


def attempt(step: Callable[[], str]) -> str:
    try:
        return step()
    except (Pending, Refuted, Misuse) as error:
        return type(error).__name__


def test_both_are_paid() -> None:
    world = World()
    done = []
    for _ in range(60):
        done.append((attempt(world.maker.step), attempt(world.taker.step)))
        world.tick()
    assert world.gains() == (FIRST, SECOND, SECOND, FIRST)
    assert done[-1] == ("done", "done")
    waits = [pair[1] for pair in done]
    assert "Pending" in waits[:waits.index("deposited")]  # until the maker's deposit was final


def test_a_silent_taker_costs_the_maker_time_alone() -> None:
    world = World()
    for _ in range(160):
        attempt(world.maker.step)
        world.tick()
    assert world.gains() == (0, 0, 0, 0)
    assert world.maker.step() == "done"


def test_a_silent_maker_costs_the_taker_time_alone() -> None:
    world = World()
    for _ in range(160):
        if not world.second.head.tokens[TOKEN].balance_of(BOOK):
            attempt(world.maker.step)
        attempt(world.taker.step)
        world.tick()
    assert world.gains()[2:] == (0, 0)
    assert world.public == []


def test_a_late_reveal_is_not_made() -> None:
    """Near the deadline a broadcast secret might be included nowhere, and the taker would take both."""
    world = World()
    while not world.second.head.tokens[TOKEN].balance_of(BOOK):
        attempt(world.maker.step)
        attempt(world.taker.step)
        world.tick()
    state = world.taker.second.state
    assert state is not None
    while world.second.now() < state.ask_start + PERIOD - FINALITY - MARGIN:
        world.tick()
    for _ in range(160):
        assert attempt(world.maker.step) != "revealed"
        attempt(world.taker.step)
        world.tick()
    assert world.public == []
    assert world.gains() == (0, 0, 0, 0)


CHANGES = st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["reorganise", "stall", "double spend"]),
                             st.integers(0, 1), st.integers(1, FINALITY)), max_size=1)
CHEATS = st.lists(st.sampled_from(["deposit", "take", "garbage", "close", "silent", "honest"]), min_size=150,
                  max_size=150)


def disturb(world: World, cheat: Account, at: int, changes: list[tuple[int, str, int, int]]) -> None:
    """One chain stalls or re-organises; in a double spend the cheat's own acts do not come back."""
    for when, what, which, seconds in changes:
        chain = (world.first, world.second)[which]
        if when == at and what == "stall":
            chain.stalled_until = chain.now() + min(seconds, MARGIN)
        elif when == at:
            chain.reorganise(seconds, cheat if what == "double spend" else b"")


@settings(max_examples=120, deadline=None)
@given(CHANGES, CHEATS)
def test_an_honest_maker_never_loses_both(changes: list[tuple[int, str, int, int]], cheats: list[str]) -> None:
    """The taker does anything, with every secret it has seen broadcast; one chain re-organises or stalls."""
    world = World()
    taker = world.taker
    for at, cheat in enumerate(cheats):
        attempt(world.maker.step)
        disturb(world, TAKER, at, changes)
        try:
            if cheat == "deposit":
                taker.second.deposit()
            elif cheat == "take" and world.public:
                taker.first.reveal(world.public[-1], EVER)
            elif cheat == "garbage":
                taker.first.reveal(b"\x66" * 32, EVER)
            elif cheat == "close":
                taker.second.side.book.close(TAKER, taker.second.deal)
            elif cheat == "honest":
                attempt(taker.step)
        except TrothError:
            pass
        world.tick()
    for _ in range(20):
        attempt(world.maker.step)
        world.tick()
    gave, got, _, _ = world.gains()
    assert (gave, got) in ((0, 0), (FIRST, SECOND), (0, SECOND))


@settings(max_examples=120, deadline=None)
@given(CHANGES, st.lists(st.sampled_from(["honest", "silent", "late", "garbage", "close"]), min_size=150, max_size=150))
def test_an_honest_taker_never_loses_both(changes: list[tuple[int, str, int, int]], cheats: list[str]) -> None:
    """The maker does anything, such as revealing in the last second; one chain re-organises or stalls."""
    world = World()
    maker = world.maker
    for at, cheat in enumerate(cheats):
        disturb(world, MAKER, at, changes)
        try:
            if cheat == "honest":
                attempt(maker.step)
            elif cheat == "late":
                maker.second.reveal(SECRET, EVER)
            elif cheat == "garbage" and at > 100:
                maker.second.reveal(b"\x66" * 32, EVER)
            elif cheat == "close":
                maker.first.side.book.close(MAKER, maker.first.deal)
        except TrothError:
            pass
        attempt(world.taker.step)
        world.tick()
    for _ in range(20):
        attempt(world.taker.step)
        world.tick()
    _, _, gave, got = world.gains()
    assert (gave, got) in ((0, 0), (SECOND, FIRST), (0, FIRST))


def test_a_taker_that_takes_its_deposit_back_gets_no_secret() -> None:
    world = World()
    while not world.second.holds(BOOK):
        attempt(world.maker.step)
        attempt(world.taker.step)
        world.tick()
    assert attempt(world.maker.step) == "Pending"
    world.tick()
    world.second.reorganise(FINALITY, TAKER)
    for _ in range(160):
        attempt(world.maker.step)
        world.tick()
    assert world.public == []
    assert world.gains() == (0, 0, 0, 0)


def test_a_maker_that_takes_its_deposit_back_gets_no_answer() -> None:
    world = World()
    while not world.first.holds(BOOK):
        attempt(world.maker.step)
        world.tick()
    assert attempt(world.taker.step) == "Pending"
    world.first.reorganise(FINALITY, MAKER)
    for _ in range(60):
        attempt(world.taker.step)
        world.tick()
    assert world.gains() == (0, 0, 0, 0)


def until_revealed(world: World) -> None:
    """Both go on until the secret is in a block of the second chain and on its way into the first."""
    while world.taker.first.shown(world.taker.first.state) is None:
        attempt(world.maker.step)
        attempt(world.taker.step)
        world.tick()


def test_a_secret_that_is_out_is_shown_again_however_late() -> None:
    """A re-organisation took the maker's reveal, and the maker has lost its outbox: the taker has been paid."""
    world = World()
    until_revealed(world)
    world.second.reorganise(FINALITY, MAKER)
    assert world.second.holds(MAKER) == 0
    state = world.taker.second.state
    assert state is not None
    while world.second.now() + FINALITY < state.ask_start + PERIOD:
        world.tick()
    again = Maker(world.swap, *world.views(MAKER), SECRET)
    assert again.step() == "revealed"
    world.tick()
    assert again.step() == "done"
    assert world.second.holds(MAKER) == SECOND


def test_a_secret_that_was_shown_by_hand_is_paid_for() -> None:
    """Shown and judged with other means than this flow's, so that the deals are still to be closed."""
    world = World()
    while world.second.head.tokens[TOKEN].balance_of(BOOK) == 0 or not world.second.final(world.maker.second.deal):
        attempt(world.maker.step)
        attempt(world.taker.step)
        world.tick()
    for chain, place, getter in ((world.second, world.maker.second, MAKER), (world.first, world.taker.first, TAKER)):
        deal, lock = place.deal, world.swap.lock
        chain.waiting.append((getter, lambda book, by=getter, deal=deal, lock=lock: book.submit_and_judge(
            by, deal, 0, 0, lock, SECRET)))
    world.tick()
    assert world.gains() == (FIRST, 0, SECOND, 0)
    assert (world.maker.step(), world.taker.step()) == ("paid", "paid")
    world.tick()
    assert world.gains() == (FIRST, SECOND, SECOND, FIRST)


def test_a_reveal_that_no_block_kept_leaves_the_taker_its_deposit() -> None:
    """The same, and the maker is gone: the taker has both, which is the maker's own doing."""
    world = World()
    until_revealed(world)
    world.second.reorganise(FINALITY, MAKER)
    for _ in range(80):
        attempt(world.taker.step)
        world.tick()
    assert world.gains()[2:] == (0, FIRST)


@pytest.mark.parametrize(("what", "swap"), [
    ("deadlines", agreed(first={"period": 900})),
    ("no margin", agreed(margin=0)),
    ("no time to reveal", agreed(second={"period": 2 * FINALITY + MARGIN})),
    ("no time to see the deposit", agreed(second={"fund_by": START + FINALITY})),
    ("nothing", agreed(second={"amount": 0})),
    ("to oneself", Swap(Leg(1, bytes(32), BOOK, PREIMAGE, TOKEN, MAKER, MAKER, 1, START + 200, 1_200, 0),
                        agreed().second, hash_lock(SECRET), 60, bytes(32))),
])
def test_unsafe_swaps_are_refused_before_anything_moves(what: str, swap: Swap) -> None:
    with pytest.raises(Misuse):
        swap.check(START, START)


def test_deadlines_the_gap_apart_are_enough() -> None:
    agreed(first={"period": 980}).check(START, START)
    with pytest.raises(Misuse, match="too close"):
        agreed(first={"period": 979}).check(START, START)


def test_a_deposit_made_too_early_is_not_answered() -> None:
    """A cheating maker deposits on a deadline that leaves the taker no time: the taker looks at the chain."""
    world = World()
    taker = Taker(agreed(first={"period": 960}), *world.views(TAKER))
    for _ in range(2):
        taker.first.deposit()
        world.tick()
    with pytest.raises(Pending):
        taker.step()
    for _ in range(10):
        world.tick()
    with pytest.raises(Misuse, match="too close"):
        taker.step()


@pytest.mark.parametrize("changes", [{"margin": -10_000}, {"first": {"finality": -10_000}},
                                     {"second": {"finality": -10_000}}])
def test_a_maker_cannot_write_the_gap_away(changes: dict[str, Any]) -> None:
    """With numbers below zero the first deadline may come before the second, and the maker take both."""
    world = World()
    cheat = agreed(**changes)
    taker = Taker(replace(cheat, first=replace(cheat.first, period=100)), *world.views(TAKER))
    taker.first.deposit()
    world.tick()
    for _ in range(6):
        world.tick()
    with pytest.raises(Misuse):
        taker.step()
    assert taker.second.state is None


def test_another_secret_does_not_make_a_maker() -> None:
    world = World()
    with pytest.raises(BadInput, match="does not open"):
        Maker(world.swap, *world.views(TAKER), bytes(32))


def test_the_file_is_read_strictly() -> None:
    swap = agreed()
    assert Swap.decode(swap.encode()) == swap
    with pytest.raises(BadInput):
        Swap.decode(swap.encode().replace(b'"version":1', b'"version":2'))
    with pytest.raises(BadInput):
        Swap.decode(swap.encode().replace(b'"amount":"700"', b'"amount":"0700"'))
