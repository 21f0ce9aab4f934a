"""``troth train`` from end to end in one process: the plain loop's model, paid, checked, resumed; cheats are caught."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounds_parts import PASSPHRASE, write

import troth
from troth.app import verify_bundle
from troth.app.conducting import AGGREGATOR, SPONSOR, Row
from troth.app.following import JOIN, Call
from troth.app.funding import token
from troth.app.rounds import Agreed, load
from troth.app.site import Holding, Member
from troth.app.training import Coordinator, train
from troth.cli.story import tampered
from troth.core.encoding import decode_object
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted
from troth.core.verdicts import Outcome
from troth.flows import round as flow
from troth.flows.terms import round_terms
from troth.learn import training
from troth.learn.arrays import digest
from troth.learn.claims import Seat
from troth.learn.engines import Answer, Engine
from troth.learn.engines.inprocess import InProcessEngine
from troth.learn.sets import Consortium
from troth.learn.site import Fit
from troth.learn.tables import read_table
from troth.ledger.evm import EvmBook
from troth.ledger.exchange import FolderExchange
from troth.ledger.log import Log
from troth.verify.trust import Trust
from troth.web.training import training_page

ROUNDS = 2


def quiet(text: str) -> None:
    """Tells nobody."""


def plain_loop(folder: Path) -> list[str]:
    """The models of the same rounds without claims, deals and parties."""
    agreed = load(write(folder, rounds=ROUNDS)).agreed
    parts = {name: read_table(folder / f"{name}.csv", agreed.schema) for name in ("north", "south", "validation")}
    consortium = Consortium((parts["north"], parts["south"]), parts["validation"], parts["validation"])
    run = training.Run(ROUNDS, Fit.of(agreed.fit, agreed.clip), agreed.rule)
    return [output.digest.hex() for output in training.train(consortium, run)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """(ROUND.toml, folder, result) of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    file = write(folder / "files", rounds=ROUNDS)
    return file, folder / "out", train(load(file), folder / "out", PASSPHRASE, say=quiet)


def test_it_trains_what_the_plain_loop_trains_and_pays_for_it(whole: tuple[Path, Path, dict[str, Any]],
                                                              tmp_path: Path) -> None:
    file, out, result = whole
    assert [row["params"] for row in result["rounds"]] == plain_loop(tmp_path)
    assert [row["outcome"] for row in result["rounds"]] == [1] * ROUNDS
    assert all(sum(map(int, row["paid"].values())) == 3000 for row in result["rounds"])
    report = verify_bundle(out / "model.troth", Trust.from_bytes((out / "trust.json").read_bytes()))
    assert report.outcome is Outcome.UPHELD
    with Coordinator(load(file), out, PASSPHRASE, say=quiet) as home:
        home.prepare()
        assert token(home[SPONSOR], home.agreed).balance(home[SPONSOR].contracts["book"].address) == 0
        assert len(home[SPONSOR].book.opened()) == ROUNDS


def test_its_page_shows_every_round(whole: tuple[Path, Path, dict[str, Any]]) -> None:
    result = whole[2]
    shown = training_page(result | {"name": "<script>alert(1)</script>"})
    assert "<script>alert" not in shown
    assert [name in shown for name in ("<figcaption>Loss", "<figcaption>Score")] == [True, True]
    for row in result["rounds"]:
        assert row["deal"][:16] in shown
        assert f"{row['loss'] / 65536:.4f}" in shown


def test_once_more_changes_nothing(whole: tuple[Path, Path, dict[str, Any]]) -> None:
    file, out, result = whole
    bundle = (out / "model.troth").read_bytes()
    assert train(load(file), out, PASSPHRASE, say=quiet) == result
    assert (out / "model.troth").read_bytes() == bundle
    with Coordinator(load(file), out, PASSPHRASE, say=quiet) as home:
        home.prepare()
        assert len(home[SPONSOR].book.opened()) == ROUNDS


