"""The outer optimiser of low-communication training, in integers: the same bits for every worker and every re-checker.

Each worker trains ``steps`` local steps from the shared parameters and sends the difference. With d the rule's mean of
the differences, v the momentum and both rates at 2**16, a sync is (DiLoCo: Douillard et al., 2023; Nesterov's step)::

    v <- clamp(v * momentum + d)
    p <- clamp(p + (d + v * momentum) * rate)

Each product is rounded half to even; clamped to +-LIMIT, by definition.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from troth.core.encoding import encode, from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.fixed.numbers import LIMIT, ONE, IntArray, add, magnitude, multiply, norm, shift_round
from troth.learn import arrays
from troth.learn.aggregate import RULES, Update, aggregate
from troth.learn.arrays import Layout, State, flatten, layout, unflatten

MAX_WORKERS = 64
MAX_CLIP = 1 << 24
"""Largest norm bound of a difference, at 2**16: 256.0. Below it no rule's sums can overflow."""


@dataclass(frozen=True, slots=True)
class Session:
    """What all workers agree on beforehand; its digest names it in everything that is signed.

    workers: DIDs, ascending. shapes, start: the layout of the parameters and the digest of the first ones. syncs: how
    many exchanges. steps: local steps before each, by the workers' word. rate, momentum: of the outer step, at 2**16.
    clip: norm bound of a difference, at 2**16. rule: how differences become one (`troth.learn.aggregate`).
    """

    workers: tuple[str, ...]
    shapes: Layout
    start: bytes
    syncs: int
    steps: int
    rate: int = 7 * ONE // 10
    momentum: int = 9 * ONE // 10
    clip: int = 16 * ONE
    rule: str = "mean"

    def __post_init__(self) -> None:
        if list(self.workers) != sorted(set(self.workers)) or not 1 <= len(self.workers) <= MAX_WORKERS:
            raise BadInput("workers are distinct DIDs in ascending order", expected=f"1 to {MAX_WORKERS}",
                           actual=self.workers)
        if self.rule not in RULES:
            raise BadInput("unknown aggregation rule", expected=", ".join(RULES), actual=self.rule)
        if min(self.syncs, self.steps) < 1 or len(self.start) != 32 or not 1 <= self.clip <= MAX_CLIP:
            raise BadInput("a session is out of range", expected=f"a sync, a step, clip from 1 to {MAX_CLIP}",
                           actual=(self.syncs, self.steps, self.clip))
        if not 1 <= self.rate <= 4 * ONE or not 0 <= self.momentum <= ONE:
            raise BadInput("an outer rate is out of range", expected=f"1 to {4 * ONE}, 0 to {ONE}",
                           actual=(self.rate, self.momentum))

    @classmethod
    def of(cls, workers: Iterable[str], start: State, syncs: int, steps: int, **more: Any) -> Self:
        """A session of these workers from this state."""
        return cls(tuple(sorted(workers)), layout(start), arrays.digest(start), syncs, steps, **more)

    @property
    def quorum(self) -> int:
        """More than half of the workers: fewer never sync, so that two groups cannot both go on."""
        return len(self.workers) // 2 + 1

    @property
    def size(self) -> int:
        """Parameters."""
        return sum(math.prod(shape) for _, shape in self.shapes)

    def json(self) -> dict[str, Any]:
        """As JSON."""
        return {"clip": self.clip, "momentum": self.momentum, "rate": self.rate, "rule": self.rule,
                "shapes": [[name, list(shape)] for name, shape in self.shapes], "start": self.start.hex(),
                "steps": self.steps, "syncs": self.syncs, "workers": list(self.workers)}

    @property
    def id(self) -> bytes:
        """SHA-256 of its canonical JSON."""
        return hashlib.sha256(encode(self.json())).digest()


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Where training stands after ``sync`` exchanges: what each worker must hold, bit for bit.

    expelled: workers that are never counted again. history: a hash over everything that led here.
    """

    sync: int
    params: IntArray
    momentum: IntArray
    expelled: tuple[str, ...]
    history: bytes

    @classmethod
    def first(cls, session: Session, start: State) -> Self:
        """Before any exchange. Raises Refuted for another start than the session's."""
        if arrays.digest(start) != session.start:
            raise Refuted("this is not the state that the session starts from", expected=session.start.hex(),
                          actual=arrays.digest(start).hex())
        flat = flatten(start)
        if magnitude(flat) > LIMIT:
            raise BadInput("a parameter is out of range", expected=f"magnitude at most {LIMIT}", actual=magnitude(flat))
        return cls(0, flat, np.zeros_like(flat), (), session.id)

    def state(self, session: Session) -> dict[str, IntArray]:
        """The parameters by name."""
        return unflatten(self.params, session.shapes)

    def numbers(self) -> bytes:
        """Parameters and momentum in the canonical form of states."""
        return arrays.encode({"momentum": self.momentum, "params": self.params})

    def json(self) -> dict[str, Any]:
        """All but the numbers, which their digest stands for."""
        return {"expelled": list(self.expelled), "history": self.history.hex(),
                "numbers": hashlib.sha256(self.numbers()).hexdigest(), "sync": self.sync}

    @property
    def digest(self) -> bytes:
        """What commitments call their base, and seals their result."""
        return hashlib.sha256(encode(self.json())).digest()

    @classmethod
    def read(cls, value: Any, numbers: bytes, session: Session) -> Self:
        """From its JSON and the numbers' bytes. Raises BadInput, and Refuted where they do not belong together."""
        if type(value) is not dict:
            raise BadInput("unexpected JSON", expected="an object", actual=type(value).__name__)
        expelled, history, digest, sync = take(value, expelled=list, history=str, numbers=str, sync=int)
        if hashlib.sha256(numbers).hexdigest() != digest:
            raise Refuted("these are not the parameters that were sealed", expected=digest)
        state = arrays.decode(numbers)
        wanted = (("momentum", (session.size,)), ("params", (session.size,)))
        if layout(state) != wanted or not set(expelled) <= set(session.workers) or sync < 0:
            raise BadInput("not a point of this session", expected=wanted, actual=layout(state))
        return cls(sync, state["params"], state["momentum"], tuple(expelled), from_hex(history, 32))


