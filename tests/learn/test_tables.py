"""A site's own file against a schema: what fits is exact, what does not is named, cell by cell."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.errors import BadInput, OutsideFailed
from troth.learn import tables
from troth.learn.data import MAX_FEATURE, Part, Schema
from troth.learn.tables import read_table

SCHEMA = Schema(("age", "dose"), 2, "outcome", ("ill", "well"))
NUMBER = Schema(("age",), 1, "price")


def read(folder: Path, text: str | bytes, schema: Schema = SCHEMA) -> Part:
    path = folder / "records.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, schema)


def test_columns_in_any_order_classes_by_name_or_number(tmp_path: Path) -> None:
    part = read(tmp_path, "outcome,dose,age\nwell,1.5,30\r\nill,-0.25,4e1\n1,0,\" 7 \"\n")
    assert part.features.tolist() == [[3000, 150], [4000, -25], [700, 0]]
    assert part.labels.tolist() == [1, 0, 1]
    assert read(tmp_path, "\ufeffage,price\n1,2.5\n", NUMBER).labels.tolist() == [25]


@pytest.mark.parametrize(("text", "said"), [
    ("age,dose\n1,2\n", "column outcome: expected once in the header, found missing"),
    ("age,dose,outcome,name\n1,2,ill,Bob\n", "column 'name': expected only the schema's columns"),
    ("age,age,dose,outcome\n1,1,2,ill\n", "column age: expected once in the header, found 2 times"),
    ("age,dose,outcome\n1,2\n", "row 2, column outcome: expected 3 cells, found 2"),
    ("age,dose,outcome\n1,x,ill\n", "row 2, column dose: expected a number, found 'x'"),
    ("age,dose,outcome\n1,,ill\n", "row 2, column dose: expected a number, found an empty cell"),
    ("age,dose,outcome\n1,nan,ill\n", "expected a number"),
    ("age,dose,outcome\n1,inf,ill\n", "expected a number"),
    ("age,dose,outcome\n1,2.125,ill\n", "row 2, column dose: expected at most 2 decimals, found '2.125'"),
    ("age,dose,outcome\n1,1e30,ill\n", "expected a number up to"),
    ("age,dose,outcome\n1,1e999999,ill\n", "expected a number up to"),
    ("age,dose,outcome\n1,2,sick\n", "row 2, column outcome: expected one of ill, well, found 'sick'"),
    ("age,dose,outcome\n1,2,2\n", "expected one of ill, well, found '2'"),
    ("age,dose,outcome\n", "expected at least one record, found none"),
    ("", "expected once in the header, found missing"),
    (b"age,dose,outcome\n\xff,2,ill\n", "is not UTF-8"),
    ('age,dose,outcome\n"1,2,ill\n', "is no CSV"),
])
def test_what_does_not_fit_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(BadInput) as found:
        read(tmp_path, text)
    assert said in str(found.value)


def test_every_wrong_cell_is_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"row 2, column dose.*row 6, column age.*; and 2 more"):
        read(tmp_path, "age,dose,outcome\n" + "x,y,ill\n" * 6)


@given(st.lists(st.tuples(st.integers(-MAX_FEATURE, MAX_FEATURE), st.integers(-10**6, 10**6), st.integers(0, 1)),
                min_size=1, max_size=8))
def test_what_was_written_is_read_to_the_last_decimal(tmp_path_factory: pytest.TempPathFactory,
                                                      rows: list[tuple[int, int, int]]) -> None:
    lines = ["age,dose,outcome"]
    lines += [f"{Decimal(a).scaleb(-2)},{Decimal(b).scaleb(-2)},{SCHEMA.classes[c]}" for a, b, c in rows]
    part = read(tmp_path_factory.mktemp("t"), "\n".join(lines) + "\n")
    assert [(*features, label) for features, label in
            zip(part.features.tolist(), part.labels.tolist(), strict=True)] == [(a, b, c) for a, b, c in rows]
    assert Part.from_bytes(part.to_bytes(), SCHEMA) == part


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="cannot read"):
        read_table(tmp_path / "none.csv", SCHEMA)
    monkeypatch.setattr(tables, "MAX_FILE", 10)
    with pytest.raises(BadInput, match="too large"):
        read(tmp_path, "age,dose,outcome\n1,2,ill\n")


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    path.write_bytes(b"PAR0")
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(OutsideFailed, match=r"troth\[parquet\]"):
            read_table(path, SCHEMA)
        return
    with pytest.raises(BadInput, match="no Parquet"):
        read_table(path, SCHEMA)
    columns = {"dose": [1.1, 0.25], "age": [30, 41], "outcome": ["well", "ill"]}
    parquet.write_table(pyarrow.table(columns), path)
    part = read_table(path, SCHEMA)
    assert part.features.tolist() == [[3000, 110], [4100, 25]]
    assert part.labels.tolist() == [1, 0]
    parquet.write_table(pyarrow.table(columns | {"dose": [1.1, None]}), path)
    with pytest.raises(BadInput, match="row 3, column dose: expected a number, found an empty cell"):
        read_table(path, SCHEMA)
