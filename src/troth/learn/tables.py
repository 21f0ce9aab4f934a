"""A site's own file, CSV or Parquet, read against a schema: every wrong cell is named before anything is done with it.

Numbers are read as decimals and must be exact at the schema's decimals: rounding somebody's records is not ours to do.
A label that has classes is given by a class's name or by its number.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from troth.core.errors import BadInput, Misuse, OutsideFailed, unreadable
from troth.learn.data import MAX_FEATURE, Part, Schema

MOST_SHOWN = 10
MAX_FILE = 1 << 30
MAX_ROWS = 10_000_000
MAX_CELL = 64


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong. row: a line of the file counted from 1, its header being the first; 0 for the header."""

    row: int
    column: str
    expected: str
    actual: str

    def __str__(self) -> str:
        where = f"row {self.row}, column {self.column}" if self.row else f"column {self.column}"
        return f"{where}: expected {self.expected}, found {self.actual}"


def read_table(path: Path, schema: Schema) -> Part:
    """The records of a file. A ``.parquet`` file is read as that, everything else as CSV in UTF-8 with a header.

    Columns may come in any order; each of the schema's must be there once, and no other. Raises BadInput that lists
    the first MOST_SHOWN wrong cells, OutsideFailed for a file that cannot be read, and for Parquet without its library.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise BadInput(f"{path} is too large", expected=f"at most {MAX_FILE} bytes", actual=path.stat().st_size)
        rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
        header = next(rows, [])
        wrong = _header(header, schema)
        if not wrong:
            part, wrong = _records(header, rows, schema)
    except OSError as error:
        raise unreadable(path, error) from None
    if wrong:
        shown = "; ".join(map(str, wrong[:MOST_SHOWN]))
        more = f"; and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
        raise BadInput(f"{path.name} does not fit the schema: {shown}{more}",
                       do="Correct the file; nothing was written or sent.")
    return part


def _header(header: Sequence[str], schema: Schema) -> list[Wrong]:
    wanted = (*schema.columns, schema.label)
    wrong = [Wrong(0, name, "once in the header", "missing" if name not in header else f"{header.count(name)} times")
             for name in wanted if header.count(name) != 1]
    wrong += [Wrong(0, _shown(name), "only the schema's columns", "a column that is not in it")
              for name in header if name not in wanted]
    return wrong


def _records(header: Sequence[str], rows: Iterator[list[str]], schema: Schema) -> tuple[Part, list[Wrong]]:
    places = [header.index(name) for name in schema.columns]
    label = header.index(schema.label)
    classes = {name: number for number, name in enumerate(schema.classes)}
    classes |= {str(number): number for number in range(len(schema.classes)) if str(number) not in classes}
    features: list[list[int]] = []
    labels: list[int] = []
    wrong: list[Wrong] = []
    for at, row in enumerate(rows, start=2):
        if at > MAX_ROWS:
            raise BadInput("a table of too many rows", expected=f"at most {MAX_ROWS}")
        if len(row) != len(header):
            wrong.append(Wrong(at, header[min(len(row), len(header) - 1)], f"{len(header)} cells", str(len(row))))
            continue
        found = [_number(row[place], at, name, schema.decimals, wrong)
                 for place, name in zip(places, schema.columns, strict=True)]
        cell = row[label].strip()
        if schema.classes:
            target = classes.get(cell)
            if target is None:
                wrong.append(Wrong(at, schema.label, "one of " + ", ".join(schema.classes[:8]), _shown(cell)))
        else:
            target = _number(cell, at, schema.label, schema.decimals, wrong)
        features.append(found)
        labels.append(target or 0)
    if not labels and not wrong:
        wrong.append(Wrong(2, header[0], "at least one record", "none"))
    if wrong:
        return Part(np.zeros((0, len(schema.columns)), np.int64), np.zeros(0, np.int64), schema), wrong
    return Part(np.array(features, np.int64), np.array(labels, np.int64), schema), wrong


def _number(cell: str, at: int, column: str, decimals: int, wrong: list[Wrong]) -> int:
    """The integer at the schema's decimals; 0 where it is wrong, which is noted."""
    try:
        value = Decimal(cell.strip()) if len(cell) <= MAX_CELL else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        wrong.append(Wrong(at, column, "a number", _shown(cell) or "an empty cell"))
        return 0
    if value and value.adjusted() > 40:
        wrong.append(Wrong(at, column, f"a number up to {MAX_FEATURE} at {decimals} decimals", _shown(cell)))
        return 0
    scaled = value.scaleb(decimals)
    if scaled != scaled.to_integral_value():
        wrong.append(Wrong(at, column, f"at most {decimals} decimals", _shown(cell)))
        return 0
    if abs(scaled) > MAX_FEATURE:
        wrong.append(Wrong(at, column, f"a number up to {MAX_FEATURE} at {decimals} decimals", _shown(cell)))
        return 0
    return int(scaled)


def _shown(cell: str) -> str:
    return ascii(cell[:MAX_CELL]) if cell else ""


def _csv(path: Path) -> Iterator[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not UTF-8", actual=f"byte {error.start}",
                       do="Save the table as CSV in UTF-8, or as Parquet.") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield row
    except csv.Error as error:
        raise BadInput(f"{path.name} is no CSV", actual=f"line {reader.line_num}: {error}") from None


def _parquet(path: Path) -> Iterator[list[str]]:
    try:
        # Imported here: an optional extra.
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
        from pyarrow import parquet
    except ImportError:
        raise OutsideFailed("reading Parquet needs pyarrow, which is not installed",
                            do="Run: pip install 'troth[parquet]', or save the table as CSV.") from None
    try:
        file = parquet.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise Misuse("a table of too many rows", expected=f"at most {MAX_ROWS}")
        yield list(file.schema_arrow.names)
        for batch in file.iter_batches():
            columns = [column.to_pylist() for column in batch.columns]
            for row in zip(*columns, strict=True):
                yield [_text(cell) for cell in row]
    except pyarrow.ArrowException as error:
        raise BadInput(f"{path.name} is no Parquet file", actual=str(error)[:200]) from None


def _text(cell: object) -> str:
    """A cell as CSV would have it: a float as its shortest decimal, nothing as an empty cell."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    return repr(cell) if isinstance(cell, float) else str(cell)
