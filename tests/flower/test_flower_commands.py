"""Every step from the command line: two invited sites, their nodes, the link, rounds over Flower, a model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

from app.rounds_parts import PASSPHRASE, write
from flower.running import free_port, once, processes, run_id

TROTH = (sys.executable, "-m", "troth.cli.main")
SITES = ("north", "south")


def troth(*words: object) -> str:
    """What a command prints."""
    done = subprocess.run([*TROTH, *map(str, words)], env=os.environ | {"TROTH_PASSPHRASE": PASSPHRASE},
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_invitation_to_model(tmp_path_factory: object) -> None:
    folder = tmp_path_factory.mktemp("c")  # type: ignore[attr-defined]
    with processes(folder) as started:
        def start(name: str, *words: object) -> None:
            started.start(name, *TROTH, *words, TROTH_PASSPHRASE=PASSPHRASE)

        def said(name: str, pattern: str) -> str:
            end = time.monotonic() + 120
            while time.monotonic() < end:
                found = re.search(pattern, started.log(name))
                if found:
                    return found[1]
                time.sleep(0.3)
            raise AssertionError(started.log(name))

        start("post", "post", "serve", folder / "post", "--port", 0, "--json")
        start("chain", "chain", "serve", folder / "chain.sqlite", "--new", "--port", 0, "--json")
        post, chain = (said(name, r'"url": ?"([^"]+)"') for name in ("post", "chain"))
        file = write(folder / "files", rounds=1, rest="[periods]\nfund = 400\nanswer = 400\nverdict = 60\nwindow = 4\n"
                     f'[invited]\nsites = 2\npost = "{post}"\nchain = "{chain}"\n')
        troth("invite", file, "--open", "-o", folder / "INVITE", "--out", folder / "out")
        link, joins = folder / "l", {}
        address = free_port()
        keys = []
        for name in SITES:  # the first join takes the seat, and says who the site is
            joins[name] = ("join", folder / "INVITE", "--data", folder / f"files/{name}.csv", "--home", folder / name)
            start(f"{name}-first", *joins[name])
            did = said(f"{name}-first", r"introduced as (did:\S+)")
            started.started.pop(f"{name}-first").terminate()
            troth("flower", "node", folder / name[0], "--site", did)
            keys += ["--site", f"{did}={folder / name[0] / 'node.pub'}"]
        troth("flower", "link", link, *keys, "--port", address)
        started.start("link", link / "superlink.sh")
        for name, key in zip(SITES, keys[1::2], strict=True):
            troth("flower", "node", folder / name[0], "--site", key.partition("=")[0], "--link", f"127.0.0.1:{address}",
                  "--ca", link / "ca.pem", "--port", free_port())
        once(link / "register.sh")
        for name in SITES:
            started.start(f"{name}-node", folder / name[0] / "supernode.sh")
            start(name, *joins[name], "--flower", folder / name[0])
        run_id(once(link / "run.sh"))
        result = json.loads(troth("train", file, "--out", folder / "out", "--flower", link, "--json"))
        assert [row["counted"] for row in result["rounds"]] == [2]
        assert all(int(amount) >= 0 for amount in result["rounds"][0]["paid"].values())
        assert sum(map(int, result["rounds"][0]["paid"].values())) > 0
        assert json.loads(troth("verify", result["bundle"], "--trust", result["trust"], "--json"))
        assert started.end() == []
