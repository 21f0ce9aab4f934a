"""``troth explain`` and ``troth decisions …``: why a model answered so, and what a decision rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, claim_id, show, workspace
from troth.core.errors import Misuse

decisions_app = typer.Typer(no_args_is_help=True, help="Decisions that models made, and what they rest on.")
app.add_typer(decisions_app, name="decisions")


@app.command("explain")
def explain(program: Annotated[Path, typer.Argument(help="A program, as troth model quantise writes it.")],
            inputs: Annotated[Path, typer.Argument(help="A CSV; one of its rows is explained.")],
            background: Annotated[Path, typer.Option("--background", help="A CSV of rows to compare with.")],
            label: Annotated[str | None, typer.Option("--label", help="A column of both files that is no feature, "
                                                      "if the program has no names to go by.")] = None,
            row: Annotated[int, typer.Option("--row", min=1, help="Which row, from 1.")] = 1,
            method: Annotated[str | None, typer.Option("--method", help="shapley, integrated-gradients or "
                                                       "enumerated.")] = None,
            record: Annotated[bool, typer.Option("--record", help="Attest the decision and its explanation.")] = False,
            model: Annotated[str | None, typer.Option("--model", help="The model claim it was made from.")] = None,
            answer: Annotated[str | None, typer.Option("--answer", help="A claim that proves the answer.")] = None,
            to: Annotated[list[str] | None, typer.Option("--to", help="Who may open it: a DID.")] = None,
            home: Where = None, as_json: Json = False) -> None:
    """Say what each feature contributed to one answer, exactly where that is possible, and by how much it misses else.

    Exact Shapley values for linear models and trees, integrated gradients for networks. It says how the model weighed
    what it was given, not what caused what in the world.
    """
    from troth.app.decisions import compared, reasons  # start-up time: --help must not load the application
    from troth.app.decisions import record as attest
    from troth.app.models import read_inputs, read_program
    from troth.compute.models.build import ints

    if not record and (model or answer or to):
        raise Misuse("a model, an answer and who may open it belong to a record", expected="--record")
    found = read_program(program)
    rows = ints(found, read_inputs(inputs, found, label))
    if row > len(rows):
        raise Misuse("there is no such row", expected=f"1 to {len(rows)}", actual=row)
    others = compared(found, read_inputs(background, found, label))
    said = reasons(found, rows[row - 1], others, method)
    if record:
        with workspace(home) as party:
            done = attest(party, found, rows[row - 1], others, method=method, to=to or (),
                          model=None if model is None else claim_id(party, model),
                          answer=None if answer is None else claim_id(party, answer))
        said |= {"decision": done.decision.hex(), "explanation": done.explanation.hex()}
    show(said, as_json, lambda: _lines(said))


def _lines(said: dict[str, Any]) -> str:
    """The largest ten shares, and what they add up to."""
    lines = [f"answer: {said['label']}; score {said['score']:.4g}, of others on average {said['base']:.4g}"]
    lines += [f"{one['share']:+12.4g}  {one['feature']} = {one['value']:.6g}" for one in said["shares"][:10]]
    rest = said["shares"][10:]
    if rest:
        lines.append(f"{sum(one['share'] for one in rest):+12.4g}  {len(rest)} others")
    lines.append(f"{said['method']}; it misses the score by {said['error']:.3g}")
    lines += [f"{name}: {said[name]}" for name in ("decision", "explanation") if name in said]
    return "\n".join(lines)


@decisions_app.command("list")
def decisions_list(home: Where = None, as_json: Json = False) -> None:
    """The decisions in this party's log, oldest first."""
    from troth.app.decisions import listed  # start-up time, as above
    from troth.core.times import moment

    with workspace(home) as party:
        found = listed(party)
        show({"decisions": found}, as_json, lambda: "\n".join(
            f"{one['decision']}  {moment(one['issued_at'])}  program {one['program'][:16]}  "
            f"{len(one['explanations'])} explanations" for one in found) or "none")


@decisions_app.command("show")
def decisions_show(decision: str, home: Where = None, as_json: Json = False) -> None:
    """A decision down to the data: its model, the rounds that trained it, the listings, and what of it is stale."""
    from troth.app.decisions import walked  # start-up time, as above

    with workspace(home) as party:
        found = walked(party, claim_id(party, decision))

        def lines() -> str:
            text = [f"decision {found['decision']} by {found['issuer']}{'  stale' if found['stale'] else ''}",
                    f"program {found['program']}", *(f"explanation {one}" for one in found["explanations"])]
            text += [f"{kind} {one['claim']} by {one['issuer']}{'  ' + one['state'] if one['state'] else ''}"
                     for kind, level in found["rests_on"].items() for one in level]
            return "\n".join([*text, *(f"not here: {one}" for one in found["missing"])])

        show(found, as_json, lines)


@decisions_app.command("check")
def decisions_check(claim: Annotated[str, typer.Argument(help="A decision or an explanation.")], home: Where = None,
                    as_json: Json = False) -> None:
    """Run a decision and its explanations again from their documents. Refuted where anything differs."""
    from troth.app.decisions import check  # start-up time, as above

    with workspace(home) as party:
        found = claim_id(party, claim)
        steps = check(party, found)
        show({"claim": found.hex(), "outcome": "upheld", "steps": steps}, as_json, lambda: "\n".join(
            [*(f"{number}. {one['step']}: {one['finding']}" for number, one in enumerate(steps, 1)), "upheld"]))
