"""A sale from the command line: every party in its own workspace, a process for each command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import commands

PASSPHRASE = "correct horse"
NAMES = ("seller", "buyer", "one", "two")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    settings = {key: value for key, value in os.environ.items() if not key.startswith("TROTH_")}
    settings |= {"TROTH_PASSPHRASE": PASSPHRASE, "TROTH_CHAIN_URL": f"embedded:{tmp_path / 'chain'}",
                 "TROTH_EXCHANGE_PATH": str(tmp_path / "exchange")}

    def command(name: str, *words: str, status: int = 0) -> Any:
        done = commands.run(*words, "--json", at=tmp_path / name, env=settings, status=status)
        return json.loads(done.stdout) if done.stdout else done.stderr
    return command


@pytest.mark.slow
def test_a_sale_by_hand(run: Callable[..., Any], tmp_path: Path) -> None:
    did: dict[str, str] = {}
    for name in NAMES:
        (tmp_path / name).mkdir()
        did[name] = run(name, "init")["did"]
    run("seller", "chain", "deploy", "--supply", "100000")
    contracts = str(tmp_path / "seller" / ".troth" / "contracts.json")
    for name in NAMES:
        others = [word for other in NAMES if other != name for word in ("--introduce", did[other])]
        assert run(name, "market", "join", contracts, *others)["did"] == did[name]
    accounts = {name: run(name, "id", "show")["account"] for name in NAMES}
    for name in NAMES[1:]:
        run("seller", "chain", "pay", accounts[name], "10000")
    assert run("seller", "chain", "status")["holds"] == "70000"
    assert "ERC20InsufficientBalance" in run("seller", "chain", "pay", "0x" + "11" * 20, "70001", status=1)
    for name in NAMES:
        run(name, "pull")
    (tmp_path / "seller" / "tags.csv").write_text("token,tag\nbread,NOUN\nrun,VERB\n")
    words = ("sell", "tags.csv", "--price", "1000", "--purpose", "training of taggers", "--tag", "linguistics",
             "--to", did["buyer"])
    assert "2 or 3 verifiers" in run("seller", *words, "--verifier", did["one"], status=2)
    offer = run("seller", *words, "--verifier", did["one"], "--verifier", did["two"])["offer"]
    believe = ("--believe", did["one"], "--believe", did["two"])
    (found,) = run("buyer", "market", "search", "tags")["offers"]
    assert (found["offer"], found["quality"]) == (offer, None)
    assert run("buyer", "market", "check", offer, status=3)["outcome"] == "undecidable"
    assert run("buyer", "market", "check", offer, *believe)["outcome"] == "upheld"
    ordered = run("buyer", "buy", offer, *believe, status=4)
    assert ordered["state"] == "ordered"
    assert ordered["next"].startswith("the seller must answer")
    fit = ("--fit", str(tmp_path / "keys"))
    assert run("buyer", "market", "fit-keys", fit[1])["setup_seconds"] > 0
    assert [one["did"] for one in run("seller", "market", "tend", *fit)["done"]] == ["handed over"]
    run("seller", "chain", "pay", accounts["one"], "70000")
    assert run("buyer", "buy", offer, *believe, *fit, status=4)["state"] == "handed over"
    (tried,) = run("buyer", "market", "tend")["done"]
    assert "ordered with a proof" in tried["refused"]
    (tried,) = run("buyer", "market", "tend", *fit)["done"]
    assert tried["did"] == "paid"
    assert "the seller holds less than its stake" in tried["refused"]
    run("one", "chain", "pay", accounts["seller"], "70000")
    assert run("buyer", "buy", offer, *believe, *fit, status=4)["state"] == "waits for the verifiers"
    for name in ("one", "two"):
        assert [one["did"] for one in run(name, "market", "tend")["done"]] == ["took its seat"]
    assert [one["did"] for one in run("seller", "market", "tend")["done"]] == ["delivered"]
    assert run("buyer", "buy", offer, *believe)["state"] == "opened"
    run("buyer", "load", f"troth://{offer}", "-o", "mine.csv")
    assert (tmp_path / "buyer" / "mine.csv").read_text() == "token,tag\nbread,NOUN\nrun,VERB\n"
    run("one", "load", f"troth://{offer}", "-o", "mine.csv", status=3)
    held = run("seller", "market", "licence", accounts["buyer"], offer, status=1)
    assert held["licensed"] is False, "it may still be refunded"
    assert "minted when it is, on 20" in held["why"]
    assert "no sale of it to this account" in run("seller", "market", "licence", did["one"], offer, status=1)["why"]
    both = ("--verifier", did["one"], "--verifier", did["two"])
    assert "named by their DIDs" in run("seller", *words, *both, "--to", "buyer", status=2)


def test_what_a_fitting_key_costs_is_said_before_and_keys_that_are_missing_stop_a_sale(
        run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "seller").mkdir()
    keys = tmp_path / "keys"
    cost = run("seller", "market", "fit-keys", str(keys), "--dry")
    assert (cost["folder"], keys.exists()) == (None, False)
    assert cost["constraints"] > 100_000
    run("seller", "init")
    assert "no key to check this statement by" in run("seller", "market", "tend", "--fit", str(keys), status=3)