def test_from_python_it_is_the_same_verb(whole: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    file, out, result = whole
    for given in (file, tomllib.loads(file.read_text())):
        found = troth.train(given, out, passphrase=PASSPHRASE, files=file.parent)
        assert found.result == result
        assert digest(found.model).hex() == result["params"]
        assert found.losses == tuple(row["loss"] / 65536 for row in result["rounds"])
        assert all(0.5 < score <= 1 for score in found.scores)
    with pytest.raises(Misuse, match="passphrase"):
        troth.train(file, tmp_path)


def test_files_that_do_not_fit_leave_the_folder_free(tmp_path: Path) -> None:
    file, out = write(tmp_path / "files"), tmp_path / "out"
    right = file.read_text()
    file.write_text(right.replace("validation.csv", "away.csv"))
    with pytest.raises(BadInput, match="away"):
        train(load(file), out, PASSPHRASE, say=quiet)
    file.write_text(right.replace('"dose"', '"weight"'))
    with pytest.raises(BadInput, match=r"does not fit.*weight"):
        train(load(file), out, PASSPHRASE, say=quiet)
    assert not out.exists()
    file.write_text(right)
    with Coordinator(load(file), out, PASSPHRASE):
        assert (out / "troth-train.json").exists()


def test_a_folder_is_one_plan_s_and_one_process_s(whole: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    file, out, _ = whole
    with pytest.raises(Misuse, match="another plan"):
        train(load(write(tmp_path / "files", rounds=ROUNDS + 1)), out, PASSPHRASE, say=quiet)
    with Coordinator(load(file), out, PASSPHRASE), pytest.raises(OutsideFailed, match="another process"), \
            Coordinator(load(file), out, PASSPHRASE):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_text("precious")
    with pytest.raises(Misuse, match="not empty"):
        train(load(file), tmp_path / "other", PASSPHRASE, say=quiet)


def test_records_that_do_not_fit_are_told_before_anything_is_made(tmp_path: Path) -> None:
    file = write(tmp_path / "files")
    (tmp_path / "files" / "south.csv").write_text("age,dose,outcome\n1,x,ill\n")
    with pytest.raises(BadInput, match="row 2, column dose"):
        train(load(file), tmp_path / "out", PASSPHRASE, say=quiet)
    assert not (tmp_path / "out" / "parties").exists()


class Killed(BaseException):
    """A process that ends where it stands."""


@pytest.fixture
def die(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """die(n): the n-th write from now on, to the chain, a mailbox or a log, is the last thing that happens; every other
    time it does not happen any more itself.
    """
    left, before = [0], [False]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*words: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and before[0]:
                raise Killed
            found = real(*words, **named)
            if left[0] == 0:
                raise Killed
            return found
        return act

    for kind, name in ((EvmBook, "_send"), (FolderExchange, "put"), (Log, "append")):
        monkeypatch.setattr(kind, name, counted(getattr(kind, name)))

    def arm(number: int) -> None:
        left[0], before[0] = number, not before[0]

    return arm


def test_killed_between_any_two_writes_it_goes_on_to_the_same_model(
        whole: tuple[Path, Path, dict[str, Any]], tmp_path: Path, die: Callable[[int], None]) -> None:
    file, _, result = whole
    draw, deaths, found = random.Random(5), 0, None
    while found is None:
        die(draw.randrange(10, 40))
        try:
            found = train(load(file), tmp_path / "out", PASSPHRASE, say=quiet)
        except Killed:
            deaths += 1
            assert deaths < 30, "it does not come any further"
    assert deaths >= 3
    assert [row["params"] for row in found["rounds"]] == [row["params"] for row in result["rounds"]]
    assert [sorted(row["paid"].values()) for row in found["rounds"]] == [
        sorted(row["paid"].values()) for row in result["rounds"]]
    with Coordinator(load(file), tmp_path / "out", PASSPHRASE, say=quiet) as home:
        home.prepare()
        assert len(home[SPONSOR].book.opened()) == ROUNDS
        assert token(home[SPONSOR], home.agreed).balance(home[SPONSOR].contracts["book"].address) == 0


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Coordinator, bytes]]:
    """A plan that is called and not trained yet."""
    folder = tmp_path_factory.mktemp("begun")
    with Coordinator(load(write(folder / "files", rounds=ROUNDS)), folder / "out", PASSPHRASE, say=quiet) as home:
        home.prepare()
        yield home, home.gather()


def answered(member: Member, call: bytes) -> dict[str, Any]:
    return decode_object(member.answer(call))


def test_a_site_acts_only_on_deals_that_the_plan_leads_to(begun: tuple[Coordinator, bytes]) -> None:
    home, plan = begun
    sponsor, follower = home[SPONSOR], home.seats(plan)[0]
    member = home.members["north"]
    chain = home.chain
    assert chain is not None
    held = token(member.party, home.agreed).balance(member.party.account)
    good = round_terms(follower.words, follower.seat.plan, frozenset(follower.seat.plan.keys), chain.now())
    other = replace(good, pots=(replace(good.pots[0], amount=1), *good.pots[1:]))
    wrong = sponsor.book.open(sponsor.account, other, bytes(32))
    assert "terms are not the plan's" in answered(member, Call(JOIN, plan, 1, wrong).to_bytes(sponsor))["error"]
    assert "no such deal" in answered(member, Call(JOIN, plan, 1, bytes(32)).to_bytes(sponsor))["error"]
    assert "another plan" in answered(member, Call(JOIN, bytes(32), 1, wrong).to_bytes(sponsor))["error"]
    assert "earlier round" in answered(member, Call(JOIN, plan, 2, wrong).to_bytes(sponsor))["error"]
    assert "nothing that this seat does" in answered(
        member, Call("share", plan, 1, sponsor.book.open(sponsor.account, good, bytes(32))).to_bytes(sponsor))["error"]
    assert "only the sponsor" in answered(member, Call(JOIN, plan, 1, wrong).to_bytes(home[AGGREGATOR]))["error"]
    for rubbish in (b"", b"{}", bytes(100)):
        assert "error" in answered(member, rubbish)
    late = round_terms(follower.words, follower.seat.plan, frozenset(follower.seat.plan.keys), chain.now() + 9_999)
    kept = sponsor.book.open(sponsor.account, late, bytes(31) + b"\1")
    assert "longer than was agreed" in answered(member, Call(JOIN, plan, 1, kept).to_bytes(sponsor))["error"]
    assert token(member.party, home.agreed).balance(member.party.account) == held


@pytest.mark.parametrize("change", [
    {"rounds": 3}, {"clip": 1}, {"rule": "mean"}, {"seed": bytes(32)}, {"task": {"family": "dense", "hidden": [3]}},
    {"fit": {"batch": 0, "decay": "0", "rate": "9", "steps": 1}}, {"sites": 3}, {"verifiers": 2}])
def test_a_plan_that_is_not_what_was_agreed_is_refused(begun: tuple[Coordinator, bytes],
                                                       change: dict[str, Any]) -> None:
    home, plan = begun
    agreed: Agreed = replace(home.agreed, **change)
    north = home["north"]
    north.receive()
    member = Member(north, agreed, (home[SPONSOR].did, home[SPONSOR].account), home[AGGREGATOR].did,
                    Holding(lambda: read_table(home.file.sites["north"], agreed.schema)))
    with pytest.raises(Refuted, match="not what was agreed"):
        _ = member.follower
    assert plan


def test_an_aggregator_that_cheats_is_corrected_and_pays(begun: tuple[Coordinator, bytes],
                                                         whole: tuple[Path, Path, dict[str, Any]],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """A site challenges, the verifier executes again, training goes on from what it found."""
    home, plan = begun
    real = flow.Aggregator.aggregate

    def cheat(aggregator: flow.Aggregator, deal: bytes, number: int) -> Any:
        output, updates = real(aggregator, deal, number)
        return (tampered(output, aggregator.base(), aggregator.replay) if number == 1 else output), updates

    monkeypatch.setattr(flow.Aggregator, "aggregate", cheat)
    held = token(home[AGGREGATOR], home.agreed).balance(home[AGGREGATOR].account)
    rows = home.run(plan)
    assert [row.outcome for row in rows] == [2, 1]
    assert [row.params.hex() for row in rows] == [row["params"] for row in whole[2]["rounds"]]
    assert token(home[AGGREGATOR], home.agreed).balance(home[AGGREGATOR].account) == held - 7000 + 200
    result = home.finish(plan, rows)
    report = verify_bundle(Path(result["bundle"]), Trust.from_bytes(Path(result["trust"]).read_bytes()))
    assert report.outcome is Outcome.UPHELD


def test_absent_and_malformed_updates_stop_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = load(write(tmp_path / "files", rounds=ROUNDS))
    calls = [0]

    def engine(local: Mapping[str, Answer]) -> Engine:
        def absent(call: bytes) -> bytes:
            calls[0] += 1
            if calls[0] == 2:  # joined, then nothing heard of in the first round
                raise OSError("the network is down")
            return local[south](call)
        south = next(member.party.did for name, member in home.members.items() if name == "south")
        return InProcessEngine({**local, south: absent})

    def crooked(member: Member, site: flow.Site, round_: int, part: Any) -> Any:
        return {"bias": np.zeros(7, np.int64)}, None

    with Coordinator(file, tmp_path / "out", PASSPHRASE, say=quiet, engine=engine) as home:
        home.prepare()
        plan = home.gather()
        rows: list[Row] = []

        def progress(row: Row) -> None:
            rows.append(row)
            monkeypatch.setattr(Member, "trained", crooked)

        home.run(plan, progress)
        south = home["south"].did
        assert rows[0].counted == 1
        assert rows[0].paid[south] == 0
        assert rows[1].counted == 0
        assert {one.rpartition(": ")[2] for one in rows[1].rejected} == {"layout"}
        assert rows[1].params == rows[0].params
        assert Seat(south, home["south"].account) in home.seats(plan)[0].seat.plan.sites
