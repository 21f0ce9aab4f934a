"""From a model in real numbers to an integer program, with as few bits as keep its labels.

`quantise` looks for the smallest setting whose labels agree with the model's own on the calibration rows, adds guard
bits, and checks the result on rows that the search did not see. Calibrate on rows that did not train the model: it is
surer of its own training rows than of any other, so that they hide what a rounding would flip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from troth.compute.models import real
from troth.compute.models.build import Bits, bits_of, build, ints, limits_of, price
from troth.compute.models.real import Real, as_rows
from troth.core.errors import BadInput, Misuse, Refuted
from troth.fixed.numbers import FloatArray
from troth.fixed.program import Program

PPM = 1_000_000
MOST_REFUSED = 10
"""Percent of held-out rows that may lie beyond the range, and so get no answer."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many rows got the model's own label. refused: rows with a value beyond the program's range, not counted in
    ``of``."""

    agreed: int
    of: int
    refused: int = 0

    @property
    def ppm(self) -> int:
        """Parts per million, rounded down; 0 of no rows."""
        return self.agreed * PPM // self.of if self.of else 0

    def json(self) -> dict[str, int]:
        """As a report says it."""
        return {"agreed": self.agreed, "of": self.of, "ppm": self.ppm, "refused": self.refused}


@dataclass(frozen=True, slots=True)
class Report:
    """What quantisation cost.

    target: parts per million that had to agree. calibration, held_out: what did. score_before, score_after: on the
    held-out rows whose labels were given, parts per million: the share predicted right, or for numbers the coefficient
    of determination. price: bits compared by a circuit. widest: bits of the widest value on the way. tried: settings.
    """

    target: int
    calibration: Agreement
    held_out: Agreement
    score_before: int | None
    score_after: int | None
    bits: Bits
    guard: int
    price: int
    widest: int
    weights: int
    tried: int

    def json(self) -> dict[str, object]:
        """As the command prints it."""
        return {"bits": self.bits.json(), "calibration": self.calibration.json(), "guard": self.guard,
                "held_out": self.held_out.json(), "price": self.price, "score_after": self.score_after,
                "score_before": self.score_before, "target": self.target, "tried": self.tried,
                "weights": self.weights, "widest": self.widest}


@dataclass(frozen=True, slots=True)
class Aim:
    """What is asked of a quantisation.

    target: share of labels that must agree, parts per million. strict: the search allows the calibration rows this many
    times fewer misses than the target does, since unseen rows fare worse. guard: bits added to each part of the
    smallest setting; by default as many as the rule of three asks for so few calibration rows (each bit halves what a
    rounding may flip). margin: how far beyond the calibration rows a feature may go, in parts per thousand of its span,
    on each side. tolerance: for a number, how far from the model's own counts as the same, in parts per thousand of the
    answers' standard deviation. committed: the weights will be private, so that each of their bits is a constraint:
    they are lowered first then, and the last step's get no bits to spare.
    """

    target: int = 995_000
    strict: int = 2
    guard: int | None = None
    margin: int = 500
    tolerance: int = 10
    committed: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.target <= PPM and 1 <= self.strict <= 1000 and 0 <= (self.guard or 0) <= 8
                and 0 <= self.margin <= 1_000_000 and 0 < self.tolerance <= 1000):
            raise Misuse("an aim out of range", actual=self,
                         expected="a target up to 1000000 parts per million, strict up to 1000, up to 8 guard bits, a "
                                  "margin up to 1000000 and a tolerance up to 1000 parts per thousand")


@dataclass(frozen=True, slots=True)
class Quantised:
    """A program and what it cost."""

    program: Program
    report: Report


class _Search:
    """The smallest setting that reaches the target on the calibration rows."""

    def __init__(self, model: Real, rows: FloatArray, wanted: FloatArray, aim: Aim) -> None:
        self._model, self._rows, self._wanted, self._aim = model, rows, wanted, aim
        self._peaks = [float(np.abs(vector).max(initial=0.0)) for vector in model.vectors(rows)]
        self._spread = float(wanted.std()) or 1.0
        self._wanted_ppm = PPM - (PPM - aim.target) // aim.strict
        self._seen: dict[Bits, Agreement | None] = {}

    @property
    def tried(self) -> int:
        return len(self._seen)

    def program(self, bits: Bits) -> Program:
        return build(self._model, bits, limits_of(self._rows, self._aim.margin, bits.inputs), self._peaks)

    def agreement(self, program: Program, rows: FloatArray, wanted: FloatArray) -> Agreement:
        """How many of these rows the program labels as wanted.

        rows: (count, features) in real numbers; wanted: (count,). A row out of the program's range counts as refused.
        """
        inputs = ints(program, rows)
        inside = ((inputs >= program.low) & (inputs <= program.high)).all(axis=1)
        same = np.zeros(0, dtype=bool)
        if inside.any():
            found = program.labels(program.run(inputs[inside])).astype(np.float64)
            if self._model.head == "number":
                gap = np.abs(np.ldexp(found, -program.output_scale) - wanted[inside])
                same = gap * 1000 <= self._spread * self._aim.tolerance
            else:
                same = found == wanted[inside]
        return Agreement(int(same.sum()), int(inside.sum()), int((~inside).sum()))

    def reaches(self, bits: Bits) -> bool:
        """Whether a program of so many bits agrees as often as is wanted on the calibration rows; tried once each."""
        if min(bits.inputs, bits.activations - 1, bits.weights - 2, bits.head - 2) < 0:
            return False
        if bits not in self._seen:
            try:
                self._seen[bits] = self.agreement(self.program(bits), self._rows, self._wanted)
            except BadInput:  # too many bits for a signed word: this setting is none
                self._seen[bits] = None
        found = self._seen[bits]
        return found is not None and found.ppm >= self._wanted_ppm

    def smallest(self) -> Bits:
        """Lowered part by part, the dearest first, until one bit less anywhere misses the target. Raises BadInput where
        no setting reaches it."""
        whole = max(0, math.frexp(self._peaks[0])[1])
        terms = max(1, self._model.inputs).bit_length()
        starts = [Bits(max(0, wide - whole), most, 16, most)
                  for wide in (34, 30, 26, 22, 18, 14) for part in (0, 8)
                  for most in [max(2, min(31, 60 - terms - max(wide, whole) - part))]]
        best = next((bits for bits in starts if self.reaches(bits)), None)
        if best is None:
            most = max((found.ppm for found in self._seen.values() if found is not None), default=0)
            raise BadInput("no setting of bits reaches the target on the calibration rows", actual=f"{most} ppm",
                           expected=f"{self._wanted_ppm} ppm", do="Scale the features alike, or lower the target.")
        parts = [("activations", 1), ("weights", 2), ("inputs", 0), ("head", 2)]
        if self._aim.committed:
            parts = [("weights", 2), ("head", 2), ("activations", 1), ("inputs", 0)]
        while True:
            before = best
            for part, least in parts:
                best = (self._lowest(best, part, least) if self._clips() or part in ("inputs", "head")
                        else replace(best, **{part: least}))
            if best == before:
                return best

    def _clips(self) -> bool:
        return any(isinstance(node, real.Clip) for node in self._model.nodes)

    def _lowest(self, bits: Bits, part: str, least: int) -> Bits:
        """Bit by bit from above, so that no lucky setting far below is taken for a sound one."""
        value = getattr(bits, part)
        while value > least and self.reaches(replace(bits, **{part: value - 1})):
            value -= 1
        return replace(bits, **{part: value})


def quantise(model: Real, rows: npt.ArrayLike, *, answers: npt.ArrayLike | None = None,
             truth: npt.ArrayLike | None = None, held_out: npt.ArrayLike | None = None, aim: Aim | None = None
             ) -> Quantised:
    """The program with the fewest bits that keeps the model's labels, and a report of what it cost.

    rows: (n, features) calibration rows in the model's own units. held_out: rows to check on that the search does not
    see; by default every third of ``rows``. answers: the library's own label (0 … classes - 1) or number for each row
    (``rows``, then ``held_out`` if given), where there is more to go by than the conversion. truth: what was right,
    likewise, for the scores before and after.
    Raises BadInput where no setting reaches the target, Refuted where more of the held-out rows miss than it allows
    (rounded up to a whole row) or where more than MOST_REFUSED percent are out of range.
    """
    aim = aim or Aim()
    every = as_rows(rows, "calibration rows")
    unseen = np.arange(len(every)) % 3 == 2
    if held_out is not None:
        every = np.concatenate([every, as_rows(held_out, "held-out rows")])
        unseen = np.arange(len(every)) >= len(unseen)
    if unseen.all() or not unseen.any():
        raise BadInput("too few rows", expected="three or more calibration rows", actual=len(every))
    own = model.labels(model.run(every))
    wanted = own if answers is None else _column(answers, len(every), "answers")
    if answers is not None:
        _same_function(model, own, wanted, aim)
    search = _Search(model, every[~unseen], wanted[~unseen], aim)
    small = search.smallest()
    guard = _guard(aim, int((~unseen).sum()))
    spare = 0 if aim.committed else 4
    guarded = (small.with_guard(bit, spare) for bit in range(guard, 0, -1))
    bits = next((bits for bits in guarded if search.reaches(bits)), small)
    program = search.program(bits)
    found = search.agreement(program, every[unseen], wanted[unseen])
    if (found.of - found.agreed) > -(-(PPM - aim.target) * found.of // PPM) or not found.of:
        raise Refuted("the held-out rows agree less than the target", expected=f"{aim.target} ppm",
                      actual=f"{found.agreed} of {found.of}, {found.refused} out of range, with {bits}",
                      do="Give more calibration rows, a guard bit more, or a lower target; nothing was written.")
    if found.refused * 100 > MOST_REFUSED * int(unseen.sum()):
        raise Refuted("the calibration rows span too little", expected=f"at most {MOST_REFUSED} % of "
                      "held-out rows out of range", actual=f"{found.refused} of {int(unseen.sum())}",
                      do="Calibrate on rows like those to come, or give a wider margin; nothing was written.")
    inside = _scores(program, every[unseen], wanted[unseen],
                     None if truth is None else _column(truth, len(every), "truth")[unseen])
    widest = max(int(bits_of(one).max()) for one in program.ranges)
    return Quantised(program, Report(
        aim.target, search.agreement(program, every[~unseen], wanted[~unseen]), found, *inside, bits, guard,
        price(program), widest, program.weights, search.tried))


def _guard(aim: Aim, rows: int) -> int:
    """Where none of n rows missed, at most 3/n of all do (19 times of 20): bits that bring it below what is allowed."""
    if aim.guard is not None:
        return aim.guard
    allowed = max(PPM - aim.target, 1) * rows
    return min(8, max(1, (-(-3 * PPM // allowed) - 1).bit_length()))


def _column(values: npt.ArrayLike, count: int, what: str) -> FloatArray:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise BadInput(f"{what} do not fit the rows", expected=f"{count} finite numbers", actual=found.shape)
    return found


def _same_function(model: Real, own: FloatArray, wanted: FloatArray, aim: Aim) -> None:
    """Refuse a conversion whose own labels already miss the target: it is not the library's function."""
    spread = float(wanted.std()) or 1.0
    same = np.abs(own - wanted) * 1000 <= spread * aim.tolerance if model.head == "number" else own == wanted
    if int(same.sum()) * PPM < aim.target * len(same):
        raise BadInput("the converted model does not give the library's answers", expected=f"{aim.target} ppm alike",
                       actual=f"{int(same.sum())} of {len(same)}", do="The model computes something else than read.")


def _scores(program: Program, rows: FloatArray, before: FloatArray, truth: FloatArray | None
            ) -> tuple[int | None, int | None]:
    if truth is None:
        return None, None
    inputs = ints(program, rows)
    inside = ((inputs >= program.low) & (inputs <= program.high)).all(axis=1)
    found = program.labels(program.run(inputs[inside])).astype(np.float64)
    if program.head == "number":
        found = np.ldexp(found, -program.output_scale)
    judge: Callable[[FloatArray, FloatArray], int] = _determined if program.head == "number" else _right
    return judge(before[inside], truth[inside]), judge(found, truth[inside])


def _right(found: FloatArray, truth: FloatArray) -> int:
    return int((found == truth).sum()) * PPM // len(truth)


def _determined(found: FloatArray, truth: FloatArray) -> int:
    whole = float(((truth - truth.mean()) ** 2).sum())
    return round(PPM * (1 - float(((found - truth) ** 2).sum()) / whole)) if whole else 0
