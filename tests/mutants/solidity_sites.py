"""Mutants of Solidity sources: one operator, constant or check changed on one line of code each."""

from __future__ import annotations

import re
from dataclasses import dataclass

SWAPS = [("<=", "<"), (">=", ">"), ("==", "!="), ("!=", "=="), ("&&", "||"), ("||", "&&"), (" < ", " <= "),
         (" > ", " >= "), (" + ", " - "), (" - ", " + "), (" * ", " + "), (" / ", " * "), ("+=", "-="), ("-=", "+="),
         (" | ", " & "), ("true", "false"), ("false", "true")]
CHECK = re.compile(r"^\s*(?:if|else if) \(.*\) (?:revert \w+(?:\.\w+)?\(\);|return;|continue;)")
NUMBER = re.compile(r"(?<![\w.])(\d[\d_]*)(?![\w.])")
SKIPPED = re.compile(r"^\s*(//|\*|import|pragma|event|error|assembly|contract|library|using)")


@dataclass(frozen=True, slots=True)
class Mutant:
    """path: the file, from the repository's root. text: the whole mutated file."""

    path: str
    line: int
    what: str
    text: str


def mutants(path: str, source: str) -> list[Mutant]:
    """Every mutant of one source, in order of line. Some do not compile; those count for nothing."""
    lines = source.split("\n")
    found = []
    for number, line in enumerate(lines):
        code = line.split("//")[0]
        if SKIPPED.match(line) or not code.strip():
            continue
        for changed, what in _changes(code):
            text = "\n".join([*lines[:number], changed + line[len(code):], *lines[number + 1:]])
            found.append(Mutant(path, number + 1, f"{code.strip()} -> {what}", text))
    return found


def _changes(code: str) -> list[tuple[str, str]]:
    out = []
    for old, new in SWAPS:
        start = code.find(old)
        # "<=" is found in "<= " and not inside "=>" or "<<=".
        while start >= 0:
            if code[start - 1:start] not in ("<", ">", "=", "!") or old.startswith(" "):
                out.append((code[:start] + new + code[start + len(old):], f"{old.strip()} becomes {new.strip()}"))
            start = code.find(old, start + len(old))
    for match in NUMBER.finditer(code):
        if "mload" in code or "mstore" in code:
            continue
        value = int(match[1].replace("_", "")) + 1
        out.append((f"{code[:match.start()]}{value}{code[match.end():]}", f"{match[1]} becomes {value}"))
    if CHECK.match(code):
        cut = code.index("if (")
        out.append((code[:cut] + "if (false && (" + _condition(code) + "))" + code[_end(code):], "never"))
    return out


def _end(code: str) -> int:
    """Where the condition's closing parenthesis ends."""
    depth, start = 0, code.index("if (") + 3
    for place in range(start, len(code)):
        depth += {"(": 1, ")": -1}.get(code[place], 0)
        if depth == 0:
            return place + 1
    return len(code)


def _condition(code: str) -> str:
    return code[code.index("if (") + 4:_end(code) - 1]
