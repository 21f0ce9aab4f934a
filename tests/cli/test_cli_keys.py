"""Changing and ending keys from the command line, end to end; nothing secret on the screen, in files or in `ps`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from troth.cli.main import app
from troth.core.errors import TrothError
from troth.identity import keystore

PASSPHRASE = "correct horse battery"


class Watch:
    """Everything that commands print, every file they leave, and every command line that ran meanwhile."""

    def __init__(self, root: Path) -> None:
        self.root, self.seen = root, ""

    def command(self, *words: str, at: str, status: int = 0) -> dict[str, Any]:
        """Run a command in this process: a process of its own takes a second to start."""
        os.chdir(self.root / at)
        done = CliRunner().invoke(app, [*words, "--json"])
        found = done.exception.exit_status if isinstance(done.exception, TrothError) else done.exit_code
        said = str(done.exception) if isinstance(done.exception, TrothError) else done.stderr
        self.seen += done.output + said
        assert found == status, (words, done.output, done.exception)
        result: dict[str, Any] = json.loads(done.stdout) if status == 0 else {"error": said}
        return result

    def process(self, *words: str, at: str) -> dict[str, Any]:
        """The same as a process, which must succeed; watched from outside."""
        child = subprocess.Popen([sys.executable, "-m", "troth.cli.main", *words, "--json"], cwd=self.root / at,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        done = threading.Event()
        watcher = threading.Thread(target=self._listing, args=(child.pid, done))
        watcher.start()
        out, err = child.communicate(timeout=120)
        done.set()
        watcher.join()
        self.seen += out + err
        assert child.returncode == 0, (words, out, err)
        assert "Traceback" not in err
        found: dict[str, Any] = json.loads(out)
        return found

    def _listing(self, pid: int, done: threading.Event) -> None:
        """What `ps` shows of the command and its children while it runs."""
        while not done.wait(0.02):
            try:
                self.seen += Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() + "\n"
            except (OSError, UnicodeDecodeError):
                return

    def files(self) -> str:
        """The workspaces' and the chain's files, as text and as hex, but for the keystores, which are encrypted."""
        everything = [path.read_bytes() for path in self.root.rglob("*") if path.is_file()]
        return "\n".join(data.decode("latin-1") + data.hex() for data in everything)

    def secrets(self, name: str) -> set[str]:
        """Every secret in a workspace's keystore, in hex."""
        content = json.loads(keystore.load(self.root / name / ".troth" / "keys.json", PASSPHRASE))
        one = content["identity"]
        return {content["log"], one["account"], *one["current"], *one["following"],
                *(item["secret"] for item in one["recipients"])}


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    for name in [name for name in os.environ if name.startswith("TROTH_")]:
        monkeypatch.delenv(name)
    for name, value in (("PASSPHRASE", PASSPHRASE), ("EXCHANGE_PATH", str(tmp_path / "exchange")),
                        ("CHAIN_URL", f"embedded:{tmp_path / 'chain.sqlite'}")):
        monkeypatch.setenv(f"TROTH_{name}", value)
    monkeypatch.chdir(tmp_path)
    return Watch(tmp_path)


def check_silent(watch: Watch, secrets: set[str]) -> None:
    seen = watch.seen + watch.files()
    assert "troth.cli.main id rotate" in watch.seen  # the listing was really looked at
    for secret in (PASSPHRASE, *secrets):
        assert secret not in seen
        assert secret.encode().hex() not in seen


