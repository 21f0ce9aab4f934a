"""Tables for the terminal."""

from __future__ import annotations

import re
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table

from troth.cli.parts import show
from troth.core.verdicts import Outcome, Report

_STYLE = {Outcome.UPHELD: "green", Outcome.REFUTED: "bold red", Outcome.UNDECIDABLE: "yellow", Outcome.PENDING: "cyan"}


def report_table(report: Report) -> Table:
    """A verification's numbered steps and its answer; neighbours that say the same share a line."""
    as_of = f", as of {_short(report.as_of)}" if report.as_of else ""
    table = Table("step", "what", "outcome", "detail", title=f"{report.outcome}{as_of}",
                  title_style=_STYLE[report.outcome], box=box.SIMPLE)
    for _, alike in groupby(report.steps, key=lambda step: (step.n, step.outcome, step.detail)):
        first, *others = alike
        outcome = first.outcome.value if first.outcome else "skipped"
        style = _STYLE[first.outcome] if first.outcome else "dim"
        name = f"{first.name} to {others[-1].name.rpartition(' ')[2]}" if others else first.name
        table.add_row(str(first.n), name, f"[{style}]{outcome}[/{style}]", _short(first.detail))
    return table


def print_report(report: Report, as_json: bool) -> int:
    """Print a verification; its exit status."""
    if as_json:
        show(report.json(), True)
    else:
        Console().print(report_table(report))
    return report.outcome.exit_status


def _short(text: str) -> str:
    """Long digests cut for reading; ``--json`` has them whole."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text)
