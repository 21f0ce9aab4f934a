"""Slither: what it finds in ``contracts/src`` must be exactly what ``contracts/slither.json`` explains.

New findings fail, and so do explanations of what is no longer found. The file has two parts: ``everywhere``, detectors
whose remark is true of the whole code and no fault (one reason each); ``here``, one reason for each other finding.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SLITHER = "build/slither-venv/bin/slither"
_PLACE = re.compile(r" \((?:src|node_modules)/[^()]*#\d+(?:-\d+)?\)")


@dataclass(frozen=True, slots=True)
class Compared:
    """found: how many findings. unexplained: findings without a reason. vanished: reasons without a finding."""

    found: int
    unexplained: list[str]
    vanished: list[str]

    @property
    def held(self) -> bool:
        return not self.unexplained and not self.vanished


def _input(root: Path) -> Path:
    """The compiler's input, in a folder of its own: beside ``foundry.toml`` Slither would insist on using Forge."""
    contracts = root / "contracts"
    folder = root / "build/slither"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("src", "node_modules"):
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(contracts / name)
    sources = sorted(path.relative_to(contracts).as_posix() for path in (contracts / "src").rglob("*.sol"))
    text = json.dumps({
        "language": "Solidity",
        "sources": {name: {"content": (contracts / name).read_text("utf-8")} for name in sources},
        "settings": {
            "evmVersion": "cancun",
            "remappings": ["@openzeppelin/=node_modules/@openzeppelin/"],
            "outputSelection": {"*": {"": ["ast"], "*": ["abi", "devdoc", "userdoc"]}},
        },
    })
    (folder / "input.json").write_text(text, "utf-8")
    return folder


def findings(root: Path) -> list[tuple[str, str]]:
    """(detector, what it says without line numbers) for each finding. Raises RuntimeError if Slither itself fails."""
    folder = _input(root)
    answer = folder / "found.json"
    answer.unlink(missing_ok=True)
    done = subprocess.run(
        [str(root / SLITHER), "input.json", "--compile-force-framework", "Solc-json",
         "--solc", str(root / "contracts/solc.mjs"), "--filter-paths", "node_modules", "--json", str(answer)],
        cwd=folder, capture_output=True, text=True, check=False,
    )
    if not answer.exists():
        raise RuntimeError(f"Slither did not answer:\n{done.stderr[-4000:]}")
    said = json.loads(answer.read_text("utf-8"))
    if not said["success"]:
        raise RuntimeError(f"Slither failed: {said['error']}")
    return sorted((one["check"], _text(one["description"])) for one in said["results"].get("detectors", ()))


def _text(description: str) -> str:
    return " ".join(_PLACE.sub("", description).split())


def run(root: Path) -> Compared:
    """Compares what is found in the tree at ``root`` with its ``contracts/slither.json``."""
    explained = json.loads((root / "contracts/slither.json").read_text("utf-8"))
    everywhere: dict[str, str] = explained["everywhere"]
    here = {(one["check"], one["what"]) for one in explained["here"]}
    found = findings(root)
    said = set(found)
    unexplained = [f"{check}: {what}" for check, what in sorted(said - here) if check not in everywhere]
    vanished = [f"{check}: {what}" for check, what in sorted(here - said)]
    vanished += [f"{check}: found nowhere" for check in sorted(everywhere.keys() - {check for check, _ in found})]
    return Compared(len(found), unexplained, vanished)
