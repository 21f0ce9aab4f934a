"""Building a rank-1 constraint system and, with it, the way to a witness.

A circuit's structure never depends on what it is given: `Builder` records constraints and *hints* (how the prover
computes each wire from earlier ones), and `Circuit.witness` replays the hints for new inputs. Hints prove nothing: a
wire is worth what the constraints say of it, and nothing more.

Wires are numbered as iden3's formats have it: 0 is the constant one, then the public wires in the order they were
declared, then the private ones. A linear combination of wires (`Lin`) costs no constraint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import NamedTuple

import numpy as np

from troth.compute.circuits.field import HALF, R, centred
from troth.core.errors import BadInput, Misuse, Refuted
from troth.fixed.numbers import IntArray

MAX_CONSTRAINTS = 1 << 22
_WORD = 1 << 40
_EXACT = float(1 << 62)
"""A sum whose terms' magnitudes, each rounded as a double, add up to less is below 2**63."""


class Lin:
    """A linear combination of wires: {wire: coefficient}, 0 the constant one. Never changed once made."""

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[int, int]) -> None:
        self.terms = terms

    @classmethod
    def of(cls, value: int) -> Lin:
        """A constant."""
        value = centred(value)
        return cls({0: value} if value else {})

    @property
    def constant(self) -> int | None:
        """Its value where no wire is in it, else None."""
        if not self.terms:
            return 0
        return self.terms[0] if len(self.terms) == 1 and 0 in self.terms else None

    def __add__(self, other: Lin | int) -> Lin:
        return total([self, _lin(other)])

    def __sub__(self, other: Lin | int) -> Lin:
        return combine((1, -1), (self, _lin(other)))

    def __rsub__(self, other: int) -> Lin:
        return combine((1, -1), (_lin(other), self))

    def __mul__(self, factor: int) -> Lin:
        return combine((factor,), (self,))

    def __neg__(self) -> Lin:
        return combine((-1,), (self,))

    __radd__ = __add__
    __rmul__ = __mul__


def _lin(value: Lin | int) -> Lin:
    return value if isinstance(value, Lin) else Lin.of(value)


def combine(factors: Sequence[int], lins: Sequence[Lin], constant: int = 0) -> Lin:
    """The inner product of constants and linear combinations, plus a constant. Free."""
    terms: dict[int, int] = {0: constant}
    for factor, lin in zip(factors, lins, strict=True):
        if factor:
            for wire, coefficient in lin.terms.items():
                terms[wire] = terms.get(wire, 0) + factor * coefficient
    return Lin({wire: value if -HALF <= value <= HALF else centred(value)
                for wire, value in terms.items() if value % R})


def total(lins: Sequence[Lin]) -> Lin:
    """The sum of linear combinations. Free."""
    return combine([1] * len(lins), lins)


Hint = Callable[..., Sequence[int]]
"""(values of what it reads, centred) -> values of the wires it fills. Deterministic."""


class Op(NamedTuple):
    """One hint: ``fills`` wires from ``start`` are what ``hint`` makes of the values of ``reads``. label: what for."""

    hint: Hint
    reads: tuple[Lin, ...]
    start: int
    fills: int
    label: str


