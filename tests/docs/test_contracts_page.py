"""``docs/security/contracts.md`` names a test for each way to misuse each function, and each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

from troth.ledger.artefacts import NAMES, artefact

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security/contracts.md").read_text("utf-8")
# What others wrote, inherited unchanged.
INHERITED = {"transfer", "transferFrom", "approve", "permit", "execute", "executeBatch", "transferWithAuthorization",
             "receiveWithAuthorization", "cancelAuthorization"}


def rows() -> list[list[str]]:
    """The cells of each line of the page's tables, without headers and rules."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith("|---")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[-1] not in ("test", "")]


def defined() -> list[str]:
    """The names of all test functions, of cases, and of the attacks that are methods or Solidity."""
    found = []
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text("utf-8")
        found += re.findall(r"def (\w+)\(", text)
        found += [name.replace(" ", "_") for name in re.findall(r'case\("([a-z ]+)"', text)]
    for path in (ROOT / "contracts/proofs").rglob("*.sol"):
        found += re.findall(r"function (\w+)\(", path.read_text("utf-8"))
        found += [name.replace(" ", "_") for name in re.findall(r'"attack: ([a-z ]+)"', path.read_text("utf-8"))]
    return found


def test_each_test_on_the_page_exists() -> None:
    names = defined()
    files = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    rooms = {path.name for path in (ROOT / "tests").iterdir()}
    missing = []
    for row in rows():
        for name in re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b", row[-1].replace("tests/", "")):
            if name not in files and name not in rooms and not any(name in one for one in names):
                missing.append((row[0], name))
    assert not missing


def test_each_row_names_a_test_or_says_why_not() -> None:
    assert not [row for row in rows() if len(row) != 4 or len(row[-1]) < 5]


def test_every_function_that_writes_is_on_the_page() -> None:
    first = " ".join(row[0] for row in rows())
    named = set(re.findall(r"\w+", first))
    unsaid = []
    for name in NAMES:
        for part in artefact(name).abi:
            writes = part["type"] == "function" and part["stateMutability"] in ("nonpayable", "payable")
            if writes and part["name"] not in INHERITED and part["name"] not in named:
                unsaid.append(f"{name}.{part['name']}")
    assert not unsaid


def test_every_contract_is_on_the_page() -> None:
    assert not [name for name in NAMES if not re.search(rf"\b{name}\b", PAGE)]
