"""Runs: what was trained with which data and parameters, and how it came out (docs/kinds/run.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, show, workspace
from troth.core.errors import BadInput, Misuse, Undecidable

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.formats.runs import Run

runs_app = typer.Typer(no_args_is_help=True, help="Runs attested here or received.")
app.add_typer(runs_app, name="runs")
SHORTEST = 6


@runs_app.command("list")
def runs_list(name: Annotated[str | None, typer.Option("--name", help="Only those of this name.")] = None,
              home: Where = None, as_json: Json = False) -> None:
    """Every run in the log, oldest first, with its metrics."""
    with workspace(home) as party:
        runs, bad = _runs(party)
        found = [(claim, issuer, run) for claim, issuer, run in runs if name is None or run.name == name]
        show({"runs": [_json(*one) for one in found], "unreadable": [claim.hex() for claim in bad]}, as_json,
             lambda: "\n".join([_table(found), *(f"{claim.hex()[:16]}  not a run that can be read" for claim in bad)]))


@runs_app.command("compare")
def runs_compare(run: Annotated[list[str], typer.Argument(help="Two or more runs: claims, or how their ids begin.")],
                 home: Where = None, as_json: Json = False) -> None:
    """In what runs differ: parameters, metrics, data, models, source, environment."""
    from troth.formats.runs import compare  # start-up time, as in main

    if len(run) < 2:
        raise Misuse("nothing to compare with", expected="two runs or more")
    with workspace(home) as party:
        here, _ = _runs(party)
        found = [_find(here, text) for text in run]
        differences = compare(one for _, _, one in found)
        said = {"runs": [claim.hex() for claim, _, _ in found],
                "differences": [{"what": one.what, "name": one.name, "values": list(one.values), "delta": one.delta}
                                for one in differences]}
        show(said, as_json, lambda: "\n".join(
            f"{one.what} {one.name}: {' | '.join(value or '-' for value in one.values)}"
            f"{f'  ({one.delta})' if one.delta else ''}" for one in differences) or "no difference")


def _runs(party: Troth) -> tuple[list[tuple[bytes, str, Run]], list[bytes]]:
    """The runs in the log, and the claims of that kind that are none: one that a peer sent must not hide the others."""
    from troth.formats.runs import RUN, Run  # start-up time, as in main

    found, bad = [], []
    for claim, statement in party.claims(RUN):
        try:
            found.append((claim, statement.issuer, Run.of(statement)))
        except BadInput:
            bad.append(claim)
    return found, bad


def _find(here: list[tuple[bytes, str, Run]], text: str) -> tuple[bytes, str, Run]:
    """The one run whose id begins so. Raises Misuse, or Undecidable where there is none."""
    found = [one for one in here if one[0].hex().startswith(text.lower())]
    if len(text) < SHORTEST or len(found) > 1:
        raise Misuse("this does not name one run", expected=f"{SHORTEST} characters or more of its id",
                     actual=f"{text}: {len(found)} runs")
    if not found:
        raise Undecidable("this run is not here", actual=text, do="troth runs list shows those that are.")
    return found[0]


def _json(claim: bytes, issuer: str, run: Run) -> dict[str, Any]:
    return {"claim": claim.hex(), "issuer": issuer, **run.body()}


def _table(found: list[tuple[bytes, str, Run]]) -> str:
    return "\n".join(
        f"{claim.hex()[:16]}  {run.name}  {run.status}  {run.ended_at - run.started_at} s  "
        + "  ".join(f"{name}={one.value}" for name, one in sorted(run.metrics.items())) for claim, _, run in found
    ) or "no runs"
