"""Statements from the command line: a bank and its auditor, a holder and a shop, voters and a ballot."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("zksnake")
Run = Callable[..., dict[str, Any]]
ROWS = 24


def folders(tmp_path: Path, *names: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()


def decisions(path: Path, granted: int) -> None:
    """24 decisions, 12 a group: half of the others granted, and ``granted`` of the group."""
    lines = [f"{at},{at % 2},{int(at // 2 < granted if at % 2 else at % 4 == 0)}" for at in range(ROWS)]
    path.write_text("\n".join(["id,woman,approved", *lines]) + "\n")


def test_a_bank_and_its_auditor(tmp_path: Path, run: Run) -> None:
    folders(tmp_path, "bank", "auditor")
    decisions(tmp_path / "bank" / "log.csv", granted=6)
    columns = ("--column", "woman:0:1", "--column", "approved:0:1")
    made = run("bank", "statement", "commit", "log.csv", *columns, "-o", "log.opening", "--public", "../log.json")
    assert made["rows"] == ROWS
    assert stat.S_IMODE((tmp_path / "bank" / "log.opening").stat().st_mode) == 0o600
    asked = ("--for", "auditor.example", "--table", "../log.json", "--with", "group=woman", "--with",
             "decision=approved", "--with", "limit=5%", "--with", "least=10", "--by", "bank")
    assert run("auditor", "statement", "ask", "fairness", *asked, "-o", "../ask")["open"] == []
    written = run("auditor", "statement", "setup", "../ask", "--keys", "../keys", "--circuits", "../circuits")
    (circuit,) = written["circuits"]
    assert (tmp_path / "auditor" / circuit).read_bytes()[:4] == b"r1cs"
    assert not (tmp_path / "keys").exists()
    (made_keys,) = run("auditor", "statement", "setup", "../ask", "--keys", "../keys")["keys"]
    assert made_keys["origin"] == "dev"
    run("auditor", "statement", "setup", "../ask", "--keys", "../keys", "--ceremony", "../log.json", status=2)
    run("bank", "statement", "prove", "../ask", "--opening", "log.opening", "--keys", "../keys", "-o", "../proof")
    assert run("auditor", "statement", "verify", "../ask", "../proof", "--keys", "../keys")["outcome"] == "upheld"

    (tmp_path / "broken").write_bytes((tmp_path / "proof").read_bytes()[:-9])
    for words in (("../ask", "../broken"), ("../broken", "../proof")):
        assert "broken: " in str(run("auditor", "statement", "verify", *words, "--keys", "../keys", status=2)["said"])

    # The same answer to another request; and the request with a limit that was not asked for.
    run("auditor", "statement", "ask", "fairness", *asked, "-o", "../again")
    assert "another context" in str(run("auditor", "statement", "verify", "../again", "../proof", "--keys", "../keys",
                                        status=1)["said"])
    body = json.loads((tmp_path / "ask").read_text())
    body["publics"]["limit"] = "10"
    (tmp_path / "stricter").write_text(json.dumps(body, separators=(",", ":"), sort_keys=True))
    run("auditor", "statement", "verify", "../stricter", "../proof", "--keys", "../keys", status=1)
    run("auditor", "statement", "verify", "../ask", "../proof", "--keys", "../none", status=3)

    # A bank that decided otherwise than it should: no proof, and nothing written; nor from another table.
    decisions(tmp_path / "bank" / "bad.csv", granted=4)
    run("bank", "statement", "commit", "bad.csv", *columns, "-o", "bad.opening", "--public", "../bad.json")
    words = ("--opening", "bad.opening", "--keys", "../keys", "-o", "../false")
    assert "another commitment" in str(run("bank", "statement", "prove", "../ask", *words, status=2)["said"])
    bad = [word.replace("log.json", "bad.json") for word in asked]
    run("auditor", "statement", "ask", "fairness", *bad, "-o", "../asked-bad")
    assert "above the limit" in str(run("bank", "statement", "prove", "../asked-bad", *words, status=1)["said"])
    assert not (tmp_path / "false").exists()

    # A claim in the bank's log, by whoever trusts the keys.
    run("bank", "init")
    claimed = str(run("bank", "statement", "claim", "../ask", "../proof", "--keys", "../keys")["claim"])
    assert run("bank", "statement", "check", claimed, "--keys", "../keys") == {"outcome": "upheld"}
    run("bank", "statement", "claim", "../again", "../proof", "--keys", "../keys", status=1)
    run("bank", "statement", "check", claimed, "--keys", "../none", status=3)


def test_what_cannot_be_read_is_named(tmp_path: Path, run: Run) -> None:
    folders(tmp_path, "bank")
    (tmp_path / "bank" / "log.csv").write_text("woman,approved\n0,1\n1,yes\n")

    def commit(*columns: str) -> str:
        words = [word for column in columns for word in ("--column", column)]
        return str(run("bank", "statement", "commit", "log.csv", *words, "-o", "a", "--public", "b", status=2)["said"])

    assert "row 1: approved is no integer" in commit("woman:0:1", "approved:0:1")
    assert "columns are missing" in commit("woman:0:1", "age:0:150")
    assert commit("woman:0:0").rstrip().endswith("row 1: woman is beyond its range; expected 0 to 0"), "no value"
    assert "not a column" in commit("woman:0")
    assert not (tmp_path / "bank" / "a").exists()
    (tmp_path / "bank" / "log.csv").write_text("woman,approved\n0,1\n1,0\n")
    run("bank", "statement", "commit", "log.csv", "--column", "woman:0:1", "-o", "a", "--public", "b")
    for words in (("magic",), ("total", "--with", "column=age"), ("total", "--with", "column"),
                  ("total", "--with", "column=woman", "--with", "low=x"),
                  ("total", "--with", "column=woman", "--with", "limit=0.00001%"),
                  ("within", "--with", "column=woman", "--older", "18")):
        run("bank", "statement", "ask", *words, "--for", "x.example", "--table", "b", "-o", "c", status=2)
    (tmp_path / "bank" / "secret").write_text("12a34")
    said = run("bank", "statement", "identity", "-o", "secret", status=2)["said"]
    assert "12a34" not in str(said)


def test_one_act_a_scope(tmp_path: Path, run: Run) -> None:
    folders(tmp_path, "voter", "other", "poll")
    entries = [str(run(name, "statement", "identity", "-o", "secret")["entry"]) for name in ("voter", "other")]
    assert run("voter", "statement", "identity", "-o", "secret")["entry"] == entries[0]
    run("poll", "statement", "set", *entries, "--depth", "3", "-o", "../set")
    run("poll", "statement", "ask", "member", "--set", "../set", "--with", "scope=ballot 7", "--for", "poll", "--by",
        "booth 1", "-o", "../ask")
    run("poll", "statement", "setup", "../ask", "--keys", "../keys")

    def vote(name: str) -> str:
        run(name, "statement", "prove", "../ask", "--secret", "secret", "--set", "../set", "--keys", "../keys", "-o",
            "../vote")
        return str(run("poll", "statement", "verify", "../ask", "../vote", "--keys", "../keys")["nullifier"])

    assert vote("voter") != vote("other")
    folders(tmp_path, "stranger")
    run("stranger", "statement", "identity", "-o", "secret")
    run("stranger", "statement", "prove", "../ask", "--secret", "secret", "--set", "../set", "--keys", "../keys", "-o",
        "../vote", status=1)


def test_a_credential_that_says_how_old_and_nothing_else(tmp_path: Path, run: Run) -> None:
    """The issuer signs a commitment to the day of birth; the holder shows the credential and proves an age from it."""
    folders(tmp_path, "issuer", "holder", "shop")
    for name in ("issuer", "holder", "shop"):
        run(name, "init")
    dids = {name: str(run(name, "credential", "id")["identities"][0]["short"]) for name in ("issuer", "holder", "shop")}
    (tmp_path / "issuer" / "record.csv").write_text("born\n733101\n")   # 2008-02-29
    run("issuer", "statement", "commit", "record.csv", "--column", "born:1:4000000", "--per-leaf", "1", "-o",
        "../holder/opening", "--public", "../public.json")
    (tmp_path / "card.json").write_text(json.dumps({
        "@context": ["https://www.w3.org/ns/credentials/v2"], "type": ["VerifiableCredential", "Person"],
        "credentialSubject": {"id": dids["holder"], "committed": json.loads((tmp_path / "public.json").read_text())}}))
    run("issuer", "credential", "issue", "../card.json", "--status", "none", "-o", "../signed.json")
    name = str(run("holder", "credential", "receive", "../signed.json")["credential"])

    def visit(on: str, proof: int = 0, shown: int = 0) -> None:
        challenge = str(run("shop", "credential", "ask", "shop.example", "-o", "../request")["challenge"])
        run("shop", "statement", "ask", "within", "--layout", "../public.json", "--with", "column=born", "--older",
            f"18@{on}", "--for", "shop.example", "--challenge", challenge, "-o", "../ask")
        run("holder", "credential", "present", "../request", name, "--to", dids["shop"], "-o", "../shown")
        run("shop", "statement", "setup", "../ask", "--keys", "../keys")
        run("holder", "statement", "prove", "../ask", "--opening", "opening", "--by", dids["holder"], "--keys",
            "../keys", "-o", "../proof", status=proof)
        words = ("--shown", "../shown", "--keys", "../keys")
        run("shop", "statement", "verify", "../ask", "../proof", *words, "--issuer", dids["issuer"], status=shown)

    visit("2026-03-01")
    run("shop", "statement", "verify", "../ask", "../proof", "--shown", "../shown", "--keys", "../keys", status=3)
    visit("2026-02-28", proof=1, shown=1)      # a day too young; and the old proof is for another request
