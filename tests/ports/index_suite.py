"""What an index must do wherever it lies. A backend's test class inherits this and says how to open one.

The heart is a state machine over a simulated chain (``ports.simulated``): blocks, forks of depth 1 to 12 with events in
their place, forks in the middle of a reading, nodes that refuse, lie or fall behind, writers that crash or meet. After
every step the index holds exactly the events of the branch that ends at its last block, no matter how the step went.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import pytest
import web3  # noqa: F401  # here, since it changes the interpreter's recursion limit, which Hypothesis minds
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ports.books import MemoryWorld
from ports.lies import LIES
from ports.simulated import ANCHOR, BOOK, CHAIN, TOKEN, SimChain, opening, pool, word
from stateful.drawn import PARTIES, Draws, drawn_terms
from troth.core.errors import BadInput, Misuse, OutsideFailed, Undecidable
from troth.ledger import projection
from troth.ledger.anchors import origin_hash
from troth.ledger.events import TABLES, Reader
from troth.ledger.projection import KEPT, Contracts, Projection
from troth.ledger.projection_sql import SqliteStore, Store, open_store
from troth.ledger.readings import reading

DEEP = os.environ.get("TROTH_STATEFUL") == "deep"
OF = Contracts(CHAIN, BOOK, ANCHOR, 0)
COUNTS: Counter[str] = Counter()


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of events, in order."""
    return {table: [tuple(bytes(one) if isinstance(one, memoryview) else one for one in row) for row in store.all(
        f"SELECT block, log_index, tx, {', '.join(columns)} FROM {table} "
        f"ORDER BY block, log_index{', account' if table == 'named' else ''}")] for table, columns in TABLES.items()}


