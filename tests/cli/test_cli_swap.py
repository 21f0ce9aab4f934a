"""A swap by hand: two parties at home on two chains, from the proposal to both being paid."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import commands

PASSPHRASE = "correct horse"


def troth(*words: str, at: Path, status: int = 0, **environment: str) -> str:
    settings = {key: value for key, value in os.environ.items() if not key.startswith("TROTH_")}
    settings |= {"TROTH_PASSPHRASE": PASSPHRASE, **environment}
    done = commands.run(*words, at=at, env=settings, status=status)
    assert PASSPHRASE not in done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def test_a_swap_by_hand(tmp_path: Path) -> None:
    accounts: dict[str, str] = {}
    tokens: dict[str, str] = {}
    chains: dict[str, str] = {}
    for number, name in enumerate(("alice", "bob")):
        (tmp_path / name).mkdir()
        home = tmp_path / name
        chains[name] = f"embedded:{tmp_path / name}.chain"
        made = json.loads(troth("init", "--json", at=home, TROTH_CHAIN_URL=chains[name]))
        accounts[name] = made["account"]
        # Two chains of one id would take each other's transactions.
        tokens[name] = json.loads(troth("chain", "deploy", "--supply", "1000", "--json", at=home,
                                        TROTH_CHAIN_URL=chains[name], TROTH_CHAIN_ID=str(7_001 + number)))["token"]

    def run(name: str, *words: str, status: int = 0) -> str:
        other = chains["bob" if name == "alice" else "alice"]
        return troth(*words, at=tmp_path / name, status=status, TROTH_CHAIN_URL=chains[name], TROTH_CHAIN_OTHER=other)

    (tmp_path / "alice" / "wish.toml").write_text(
        f'[gives]\ntoken = "{tokens["alice"]}"\namount = "70"\nto = "{accounts["bob"]}"\nfinality = 0\n\n'
        f'[gets]\ntoken = "{tokens["bob"]}"\namount = "90"\nfrom = "{accounts["bob"]}"\nfinality = 0\n')
    run("alice", "swap", "propose", "wish.toml", "--other-contracts",
        str(tmp_path / "bob" / ".troth" / "contracts.json"), "-o", str(tmp_path / "swap.json"))
    file = str(tmp_path / "swap.json")

    def show() -> dict[str, Any]:
        found = json.loads(run("bob", "swap", "show", file, "--json"))
        assert isinstance(found, dict)
        return found

    assert show()["first"]["status"] == "not there"
    assert "the maker's deposit is not there" in run("bob", "swap", "step", file, status=4)
    assert run("alice", "swap", "step", file) == "did: deposited\n"
    assert "the taker has not deposited" in run("alice", "swap", "step", file, status=4)
    assert run("bob", "swap", "step", file) == "did: deposited\n"
    assert show()["second"]["status"] == "running"
    assert run("alice", "swap", "step", file) == "did: revealed\n"
    assert "secret revealed" in run("bob", "swap", "show", file)
    assert run("bob", "swap", "step", file, "--wait") == "did: done\n"
    assert run("alice", "swap", "step", file, "--wait") == "did: done\n"
    found = show()
    assert [found[leg]["outcome"] for leg in ("first", "second")] == [1, 1]
    assert run("alice", "swap", "step", file, "--json") == '{"did": "done"}\n'

    broken = tmp_path / "broken.json"
    broken.write_bytes(Path(file).read_bytes().replace(b'"margin":600', b'"margin":0600'))
    run("bob", "swap", "step", str(broken), status=2)
    (tmp_path / "alice" / "wish.toml").write_text("gives = 1\n")
    run("alice", "swap", "propose", "wish.toml", "--other-contracts",
        str(tmp_path / "bob" / ".troth" / "contracts.json"), "-o", "x", status=2)
    assert not (tmp_path / "alice" / "x").exists()
