"""The ledger of spent epsilon: budgets, records under other names, races of processes, kills at any point."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from troth.core.errors import BadInput, Misuse, Undecidable
from troth.learn.privacy import accounting
from troth.learn.privacy.client import SiteNoise
from troth.learn.privacy.fingerprints import Fingerprints
from troth.learn.privacy.ledger import RELEASED, RESERVED, SPENT, Budget, DataSet, Overspent, PrivacyLedger
from troth.learn.privacy.mechanisms import Mechanism

UNIT = 1 << 28
ONE = Mechanism(UNIT, 8 * UNIT)
"""About 0.45 of epsilon at 1e-5 alone, 1.5 for eight."""
DELTA = "0.00001"
MARK = b"m" * 32
PRINTS = Fingerprints(b"k" * 32)
ROWS = [(index, 7 * index, -index * index) for index in range(1, 41)]
TIMES = int(os.environ.get("TROTH_PRIVACY_KILLS", "8"))
FORK = multiprocessing.get_context("fork")


def of(count: int) -> int:
    return accounting.epsilon([ONE] * count, DELTA)


def add(ledger: PrivacyLedger, rows: Sequence[Sequence[int]], name: str, decimals: int = 0) -> DataSet:
    found = list(PRINTS.of(rows, decimals))
    return ledger.add(PRINTS.of_set(found), found, name)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[PrivacyLedger]:
    found = PrivacyLedger(tmp_path / "privacy.sqlite", MARK)
    yield found
    found.close()


@pytest.fixture
def records(ledger: PrivacyLedger) -> bytes:
    """A data set that three of ``ONE`` may be done to."""
    found = add(ledger, ROWS, "first").id
    ledger.set_budget(found, Budget(of(3), DELTA), 1)
    return found


def spend(ledger: PrivacyLedger, data: bytes, mechanism: Mechanism = ONE) -> int:
    made = ledger.reserve(data, mechanism, "test", 2)
    ledger.spend(made)
    return made.total


def full(ledger: PrivacyLedger, data: bytes) -> bool:
    before = ledger.counting(data)
    with pytest.raises(Overspent):
        ledger.reserve(data, ONE, "test", 3)
    return ledger.counting(data) == before


def test_a_budget_is_composed_not_summed_and_never_passed(ledger: PrivacyLedger, records: bytes) -> None:
    assert [spend(ledger, records) for _ in range(3)] == [of(1), of(2), of(3)]
    assert of(3) < 3 * of(1)
    assert full(ledger, records)
    assert ledger.total(records, DELTA) == of(3)
    assert [one.state for one in ledger.counting(records)] == [SPENT] * 3


def test_a_reservation_counts_until_it_is_released_unused(ledger: PrivacyLedger, records: bytes) -> None:
    made = [ledger.reserve(records, ONE, "test", 2) for _ in range(3)]
    assert full(ledger, records)
    ledger.release(made[0])
    ledger.spend(made[1])
    ledger.spend(made[1])
    assert [one.state for one in ledger.counting(records)] == [SPENT, RESERVED]
    with pytest.raises(Misuse, match="was spent"):
        ledger.release(made[1])
    with pytest.raises(Misuse, match="was released"):
        ledger.spend(made[0])
    spend(ledger, records)
    assert full(ledger, records)
    assert RELEASED not in {one.state for one in ledger.counting(records)}


def test_nobody_releases_what_another_reserved(ledger: PrivacyLedger, records: bytes) -> None:
    made = ledger.reserve(records, ONE, "test", 2)
    for act in (ledger.release, ledger.spend):
        with pytest.raises(Misuse, match="not this process"):
            act(replace(made, token=bytes(16)))
    assert made.token.hex() not in repr(made)
    assert str(made.token) not in repr(made)


CHANGED: dict[str, tuple[Sequence[Sequence[int]], int]] = {
    "renamed": (ROWS, 0),
    "shuffled": (ROWS[::-1], 0),
    "columns in another order": ([row[::-1] for row in ROWS], 0),
    "one more decimal": ([[10 * value for value in row] for row in ROWS], 1),
    "a part": (ROWS[:5], 0),
    "with more rows": ([*ROWS, *((-1, 5, index) for index in range(200))], 0),
    "one row in ten changed": ([(a + 1000 * (index % 10 == 0), b, c) for index, (a, b, c) in enumerate(ROWS)], 0),
    "all rows but one changed": ([ROWS[0], *((a + 1000, b, c) for a, b, c in ROWS[1:])], 0),
}


@pytest.mark.parametrize("how", sorted(CHANGED))
def test_listing_the_records_again_gives_no_new_budget(ledger: PrivacyLedger, records: bytes, how: str) -> None:
    for _ in range(2):
        spend(ledger, records)
    rows, decimals = CHANGED[how]
    again = add(ledger, rows, "second", decimals)
    if again.id != records:
        ledger.set_budget(again.id, Budget(100 * of(3), DELTA), 2)  # a generous budget of its own
        assert again.kin == (records,)
    assert spend(ledger, again.id) == of(3), "what was done to the first counts"
    assert full(ledger, again.id), "the first one's budget holds for its records, whatever they are called"
    assert full(ledger, records)


def test_kin_listed_before_anything_was_spent_is_charged_too(ledger: PrivacyLedger, records: bytes) -> None:
    part = add(ledger, ROWS[:3], "part").id
    ledger.set_budget(part, Budget(of(1), DELTA), 1)
    spend(ledger, records)
    assert full(ledger, part)
    assert full(ledger, records), "it would pass the budget of the part"


def test_other_records_have_a_budget_of_their_own(ledger: PrivacyLedger, records: bytes) -> None:
    other = add(ledger, [(1, 2, 3)], "other").id
    with pytest.raises(Misuse, match="no budget"):
        ledger.reserve(other, ONE, "test", 1)
    ledger.set_budget(other, Budget(of(1), DELTA), 1)
    for _ in range(3):
        spend(ledger, records)
    assert spend(ledger, other) == of(1)


def test_the_owner_may_say_that_changed_rows_are_the_same_persons(ledger: PrivacyLedger, records: bytes) -> None:
    rows = list(PRINTS.of([(a + 1, b, c) for a, b, c in ROWS], 0))
    found = ledger.add(PRINTS.of_set(rows), rows, "changed", same_as=[records])
    assert found.kin == (records,)
    part = add(ledger, ROWS[:1], "part")
    assert part.kin == tuple(sorted((records, found.id))), "what shares a record with one shares it with both"
    again = ledger.add(PRINTS.of_set(rows[:1]), rows[:1], "changed part")
    assert again.kin == tuple(sorted((records, found.id)))
    with pytest.raises(Undecidable):
        ledger.add(PRINTS.of_set(rows), rows, "changed", same_as=[bytes(32)])


def test_a_budget_is_raised_only_on_purpose(ledger: PrivacyLedger, records: bytes) -> None:
    for more in (Budget(of(3) + 1, DELTA), Budget(of(3), "0.0001")):
        with pytest.raises(Misuse, match="more than was promised"):
            ledger.set_budget(records, more, 2)
    ledger.set_budget(records, Budget(of(1), DELTA), 3)
    spend(ledger, records)
    assert full(ledger, records)
    ledger.set_budget(records, Budget(of(2), DELTA), 4, raising=True)
    assert [at for at, _ in ledger.budgets(records)] == [1, 3, 4]


def test_what_makes_no_sense_is_refused(ledger: PrivacyLedger, records: bytes, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="names other records"):
        add(ledger, ROWS[:1], "first")
    with pytest.raises(Misuse, match="needs records"):
        ledger.add(bytes(32), [], "none")
    with pytest.raises(Misuse, match="unit record"):
        ledger.reserve(records, SiteNoise.together(1 << 17, 2.0, 3).of_sites(10), "test", 1)
    with pytest.raises(Undecidable):
        ledger.reserve(bytes(32), ONE, "test", 1)
    with pytest.raises(Overspent):
        ledger.reserve(records, Mechanism(4, 8, dimension=1 << 20), "too coarse", 1)
    with pytest.raises(Misuse, match="another key"):
        PrivacyLedger(ledger.path, bytes(32))
    (tmp_path / "no.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(BadInput):
        PrivacyLedger(tmp_path / "no.sqlite", MARK)


def test_a_lost_ledger_is_made_again_from_claims(ledger: PrivacyLedger, records: bytes, tmp_path: Path) -> None:
    made = [ledger.reserve(records, ONE, "test", 2) for _ in range(2)]
    again = PrivacyLedger(tmp_path / "again.sqlite", MARK)
    for one in (*made, *made):
        again.restore(one.entry, records, ONE, "test", 2)
    assert len(again.counting(records)) == 2
    add(again, ROWS, "first")
    part = add(again, ROWS[:2], "part")
    assert part.kin == (records,)
    assert again.total(part.id, DELTA) == of(2)
    again.close()


def test_what_is_restored_beside_kin_takes_its_records_later(ledger: PrivacyLedger, records: bytes) -> None:
    found = list(PRINTS.of(ROWS[:5], 0))
    part = PRINTS.of_set(found)
    assert ledger.restore(b"e" * 32, part, ONE, "test", 2, [records])
    assert ledger.add(part, found, "part").kin == (records,)
    assert ledger.total(records, DELTA) == of(1)


def test_a_fingerprint_says_nothing_without_its_key() -> None:
    other = Fingerprints(b"o" * 32)
    assert set(PRINTS.of(ROWS, 0)).isdisjoint(other.of(ROWS, 0))
    assert "k" * 4 not in repr(PRINTS)
    assert set(PRINTS.of_bytes([b"a", b"b"])).isdisjoint(PRINTS.of(ROWS, 0))
    with pytest.raises(Misuse):
        Fingerprints(b"short")


# Real processes

def racer(path: Path, data: bytes, tries: int, won: multiprocessing.SimpleQueue[int]) -> None:
    ledger = PrivacyLedger(path, MARK)
    for _ in range(tries):
        try:
            spend(ledger, data)
        except Overspent:
            won.put(0)
        else:
            won.put(1)
    os._exit(0)


def run(*children: multiprocessing.process.BaseProcess) -> None:
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode in (0, -signal.SIGKILL), child.exitcode


def test_of_two_processes_one_gets_the_last_of_the_budget(ledger: PrivacyLedger, records: bytes) -> None:
    for _ in range(2):
        spend(ledger, records)
    won: multiprocessing.SimpleQueue[int] = FORK.SimpleQueue()
    again = add(ledger, ROWS[:9], "again").id
    ledger.set_budget(again, Budget(of(30), DELTA), 1)
    assert ledger.path is not None
    run(*(FORK.Process(target=racer, args=(ledger.path, data, 1, won)) for data in (records, again)))
    assert sorted((won.get(), won.get())) == [0, 1]
    assert ledger.total(records, DELTA) == of(3)


def test_many_processes_never_pass_the_budget(ledger: PrivacyLedger, records: bytes) -> None:
    won: multiprocessing.SimpleQueue[int] = FORK.SimpleQueue()
    ledger.set_budget(records, Budget(of(5), DELTA), 1, raising=True)
    assert ledger.path is not None
    run(*(FORK.Process(target=racer, args=(ledger.path, records, 3, won)) for _ in range(4)))
    assert sum(won.get() for _ in range(12)) == 5
    assert ledger.total(records, DELTA) == of(5)


class Dying(PrivacyLedger):
    """May die before and after every transaction, and before its commit."""

    def __init__(self, path: Path, point: Callable[[], None]) -> None:
        self.point = point
        super().__init__(path, MARK)

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[None]:
        self.point()
        with super().writing(durable=durable):
            yield
            self.point()
        self.point()


def dying(path: Path, data: bytes, lives: int, effects: Path) -> None:
    """Reserve, spend, then do it: each deed leaves a mark in ``effects``."""
    left = lives

    def point() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger = Dying(path, point)
    while True:
        try:
            made = ledger.reserve(data, ONE, "test", 2)
        except Overspent:
            os._exit(0)
        if random.random() < 0.2:
            ledger.release(made)
            continue
        ledger.spend(made)
        with effects.open("a") as out:  # the deed: what a site would now draw and send
            out.write(hashlib.sha256(made.entry).hexdigest() + "\n")


def test_processes_killed_anywhere_never_do_more_than_is_counted(tmp_path: Path) -> None:
    draw = random.Random(5)
    path, effects = tmp_path / "privacy.sqlite", tmp_path / "effects"
    effects.touch()
    ledger = PrivacyLedger(path, MARK)
    data = add(ledger, ROWS, "first").id
    ledger.set_budget(data, Budget(of(6), DELTA), 1)
    for _ in range(TIMES):
        children = [FORK.Process(target=dying, args=(path, data, draw.randint(2, 12), effects)) for _ in range(2)]
        run(*children)
        done = effects.read_text().split()
        counted = ledger.counting(data)
        assert len(set(done)) == len(done) <= len(counted) <= 6
        assert accounting.epsilon([ONE] * len(done), DELTA) <= ledger.total(data, DELTA) <= of(6)
    run(FORK.Process(target=dying, args=(path, data, 1000, effects)))
    assert len(ledger.counting(data)) == 6, "what nobody died of can still be used"
    assert full(ledger, data)


def test_a_process_killed_at_random_times_leaves_a_whole_ledger(ledger: PrivacyLedger, records: bytes) -> None:
    ledger.set_budget(records, Budget(of(8), DELTA), 1, raising=True)
    won: multiprocessing.SimpleQueue[int] = FORK.SimpleQueue()
    assert ledger.path is not None
    for delay in (0.01, 0.05, 0.1, 0.2):
        child = FORK.Process(target=racer, args=(ledger.path, records, 2, won))
        child.start()
        time.sleep(delay)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert ledger.total(records, DELTA) <= of(8)
    assert ledger.rows("PRAGMA integrity_check") == [("ok",)]