def expected(chain: SimChain, tip: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """What an index of the branch that ends at ``tip`` holds, without any of the code that reads chains."""
    found: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    for digest in chain.lineage(tip):
        if digest not in chain.rows:
            logs = [log for some in chain.logs_json(digest) for log in some]
            chain.rows[digest] = Reader(CHAIN, BOOK, ANCHOR).rows(logs)
            chain.rows[digest]["named"].sort(key=lambda row: (row[1], row[4]))
        for table, rows in chain.rows[digest].items():
            found[table] += rows
    return found


class Crash(Exception):
    """The process dies here."""


class IndexMachine(RuleBasedStateMachine):
    """``make``: see ``IndexSuite``."""

    make: Callable[[], tuple[str, Callable[[], None]]]

    @initialize(seed=st.integers(0, 2**32 - 1), lag=st.sampled_from((14, 14, 14, None)), length=st.integers(1, 60))
    def begin(self, seed: int, lag: int | None, length: int) -> None:
        self.place, self.clean = self.make()
        self.chain = SimChain(seed, lag)
        self.chain.grow(length)
        self.store = open_store(self.place)
        self.window = 9

    def index(self, store: Store | None = None) -> Projection:
        return Projection(self.chain, store or self.store, OF, window=self.window)  # type: ignore[arg-type]

    @rule(count=st.integers(1, 30))
    def grow(self, count: int) -> None:
        self.chain.grow(count)

    @rule(depth=st.integers(1, 12), more=st.integers(-3, 4))
    def reorg(self, depth: int, more: int) -> None:
        self.chain.reorg(depth, max(1, depth + more))

    @rule()
    def sync(self) -> None:
        self.index().sync()
        self.up_to_date()

    @rule(most=st.integers(5, 40))
    def a_node_with_a_limit(self, most: int) -> None:
        """Ranges are halved until they pass; a block that alone is over the limit is an error."""
        self.chain.most_logs = most
        with suppress(OutsideFailed):
            self.index().sync()
            COUNTS["limit"] += 1
        self.chain.most_logs = 10**6

    @rule(at=st.integers(1, 25), depth=st.integers(1, 12))
    def a_fork_while_reading(self, at: int, depth: int) -> None:
        """The chain changes between two questions."""
        def fork(method: str) -> None:
            if self.chain.asked == due:
                self.chain.before = lambda method: None
                self.chain.reorg(depth, depth + 1)
                COUNTS["fork"] += 1

        due = self.chain.asked + at
        self.chain.before = fork
        self.index().sync()
        self.chain.before = lambda method: None
        self.index().sync()
        self.up_to_date()

    @rule(at=st.integers(1, 20))
    def another_writer(self, at: int) -> None:
        """A second process brings the index up in the middle of ours."""
        def write(method: str) -> None:
            if self.chain.asked == due:
                self.chain.before = lambda method: None
                other = open_store(self.place)
                self.index(other).sync()
                other.close()
                COUNTS["writer"] += 1

        due = self.chain.asked + at
        self.chain.before = write
        self.index().sync()
        self.chain.before = lambda method: None
        self.up_to_date()

    @rule(at=st.integers(1, 25))
    def a_crash(self, at: int) -> None:
        """The process dies at a statement; whoever comes after finds a whole block."""
        left = [at]

        def dying(act: Callable[..., Any]) -> Callable[..., Any]:
            def run(*arguments: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    COUNTS["crash"] += 1
                    raise Crash
                return act(*arguments)
            return run

        store = self.store
        store.all, store._insert = dying(store.all), dying(store._insert)  # type: ignore[method-assign]
        with suppress(Crash):
            self.index().sync()
        store.close()
        self.store = open_store(self.place)

    @rule(lie=st.sampled_from(sorted(LIES)), at=st.integers(1, 12))
    def a_lie(self, lie: str, at: int) -> None:
        """One answer is not the chain's. Either it is noticed, or it was no lie yet where the index ends."""
        tell = LIES[lie](self.chain.random)

        def after(method: str, params: Any, result: Any) -> Any:
            return tell(method, params, result) if self.chain.asked >= due else result

        due = self.chain.asked + at
        self.chain.after = after
        try:
            self.index().sync()
        except OutsideFailed:
            COUNTS["lie"] += 1
        self.chain.after = lambda method, params, result: result

    @rule(back=st.integers(1, 20))
    def a_node_that_is_behind(self, back: int) -> None:
        """It knows less than the index does, and changes nothing."""
        self.sync()
        held = dump(self.store)
        whole = self.chain.branch
        self.chain.branch = whole[: max(self.chain.final + 1, len(whole) - back)]
        self.index().sync()
        self.chain.branch = whole
        assert dump(self.store) == held

    def up_to_date(self) -> None:
        tip = self.store.tip()
        assert tip is not None
        # A branch that is now shorter than the index on the same blocks is a node that is behind.
        assert tip[1] == self.chain.branch[-1] or self.chain.branch[-1] in self.chain.lineage(tip[1])
        fresh = SqliteStore(None)
        self.index(fresh).sync()
        if tip[1] == self.chain.branch[-1]:
            assert dump(fresh) == dump(self.store)
            if self.chain.lag is not None:
                assert self.store.final() == fresh.final() == self.chain.final

    @invariant()
    def a_whole_branch(self) -> None:
        if not hasattr(self, "store"):
            return
        tip = self.store.tip()
        if tip is None:
            assert not any(dump(self.store).values())
            return
        lineage = self.chain.lineage(tip[1])
        assert len(lineage) == tip[0] + 1
        assert all(lineage[number] == digest for number, digest in self.store.blocks())
        assert dump(self.store) == expected(self.chain, tip[1])

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.clean()


def story(chain: SimChain) -> Iterator[None]:
    """The same history in every process: it grows and forks."""
    for _ in range(40):
        chain.grow(chain.random.randint(1, 8))
        if chain.random.random() < 0.6:
            depth = chain.random.randint(1, 12)
            chain.reorg(depth, depth + chain.random.randint(0, 2))
        yield


def live(place: str, there: Any) -> None:
    """A process of its own: follow the story, in transactions of one block, until it is killed."""
    projection.TOGETHER = 1
    chain, store = SimChain(11, None), open_store(place)
    there.set()
    for _ in story(chain):
        Projection(chain, store, OF, window=200).sync()  # type: ignore[arg-type]
    time.sleep(60)  # no second story, which whoever compares would not know


class IndexSuite(ABC):
    """Inherit, implement ``make``."""

    @abstractmethod
    def make(self) -> tuple[str, Callable[[], None]]:
        """(where a new, empty index can be opened any number of times; how to take it away)."""

    examples = 12

    @contextmanager
    def opened(self) -> Iterator[Callable[[], Store]]:
        """Opens an index any number of times."""
        place, clean = self.make()
        stores: list[Store] = []

        def again() -> Store:
            stores.append(open_store(place))
            return stores[-1]

        try:
            yield again
        finally:
            for store in stores:
                store.close()
            clean()

    def test_follows_every_history(self) -> None:
        class Machine(IndexMachine):
            make = staticmethod(self.make)

        COUNTS.clear()
        run_state_machine_as_test(Machine, settings=settings(
            max_examples=400 if DEEP else self.examples, stateful_step_count=20, deadline=None, database=None,
            suppress_health_check=list(HealthCheck)))
        print(dict(COUNTS))
        assert len(COUNTS) > 2
        assert not DEEP or {"fork", "crash", "writer", "lie", "limit"} <= COUNTS.keys()

    @pytest.mark.parametrize("lie", sorted(LIES))
    def test_a_lie_is_noticed_and_nothing_of_it_written(self, lie: str) -> None:
        with self.opened() as opened:
            store, chain = opened(), SimChain(8)
            chain.grow(30)
            index = Projection(chain, store, OF, window=9)  # type: ignore[arg-type]
            index.sync()
            held = dump(store)
            for _ in range(60):
                chain.mine([[one] for one in chain.random.choices(pool(), k=3)])
            for _ in range(6):
                tell = LIES[lie](chain.random)
                chain.after = lambda method, params, result, tell=tell: tell(method, params, result)
                with pytest.raises(OutsideFailed):
                    index.sync()
                tip = store.tip()
                assert tip is not None
                assert dump(store) == expected(chain, tip[1])
                assert "range" not in lie or dump(store) == held
            chain.after = lambda method, params, result: result
            index.sync()
            assert dump(store) == expected(chain, chain.branch[-1])

    def test_readers_see_one_moment_while_a_writer_writes(self) -> None:
        with self.opened() as opened:
            writer, reader = opened(), opened()
            chain = SimChain(5)
            chain.grow(40)
            index = Projection(chain, writer, OF, window=9)  # type: ignore[arg-type]
            index.sync()
            with reading(reader) as now:
                seen, held = now.as_of, now.deals()
                chain.grow(30)
                index.sync()
                chain.reorg(12, 14)
                index.sync()
                assert now.deals() == held
                assert reader.tip() == (seen.number, seen.hash)
            with reading(reader) as now:
                assert now.as_of.hash == chain.branch[-1]
                assert now.as_of.finalized == chain.final
            assert dump(reader) == expected(chain, chain.branch[-1])

    def test_a_fork_at_every_question(self) -> None:
        """Wherever between two questions the chain changes, the index ends on one branch."""
        with self.opened() as opened:
            store, at, forked = opened(), 0, True
            chain = SimChain(12)
            chain.grow(20)
            index = Projection(chain, store, OF, window=9)  # type: ignore[arg-type]
            index.sync()
            while forked:
                at, forked = at + 1, False
                chain.grow(6)

                def fork(method: str, due: int) -> None:
                    nonlocal forked
                    if chain.asked == due:
                        forked = True
                        chain.reorg(9, 9)

                chain.before = lambda method, due=chain.asked + at: fork(method, due)  # type: ignore[misc]
                index.sync()
                chain.before = lambda method: None
                tip = store.tip()
                assert tip is not None
                assert dump(store) == expected(chain, tip[1])
            assert at > 12

    def test_killed_at_any_moment(self) -> None:
        """A process that follows a chain with forks is killed with SIGKILL; what it leaves is a whole branch."""
        place, clean = self.make()
        chain, moments = SimChain(11, None), Random(time.time_ns())
        for _ in story(chain):
            pass
        forks, tips = multiprocessing.get_context("fork"), set()
        for _ in range(12):
            there = forks.Event()
            child = forks.Process(target=live, args=(place, there))
            child.start()
            assert there.wait(60)
            time.sleep(moments.uniform(0.0, 0.4))
            child.kill()
            child.join()
            assert child.exitcode == -signal.SIGKILL
            store = open_store(place)
            tip = store.tip()
            tips.add(tip)
            assert tip is None or dump(store) == expected(chain, tip[1])
            store.close()
        assert len(tips) > 2
        store = open_store(place)
        Projection(chain, store, OF, window=9).sync()  # type: ignore[arg-type]
        assert dump(store) == expected(chain, chain.branch[-1])
        store.close()
        clean()

    def test_an_index_is_of_one_chain_and_one_book(self) -> None:
        with self.opened() as opened:
            chain, other = SimChain(1), SimChain(2)
            Projection(chain, opened(), OF)  # type: ignore[arg-type]
            Projection(chain, opened(), OF)  # type: ignore[arg-type]
            with pytest.raises(Misuse, match="genesis"):
                Projection(other, opened(), OF)  # type: ignore[arg-type]
            for wrong in (Contracts(CHAIN, ANCHOR, BOOK, 0), Contracts(CHAIN, BOOK, ANCHOR, 3)):
                with pytest.raises(Misuse, match="another chain, or of other contracts"):
                    Projection(chain, opened(), wrong)  # type: ignore[arg-type]
            with pytest.raises(Misuse, match="the node is on another chain"):
                Projection(chain, opened(), Contracts(1, BOOK, ANCHOR, 0))  # type: ignore[arg-type]

    def test_what_was_final_stays(self) -> None:
        with self.opened() as opened:
            store, chain = opened(), SimChain(3)
            chain.grow(60)
            Projection(chain, store, OF, window=9).sync()  # type: ignore[arg-type]
            held = dump(store)
            del chain.branch[20:]
            chain.grow(60)
            with pytest.raises(OutsideFailed, match="differs in a block that was final"):
                Projection(chain, store, OF, window=9).sync()  # type: ignore[arg-type]
            assert dump(store) == held

    def test_hashes_are_kept_as_long_as_somebody_may_go_back(self) -> None:
        with self.opened() as opened:
            store, chain = opened(), SimChain(4, None)
            for _ in range(4):
                for _ in range(200):
                    chain.mine(())
                Projection(chain, store, OF, window=9).sync()  # type: ignore[arg-type]
            assert len(store.blocks()) <= 2 * KEPT + 1
            chain.grow(20)
            chain.reorg(12, 13)
            Projection(chain, store, OF, window=9).sync()  # type: ignore[arg-type]
            assert dump(store) == expected(chain, chain.branch[-1])

    def test_largest_values_and_readings_of_them(self) -> None:
        with self.opened() as opened:
            store, chain = opened(), SimChain(6)
            with pytest.raises(Undecidable, match="empty"), reading(store):
                pass
            chain.mine([pool()])
            Projection(chain, store, OF).sync()  # type: ignore[arg-type]
            with reading(store) as now:
                assert now.credit(TOKEN, PARTIES[2]) == 0
                kinds = Counter(one.what for one in now.payouts(PARTIES[2]))
                assert kinds == {"credited": 2, "withdrawn": 2}
                assert {one.amount for one in now.payouts(PARTIES[2])} == {1, 2**256 - 1}
                assert {one.amount for one in now.payouts(PARTIES[1])} == {2**128 - 1}
                (first, last) = now.anchors(PARTIES[1], origin_hash("a log"))
                assert (first.size, last.size, last.root) == (1, 2**64 - 1, word(5))
                assert len(now.deals()) == 6
                assert len(now.deals(newest=2)) == 2
                assert now.deals(newest=2) == now.deals()[-2:]
                assert {one.by for one in now.submissions(word(1))} == {PARTIES[0]}
                with pytest.raises(Misuse, match="no such status"):
                    now.deals(status="open")  # type: ignore[arg-type]
                with pytest.raises(Undecidable, match="no such deal"):
                    now.deal(bytes(32))
                with pytest.raises(OutsideFailed, match="not what a Book lets happen"):
                    now.deal(now.deals()[0].id)  # joined twice, recorded by nobody's leave

    def test_a_deal_that_cannot_be_shown_stops_no_other(self) -> None:
        terms = drawn_terms(Draws(9), MemoryWorld())
        good, first = opening(terms.to_bytes(), word(1), PARTIES[0])
        unreadable = terms.to_bytes().replace(b"\6reward", b"\6\xff\xfe\xfd\xfc\xfb\xfa")
        bad, second = opening(unreadable, word(1), PARTIES[0])
        assert good != bad
        with self.opened() as opened:
            store, chain = opened(), SimChain(7)
            chain.mine([[first, second]])
            Projection(chain, store, OF).sync()  # type: ignore[arg-type]
            with reading(store) as now:
                assert [one.id for one in now.deals()] == [good, bad]
                assert now.deal(good).state.terms == terms
                with pytest.raises(BadInput, match="name"):
                    now.deal(bad)
