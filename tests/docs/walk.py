"""Runs a page as its reader would: commands and Python blocks in order, in one shell; and checks what they print.

``console`` blocks are commands, one a line, without a prompt; ``# exit status N`` says that a line ends with
another status than 0, and lines that start with ``make`` are left out. ``python`` blocks are run as files. A ``text``
block must be found in what the console block before it printed: each line, in order, with … for anything. Other blocks
are not run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r"\s+# exit status (\d)$")
PASSPHRASE = "correct horse"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language and text."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    return [Block(*found.groups()) for found in _BLOCK.finditer(page)]


def commands(block: Block) -> list[tuple[str, int]]:
    """(command, expected exit status) of a console block's lines."""
    found = []
    for line in block.text.splitlines():
        if not line.strip() or line.startswith("make "):
            continue
        status = _STATUS.search(line)
        command = _STATUS.sub("", line)
        found.append((command, int(status[1]) if status else 0))
    return found


def _script(page: list[Block], folder: Path) -> str:
    lines = []
    for number, block in enumerate(page):
        if block.language == "python":
            source = folder / f"block-{number}.py"
            source.write_text(block.text, encoding="utf-8")
            steps = [(f"python {source.name}", 0)]
        elif block.language == "console":
            steps = commands(block)
        else:
            continue
        for command, status in steps:
            told = shlex.quote(f"block {number}: {command}")
            output = f"block-{number}.out"
            lines += [f"{{ {command}", f"}} >>{output} 2>&1; s=$?",
                      f"[ $s = {status} ] || {{ echo {told} gives $s, not {status}; cat {output}; exit 90; }}"]
    return "\n".join(lines) + "\n"


def walk(page: str, folder: Path) -> None:
    """Run a page in ``folder``. Raises AssertionError naming the line that did not do what the page says."""
    found = blocks(page)
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")}
    settings |= {"TROTH_PASSPHRASE": PASSPHRASE, "COLUMNS": "200", "PWD": str(folder),
                 "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", _script(found, folder)], cwd=folder, env=settings, check=False,
                          capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSPHRASE not in "".join(path.read_text() for path in folder.glob("block-*.out"))
    printed = ""
    for number, block in enumerate(found):
        if block.language == "console":
            output = folder / f"block-{number}.out"
            printed = output.read_text(encoding="utf-8") if output.exists() else ""
        elif block.language == "text":
            check(printed, block.text)
    for path in folder.glob("block-*"):
        path.unlink()


def check(printed: str, shown: str) -> None:
    """Every line of ``shown`` is in ``printed``, in order. Blanks are alike; … stands for anything on a line."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    at = 0
    for line in filter(None, (" ".join(line.split()) for line in shown.splitlines())):
        pattern = re.compile(".*".join(re.escape(piece.strip()) for piece in line.split("…")))
        at = next((here + 1 for here in range(at, len(lines)) if pattern.search(lines[here])), 0)
        assert at, f"the page shows {line!r}, which is not printed (in this order) in:\n{printed}"
