"""``troth model …``: a model as an integer program, which gives the same bits wherever it runs."""

from __future__ import annotations

from math import ldexp
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import Json, Where, app, claim_id, show, workspace, write_file
from troth.core.errors import Misuse

model_app = typer.Typer(no_args_is_help=True, help="Models as integer programs: the form that is proven and run again.")
app.add_typer(model_app, name="model")

Rows = Annotated[Path | None, typer.Option("--calibration", help="A CSV of rows like those to come, not those that "
                                           "trained it; of a claim its plan's validation records by default.")]


@model_app.command("quantise")
def model_quantise(
        model: Annotated[str, typer.Argument(help=".onnx, LightGBM's text, XGBoost's JSON, a .pkl or .joblib "
                                             "(--unsafe-pickle), or a model claim's id.")],
        output: Annotated[Path, typer.Option("-o", "--output", help="Where the program goes.")],
        calibration: Rows = None,
        held_out: Annotated[Path | None, typer.Option("--held-out", help="Rows to check on; every third by default.")
                            ] = None,
        label: Annotated[str | None, typer.Option("--label", help="The column that holds what was right.")] = None,
        target: Annotated[float, typer.Option("--target", help="Percent of labels that must stay.")] = 99.5,
        guard: Annotated[int | None, typer.Option("--guard", help="Bits beyond the smallest setting.")] = None,
        margin: Annotated[int, typer.Option("--margin", help="Percent of a feature's span beyond the rows.")] = 50,
        committed: Annotated[bool, typer.Option("--committed", help="The weights will be proven unseen: fewer bits for "
                                                "them first.")] = False,
        unsafe_pickle: Annotated[bool, typer.Option("--unsafe-pickle", help="Read a pickle, which runs its author's "
                                                    "code with your rights.")] = False,
        home: Where = None, as_json: Json = False) -> None:
    """Make the integer program with the fewest bits that keeps the model's labels, and say what that cost.

    It refuses a model that it cannot convert exactly, and writes nothing where unseen rows miss the target. It does not
    say that the model is good: only that the program answers as it does.
    """
    from troth.app.models import quantised  # start-up time: --help must not load the application
    from troth.compute.models.quantise import Aim

    aim = Aim(round(target * 10_000), guard=guard, margin=margin * 10, committed=committed)
    path = Path(model)
    if path.exists() or path.suffix:
        found = quantised(None, model, calibration, held_out, label=label, aim=aim, unsafe_pickle=unsafe_pickle)
    else:
        if unsafe_pickle:
            raise Misuse("a claim is no pickle", expected="a file", actual=model)
        with workspace(home) as party:
            found = quantised(party, claim_id(party, model).hex(), calibration, held_out, label=label, aim=aim)
    write_file(output, found.program.to_bytes())
    said = {"digest": found.program.digest.hex(), "output": str(output), **found.report.json()}
    report = found.report

    def lines() -> str:
        """The report as lines for a person."""
        held, parts = report.held_out, found.report.bits.json()
        score = "" if report.score_after is None else (
            f"\nscore: {report.score_before / 1e6:.4f} before, {report.score_after / 1e6:.4f} after"
            if report.score_before is not None else "")
        shown = max(0.0, 1 - 3 * (1 + held.of - held.agreed) / held.of)  # the rule of three, and a bound beyond it
        few = "" if shown >= 0.9 else f"; so few rows show {shown:.0%} at best: name more with --held-out"
        return (f"program: {output}, {found.program.digest.hex()}\n"
                f"unseen rows: {held.agreed} of {held.of} labels as the model's own, {held.refused} out of range{few}\n"
                f"bits: {', '.join(f'{name} {value}' for name, value in parts.items())}; widest value {report.widest}\n"
                f"price: {report.price} bits compared by a circuit, {report.weights} weights{score}")

    show(said, as_json, lines)


@model_app.command("show")
def model_show(program: Path, as_json: Json = False) -> None:
    """What a program is: its digest, its steps, the proven range of its scores, and what a circuit would pay for."""
    from troth.app.models import read_program  # start-up time, as above
    from troth.compute.models.build import price

    found = read_program(program)
    low, high = found.ranges[-1]
    show({"digest": found.digest.hex(), "features": len(found.low), "head": found.head,
          "input_scale": found.input_scale, "output_scale": found.output_scale, "outputs": found.outputs,
          "price": price(found), "scores": [int(low.min()), int(high.max())],
          "steps": [step.KIND for step in found.steps], "weights": found.weights}, as_json, lambda: "\n".join((
              f"digest: {found.digest.hex()}",
              f"steps: {', '.join(step.KIND for step in found.steps)}; {found.weights} weights",
              f"features: {len(found.low)}, each times 2^{found.input_scale}",
              f"scores: {found.outputs}, within {ldexp(int(low.min()), -found.output_scale):.6g} to "
              f"{ldexp(int(high.max()), -found.output_scale):.6g}, each times 2^{found.output_scale}; "
              f"read by {found.head}",
              f"price: {price(found)} bits compared by a circuit")))


@model_app.command("run")
def model_run(program: Path, rows: Path,
              wasm: Annotated[bool, typer.Option("--wasm", help="In WebAssembly (extra wasm).")] = False,
              as_json: Json = False) -> None:
    """Answer each row of a CSV. A value beyond the model's range is refused, never clamped."""
    from troth.app.models import read_inputs, read_program  # start-up time, as above
    from troth.compute.models.build import ints

    found = read_program(program)
    inputs = ints(found, read_inputs(rows, found))
    if wasm:
        from troth.compute.wasm_run import Module

        scores = Module.of(found).run(inputs)
    else:
        scores = found.run(inputs)
    labels = found.labels(scores).tolist()
    names = [found.classes[label] if found.classes else str(label) for label in labels] if found.head != "number" else [
        str(label / 2 ** found.output_scale) for label in labels]
    show({"digest": found.digest.hex(), "labels": names, "scores": scores.tolist()}, as_json, lambda: "\n".join(names))


@model_app.command("wasm")
def model_wasm(program: Path, output: Annotated[Path, typer.Option("-o", "--output")], as_json: Json = False) -> None:
    """Write the program as a WebAssembly module that imports nothing and gives the same bits."""
    from troth.app.models import read_program  # start-up time, as above
    from troth.compute.wasm import module_of

    found = read_program(program)
    data = module_of(found)
    write_file(output, data)
    show({"bytes": len(data), "digest": found.digest.hex(), "output": str(output)}, as_json)
