"""``troth train`` behind masks: paid by rule, checked, resumed with the same bits; nobody sees an update."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rounds_parts import PASSPHRASE, write
from typer.testing import CliRunner

from troth.app import Troth, verify_bundle
from troth.app.privacy import check, opened
from troth.app.rounds import Agreed, load
from troth.app.training import train
from troth.cli.main import app
from troth.core.errors import BadInput
from troth.core.verdicts import Outcome
from troth.learn import claims as kinds
from troth.learn.masking.journal import SumJournal
from troth.ledger.evm import EvmBook
from troth.ledger.exchange import FolderExchange
from troth.ledger.log import Log
from troth.verify.trust import Trust

SITES = ("east", "north", "south", "west")
ROUNDS = 2


def quiet(text: str) -> None:
    """Tells nobody."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """(ROUND.toml, folder, result) of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    file = write(folder / "files", rounds=ROUNDS, sites=SITES, privacy="masked")
    return file, folder / "out", train(load(file), folder / "out", PASSPHRASE, say=quiet)


def test_it_trains_pays_and_is_checked(whole: tuple[Path, Path, dict[str, Any]]) -> None:
    _, out, result = whole
    assert [row["outcome"] for row in result["rounds"]] == [1] * ROUNDS
    assert [row["counted"] for row in result["rounds"]] == [4] * ROUNDS
    assert all(list(row["paid"].values()) == ["750"] * 4 for row in result["rounds"])
    assert result["rounds"][0]["params"] != result["rounds"][1]["params"]
    trust = Trust.from_bytes((out / "trust.json").read_bytes())
    report = verify_bundle(out / "model.troth", trust)
    assert report.outcome is Outcome.UPHELD
    assert any("masked sum" in step.detail for step in report.steps)
    with Troth.open(out / "parties" / "verifier-1", PASSPHRASE) as verifier:
        verifier.receive()
        again = verify_bundle(out / "model.troth", trust, verifier)
    assert again.outcome is Outcome.UPHELD
    assert sum("summed again from 1 of 1 transcripts" in step.detail for step in again.steps) == ROUNDS
    assert not any("summed again" in step.detail for step in report.steps)  # sealed: whoever opens nothing is told so


class Killed(BaseException):
    """A process that ends where it stands."""


@pytest.fixture
def die(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """die(n): the n-th write from now on, to the chain, a mailbox, a log or a journal of sums, is the last thing that
    happens; every other time it does not happen any more itself.
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

    for kind, name in ((EvmBook, "_send"), (FolderExchange, "put"), (Log, "append"), (SumJournal, "begin"),
                       (SumJournal, "say"), (SumJournal, "hear")):
        monkeypatch.setattr(kind, name, counted(getattr(kind, name)))

    def arm(number: int) -> None:
        left[0], before[0] = number, not before[0]

    return arm


def test_killed_between_any_two_writes_it_goes_on_in_the_same_sums(
        whole: tuple[Path, Path, dict[str, Any]], tmp_path: Path, die: Callable[[int], None]) -> None:
    """The same model to the bit, and every site in every sum: a site goes on with the messages of before."""
    file, _, result = whole
    draw, deaths, found = random.Random(7), 0, None
    while found is None:
        die(draw.randrange(12, 60))
        try:
            found = train(load(file), tmp_path / "out", PASSPHRASE, say=quiet)
        except Killed:
            deaths += 1
            assert deaths < 40, "it does not come any further"
    assert deaths >= 4
    assert [row["params"] for row in found["rounds"]] == [row["params"] for row in result["rounds"]]
    assert [row["counted"] for row in found["rounds"]] == [4] * ROUNDS
    assert [sorted(row["paid"].values()) for row in found["rounds"]] == [
        sorted(row["paid"].values()) for row in result["rounds"]]
    for site in SITES:
        with Troth.open(tmp_path / "out" / "parties" / site, PASSPHRASE) as party:
            said = [one for _, one in party.claims(kinds.UPDATE) if one.issuer == party.did]
        assert sorted(kinds.UpdateClaim.of(one).round for one in said) == [1, 2]


NOISE = '[noise]\nmultiplier = "2.0"\nrelied = 3\nepsilon = "5"\n'


def test_noise_is_charged_before_a_round_and_a_spent_budget_ends_it(tmp_path: Path) -> None:
    """The budget bears one round of two: in the second nobody takes part, and the model stays."""
    file, out = write(tmp_path / "files", rounds=2, sites=SITES[:3], privacy="masked"), tmp_path / "out"
    file.write_text(file.read_text() + NOISE)
    told: list[str] = []
    result = train(load(file), out, PASSPHRASE, say=told.append)
    first, second = result["rounds"]
    assert (first["outcome"], first["counted"]) == (1, 3)
    assert (second["outcome"], second["counted"]) == (kinds.UNSUMMED, 0)
    assert second["params"] == first["params"]
    assert second["paid"] == first["paid"], "by rounds taken part in"
    assert any("would pass the data set's budget" in line for line in told), told
    with Troth.open(out / "parties" / "north", PASSPHRASE) as north, opened(north) as ledger:
        (account,) = ledger.accounts()
        (spent,) = account.spendings
        said = [kinds.UpdateClaim.of(one).training.privacy for _, one in north.claims(kinds.UPDATE)
                if one.issuer == north.did]
        assert [one.mechanism for one in said if one] == [spent.mechanism]
        assert (spent.mechanism.shares, spent.mechanism.sensitivity) == (3, 2 * load(file).agreed.clip)
        claims = [claim for claim, one in north.claims(kinds.UPDATE) if one.issuer == north.did]
        assert check(north, claims[0]).outcome is Outcome.UPHELD


def test_what_it_costs_is_said_beforehand(tmp_path: Path) -> None:
    file = write(tmp_path, sites=tuple(f"s{number}" for number in range(9)), privacy="grouped")
    file.write_text(file.read_text() + "[masking]\ngroup = 3\n")
    found = CliRunner().invoke(app, ["train", "--cost", str(file), "--json"])
    said = json.loads(found.stdout)
    assert (said["sums"], said["largest"], said["parameters"]) == (3, 3, 3)
    assert said["masking"]["sent"] < said["ckks"]["sent"]
    assert not (tmp_path / "training").exists()
    assert "no verifier could sum it again" in CliRunner().invoke(app, ["train", "--cost", str(file)]).stdout


@pytest.mark.parametrize(("more", "said"), [
    ("[masking]\ngroup = 3\n", "size 0"), ("[noise]\nmultiplier = 1\nrelied = 4\n", "not every sum"),
    ("[noise]\nrelied = 1\n", "lacks multiplier"),
    ("[noise]\nmultiplier = 1\nrelied = 1\ngroup = 2\n", "mean nothing")])
def test_what_no_masked_round_could_be(tmp_path: Path, more: str, said: str) -> None:
    file = write(tmp_path, sites=SITES, privacy="masked")
    file.write_text(file.read_text() + more)
    with pytest.raises(BadInput) as found:
        load(file)
    assert said in str(found.value)
    open_file = write(tmp_path / "open", sites=SITES)
    open_file.write_text(open_file.read_text() + more)
    with pytest.raises(BadInput, match="behind masks"):
        load(open_file)
    agreed = load(write(tmp_path / "good", sites=SITES, privacy="masked")).agreed
    assert Agreed.of(agreed.json()) == agreed
    with pytest.raises(BadInput):
        load(write(tmp_path / "few", privacy="masked"))
