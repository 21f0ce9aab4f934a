"""Deals on the command line: from the index, with the block they are of, and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ports.books import account
from ports.postgres import new_schema
from troth.app import Troth
from troth.cli.deals import Catching, page
from troth.cli.main import main
from troth.core.claims import Subject
from troth.core.errors import Misuse, Undecidable
from troth.core.terms import REFUTED, UPHELD, Ask, Pot, Result, Rung, Split, Terms
from troth.core.times import moment
from troth.flows.terms import stake_pot
from troth.identity.keystore import MIN_COST
from troth.ledger.erc20 import Erc20

PASSPHRASE = "correct horse"


@pytest.fixture
def party(tmp_path: Path) -> Troth:
    """A workspace with contracts on a chain of its own, and two deals: one funding, one running with a claim in it."""
    with Troth.init(tmp_path / "me", PASSPHRASE, cost=MIN_COST) as party:
        party.deploy(supply=100)
        me, judge = party.account, party.contracts["assumed"]
        Erc20(party.chain.web3, party.contracts["token"].address).approve(party.sender, party.book.address, 100)
        terms = Terms(
            party.contracts["token"].address,
            (Pot("reward", me, 5, {UPHELD: Split((account("worker"),), amounts=(5,))}),),
            (Rung(judge.address, judge.codehash, (Ask("result", (me,), 1_000),), 1_000, silent=REFUTED),),
            party.chain.now() + 1_000, account("court"))
        party.book.open(me, terms, bytes(32))
        deal = party.book.open(me, terms, b"\1" * 32)
        party.book.join(me, deal, 0)
        claim = party.attest("result", [Subject("x", {"sha256": "ab" * 32})], {})
        party.book.submit_and_judge(me, deal, 0, 0, claim, Result(UPHELD).to_bytes())
        party.anchor()
    return party


@dataclass(frozen=True)
class Said:
    stdout: str
    stderr: str


Run = Callable[..., Said]


@pytest.fixture
def troth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in the party's folder, in this process: starting one for each command takes seconds."""
    def run(*words: str, status: int = 0, **environment: str) -> Said:
        with monkeypatch.context() as here:
            here.setenv("TROTH_PASSPHRASE", PASSPHRASE)
            for name, value in environment.items():
                here.setenv(name, value)
            here.chdir(tmp_path / "me")
            here.setattr(sys, "argv", ["troth", *words])
            with pytest.raises(SystemExit) as done:
                main()
        said = capsys.readouterr()
        assert (done.value.code or 0) == status, (words, said)
        return Said(said.out, said.err)
    return run


def test_deals_are_listed_and_shown(party: Troth, troth: Run) -> None:
    listed = json.loads(troth("deal", "list", "--json").stdout)
    assert [one["status"] for one in listed["deals"]] == ["funding", "running"]
    assert listed["as_of"]["finalized"] == listed["as_of"]["block"]
    (running,) = json.loads(troth("deal", "list", "--status", "running", "--mine", "--json").stdout)["deals"]
    assert running == listed["deals"][1]
    assert json.loads(troth("deal", "list", "--newest", "1", "--json").stdout)["deals"] == [running]
    assert "no such status" in troth("deal", "list", "--status", "open", status=2).stderr

    shown = json.loads(troth("deal", "show", running["id"], "--json").stdout)
    assert shown["as_of"] == listed["as_of"]
    assert (shown["status"], shown["entries"], shown["outcome"]) == ("running", 2, None)
    assert shown["pots"] == [{"name": "reward", "amount": "5", "depositor": "0x" + party.account.hex(),
                              "joined": True}]
    assert [entry["kind"] for entry in shown["history"]] == ["submission", "verdict"]
    assert shown["history"][1]["result"]["outcome"] == UPHELD
    page = troth("deal", "show", running["id"]).stdout
    assert shown["history"][0]["claim"] in page
    assert f"pot reward: 5 from this party, 0x{party.account.hex()}" in page
    assert f"submission at {moment(shown['history'][0]['at'])} by this party, 0x" in page
    for seconds in (shown["closes_by"], shown["history"][0]["at"]):
        assert type(seconds) is int
        assert moment(seconds) in page
    assert f"as of block {shown['as_of']['block']} ({shown['as_of']['hash']}), finalized up to" in page
    for digits in (16, 21, 63):
        assert json.loads(troth("deal", "show", running["id"][:digits], "--json").stdout) == shown
    assert "no deal here begins" in troth("deal", "show", "00" * 8, status=3).stderr
    assert "no id of a deal" in troth("deal", "show", running["id"][:15], status=2).stderr
    assert "no such deal" in troth("deal", "show", "00" * 32, status=3).stderr
    assert f"2 deals as of block {shown['as_of']['block']}" in troth("deal", "list", "--offline").stdout


def test_a_page_says_whose_a_stake_is(party: Troth, tmp_path: Path) -> None:
    judge = account("judge")
    with Troth.open(tmp_path / "me", PASSPHRASE) as again:
        as_of, found = again.deal(again.deals()[1][0].id)
    pots = (replace(found.state.terms.pots[0], name=stake_pot(judge), depositor=judge),)
    staked = replace(found, state=replace(found.state, terms=replace(found.state.terms, pots=pots)))
    assert f"pot stake: 5 from did:peer:4judge, 0x{judge.hex()}, not joined" in page(
        as_of, staked, {judge: "did:peer:4judge"})
    assert f"pot stake: 5 from 0x{judge.hex()}, not joined" in page(as_of, staked, {})


def test_an_index_in_postgres_says_the_same(party: Troth, troth: Run) -> None:
    here = troth("deal", "list", "--json").stdout
    assert troth("deal", "list", "--json", TROTH_INDEX_URL=new_schema()).stdout == here


def test_offline_answers_as_of_an_earlier_block(party: Troth, tmp_path: Path) -> None:
    with Troth.open(tmp_path / "me", PASSPHRASE) as again:
        with pytest.raises(Undecidable, match="empty"):
            again.deals(offline=True)
        before, found = again.deals()
        again.book.stop(again.account, True)
        assert again.deals(offline=True) == (before, found)
        after, same = again.deals()
        assert after.number == before.number + 1
        assert same == found
        assert again.deal(found[1].id)[1].state == again.book.state(found[1].id)
        (anchored,) = [row for row in again._index.all("SELECT owner, size FROM anchored")]
        assert (bytes(anchored[0]), int(anchored[1])) == (again.account, again.log.size)


def test_an_unreachable_node_leaves_the_index_readable(party: Troth, troth: Run) -> None:
    here = troth("deal", "list").stdout
    gone = {"TROTH_CHAIN_URL": "http://127.0.0.1:9"}
    assert "does not answer" in troth("deal", "list", status=5, **gone).stderr
    assert troth("deal", "list", "--offline", **gone).stdout == here


def test_another_index_is_not_mixed_in(party: Troth, tmp_path: Path) -> None:
    with Troth.open(tmp_path / "me", PASSPHRASE) as again:
        again.deals()
        place = next((tmp_path / "me" / ".troth").glob("deals-*.sqlite"))
        again.deploy(supply=None)
        assert again.deals()[1] == ()
        again.settings = replace(again.settings, index=str(place))
        again.close_index()
        with pytest.raises(Misuse, match="other contracts"):
            again.deals()


def test_progress_is_on_stderr_and_about_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter((0.0, 0.5, 1.2, 1.3, 9.0))
    saying = Catching(lambda: next(times))
    for done in (1, 2, 3, 4, 5):
        saying(done, 5)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["reading the chain: block 1 of 5", "reading the chain: block 3 of 5"]
