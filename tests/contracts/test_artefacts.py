"""What is shipped was made from these sources, with libraries pinned and no address to download from.

``make contracts`` compiles again and compares the bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from troth.core.errors import BadInput
from troth.ledger.artefacts import NAMES, artefact

CONTRACTS = Path(__file__).parents[2] / "contracts"


def digest(*folders: str) -> str:
    """As compile.mjs computes it."""
    names = [path.relative_to(CONTRACTS).as_posix()
             for folder in folders for path in sorted((CONTRACTS / folder).rglob("*.sol"))]
    lines = (f"{name}\0{hashlib.sha256((CONTRACTS / name).read_bytes()).hexdigest()}\n"
             for name in (*names, "compile.mjs", "package-lock.json"))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_artefacts_were_made_from_these_sources() -> None:
    """Without a compiler: the digests of all that decides the outcome are those written with the artefacts."""
    written = json.loads((CONTRACTS / "sources.json").read_text("utf-8"))
    files = written.pop("files")
    assert set(files) == {path.relative_to(CONTRACTS).as_posix()
                          for folder in ("src", "test") for path in (CONTRACTS / folder).rglob("*.sol")}
    assert written == {"shipped": digest("src"), "tests": digest("src", "test")}
    assert {artefact(name).name for name in NAMES} == set(NAMES)


def test_versions_are_pinned_and_nothing_names_a_host() -> None:
    package = json.loads((CONTRACTS / "package.json").read_text("utf-8"))
    lock = json.loads((CONTRACTS / "package-lock.json").read_text("utf-8"))
    for name, version in package["dependencies"].items():
        assert version == lock["packages"][f"node_modules/{name}"]["version"]
    for name, entry in lock["packages"].items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name
    assert artefact("Book").compiler.startswith(package["dependencies"]["solc"] + "+commit.")


def test_unknown_contracts() -> None:
    with pytest.raises(BadInput, match="no such contract"):
        artefact("Escrow")


def test_code_is_compared_around_its_immutables() -> None:
    book = artefact("Book")
    filled = bytearray(book.deployed)
    for offset in book.immutables[0]:
        filled[offset : offset + 32] = b"\x07" * 32
    assert book.same_code(bytes(filled))
    filled[0] ^= 1
    assert not book.same_code(bytes(filled))
    assert not book.same_code(b"")
