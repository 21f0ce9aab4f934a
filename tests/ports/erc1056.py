"""The registry of ERC-1056 as its authors ship it (npm ``ethr-did-registry``), deployed on a chain of the tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eth_abi.abi import encode

from troth.core.encoding import keccak256
from troth.ledger.deploy import create
from troth.ledger.sending import Sender

HERE = "tools/node_modules/ethr-did-registry/artifacts/contracts/EthereumDIDRegistry.sol/EthereumDIDRegistry.json"
ACTS = {
    "changeOwner": ("address", "address"),
    "addDelegate": ("address", "bytes32", "address", "uint256"),
    "revokeDelegate": ("address", "bytes32", "address"),
    "setAttribute": ("address", "bytes32", "bytes", "uint256"),
    "revokeAttribute": ("address", "bytes32", "bytes"),
}


def bytecode() -> bytes:
    """Its creation code; a missing package fails the test."""
    path = Path(__file__).parents[1] / HERE
    assert path.exists(), f"{path} is missing: make tests/tools/node_modules"
    return bytes.fromhex(json.loads(path.read_text())["bytecode"][2:])


def name32(text: str) -> bytes:
    """A name as the registry takes it."""
    return text.encode().ljust(32, b"\0")


def calldata(act: str, *values: object) -> bytes:
    """The calldata of an act of ``ACTS``."""
    return keccak256(f"{act}({','.join(ACTS[act])})".encode())[:4] + encode(ACTS[act], values)


@dataclass(frozen=True, slots=True)
class Deployed:
    """The registry at an address, and acts on it."""

    address: bytes

    @classmethod
    def by(cls, sender: Sender) -> Deployed:
        """A new one."""
        return cls(create(sender, bytecode())[0])

    def act(self, sender: Sender, act: str, *values: object) -> int:
        """Do it, for the sender's own identity where the first value is left out of ``ACTS``' list; the block."""
        given = values if len(values) == len(ACTS[act]) else (sender.account, *values)
        return sender.send(self.address, calldata(act, *given)).block_number
