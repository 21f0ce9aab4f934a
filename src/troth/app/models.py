"""Models as integer programs, as a workspace makes them: from a file, or from the model that a consortium trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from troth.compute.models.layers import of_layers
from troth.compute.models.loading import feature_names, read_model, read_rows
from troth.compute.models.quantise import Aim, Quantised, quantise
from troth.compute.models.real import Real
from troth.core.errors import BadInput, unreadable
from troth.fixed.numbers import FloatArray, dequantise
from troth.fixed.program import Program
from troth.learn import arrays
from troth.learn.claims import ModelClaim
from troth.learn.data import scaling
from troth.learn.dense import Dense
from troth.learn.recheck import Replay, the_evidence

if TYPE_CHECKING:
    from troth.app import Troth

MOST_BYTES = 1 << 30


def trained(party: Troth, claim: bytes) -> tuple[Real, FloatArray, FloatArray]:
    """A consortium's model in real numbers, and its plan's validation records: (model, rows, labels), in the records'
    own units. Nobody trained on those records, so that they are fit for calibration.

    The model's bytes are checked against the claim; the claim's own lineage is `troth verify`'s to check. The clamp of
    a round's inputs at eight standard deviations is left out: a program refuses what is beyond its range.
    Raises Undecidable where claims or bytes are not here, BadInput for a model that is not of the family ``dense``.
    """
    statement = party.statement(claim)
    said = ModelClaim.of(statement)
    replay = Replay(party, statement.ref("plan"), party.read)
    task = replay.task
    if not isinstance(task, Dense):
        raise BadInput("no converter for this plan's family of models", expected=Dense.FAMILY,
                       actual=replay.plan.task.get("family"))
    state = arrays.decode(party.read(the_evidence(statement, "params")))
    if arrays.digest(state) != said.params:
        raise BadInput("the model's bytes are not the claim's", expected=said.params.hex())
    task.check(state)
    schema, part = replay.schema, replay.validation
    by, unit = scaling(part), 10.0 ** -schema.decimals
    layers = [(dequantise(state[f"{prefix}weights"]), dequantise(state[f"{prefix}bias"]))
              for prefix, _, _ in task.layers()]
    labels = part.labels.astype(np.float64)
    if not task.classes:  # a round learns the number standardised
        weights, bias = layers[-1]
        spread, centre = max(by.label_spread, 1) * unit, by.label_centre * unit
        layers[-1] = (weights * spread, bias * spread + centre)
        labels = labels * unit
    head = "number" if not task.classes else "sign" if task.outputs == 1 else "largest"
    model = of_layers(layers, head, scaling=(by.centre * unit, by.spread * unit), features=schema.columns,
                      classes=schema.classes)
    return model, np.asarray(part.features * unit, dtype=np.float64), labels


def quantised(party: Troth | None, source: str, calibration: Path | str | None, held_out: Path | str | None = None, *,
              label: str | None = None, aim: Aim | None = None, unsafe_pickle: bool = False) -> Quantised:
    """The program of a model's file, or of a `model` claim by its id, as `compute.models.quantise` makes it.

    calibration: a CSV; of a claim by default its plan's validation records. Raises as the parts do, and BadInput where
    a file comes without calibration rows.
    """
    calibration = None if calibration is None else Path(calibration)
    held_out = None if held_out is None else Path(held_out)
    if party is None:
        model, rows, truth = read_model(Path(source), unsafe_pickle=unsafe_pickle), None, None
    else:
        model, rows, truth = trained(party, bytes.fromhex(source))
    if calibration is not None:
        if not model.features:   # the file's header names them: for reasons, and for files in another order
            model = replace(model, features=feature_names(calibration, model, label))
        rows, truth = read_rows(calibration, model, label)
    if rows is None:
        raise BadInput("a model's file needs calibration rows", expected="--calibration FILE",
                       do="Rows like those to come, which did not train it.")
    unseen = None
    if held_out is not None:
        unseen, more = read_rows(held_out, model, label)
        truth = np.concatenate([truth, more]) if truth is not None and more is not None else None
    return quantise(model, rows, truth=truth, held_out=unseen, aim=aim)


def read_program(path: Path | str) -> Program:
    """A program's file. Raises BadInput, OutsideFailed."""
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path.name} is too large", expected=f"at most {MOST_BYTES} bytes",
                           actual=path.stat().st_size)
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        return Program.from_bytes(data)
    except BadInput as error:
        raise BadInput(f"{path.name} is no whole program", expected="a file that troth model quantise wrote",
                       actual=error.message) from None


def read_inputs(path: Path | str, program: Program, label: str | None = None) -> FloatArray:
    """Rows of a CSV for a program, by its features' names where they are the file's. label: a column to pass over where
    they are not. Raises BadInput."""
    path = Path(path)
    anything = of_layers([(np.zeros((len(program.low), 1)), np.zeros(1))], "number", features=program.features)
    return read_rows(path, anything, label)[0]


