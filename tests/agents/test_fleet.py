"""Errands and charging: what deters, what a body is, who may act, and that a reading is paid once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_world import RUN, SHOP, TOKEN, Steps, World

from ports.books import account
from troth.agents.brain import Call
from troth.agents.fleet import ERRAND, Errand, Judged, Station, accept, charging, order, read
from troth.agents.journal import journal
from troth.agents.runs import Runs
from troth.app.devices import read as measure
from troth.app.fleet import log_batch
from troth.core.claims import BATCH, Subject
from troth.core.errors import BadInput, Misuse
from troth.flows.parts import Pin
from troth.identity.devices import READING, follow

ERRAND_1 = Errand(1, account("book"), Pin(account("assumed"), b"\x01" * 32), Pin(account("rerun"), b"\x02" * 32), TOKEN,
                  account("customer"), account("operator"), account("robot"), (account("door"), account("neighbour")),
                  120, 400, 20, 50, 2_000_000_000, 3_600, 3_600, b"\x03" * 32, b"\x04" * 32)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("change", [
    {"stake": 260}, {"price": 0}, {"fee": 0}, {"bond": 0}, {"window": 0}, {"witnesses": ()},
    {"witnesses": (account("door"), account("door"))}, {"witnesses": (account("robot"), account("door"))},
    {"witnesses": (account("customer"),)}, {"operator": account("customer")}])
def test_what_deters_nobody_is_refused(change: dict[str, Any]) -> None:
    ERRAND_1.sound()
    with pytest.raises(Misuse):
        replace(ERRAND_1, **change).sound()


def test_an_errand_reads_as_it_was_written(world: World) -> None:
    assert Errand.of(ERRAND_1.body()) == ERRAND_1
    terms = ERRAND_1.terms()
    assert [pot.amount for pot in terms.pots] == [120, 400, 20]
    for name, value in (("price", 120), ("what", "00"), ("witnesses", ["00"]), ("rerun", {}), ("fund_by", "1")):
        with pytest.raises(BadInput):
            Errand.of(ERRAND_1.body() | {name: value})
    with pytest.raises(Misuse, match="somebody else's"):
        order(world.party, ERRAND_1, [])
    other, _ = measure(world.party, {"door": 1})
    with pytest.raises(BadInput, match=ERRAND):
        read(world.party, other)


def test_an_owner_stakes_on_no_judges_of_its_customers(world: World) -> None:
    errand = replace(ERRAND_1, operator=world.party.account)
    claim = world.party.attest(ERRAND, [Subject("deal", {"keccak256": errand.deal().hex()})], errand.body())
    judged = Judged(TOKEN, (errand.assumed, errand.rerun), frozenset(errand.witnesses))
    changes: list[dict[str, Any]] = [{"token": SHOP}, {"policies": (errand.assumed,)},
                                     {"witnesses": frozenset({account("door")})}]
    for change in changes:
        with pytest.raises(Misuse, match=r"judged by other code|does not believe"):
            accept(world.party, claim, [errand.robot], replace(judged, **change))
    with pytest.raises(Misuse, match="another fleet"):
        accept(world.party, claim, [], judged)


def test_a_log_is_one_signature(world: World) -> None:
    batch = log_batch(world.party, [(world.clock.now(), {"street": n}) for n in range(50)])
    again = log_batch(world.party, [(world.clock.now(), {"street": 7})])
    assert world.party.statement(batch).kind == BATCH
    course = follow(world.party.did, [said for _, said in world.party.claims(READING)])
    assert (course.count, course.last, course.missing) == (51, 50, 0)
    assert batch != again
    for rows in ([], [(1, {})]):
        with pytest.raises(BadInput):
            log_batch(world.party, rows)  # type: ignore[arg-type]


def test_a_reading_is_paid_once_and_by_its_tariff(world: World) -> None:
    """Also where the owner named the reading, twice; a reading of nothing, or of a stranger, is not paid."""
    good, _ = measure(world.party, {"watt_hours": 1_001})
    none, _ = measure(world.party, {"watt_hours": 0})
    other, _ = measure(world.party, {"degrees": 5})
    words = " ".join(one.hex() for one in (good, none, other))
    steps = Steps(*(Call("charge", {"reading": one.hex()}) for one in (good, good, none, other)))

    def run(station: str, n: int) -> list[bool]:
        with Runs(None) as runs:
            loop = world.loop(steps, runs)
            loop.tools.add(charging(world.party, TOKEN, {station: Station(SHOP, 30)}))
            loop.run(RUN[:15] + bytes([n]), words)
            return [one.seen.done for one in runs.steps(RUN[:15] + bytes([n])) if one.seen]
    assert run(world.party.did, 1) == [True, False, False, False]
    assert run(world.party.did, 2) == [False] * 4
    assert run("did:key:stranger", 3) == [False] * 4
    assert world.balance(SHOP) == 31  # 1,001 Wh at 30 a kWh, rounded up
    assert len(journal(world.party)) == 1
