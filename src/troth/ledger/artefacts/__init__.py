"""The compiled contracts, as ``contracts/compile.mjs`` writes them; a test checks that they match the sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from troth.core.encoding import keccak256
from troth.core.errors import BadInput

NAMES = (
    "Book", "Shape", "Anchor", "Credits", "Forwarder",
    "Assumed", "Rerun", "Signed", "Preimage", "Quorum", "Median",
    "Vote", "Ballots", "Quote", "Mandated", "Revocations", "Licences",
    "Identities", "LogOwners", "Anchored", "Keys", "Proof", "Programs",
    "Court", "Jury", "Seat", "Jobs",
    "Royalties", "PolicyAccount", "PolicyAccounts",
)


@dataclass(frozen=True, slots=True)
class Artefact:
    """One contract. bytecode: creation code; deployed: runtime code with zeros where immutables go.

    immutables: for each, the offsets in ``deployed`` of the 32-byte words that hold it.
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    deployed: bytes
    immutables: tuple[tuple[int, ...], ...]
    compiler: str

    @classmethod
    def read(cls, text: str) -> Artefact:
        """An artefact's JSON."""
        value = json.loads(text)
        places = tuple(tuple(offsets) for offsets in value["immutables"])
        return cls(value["name"], tuple(value["abi"]), bytes.fromhex(value["bytecode"]),
                   bytes.fromhex(value["deployed"]), places, value["compiler"])

    @property
    def errors(self) -> tuple[dict[str, Any], ...]:
        """The ABI entries of its custom errors."""
        return tuple(entry for entry in self.abi if entry["type"] == "error")

    def same_code(self, code: bytes) -> bool:
        """Whether deployed ``code`` is this contract, whatever its immutables hold."""
        return self._masked(code) == self.deployed

    def words(self, code: bytes) -> list[bytes]:
        """What the immutables hold in deployed ``code``, 32 bytes each; an empty one where its places differ."""
        found = [{code[offset : offset + 32] for offset in offsets} for offsets in self.immutables]
        return [one.pop() if len(one) == 1 else b"" for one in found]

    def _masked(self, code: bytes) -> bytes:
        plain = bytearray(code)
        for offsets in self.immutables:
            for offset in offsets:
                plain[offset : offset + 32] = bytes(32)
        return bytes(plain)


@cache
def artefact(name: str) -> Artefact:
    """The contract with this name. Raises BadInput for another."""
    if name not in NAMES:
        raise BadInput("no such contract", expected=", ".join(NAMES), actual=name)
    return Artefact.read(resources.files(__package__).joinpath(f"{name}.json").read_text("utf-8"))


def code_hash(code: bytes) -> bytes:
    """What EXTCODEHASH gives for an account with this code (EIP-1052), 32 bytes."""
    return keccak256(code)
