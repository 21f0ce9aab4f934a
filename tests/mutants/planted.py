"""Two planted mutants for each numbered rule of the design ("Deals: the Book"), one in Python and one in Solidity.

A table of (rule, what is broken, file, old text, new text); each old text is there exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CORE = "src/troth/core/"
BOOK = "contracts/src/Book.sol"
SETTLE = "contracts/src/libraries/Settle.sol"
SHAPE = "contracts/src/Shape.sol"

PLANTED: list[tuple[int, str, str, str, str]] = [
    (1, "an answer counts in the second after its ask's period", CORE + "deals.py",
     "now >= start + asks[ask].period", "now > start + asks[ask].period"),
    (1, "an account that is not named may answer for the first that is", BOOK,
     "if (place == type(uint256).max) revert NotNamed();", "if (place == type(uint256).max) place = 0;"),
    (2, "a verdict is recorded in the second after its period", CORE + "deals.py",
     "now >= frozen_at + rung.verdict_period", "now > frozen_at + rung.verdict_period"),
    (2, "a verdict can be recorded again", BOOK,
     "if (state.judgedAt != 0) revert Judged();", ""),
    (3, "bonds need not double", CORE + "deals_terms.py",
     "least = 2 * rung.bond", "least = rung.bond"),
    (3, "a bench member may challenge below its rung", BOOK,
     "if (Rungs.place(bench, terms.table, caller) != type(uint256).max) revert BenchMember();", ""),
    (4, "silence keeps the first result, not the one below", CORE + "settlement.py",
     "base = found[-1]", "base = found[0]"),
    (4, "silence keeps the outcome below but not its root", SETTLE,
     "found.root = below.root;", ""),
    (5, "a slashed bench member makes a challenger right", CORE + "settlement.py",
     "one.slashed - seated != other.slashed - seated", "one.slashed != other.slashed"),
    (5, "a difference of just the tick makes a challenger right", SETTLE,
     "(a > b ? a - b : b - a) > tick", "(a > b ? a - b : b - a) >= tick"),
    (6, "what a blocked residual does not get goes to the closer", CORE + "settlement.py",
     "self.pay(self.terms.wrong_bonds, rest_left)", "self.pay(self.closer, rest_left)"),
    (6, "a part is not clamped to what is left", SETTLE,
     "if (part > left) part = left;", "unchecked { if (part > left) left = part; }"),
    (7, "a root keeps its total even of a smaller pot", CORE + "settlement.py",
     "stays = min(self.final.total, left)", "stays = self.final.total"),
    (7, "a leaf can be collected twice", BOOK,
     "payout.collected[index >> 8] = word | bit;", ""),
    (8, "two of four verifiers are enough", "src/troth/verify/policies/voices.py",
     "k <= len(rung.bench) < 2 * k", "k <= len(rung.bench)"),
    (8, "a policy is pinned by its address alone", SHAPE,
     "policy.code.length == 0 || policy.codehash != Pieces.word(p + 1)", "policy.code.length == 0"),
    (9, "more goes on chain than moves a deal", CORE + "deals_terms.py",
     "MAX_DATA = 4096", "MAX_DATA = 4097"),
    (9, "the chain forgets which claim was submitted", BOOK,
     "_append(deal.id, _history(deal.id), head, claim, data)", "_append(deal.id, _history(deal.id), head, 0, data)"),
    (10, "a challenge that cannot be paid has climbed all the same", "src/troth/ledger/memory.py",
     "        self._take(found.terms.token, by, deals.entry_cost(found.terms, found.rung))\n"
     "        self._deals[deal] = climbed\n",
     "        self._deals[deal] = climbed\n"
     "        self._take(found.terms.token, by, deals.entry_cost(found.terms, found.rung))\n"),
    (10, "a stopped Book takes deposits", BOOK,
     "function _going() private view {\n        if (stopped) revert Stopped();", "function _going() private view {"),
]


@dataclass(frozen=True, slots=True)
class Mutant:
    """path: the file, from the repository's root. text: the whole mutated file."""

    path: str
    line: int
    what: str
    text: str


def mutants(root: Path) -> list[Mutant]:
    """The planted mutants of the tree at ``root``. Raises AssertionError where a text is not there exactly once."""
    found = []
    for rule, what, path, old, new in PLANTED:
        whole = (root / path).read_text("utf-8")
        assert whole.count(old) == 1, f"planted for rule {rule}: {old!r} is {whole.count(old)} times in {path}"
        line = whole[:whole.index(old)].count("\n") + 1
        found.append(Mutant(path, line, f"rule {rule}: {what}", whole.replace(old, new)))
    return found
