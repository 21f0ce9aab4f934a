"""Tables for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from troth.core.verdicts import Outcome, Report

_STYLE = {Outcome.UPHELD: "green", Outcome.REFUTED: "bold red", Outcome.UNDECIDABLE: "yellow", Outcome.PENDING: "cyan"}


def report_table(report: Report) -> Table:
    """A verification's numbered steps and its answer."""
    as_of = f", as of {report.as_of}" if report.as_of else ""
    table = Table("step", "what", "outcome", "detail", title=f"{report.outcome}{as_of}",
                  title_style=_STYLE[report.outcome], box=box.SIMPLE)
    for step in report.steps:
        outcome = step.outcome.value if step.outcome else "skipped"
        style = _STYLE[step.outcome] if step.outcome else "dim"
        table.add_row(str(step.n), step.name, f"[{style}]{outcome}[/{style}]", step.detail)
    return table
