"""Killed at any point, and run again: the same model to the bit, and everybody paid once. Real processes, SIGKILL."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rounds_parts import PASSPHRASE, write

from troth.app import Troth
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

ENVIRONMENT = {**os.environ, "TROTH_PASSPHRASE": PASSPHRASE, "OMP_NUM_THREADS": "1"}
CRASHES = int(os.environ.get("TROTH_CRASHES", "6"))


def command(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "troth.cli.main", *map(str, words)], env=ENVIRONMENT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def balances(out: Path) -> dict[str, int]:
    """What everybody holds, by name, with what the Book holds."""
    found = {}
    with EmbeddedChain(out / "chain.sqlite") as chain:
        for place in sorted((out / "parties").iterdir()):
            with Troth.open(place, PASSPHRASE, chain=chain) as party:
                token = Erc20(chain.web3, party.contracts["token"].address)
                found[party.name] = token.balance(party.account)
                found["book"] = token.balance(party.contracts["book"].address)
    return found


SITES = {"open": ("north", "south"), "masked": ("east", "north", "south", "west")}


@pytest.mark.slow
@pytest.mark.parametrize("privacy", SITES)
def test_a_killed_coordinator_goes_on_to_the_same_model_and_pays_once(tmp_path: Path, privacy: str) -> None:
    """Behind masks every site is in its process too: they go on in the sums they were in."""
    file = write(tmp_path / "files", rounds=4, sites=SITES[privacy], privacy=privacy)
    begun = time.monotonic()
    whole: dict[str, Any] = json.loads(finished(command("train", file, "--out", tmp_path / "whole", "--json")))
    seconds = time.monotonic() - begun
    draw, out = random.Random(0), tmp_path / "cut"
    for _ in range(CRASHES):
        process = command("train", file, "--out", out, "--json")
        time.sleep(draw.uniform(0.5, seconds))
        process.kill()
        process.communicate()
    cut = json.loads(finished(command("train", file, "--out", out, "--json")))
    assert cut["params"] == whole["params"]
    assert [row["params"] for row in cut["rounds"]] == [row["params"] for row in whole["rounds"]]
    assert [sorted(row["paid"].values()) for row in cut["rounds"]] == [
        sorted(row["paid"].values()) for row in whole["rounds"]]
    assert balances(out) == balances(tmp_path / "whole")
    assert balances(out)["book"] == 0


@pytest.fixture
def services(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(post office, chain): addresses of both, in processes of their own."""
    started = [command("post", "serve", tmp_path / "post", "--port", 0, "--json"),
               command("chain", "serve", tmp_path / "chain.sqlite", "--new", "--port", 0, "--json")]
    try:
        urls = []
        for process in started:
            assert process.stdout is not None
            urls.append(str(json.loads(process.stdout.readline())["url"]))
        yield urls[0], urls[1]
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("privacy", SITES)
def test_killed_sites_and_coordinators_that_meet_at_a_post_office(tmp_path: Path, services: tuple[str, str],
                                                                  privacy: str) -> None:
    sites = SITES[privacy]
    local = write(tmp_path / "local", rounds=3, sites=sites, privacy=privacy, pay="worth")
    whole = json.loads(finished(command("train", local, "--out", tmp_path / "whole", "--json")))
    post, chain = services
    rest = (f'[periods]\nfund = 240\nanswer = 240\nverdict = 60\nwindow = 4\n'
            f'[invited]\nsites = {len(sites)}\npost = "{post}"\nchain = "{chain}"\n')
    files, out = tmp_path / "files", tmp_path / "out"
    file = write(files, rounds=3, rest=rest, sites=sites, privacy=privacy)
    finished(command("invite", file, "--open", "-o", tmp_path / "INVITE", "--out", out))
    lines = {name: ("join", tmp_path / "INVITE", "--data", files / f"{name}.csv", "--home", tmp_path / name)
             for name in sites}
    lines["coordinator"] = ("train", file, "--out", out, "--json")
    running = {name: command(*words) for name, words in lines.items()}
    draw = random.Random(1)
    for _ in range(CRASHES):
        time.sleep(draw.uniform(1, 12))
        name = draw.choice(sorted(lines))
        if running["coordinator"].poll() is not None:
            break
        running[name].kill()
        running[name].communicate()
        running[name] = command(*lines[name])
    found = json.loads(finished(running["coordinator"]))
    for name in sites:
        assert "finished" in finished(running[name])
    assert found["params"] == whole["params"]
    assert [sorted(row["paid"].values()) for row in found["rounds"]] == [
        sorted(row["paid"].values()) for row in whole["rounds"]]