@dataclass(frozen=True, eq=False)
class Rows:
    """One matrix of the system by rows: the wires in each and their coefficients."""

    wires: tuple[tuple[int, ...], ...]
    coefficients: tuple[tuple[int, ...], ...]

    def times(self, witness: Sequence[int], seen: dict[tuple[int, int], int]) -> list[int]:
        """The matrix times a witness, in whole numbers not yet reduced.

        Rows in which everything is small, most of them as a rule, are summed in machine words; the rest in whole
        numbers of any size, once for each combination: ``seen`` holds them by identity, as `Builder.build` shares them.
        """
        places, wires, coefficients, starts = self._words
        small = np.array([value if -_WORD < value < _WORD else _WORD for value in witness], dtype=np.int64)
        taken = small[wires]
        size = np.add.reduceat(np.abs(taken.astype(np.float64) * coefficients), starts) if len(starts) else starts
        fits = (size < _EXACT) & ~np.logical_or.reduceat(taken == _WORD, starts) if len(starts) else starts == 0
        sums = np.add.reduceat(taken * coefficients, starts) if len(starts) else starts   # wraps where it does not fit
        found: list[int] = [0] * len(self.wires)
        for place, fit, value in zip(places, fits.tolist(), sums.tolist(), strict=True):
            found[place] = value if fit else self._row(place, witness, seen)
        for place in self._large:
            found[place] = self._row(place, witness, seen)
        return found

    def _row(self, place: int, witness: Sequence[int], seen: dict[tuple[int, int], int]) -> int:
        coefficients = self.coefficients[place]
        named = id(self.wires[place]), id(coefficients)
        value = seen.get(named)
        if value is None:
            value = sum(map(mul, coefficients, map(witness.__getitem__, self.wires[place])))
            seen[named] = value
        return value

    @cached_property
    def _large(self) -> list[int]:
        """The rows with a coefficient that is not small."""
        return [place for place, row in enumerate(self.coefficients) if any(not -_WORD < v < _WORD for v in row)]

    @cached_property
    def _words(self) -> tuple[list[int], IntArray, IntArray, IntArray]:
        """(which rows, their wires, their coefficients, where each begins) of the other rows that are not empty."""
        large = set(self._large)
        places = [place for place, row in enumerate(self.wires) if row and place not in large]
        lengths = [len(self.wires[place]) for place in places]
        starts = np.cumsum([0, *lengths])[:-1]
        return (places, np.array([wire for place in places for wire in self.wires[place]], dtype=np.int64),
                np.array([value for place in places for value in self.coefficients[place]], dtype=np.int64),
                starts.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Circuit:
    """A constraint system: (a . w) * (b . w) = (c . w) for every row, and the way to a witness.

    publics: names of the public wires, in order (wires 1 and on). inputs: name -> wires the prover gives.
    labels: of every row, what it is for. wires: how many, with the constant one.
    """

    publics: tuple[str, ...]
    inputs: Mapping[str, range]
    wires: int
    a: Rows
    b: Rows
    c: Rows
    labels: tuple[str, ...]
    ops: tuple[Op, ...]

    @property
    def constraints(self) -> int:
        """How many rows there are."""
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the system alone (names, labels and hints are not in it), as hexadecimal digits."""
        found = hashlib.sha256(f"troth r1cs 1 {len(self.publics)} {self.wires} {self.constraints}\n".encode())
        for rows in (self.a, self.b, self.c):
            for wires, coefficients in zip(rows.wires, rows.coefficients, strict=True):
                pairs = sorted(zip(wires, coefficients, strict=True))
                found.update(",".join(f"{wire}:{value % R:x}" for wire, value in pairs).encode() + b"\n")
        return found.hexdigest()

    def witness(self, given: Mapping[str, Sequence[int] | int]) -> list[int]:
        """Every wire's value, centred, for these inputs.

        It may still break constraints, if the inputs do: `check` says so. Raises BadInput for names or lengths that
        are not the circuit's.
        """
        values: list[int] = [0] * self.wires
        values[0] = 1
        if set(given) != set(self.inputs):
            raise BadInput("not the circuit's inputs", expected=sorted(self.inputs), actual=sorted(given))
        for name, wires in self.inputs.items():
            held = given[name]
            listed = [held] if isinstance(held, int) else list(held)
            if len(listed) != len(wires):
                raise BadInput(f"input {name!r} of another length", expected=len(wires), actual=len(listed))
            for wire, value in zip(wires, listed, strict=True):
                values[wire] = centred(int(value))
        held_at = values.__getitem__
        for hint, reads, start, fills, _ in self.ops:
            made = hint(*[centred(sum(map(mul, read.terms.values(), map(held_at, read.terms)))) for read in reads])
            values[start:start + fills] = made
        if len(values) != self.wires:
            raise Misuse("a hint filled another number of wires than it said", expected=self.wires, actual=len(values))
        return values

    def products(self, witness: Sequence[int]) -> tuple[list[int], list[int]]:
        """(a . w, b . w) row by row, modulo R. Raises Refuted naming the first constraint that does not hold,
        BadInput for a witness of another length."""
        if len(witness) != self.wires or witness[0] != 1:
            raise BadInput("not a witness of this circuit", expected=f"{self.wires} values, the first 1",
                           actual=len(witness))
        seen: dict[tuple[int, int], int] = {}
        left, right, out = (rows.times(witness, seen) for rows in (self.a, self.b, self.c))
        for row, (a, b, c) in enumerate(zip(left, right, out, strict=True)):
            if (a * b - c) % R:
                raise Refuted(f"the witness breaks constraint {row}", expected=self.labels[row],
                              do="The statement is false for these inputs, or an input is beyond its range.")
        return [value % R for value in left], [value % R for value in right]

    def check(self, witness: Sequence[int]) -> None:
        """Raise as `products` does."""
        self.products(witness)

    def public_values(self, witness: Sequence[int]) -> tuple[int, ...]:
        """The public wires' values, 0..R-1."""
        return tuple(value % R for value in witness[1:1 + len(self.publics)])


class Builder:
    """Writes down a circuit. Public wires first; `context` is public 0 of every circuit."""

    def __init__(self) -> None:
        self._publics: list[str] = []
        self._inputs: dict[str, range] = {}
        self._wires = 1
        self._rows: tuple[list[Lin], list[Lin], list[Lin]] = ([], [], [])
        self._labels: list[str] = []
        self._ops: list[Op] = []
        self._group: tuple[str, ...] = ()
        self._open: set[int] = set()
        self.context = self.public("context")

    @property
    def constraints(self) -> int:
        """How many there are so far."""
        return len(self._labels)

    # ---- wires ----

    def public(self, name: str) -> Lin:
        """A public input. Raises Misuse after the first private wire, or for a name already taken."""
        wire = self._public(name)
        self._inputs[name] = range(wire, wire + 1)
        return Lin({wire: 1})

    def output(self, name: str) -> Lin:
        """A public wire whose value the circuit computes: it must be `publish`ed later."""
        wire = self._public(name)
        self._open.add(wire)
        return Lin({wire: 1})

    def publish(self, output: Lin, value: Lin) -> None:
        """Constrain an `output` to be ``value``."""
        wire = next(iter(output.terms))
        if wire not in self._open:
            raise Misuse("not an output that waits for its value")
        self._open.remove(wire)
        with self.group("published"):
            self._ops.append(Op(_same, (value,), wire, 1, self._label))
            self.equal(output, value)

    def private(self, name: str, count: int) -> list[Lin]:
        """Private inputs. Nothing is known of them until it is constrained."""
        if name in self._inputs or name in self._publics:
            raise Misuse("two inputs of one name", actual=name)
        self._inputs[name] = range(self._wires, self._wires + count)
        return self._new(count)

    def hint(self, hint: Hint, reads: Sequence[Lin], count: int) -> list[Lin]:
        """Private wires whose values the prover computes by ``hint``. Unconstrained: constrain them."""
        self._ops.append(Op(hint, tuple(reads), self._wires, count, self._label))
        return self._new(count)

    # ---- constraints ----

    @contextmanager
    def group(self, label: str) -> Iterator[None]:
        """What the constraints made within are for."""
        before = self._group
        self._group = (*before, label)
        try:
            yield
        finally:
            self._group = before

    def require(self, a: Lin, b: Lin, c: Lin) -> None:
        """Constrain ``a * b = c``."""
        if self.constraints >= MAX_CONSTRAINTS:
            raise BadInput("the circuit is too large", expected=f"at most {MAX_CONSTRAINTS} constraints",
                           do="Prove a smaller model, or have the answer re-executed instead.")
        for rows, lin in zip(self._rows, (a, b, c), strict=True):
            rows.append(lin)
        self._labels.append(self._label)

    def equal(self, a: Lin | int, b: Lin | int) -> None:
        """Constrain ``a = b``."""
        self.require(_lin(a) - b, ONE, ZERO)

    def product(self, a: Lin, b: Lin) -> Lin:
        """``a * b``: free where one is a constant, else one wire and one constraint."""
        for constant, other in ((a.constant, b), (b.constant, a)):
            if constant is not None:
                return other * constant
        (made,) = self.hint(_times, (a, b), 1)
        self.require(a, b, made)
        return made

    def wire(self, value: Lin) -> Lin:
        """``value`` as one wire: a constraint that keeps long combinations from being carried on."""
        if len(value.terms) <= 1:
            return value
        (made,) = self.hint(_same, (value,), 1)
        self.equal(made, value)
        return made

    def build(self) -> Circuit:
        """The circuit. Raises Misuse while an output has no value."""
        if self._open:
            raise Misuse("a public output was never given a value", actual=[self._publics[w - 1] for w in self._open])
        held = {id(lin): (tuple(lin.terms), tuple(lin.terms.values())) for lins in self._rows for lin in lins}
        a, b, c = (Rows(tuple(held[id(lin)][0] for lin in lins), tuple(held[id(lin)][1] for lin in lins))
                   for lins in self._rows)
        return Circuit(tuple(self._publics), dict(self._inputs), self._wires, a, b, c, tuple(self._labels),
                       tuple(self._ops))

    # ---- parts ----

    @property
    def _label(self) -> str:
        return "/".join(self._group)

    def _public(self, name: str) -> int:
        if self._wires != 1 + len(self._publics):
            raise Misuse("public wires come before private ones", actual=name)
        if name in self._publics:
            raise Misuse("two public wires of one name", actual=name)
        self._publics.append(name)
        self._wires += 1
        return self._wires - 1

    def _new(self, count: int) -> list[Lin]:
        first = self._wires
        self._wires += count
        return [Lin({wire: 1}) for wire in range(first, first + count)]


ZERO = Lin({})
ONE = Lin({0: 1})


def _same(value: int) -> tuple[int]:
    return (value,)


def _times(a: int, b: int) -> tuple[int]:
    return (centred(a * b),)


