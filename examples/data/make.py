"""Make the tables in this folder again from the packages that carry the records (their README says which).

    python -m pip install --no-deps --target build/records lifelines==0.30.3 sktime==1.2.0
    python examples/data/make.py build/records
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent
ACTG175 = ("age", "weight_hg", "hemophilia", "homosexual", "drugs", "karnofsky", "other_antiretroviral",
           "zidovudine_30", "not_white", "male", "treated_1_52_weeks", "treated_longer", "symptoms", "arm_zdv_ddi",
           "arm_zdv_ddc", "arm_ddi", "days_treated_before", "cd4", "cd4_week_20", "cd8", "cd8_week_20")
PLAID = (*(f"level_{part}" for part in range(1, 9)), "peak", "spread", "spread_at_the_end", "ripple_1_5", "ripple_2_5",
         "length", "inrush")
WEEK_20 = 140


def actg175(package: Path) -> Iterable[Sequence[int]]:
    """Patients without an event by week 20, as known then; last, whether one came later (``cens``)."""
    with (package / "lifelines/datasets/ACTG175.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if int(row["days"]) <= WEEK_20:
                continue
            whole = {name: int(row[name]) for name in ("strat", "arms")}
            yield [int(row["age"]), round(10 * float(row["wtkg"])),
                   *(int(row[name]) for name in ("hemo", "homo", "drugs", "karnof", "oprior", "z30", "race", "gender")),
                   whole["strat"] == 2, whole["strat"] == 3, int(row["symptom"]),
                   *(whole["arms"] == arm for arm in (1, 2, 3)),
                   *(int(row[name]) for name in ("preanti", "cd40", "cd420", "cd80", "cd820", "cens"))]


def plaid(package: Path) -> Iterable[Sequence[int]]:
    """Measures of each appliance's current; last, its type (0 to 10)."""
    for name in ("TRAIN", "TEST"):
        path = package / f"sktime/datasets/data/PLAID/PLAID_{name}.ts"
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            if line and line[0] not in "#@":
                series, _, label = line.strip().rpartition(":")
                yield [*measures(np.array([float(value) for value in series.split(",")])), int(label)]


def measures(series: npt.NDArray[np.float64]) -> list[int]:
    """Thousandths of decimal logarithms: the mean of each eighth, the peak, the spread, the last 50 values' spread;
    thousandths: the ripple with periods of 5 and 2.5 values over the last 50's mean, and the peak over it; the length.
    """
    tiny = 1e-7
    last = series[-50:]
    level = abs(last.mean()) + tiny
    ripple = np.abs(np.fft.rfft(last - last.mean()))[[10, 20]] / 50 / level

    def logarithm(value: float) -> int:
        return round(1000 * float(np.log10(abs(value) + tiny)))

    return [*(logarithm(part.mean()) for part in np.array_split(series, 8)), logarithm(series.max()),
            logarithm(series.std()), logarithm(last.std()), *(round(1000 * min(float(one), 9)) for one in ripple),
            len(series), round(1000 * min(float(series.max()) / level, 99))]


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[int]]) -> None:
    """Plain integers, one record a line: what `troth.learn.data.Part` reads."""
    lines = [",".join([*columns, "label"]), *(",".join(str(int(value)) for value in row) for row in rows)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "ascii", newline="\n")


if __name__ == "__main__":
    write(HERE / "actg175" / "actg175.csv", ACTG175, actg175(Path(sys.argv[1])))
    write(HERE / "plaid" / "plaid.csv", PLAID, plaid(Path(sys.argv[1])))