def test_a_change_of_keys_and_an_end(watch: Watch) -> None:
    run = watch.command
    secrets: set[str] = set()
    dids = {}
    for name in ("alice", "bob"):
        dids[name] = run("init", name, at=".")["did"]
    run("chain", "deploy", at="alice")
    (watch.root / "bob" / ".troth" / "contracts.json").write_bytes(
        (watch.root / "alice" / ".troth" / "contracts.json").read_bytes())
    assert run("id", "register", at="alice")["transactions"] == 1
    run("id", "introduce", dids["bob"], at="alice")
    run("pull", at="bob")
    (watch.root / "alice" / "rows.csv").write_text("age\n41\n")
    claims = []
    for version in (1, 2):
        secrets |= watch.secrets("alice")
        claims.append(run("attest", "dataset", "--subject", "rows.csv", "--body", f'{{"n":{version}}}',
                          at="alice")["claim"])
        done = (watch.process if version == 1 else run)("id", "rotate", at="alice")
        assert (done["version"], done["published"]) == (version, True)
    secrets |= watch.secrets("alice")
    shown = run("id", "show", at="alice")
    assert (shown["version"], shown["ended"], shown["did"]) == (2, False, dids["alice"])
    records = run("id", "history", dids["alice"], at="bob")["documents"]
    assert [one["version"] for one in records] == [0, 1, 2]
    assert run("id", "history", "--at", str(records[1]["time"]), at="alice")["version"] in (1, 2)
    assert "nothing of this identity at that time" in run(
        "id", "history", dids["alice"], "--at", "1", at="bob", status=3)["error"]
    known = run("id", "list", at="bob")["identities"]
    assert [(one["did"], one["state"]) for one in known] == [(dids["bob"], "in force"), (dids["alice"], "behind")]
    # The claims and the rotations reach Bob together, in the order in which they were said.
    run("push", dids["bob"], *claims, at="alice")
    assert run("pull", at="bob")["refused"] == []
    assert run("id", "list", at="bob")["identities"][1]["version"] == 2

    assert "only its holder" in run("id", "revoke", dids["bob"], at="alice", status=2)["error"]
    ended = run("id", "revoke", dids["alice"], at="alice")
    assert (ended["version"], ended["published"]) == (3, True)
    assert run("id", "history", dids["alice"], at="bob")["documents"][-1]["document"] == "00" * 32
    assert run("id", "list", at="bob")["identities"][1]["state"] == "ended"
    assert "has ended" in run("attest", "dataset", "--subject", "rows.csv", at="alice", status=2)["error"]
    assert "has ended" in run("id", "rotate", at="alice", status=2)["error"]
    check_silent(watch, secrets | watch.secrets("alice") | watch.secrets("bob"))


def test_lost_keys_come_back(watch: Watch) -> None:
    """Two of three guardians, from the cards to the first claim under the new keys. The clock is the chain's."""
    run, place = watch.command, watch.root
    accounts = {}
    for name in ("alice", "bob", "dave", "erin"):
        accounts[name] = run("init", name, at=".")
    run("chain", "deploy", at="alice")
    contracts = (place / "alice" / ".troth" / "contracts.json").read_bytes()
    for name in ("bob", "dave", "erin"):
        (place / name / ".troth" / "contracts.json").write_bytes(contracts)
    run("id", "register", at="alice")
    who = [accounts[name]["account"] for name in ("bob", "dave", "erin")]
    done = run("id", "guardians", "set", *who, "--k", "2", "--days", "1", "-o", "../card.json", at="alice")
    assert (done["version"], done["published"]) == (1, True)
    did = accounts["alice"]["did"]
    (place / "rows.csv").write_text("age\n41\n")
    claim = run("attest", "dataset", "--subject", "../rows.csv", at="alice")["claim"]
    run("log", "anchor", at="alice")
    run("log", "date", claim, "-o", "../dated.json", at="alice")
    for name in ("bob", "dave"):
        run("id", "introduce", accounts[name]["did"], at="alice")
        run("pull", at=name)
    secrets = watch.secrets("alice")

    run("id", "guardians", "open", "../card.json", "-o", "../opened.json", at="bob")
    lost = watch.process("id", "recover", "opened.json", "again", "-o", "case.json", at=".")
    assert (lost["did"], lost["version"]) == (did, 2)
    (place / "again" / ".troth" / "contracts.json").write_bytes(contracts)
    assert "Do not sign" in run("id", "guardians", "sign", "../case.json", "--document", "00" * 32, "-o", "../no",
                                at="bob", status=2)["error"]
    assert not (place / "no").exists()
    for name in ("bob", "dave"):
        run("id", "guardians", "sign", "../case.json", "--document", lost["document"], "-o", f"../{name}.sig", at=name)
    assert "too few" in run("id", "guardians", "propose", "../case.json", "../bob.sig", at="again", status=2)["error"]
    watch.process("id", "guardians", "propose", "../case.json", "../bob.sig", "../dave.sig", at="again")
    assert len(run("id", "guardians", "show", at="alice")["proposals"]) == 1
    assert "may still say no" in run("id", "guardians", "execute", "../case.json", at="again", status=4)["error"]

    # The holder, who has not lost them after all, says no; and then is away.
    assert run("id", "guardians", "cancel", at="alice")["version"] == 2
    assert run("id", "guardians", "show", at="alice")["proposals"] == []
    assert "nothing is proposed" in run("id", "guardians", "cancel", at="alice", status=2)["error"]
    assert "in force from block" in run("id", "good", "../dated.json", at="bob")["detail"]
    secrets |= watch.secrets("alice") | watch.secrets("again") | watch.secrets("bob") | watch.secrets("dave")
    watch.process("id", "rotate", at="alice")
    check_silent(watch, secrets)