def outer_step(session: Session, point: Point, deltas: Mapping[str, IntArray]) -> Point:
    """Parameters and momentum after one exchange of these workers' differences, whatever their order.

    The result's ``history`` and ``expelled`` are the old ones: the caller knows what was signed.
    Raises BadInput for no differences, another length, or a norm above the session's.
    """
    for worker, delta in deltas.items():
        if delta.shape != (session.size,) or norm(delta) > session.clip:
            raise BadInput(f"the difference of {worker} has another length, or is longer than the bound",
                           expected=f"{session.size} numbers, norm {session.clip}", actual=delta.shape)
    found = aggregate(session.rule, [Update(worker, 1, {"d": delta}) for worker, delta in deltas.items()])["d"]
    speed = np.clip(add(shift_round(multiply(point.momentum, session.momentum)), found), -LIMIT, LIMIT)
    step = shift_round(multiply(add(found, shift_round(multiply(speed, session.momentum))), session.rate))
    return replace(point, sync=point.sync + 1, params=np.clip(add(point.params, step), -LIMIT, LIMIT), momentum=speed)


def pack(delta: IntArray) -> bytes:
    """Integers as they travel: one byte for the width (1, 2 or 4, the least that holds all), then little-endian."""
    worst = magnitude(delta)
    width = next((width for width in (1, 2, 4) if worst < 1 << (8 * width - 1)), 0)
    if not width:
        raise BadInput("a difference is too large to send", expected=f"magnitude at most {LIMIT}", actual=worst)
    return bytes([width]) + delta.astype(f"<i{width}").tobytes()


def unpack(data: bytes, size: int) -> IntArray:
    """Inverse of `pack`. Raises BadInput for anything that it would not write."""
    width = data[0] if data else 0
    if width not in (1, 2, 4) or len(data) != 1 + width * size:
        raise BadInput("not a difference of this session", expected=f"{size} integers of 1, 2 or 4 bytes",
                       actual=f"{len(data)} bytes")
    delta = np.frombuffer(data, dtype=f"<i{width}", offset=1).astype(np.int64)
    if pack(delta) != data:
        raise BadInput("a difference is wider than it needs to be, or holds the smallest integer", actual=width)
    return delta
