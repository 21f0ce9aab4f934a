"""``troth prove`` and ``troth answer …``: a model's answer with a proof, and its check without a prover."""

from __future__ import annotations

from math import ldexp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from troth.cli.parts import Json, Where, app, claim_id, naming, read_file, show, workspace, write_file

if TYPE_CHECKING:
    from troth.fixed.program import Program
    from troth.verify.answers import Answer

answer_app = typer.Typer(no_args_is_help=True, help="Answers of models: proven, or executed again.")
app.add_typer(answer_app, name="answer")


@app.command("prove")
def prove(
        model: Annotated[Path, typer.Argument(help="A program, as troth model quantise writes it.")],
        given: Annotated[Path, typer.Argument(metavar="INPUT", help="JSON: a list of the features, or an object of "
                                              "them by name; or a CSV of one row.")],
        weights: Annotated[str, typer.Option("--weights", help="fixed: the key is the model's. committed: hidden, "
                                             "bound by a commitment; one key for an architecture.")] = "fixed",
        hidden: Annotated[str, typer.Option("--input", help="committed or public.")] = "committed",
        output: Annotated[str, typer.Option("--output", help="scores, or the label alone.")] = "scores",
        question: Annotated[str | None, typer.Option("--question", help="The claim that is answered.")] = None,
        seconds: Annotated[int, typer.Option("--most-seconds", min=0, help="Of setup and proof; beyond it the answer "
                                             "is to be executed again.")] = 600,
        memory: Annotated[int, typer.Option("--most-mib", min=0, help="Of memory; likewise.")] = 8192,
        to: Annotated[list[str] | None, typer.Option("--for", help="A DID that may open the input, and of an answer to "
                                                     "be executed again the program.")] = None,
        home: Where = None, as_json: Json = False) -> None:
    """Answer one input, and attest it with a proof that shows neither input nor, if you say so, the model. It does not
    prove that the model is good or the input true, and a dev setup can be forged by whoever ran it.
    """
    # Imported here and below: start-up of --help must not load stores and circuits.
    from troth.app.models import read_program
    from troth.app.proving import NO_QUESTION, read_input
    from troth.app.proving import prove as answer
    from troth.compute.circuits.model import Modes

    modes = Modes(weights, hidden, output)
    program = read_program(model)
    row = read_input(given, program)
    with workspace(home) as party:
        asked = NO_QUESTION if question is None else claim_id(party, question)
        made = answer(party, program, row, modes, question=asked,
                      seconds=seconds, memory=memory << 20, seal_to=to or ())
        said = made.answer
        label = said.scores[0] if said.output == "label" else None
        if made.why:
            typer.echo(f"not proven, which would take {made.why}: attested with what executes it again", err=True)
        cost = made.estimate
        show({"claim": made.claim.hex(), "estimate": made.estimate.json(), "label": label, "method": said.method,
              "model": said.model.hex(), "reading": said.reading.hex(), "origin": said.origin, "proofs": made.proofs,
              "scores": None if label is not None else list(said.scores), "why": made.why}, as_json, lambda: "\n".join((
                  f"answer: {told(program, said)}",
                  f"proven under key {said.model.hex()}, setup {said.origin}" if not made.why else
                  f"not proven: program {said.model.hex()}, executed again by whoever can open the evidence",
                  f"estimate of a proof: {cost.constraints} constraints, {cost.setup} s for a setup, {cost.prove} s to "
                  f"prove, {cost.memory >> 20} MiB",
                  f"answers by it in this log: {made.proofs}", f"claim {made.claim.hex()}")))


def told(program: Program, said: Answer) -> str:
    """An answer for reading: the label's name where it has one, or the scores in the model's own units, then the
    integers that were proven.
    """
    if said.output == "label" and program.head != "number":
        return program.classes[said.scores[0]] if program.classes else f"label {said.scores[0]}"
    scale = program.output_scale
    own = ", ".join(f"{ldexp(score, -scale):.6g}" for score in said.scores)
    return f"{own} ({', '.join(map(str, said.scores))} by 2^{scale})"


Weights = Annotated[str, typer.Option("--weights", help="fixed or committed.")]
Hidden = Annotated[str, typer.Option("--input", help="committed or public.")]
Output = Annotated[str, typer.Option("--output", help="scores, or the label alone.")]
Whole = Annotated[Path, typer.Argument(help="A program, as troth model quantise writes it.")]


@answer_app.command("key")
def key(model: Whole, output_file: Annotated[Path, typer.Option("-o", "--output-file", help="Where the key goes.")],
        weights: Weights = "fixed", hidden: Hidden = "committed", output: Output = "scores", home: Where = None,
        as_json: Json = False) -> None:
    """Write the whole key of a model, so that others can see with check-key that it is of that model."""
    from troth.app.models import read_program
    from troth.app.proving import export_key
    from troth.compute.circuits.model import Modes

    program = read_program(model)
    with workspace(home) as party:
        data = export_key(party, program, Modes(weights, hidden, output))
    write_file(output_file, data)
    show({"bytes": len(data), "key": str(output_file)}, as_json)


@answer_app.command("check-key")
def check_key(model: Whole, file: Annotated[Path, typer.Argument(metavar="KEY", help="The whole key, as troth answer "
                                                                 "key writes it.")],
              weights: Weights = "fixed", hidden: Hidden = "committed", output: Output = "scores",
              as_json: Json = False) -> None:
    """Check that a key is of a program, whoever made it, and print what a trust file may then believe. It does not say
    who knows the setup's secrets: those who do can forge.
    """
    from troth.app.models import read_program
    from troth.app.proving import check_key as checked
    from troth.compute.circuits.model import Modes

    program = read_program(model)
    with naming(file):
        found = checked(read_file(file), program, Modes(weights, hidden, output))
    show({"key": found.key, "name": found.name.hex(), "origin": found.origin, "outcome": "upheld",
          "reading": found.reading.hex()}, as_json)


@answer_app.command("check")
def check(claim: Annotated[str, typer.Argument(help="An answer in this log.")], home: Where = None,
          as_json: Json = False) -> None:
    """Check an answer's proof, or execute it again with what this party can open. It does not say whether the key's
    model and setup are what you think: that is who published it.
    """
    from troth.app.proving import check as checked
    from troth.cli.show import print_report

    with workspace(home) as party:
        report = checked(party, claim_id(party, claim))
    raise typer.Exit(print_report(report, as_json))
