"""The command line as a person uses it: two workspaces by hand, exit statuses, and nothing secret on the screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

import commands
from troth.cli.main import app, called

PASSPHRASE = "correct horse"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `troth` in a folder as its own process."""
    def command(*words: str, at: str = ".", status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {key: value for key, value in os.environ.items() if not key.startswith("TROTH_")}
        settings |= {"TROTH_PASSPHRASE": PASSPHRASE, "TROTH_EXCHANGE_PATH": str(tmp_path / "exchange"), **environment}
        done = commands.run(*words, at=tmp_path / at, env=settings, status=status)
        assert PASSPHRASE not in done.stdout + done.stderr
        return done
    return command


def read(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_a_claim_travels_from_one_party_to_another(run: Run, tmp_path: Path) -> None:
    for name in ("alice", "bob"):
        run("init", name)
    alice, bob = (read(run("id", "show", "--json", at=name)) for name in ("alice", "bob"))
    for name, other in (("alice", bob), ("bob", alice)):
        run("id", "introduce", str(other["did"]), at=name)
    for name in ("alice", "bob"):
        assert "0 new claims" in run("pull", at=name).stdout

    (tmp_path / "alice" / "rows.csv").write_text("age,score\n41,7\n")
    cid = run("add", "rows.csv", "--to", str(bob["did"]), at="alice").stdout.strip()
    claim = run("attest", "dataset", "--subject", "rows.csv", "--body", '{"rows":1}', "--evidence", cid,
                at="alice").stdout.strip()
    run("push", str(bob["did"]), claim, at="alice")
    assert read(run("pull", "--json", at="bob"))["new"] == [claim]
    run("get", cid, "-o", "got.csv", at="bob")
    assert (tmp_path / "bob" / "got.csv").read_text() == "age,score\n41,7\n"

    run("chain", "deploy", at="bob")
    assert "not registered" in run("id", "history", at="bob").stdout
    entry = read(run("id", "register", "--json", at="bob"))
    assert entry["transactions"] == 1
    assert str(entry["document"]) in run("id", "history", str(bob["did"]), at="bob").stdout
    assert read(run("log", "register", "--json", at="bob"))["origin"] == str(bob["log"]).split("+")[0]
    run("log", "anchor", at="bob")
    run("bundle", claim, "-o", "claim.troth", at="bob")
    found = read(run("verify", "bob/claim.troth", "--json", status=3))
    assert found["outcome"] == "undecidable"
    run("trust", "--role", f"owner={alice['did']}", "--policy", "attested", "-o", "trust.json", at="bob")
    assert "upheld" in run("verify", "bob/claim.troth", "--trust", "bob/trust.json", "--offline").stdout
    data = bytearray((tmp_path / "bob" / "claim.troth").read_bytes())
    at = data.index(b'"rows":1') + 7
    data[at] = ord("2")
    (tmp_path / "bob" / "claim.troth").write_bytes(data)
    changed = read(run("verify", "bob/claim.troth", "--trust", "bob/trust.json", "--json", status=1))
    steps = changed["steps"]
    assert isinstance(steps, list)
    assert next(step["name"] for step in steps if step["outcome"] == "refuted") == "signatures"
    (tmp_path / "bob" / "claim.troth").write_bytes(data[:-1])
    run("verify", "bob/claim.troth", "--trust", "bob/trust.json", status=2)
    assert "dataset" in run("trace", claim, "--html", "trace.html", at="bob").stdout
    run("log", "verify", ".troth/log", "--key", str(bob["log"]), at="bob")
    run("log", "verify", ".troth/log", "--key", str(alice["log"]), at="bob", status=3)
    assert read(run("chain", "status", "--json", at="bob"))["id"] == 7407
    assert "troth.log/" in run("log", "checkpoint", at="bob").stdout


def test_misuse_is_told_apart(run: Run, tmp_path: Path) -> None:
    assert "troth init" in run("id", "show", status=2).stderr
    run("init", "alice")
    assert "already" in run("init", "alice", status=2).stderr
    assert "passphrase" in run("id", "show", at="alice", status=2, TROTH_PASSPHRASE="wrong").stderr
    assert "TROTH_PASSPHRASE" in run("id", "show", at="alice", status=2, TROTH_PASSPHRASE="").stderr
    run("get", "not-a-cid", "-o", "x", at="alice", status=2)
    assert not (tmp_path / "alice" / "x").exists()
    run("bundle", "00" * 32, "-o", "x.troth", at="alice", status=3)
    assert not (tmp_path / "alice" / "x.troth").exists()
    run("attest", "dataset", "--subject", "missing", at="alice", status=2)
    (tmp_path / "alice" / "f").write_text("x")
    run("attest", "dataset", "--subject", "f", "--body", '{"share":0.5}', at="alice", status=2)
    run("attest", "dataset", "--subject", "f", "--body", "[", at="alice", status=2)
    (tmp_path / "alice" / ".troth" / "troth.toml").write_text("[chain]\nurl = 5\n")
    assert "[chain] url" in run("id", "show", at="alice", status=2).stderr
    run("verify", "missing.troth", status=2)
    (tmp_path / "garbage.troth").write_bytes(b"\xff" * 100)
    run("verify", "garbage.troth", status=2)


def test_what_others_say_does_not_command_the_terminal(run: Run) -> None:
    """A node's errors and a contract's reasons are shown; they move no cursor and set no title."""
    class Node(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            error = {"code": -1, "message": "\x1b]0;owned\x07 \x1b[2J \x9b1A gone"}
            answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    run("init", "alice")
    with HTTPServer(("127.0.0.1", 0), Node) as node:
        Thread(target=node.serve_forever, daemon=True).start()
        told = run("chain", "acts", at="alice", status=5, TROTH_CHAIN_URL=f"http://127.0.0.1:{node.server_port}").stderr
        node.shutdown()
    assert r"\x1b]0;owned\x07" in told
    assert r"\x9b1A gone" in told
    assert all(one.isprintable() or one == "\n" for one in told)


def test_a_demo_replaces_only_an_earlier_demo(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    run("demo", "--out", "mine", status=2)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    run("demo", "--out", "other", "--cheat", "everybody", status=2)


def test_help_starts_fast_because_it_loads_little() -> None:
    heavy = "import sys, troth.cli.main; bad = {'numpy', 'web3', 'eth', 'eth_abi', 'sklearn', 'cryptography'}; " \
            "sys.exit(', '.join(bad & sys.modules.keys()) or 0)"
    assert subprocess.run([sys.executable, "-c", heavy], check=False, capture_output=True).returncode == 0


def test_a_group_that_is_called_is_made_alone_and_says_the_same() -> None:
    for words in (["deal", "--help"], ["deal", "open", "--help"], ["credential", "nothing"], ["deal"]):
        alone = called(words)
        assert len(alone.registered_groups) == 1
        assert not alone.registered_commands
        said, whole = (CliRunner().invoke(one, words) for one in (alone, app))
        assert (said.exit_code, said.output) == (whole.exit_code, whole.output)
    for words in ([], ["--help"], ["verify", "deal"], ["deals"]):
        assert called(words) is app
