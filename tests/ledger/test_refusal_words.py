"""Every error that our contracts can refuse with has a sentence and a next step."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from troth.cli.main import app
from troth.core.errors import ActRefused
from troth.ledger.artefacts import NAMES, artefact
from troth.ledger.chains.rpc import RpcError
from troth.ledger.evmcodec import selector
from troth.ledger.refusals import REFUSALS, inputs_of, why
from troth.ledger.sending import refusal


def signature(entry: dict[str, object]) -> str:
    inputs = entry["inputs"]
    assert isinstance(inputs, list)
    words = [f"{one['type']} {one['name']}".strip() for one in inputs]
    return f"{entry['name']}({','.join(words)})"


def test_every_error_of_every_contract_has_a_sentence() -> None:
    compiled = {signature(entry) for name in NAMES for entry in artefact(name).abi if entry["type"] == "error"}
    assert compiled - REFUSALS.keys() == set(), "write a sentence for it"
    assert REFUSALS.keys() - compiled == set(), "no contract refuses so"


def test_each_says_what_is_wrong_and_what_to_do() -> None:
    for one, said in REFUSALS.items():
        given = {item["name"] for item in inputs_of(one)}
        for text in (said.what, said.expected, said.actual):
            assert set(re.findall(r"{(\w+)}", text)) <= given, one
        assert said.what == said.what.strip() != "", one
        assert said.do.endswith("."), one


def test_the_commands_that_it_names_are_there() -> None:
    def walk(command: Any, name: str) -> set[str]:
        if hasattr(command, "commands"):
            return {one for child, inner in command.commands.items() for one in walk(inner, f"{name} {child}")}
        return {name}

    known = walk(typer.main.get_command(app), "troth")
    named = {found for said in REFUSALS.values() for found in re.findall(r"troth [a-z]+(?: [a-z]+)*", said.do)}
    assert len(named) > 10
    assert {one for one in named if not any(one == name or one.startswith(f"{name} ") for name in known)} == set()


def test_a_refusal_carries_them() -> None:
    late = refusal(RpcError("eth_call", 3, "execution reverted", selector("TooLate", ())), ())
    assert isinstance(late, ActRefused)
    assert (late.code, late.do) == ("TooLate", "See where it stands: troth deal show DEAL.")
    assert "the time for this act is over" in str(late)
    from eth_abi.abi import encode

    types = ("address", "uint256", "uint256")
    data = selector("ERC20InsufficientBalance", types) + encode(types, ["0x" + "11" * 20, 5, 7])
    poor = refusal(RpcError("eth_call", 3, "execution reverted", data), ())
    assert isinstance(poor, ActRefused)
    assert (poor.code, poor.expected, poor.actual) == ("ERC20InsufficientBalance", "7", "5")
    assert "0x" + "11" * 20 in poor.message


def test_what_is_not_ours_stays_as_it_is() -> None:
    data = selector("SomebodyElses", ())
    told = refusal(RpcError("eth_call", 3, "execution reverted", data), ())
    assert isinstance(told, ActRefused)
    assert told.code == "0x" + data.hex()
    assert why(data) is None


@pytest.mark.parametrize(("name", "types", "rest"), [
    ("ERC20InsufficientBalance", ("address", "uint256", "uint256"), b""),
    ("WrongFee", ("uint256",), b"\x01"),
    ("Error", ("string",), (32).to_bytes(32, "big") + (2).to_bytes(32, "big") + b"\xff\xfe" + bytes(30)),
    ("Error", ("string",), (32).to_bytes(32, "big") + (1 << 255).to_bytes(32, "big")),
], ids=["no arguments", "cut short", "no text", "too long"])
def test_arguments_that_cannot_be_read_are_a_refusal_all_the_same(name: str, types: tuple[str, ...], rest: bytes
                                                                  ) -> None:
    """Whoever deploys a token chooses what it reverts with."""
    data = selector(name, types)
    told = refusal(RpcError("eth_call", 3, "execution reverted", data + rest), ())
    assert isinstance(told, ActRefused)
    assert told.code == "0x" + data.hex()


@pytest.mark.parametrize("code", ["TooLate", "NotFunding", "NotDepositor", "Closed"])
def test_the_codes_are_those_of_the_rules_in_python(code: str) -> None:
    assert f"{code}()" in REFUSALS
