"""An agent in its own processes: killed at any moment, watched and stopped by a key, asked of verifiers.

Slow: ``make agents`` runs it. TROTH_KILLS: how many kills.
"""

from __future__ import annotations

import json
import os
import pty
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from troth.agents.journal import journal
from troth.app import Settings, Troth
from troth.app.agent import board
from troth.identity.keystore import MIN_COST
from troth.ledger.accounts import PolicyAccounts
from troth.ledger.artefacts import artefact
from troth.ledger.deploy import create
from troth.ledger.erc20 import Erc20
from troth.ledger.limits import TRANSFER, Limits

pytestmark = pytest.mark.slow
PASSPHRASE, SHOP = "correct horse", b"\x51" * 20
COMMAND = (sys.executable, "-m", "troth.cli.main", "agent")
PAYMENTS = 6


@dataclass(frozen=True)
class World:
    root: Path
    account: bytes
    token: bytes

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"TROTH_PASSPHRASE": PASSPHRASE, "PYTHONPATH": os.pathsep.join(sys.path)}

    def paid(self) -> int:
        with Troth.open(self.root / "owner", PASSPHRASE) as party:
            return Erc20(party.chain.web3, self.token).balance(SHOP)

    def run(self, *words: str) -> tuple[str, ...]:
        return (*COMMAND, "run", *words, "--brain", "script:steps.json", "--account", "0x" + self.account.hex(),
                "--json")


def made(root: Path, **other: object) -> World:
    chain = f"embedded:{root / 'chain'}"
    parties = [Troth.init(root / name, PASSPHRASE, Settings(name, chain, ""), cost=MIN_COST)
               for name in ("owner", "agent", "one", "two")]
    owner, agent, *verifiers = parties
    contracts = owner.deploy(supply=10_000)
    for party in parties[1:]:
        party.use_contracts(contracts)
    token = contracts["token"].address
    if other:
        other |= {"verifiers": tuple(sorted(one.account for one in verifiers))}
    limits = Limits(agent.account, token, 100, 1_000, owner.chain.now() + 10**6, (SHOP,), ((token, TRANSFER),),
                    **other)  # type: ignore[arg-type]
    factory, _ = create(owner.sender, artefact("PolicyAccounts").bytecode)
    account = PolicyAccounts(owner.chain.web3, factory).make(owner.sender, bytes(32), limits).address
    Erc20(owner.chain.web3, token).transfer(owner.sender, account, 1_000)
    for party in parties:
        party.close()
    rules = [{"tool": "pay", "arguments": {"to": "0x" + SHOP.hex(), "amount": str(10 + n)}} for n in range(PAYMENTS)]
    (root / "agent" / "steps.json").write_text(json.dumps({"rules": rules}))
    return World(root, account, token)


WORDS = f"pay 0x{SHOP.hex()} " + " and ".join(str(10 + n) for n in range(PAYMENTS))
TOTAL = sum(10 + n for n in range(PAYMENTS))


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Each kill in a run of its own at a random moment; then it goes on, and each payment was made once."""
    world, draw = made(tmp_path), random.Random(5)
    start = time.monotonic()
    subprocess.run(world.run(WORDS), cwd=tmp_path / "agent", env=world.environment, check=True, capture_output=True)
    whole, kills, cut = time.monotonic() - start, int(os.environ.get("TROTH_KILLS", "6")), 0
    for n in range(kills):
        run = (n + 1).to_bytes(16, "big").hex()
        before = world.paid()
        process = subprocess.Popen(world.run(WORDS, "--run", run), cwd=tmp_path / "agent", env=world.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * draw.uniform(0.3, 1.0))
        process.send_signal(signal.SIGKILL)
        cut += process.wait() != 0
        again = subprocess.run(world.run(WORDS, "--run", run), cwd=tmp_path / "agent", env=world.environment,
                               check=False, capture_output=True, text=True)
        assert again.returncode == 0 or "this run is over" in again.stderr, again.stderr
        assert world.paid() - before == TOTAL
        if world.paid() > 700:
            break  # the day's limit is near
    assert cut
    with Troth.open(tmp_path / "agent", PASSPHRASE) as agent:
        found = board(agent, world.account)
        assert not found.unclaimed
        assert all(one.outcome and one.outcome.outcome == "done" for one in found.entries)


@contextmanager
def terminal(world: World, *words: str) -> Iterator[tuple[int, int]]:
    """A command of the owner's in a terminal of its own: (process, terminal)."""
    process, screen = pty.fork()
    if process == 0:
        os.chdir(world.root / "owner")
        os.execvpe(sys.executable, [*COMMAND, *words], world.environment | {"TERM": "xterm", "COLUMNS": "100"})
    try:
        yield process, screen
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(screen)


def reads(screen: int, wanted: Callable[[str], bool]) -> str:
    text = ""
    while not wanted(text):
        assert select.select([screen], [], [], 60)[0], text
        text += os.read(screen, 65_536).decode(errors="replace")
    return text


def test_the_stop_button(tmp_path: Path) -> None:
    world = made(tmp_path)
    with terminal(world, "watch", "--account", "0x" + world.account.hex()) as (_, screen):
        reads(screen, lambda text: "acts within its limits" in text and "s stops the account" in text)
        os.write(screen, b"s")
        reads(screen, lambda text: "STOPPED by its owner" in text)
    subprocess.run(world.run(WORDS), cwd=tmp_path / "agent", env=world.environment, check=True, capture_output=True)
    assert world.paid() == 0
    with Troth.open(tmp_path / "agent", PASSPHRASE) as agent:
        assert {one.outcome.reason for one in journal(agent) if one.outcome} == {"Stopped"}


def test_verifiers_in_their_own_processes(tmp_path: Path) -> None:
    world = made(tmp_path, confidence=9_000, agree=2, strikes=3)
    # Servers over standard input and output are given few variables: the passphrase and the path come by a shell.
    shell = tmp_path / "verifier.sh"
    shell.write_text("#!/bin/sh\n" + "".join(f"export {name}='{world.environment[name]}'\n" for name in (
        "TROTH_PASSPHRASE", "PYTHONPATH")) + f'exec {sys.executable} -m troth.cli.main agent verifier --home "$1"\n')
    shell.chmod(0o700)
    verifiers = [word for name in ("one", "two") for word in ("--verifier", f"{name}={shell} {tmp_path / name}")]
    done = subprocess.run((*world.run(WORDS), *verifiers), cwd=tmp_path / "agent", env=world.environment, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert world.paid() == TOTAL
    with Troth.open(tmp_path / "agent", PASSPHRASE) as agent:
        assert {(len(one.outcome.said_by), one.outcome.level) for one in journal(agent) if one.outcome} == {(2, 10_000)}
