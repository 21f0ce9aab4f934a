"""A model's file, by what it is: ONNX, LightGBM's text, XGBoost's JSON; of these none runs code.

A pickle runs whatever its author wrote into it, with your rights. It is read only where the caller says so.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from troth.compute.models.boosters import MOST_BYTES, of_booster, of_lightgbm, of_xgboost
from troth.compute.models.onnx import read_onnx
from troth.compute.models.real import Real
from troth.compute.models.sklearn import of_sklearn
from troth.core.errors import BadInput, Misuse, OutsideFailed, unreadable
from troth.fixed.numbers import FloatArray

PICKLED = (".pkl", ".pickle", ".joblib")


def of_model(model: Any) -> Real:
    """A fitted model of scikit-learn, LightGBM or XGBoost. Raises BadInput for any other."""
    return of_booster(model) if type(model).__module__.split(".")[0] in ("lightgbm", "xgboost") else of_sklearn(model)


def read_model(path: Path, *, unsafe_pickle: bool = False) -> Real:
    """A file as a model in real numbers: ``.onnx``, ``.txt`` (LightGBM), ``.json`` (XGBoost), and with
    ``unsafe_pickle``, which runs the file's own code, ``.pkl`` and ``.joblib``.

    Raises BadInput for what cannot be read or converted, Misuse for a pickle that nobody vouched for, OutsideFailed
    for a file that cannot be opened or a library that is missing.
    """
    kind = path.suffix.lower()
    if kind == ".onnx":
        return read_onnx(path)
    if kind in PICKLED:
        if not unsafe_pickle:
            raise Misuse(f"{path.name} is a pickle: reading it runs whatever its author put there",
                         do="Export it to ONNX. Or, if you made it yourself: --unsafe-pickle.")
        return of_model(_unpickled(path))
    data = _bytes(path)
    if data[:1] == b"{":
        return of_xgboost(data)
    if data[:5] == b"tree\n":
        return of_lightgbm(data.decode("utf-8", errors="replace"))
    raise BadInput(f"{path.name} is no model's file that is known here",
                   expected=".onnx, LightGBM's text, XGBoost's JSON, .pkl or .joblib")


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path.name} is too large to be converted", expected=f"at most {MOST_BYTES} bytes",
                           actual=path.stat().st_size, do="Nothing of it was read.")
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


def _unpickled(path: Path) -> Any:
    data = _bytes(path)
    if path.suffix.lower() == ".joblib":
        try:
            import joblib  # comes with scikit-learn, an extra
        except ImportError:
            raise OutsideFailed("joblib is not installed", do="pip install 'troth[learn]'") from None
        read: Any = joblib.load
    else:
        read = pickle.load
    try:
        return read(io.BytesIO(data))
    except (ValueError, EOFError, KeyError, pickle.UnpicklingError, AttributeError, ImportError) as error:
        raise BadInput(f"{path.name} cannot be unpickled", actual=ascii(str(error)[:60]),
                       do="Install the library that made it, at its version.") from None


def read_rows(path: Path, model: Real, label: str | None = None) -> tuple[FloatArray, FloatArray | None]:
    """Rows of a CSV with a header: (features, labels). label: the column that holds what was right; a class's name or
    number, or for ``number`` the number. With names in the model its columns are found by name, else in order.

    Raises BadInput for a cell that is no number, by its row and column; for missing columns; OutsideFailed.
    """
    lines, header = _lines(path)
    if label is not None and header.count(label) != 1:
        raise BadInput(f"{path.name} has no column {label!r}", expected="once in the header", actual=header[:8])
    others = [name for name in header if name != label]
    names = model.features if model.features and set(model.features) <= set(others) else others
    if len(names) != model.inputs or len(set(header)) != len(header):
        raise BadInput(f"{path.name} does not fit the model", expected=f"{model.inputs} features",
                       actual=f"{len(others)} columns")
    places = [header.index(name) for name in names]
    rows, found = [], []
    for number, line in enumerate(lines[1:], 2):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(header):
            raise BadInput(f"row {number} of {path.name}", expected=f"{len(header)} cells", actual=len(cells))
        rows.append([_number(cells[place], number, header[place], path) for place in places])
        if label is not None:
            found.append(_label(cells[header.index(label)], model, number, label, path))
    if not rows:
        raise BadInput(f"{path.name} has no rows", expected="a header and rows of numbers")
    return np.array(rows, dtype=np.float64), np.array(found, dtype=np.float64) if label is not None else None


def feature_names(path: Path, model: Real, label: str | None = None) -> tuple[str, ...]:
    """The header's names for a model without names of its own; none where they do not fit, or are numbers."""
    others = [name for name in _lines(path)[1] if name != label]
    named = len(others) == len(set(others)) == model.inputs and not any(_is_number(name) for name in others)
    return tuple(others) if named else ()


def _lines(path: Path) -> tuple[list[str], list[str]]:
    """(lines that are not empty, the names in the first)."""
    lines = [line for line in _bytes(path).decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    return lines, [name.strip() for name in lines[0].split(",")] if lines else []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(cell: str, row: int, column: str, path: Path) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise BadInput(f"{path.name}, row {row}, column {column}", expected="a number", actual=ascii(cell[:20]))
    return value


def _label(cell: str, model: Real, row: int, column: str, path: Path) -> float:
    if model.head == "number" or cell not in model.classes:
        return _number(cell, row, column, path)
    return float(model.classes.index(cell))
