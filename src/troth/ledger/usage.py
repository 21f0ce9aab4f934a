"""What a chain's transactions did and what gas they took, by act: for reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from troth.core.encoding import keccak256
from troth.ledger.chains.blocks import hex_bytes, quantity
from troth.ledger.chains.rpc import request
from troth.ledger.sending import abi_type

if TYPE_CHECKING:
    from web3 import Web3

ARTEFACTS = "troth.ledger.artefacts"


@dataclass(frozen=True, slots=True)
class Usage:
    """One act: how often, and the gas of its cheapest, dearest and all transactions."""

    act: str
    count: int
    least: int
    most: int
    total: int


def gas_by_act(web3: Web3, contracts: Mapping[bytes, str], *, start: int = 1) -> tuple[Usage, ...]:
    """Gas by contract and function since block ``start``, dearest in all first.

    contracts: artefact name ("Book", …) by address; transactions to anything else are summed as "other".
    """
    names = {address: _selectors(name) for address, name in contracts.items()}
    found: dict[str, list[int]] = {}
    for number in range(start, quantity(request(web3, "eth_blockNumber")) + 1):
        block = request(web3, "eth_getBlockByNumber", hex(number), True)
        receipts = request(web3, "eth_getBlockReceipts", hex(number))
        for tx, receipt in zip(block["transactions"], receipts, strict=True):
            to = hex_bytes(tx["to"], 20) if tx["to"] else b""
            act = "deploy a contract" if not to else "other"
            if to in names:
                act = f"{contracts[to]}.{names[to].get(hex_bytes(tx['input'])[:4], 'other')}"
            found.setdefault(act, []).append(quantity(receipt["gasUsed"]))
    rows = [Usage(act, len(gas), min(gas), max(gas), sum(gas)) for act, gas in found.items()]
    return tuple(sorted(rows, key=lambda row: -row.total))


def _selectors(name: str) -> dict[bytes, str]:
    """Function names by selector, from a shipped artefact."""
    abi = json.loads(resources.files(ARTEFACTS).joinpath(f"{name}.json").read_text())["abi"]
    return {keccak256(_signature(entry).encode())[:4]: entry["name"] for entry in abi if entry["type"] == "function"}


def _signature(entry: Mapping[str, object]) -> str:
    inputs = entry["inputs"]
    assert isinstance(inputs, list)  # a shipped artefact, checked against its sources
    return f"{entry['name']}({','.join(map(abi_type, inputs))})"
