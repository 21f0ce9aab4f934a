"""`troth log`: two parties, a witness and a watcher over HTTP, and a log that tells two stories."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from troth.cli.main import main
from troth.identity.did import checksum_address

PASSPHRASE = "correct horse"
VECTORS = Path(__file__).parents[1] / "vectors" / "tlog-tiles"
VECTOR_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
Run = Callable[..., "Done"]


@dataclass
class Done:
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `troth` in a folder. In this process: the other command line tests start one each, and it takes its time."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)

    def command(*words: str, at: str = ".", status: int = 0) -> Done:
        monkeypatch.chdir(tmp_path / at)
        monkeypatch.setattr(sys, "argv", ["troth", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        done = Done(*capsys.readouterr())
        assert (end.value.code or 0) == status, (words, done)
        assert PASSPHRASE not in done.stdout + done.stderr
        return done
    return command


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TROTH_")}
    return kept | {"TROTH_PASSPHRASE": PASSPHRASE}


@contextmanager
def serving(at: Path, *words: str) -> Iterator[dict[str, str]]:
    """A server as its own process; what it says of itself."""
    with subprocess.Popen([sys.executable, "-m", "troth.cli.main", *words, "--port", "0", "--json"], cwd=at,
                          env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            assert process.wait(30) == 0


def read(done: Done) -> dict[str, object]:
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_logs_of_others_are_verified_with_the_designs_statuses(run: Run, tmp_path: Path) -> None:
    key = ("--key", VECTOR_KEY)
    assert read(run("log", "verify", str(VECTORS), *key, "--json"))["claims"] == 15
    with serving(tmp_path, "log", "serve", str(VECTORS)) as said:
        run("log", "verify", said["url"], *key, status=3)
        assert "claims: 15" in run("log", "verify", said["url"], *key, "--private").stdout
    run("log", "verify", said["url"], *key, "--private", status=5)
    shutil.copytree(VECTORS, tmp_path / "copy")
    tile = tmp_path / "copy" / "tile" / "0" / "000.p" / "15"
    tile.write_bytes(tile.read_bytes()[:-1] + b"\0")
    run("log", "verify", "copy", *key, status=1)
    tile.unlink()
    run("log", "verify", "copy", *key, status=3)
    run("log", "verify", "nowhere", *key, status=3)
    run("log", "verify", str(VECTORS), "--key", "nonsense", status=2)
    run("log", "verify", str(VECTORS), "--key", VECTOR_KEY.replace("example", "another"), status=2)
    (tmp_path / "copy" / "checkpoint").write_bytes(b"nonsense")
    run("log", "verify", "copy", *key, status=2)


def test_served_witnessed_handed_over_and_watched(run: Run, tmp_path: Path) -> None:
    for name in ("alice", "bob"):
        run("init", name)
    alice, bob = (read(run("id", "show", "--json", at=name)) for name in ("alice", "bob"))
    (tmp_path / "f").write_text("data")
    own = run("attest", "note", "--subject", "../f", at="alice").stdout.strip()
    bobs = run("attest", "note", "--subject", "../f", at="bob").stdout.strip()
    key = ("--key", str(alice["log"]))
    witness = str(read(run("log", "witness", "new", "w", "--name", "example.org/w", "--suite", "ml-dsa-44",
                           "--json"))["key"])
    run("log", "witness", "new", "w", "--name", "example.org/w", status=2)
    with serving(tmp_path / "alice", "log", "serve", "--bodies", "--take") as log, \
            serving(tmp_path, "log", "witness", "serve", "w") as served:
        asked = ("log", "witness", "ask", served["url"], "--key", witness, "--private")
        run(*asked, at="alice", status=5)  # it does not know this log yet
        run("log", "witness", "know", "w", str(alice["log"]))
        run(*asked, at="alice")
        (tmp_path / "proofs").mkdir()
        run("log", "submit", log["url"], bobs, *key, "--private", "-o", "../proofs", at="bob")
        proof = f"proofs/{bobs}.tlog-proof"
        assert read(run("log", "verify-proof", proof, *key, "--claim", bobs, "--json"))["position"] == 1
        run("log", "verify-proof", proof, *key, "--claim", own, status=1)
        run("log", "verify-proof", proof, *key, "--witness", witness, status=3)  # the log went on since
        run(*asked, at="alice")
        run("log", "prove", bobs, "-o", "../proofs/later", at="alice")
        run("log", "verify-proof", "proofs/later", *key, "--witness", witness)
        watch = ("log", "watch", log["url"], *key, "--private", "--state", "mirror", "--json")
        found = read(run(*watch, "--about", str(bob["did"])))
        assert [one["issuer"] for one in found["mentions"]] == [bob["did"]]  # type: ignore[attr-defined]
        assert read(run(*watch, "--about", str(bob["did"])))["new"] == 0
    run("log", "verify", "mirror", *key, "--witness", witness)
    run("chain", "deploy", at="alice")
    run("log", "anchor", at="alice")
    run("bundle", bobs, "-o", "../b.troth", at="alice")
    run("trust", "--role", f"owner={bob['did']}", "--policy", "attested", "--witness", witness, "-o", "../t.json",
        at="alice")
    assert "seen by 1 witnesses" in run("verify", "b.troth", "--trust", "t.json", "--offline", "--json").stdout
    run("trust", "--role", f"owner={bob['did']}", "--policy", "attested", "-o", "../unwitnessed.json", at="alice")
    run("verify", "b.troth", "--trust", "unwitnessed.json", "--offline", status=3)  # a line that nobody vouches for
    run("bundle", bobs, "-o", "../plain.troth", "--plain", at="alice")
    run("verify", "plain.troth", "--trust", "unwitnessed.json", "--offline")
    run("verify", "plain.troth", "--trust", "t.json", "--offline", status=3)
    run("attest", "note", "--subject", "../f", "--body", '{"n":2}', at="alice")  # the next checkpoint is not witnessed
    run("log", "anchor", at="alice")
    run("bundle", bobs, "-o", "../b.troth", at="alice")
    assert "too few" in run("verify", "b.troth", "--trust", "t.json", "--offline", "--json", status=3).stdout
    watch = ("log", "watch", ".troth/log", *key, "--state", "../mirror", "--json", "--compare")
    run(*watch, f"anchor:{alice['account']}", at="alice", status=2)  # not in EIP-55 spelling
    anchor = "anchor:" + checksum_address(bytes.fromhex(str(alice["account"])[2:]))
    assert read(run(*watch, anchor, at="alice"))["compared"] == [{"found": "consistent", "size": 3, "with": anchor}]
    run("log", "serve", "nowhere", status=3)


def test_watching_goes_on_through_an_outage_and_stops_when_told(run: Run, tmp_path: Path) -> None:
    shutil.copytree(VECTORS, tmp_path / "log")
    with serving(tmp_path, "log", "serve", "log") as said:
        words = ("log", "watch", said["url"], "--key", VECTOR_KEY, "--private", "--state", "m", "--every", "1",
                 "--json")
        process = subprocess.Popen([sys.executable, "-m", "troth.cli.main", *words], cwd=tmp_path, env=environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["new"] == 15
    with process:
        assert process.stderr is not None
        assert "does not answer" in process.stderr.readline()
        process.terminate()
        assert process.wait(30) == 0


def test_a_log_with_two_stories_is_proven_to_fork(run: Run, tmp_path: Path) -> None:
    run("init", "alice")
    key = ("--key", str(read(run("id", "show", "--json", at="alice"))["log"]))
    (tmp_path / "f").write_text("data")
    run("attest", "note", "--subject", "../f", at="alice")
    shutil.copytree(tmp_path / "alice", tmp_path / "copy")
    for at, number in (("alice", 1), ("copy", 2)):
        run("attest", "note", "--subject", "../f", "--body", f'{{"n":{number}}}', at=at)
    watch = ("log", "watch", "alice/.troth/log", *key, "--state", "mirror")
    run(*watch)
    assert "fork" in run(*watch, "--compare", "copy/.troth/log", status=1).stderr
    (proof,) = (tmp_path / "mirror" / "forks").iterdir()
    assert read(run("log", "verify-fork", str(proof), *key, "--json"))["sizes"] == [2, 2]
    run("log", "verify-fork", str(proof), "--key", VECTOR_KEY, status=1)
    proof.write_bytes(proof.read_bytes().replace(b'"path":[]', b'"path":["' + b"00" * 32 + b'"]'))
    run("log", "verify-fork", str(proof), status=1)
    run(*watch, "--compare", str(VECTORS), status=3)  # another log's checkpoint says nothing of this one
