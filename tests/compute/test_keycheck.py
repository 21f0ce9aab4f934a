"""Which circuit a key is of, whoever made it: every wrong point is found, and a key of another model is refuted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ports.prover_suite import statement
from troth.compute.circuits.model import ModelCircuit, Modes
from troth.compute.provers import keycheck, points, zkey
from troth.compute.provers.groth16 import Groth16, Proving
from troth.compute.provers.port import Keys
from troth.core.errors import BadInput, Misuse, Refuted
from troth.fixed.program import Affine, Program

MODES = Modes("fixed", "public", "scores")


def circuit(weight: int) -> Any:
    return ModelCircuit(Program(np.full(2, -4), np.full(2, 3), (
        Affine(0, np.array([[weight, -2]]), np.array([5])),), "sign"), MODES).circuit


KEYS = Groth16().setup(circuit(3))


def changed(name: str, place: int | None = None) -> Keys:
    key: Proving = KEYS.proving
    held = getattr(key, name)
    group = 2 if name in ("beta2", "delta2", "b2") else 1
    if place is None:
        return replace(KEYS, proving=replace(key, **{name: held + points.generator(group)}))
    several: Sequence[Any] = [point + points.generator(group) if at == place else point
                              for at, point in enumerate(held)]
    return replace(KEYS, proving=replace(key, **{name: several}))


def test_an_honest_key_passes_also_from_its_file() -> None:
    keycheck.check(KEYS, circuit(3))
    again = zkey.read(zkey.write(KEYS, circuit(3)), circuit(3), ours=True)
    assert again.transcript == KEYS.transcript
    keycheck.check(again, circuit(3))


def test_a_key_of_another_model_is_refuted() -> None:
    """One weight differs, so one coefficient of one row. The file says it is of the circuit that is looked for."""
    other = Groth16().setup(circuit(2))
    with pytest.raises(Refuted, match="not of this circuit"):
        keycheck.check(replace(other, circuit=KEYS.circuit), circuit(3))


@pytest.mark.parametrize(("name", "place"), [
    ("alpha", None), ("beta1", None), ("beta2", None), ("delta1", None), ("delta2", None),
    *((name, place) for name in ("a", "b1", "b2", "l", "h") for place in (0, -1))])
def test_every_wrong_point_is_found(name: str, place: int | None) -> None:
    if place == -1:
        place = len(getattr(KEYS.proving, name)) - 1
    with pytest.raises(Refuted, match="not of this circuit"):
        keycheck.check(changed(name, place), circuit(3))


def test_a_wrong_point_of_a_right_side_is_found() -> None:
    of = statement(2)
    keys = Groth16().setup(of)
    key: Proving = keys.proving
    assert set(key.c) == {wire for row in of.c.wires for wire in row} != set()
    keycheck.check(keys, of)
    keycheck.check(replace(keys, proving=replace(key, c={})), of)   # as a key of others has it
    for wire in (min(key.c), max(key.c)):
        wrong = replace(key, c=dict(key.c) | {wire: key.c[wire] + points.generator(1)})
        with pytest.raises(Refuted, match="wrong points: c"):
            keycheck.check(replace(keys, proving=wrong), of)


def test_a_wrong_public_a_wrong_transcript_and_none() -> None:
    data = KEYS.verifying
    for start in (192, 448, len(data) - 64):   # gamma, the constant's point, the last public's
        size = 128 if start == 192 else 64
        other = zkey.encoded([zkey.decoded(data[start:start + size], size // 64) + points.generator(size // 64)],
                             size // 64)
        with pytest.raises(Refuted, match="not of this circuit"):
            keycheck.check(replace(KEYS, verifying=data[:start] + other + data[start + size:]), circuit(3))
    theirs = Groth16().setup(circuit(3)).transcript
    at = 0
    for size in keycheck.SIZES:
        mixed = KEYS.transcript[:at] + theirs[at:at + size] + KEYS.transcript[at + size:]
        with pytest.raises(Refuted, match="not of this circuit"):
            keycheck.check(replace(KEYS, transcript=mixed), circuit(3))
        at += size
    with pytest.raises(BadInput):
        keycheck.check(replace(KEYS, transcript=KEYS.transcript[:-1]), circuit(3))
    with pytest.raises(Misuse, match="snarkjs zkey verify"):
        keycheck.check(replace(KEYS, transcript=b""), circuit(3))


SMALL = (0x2966f8180d5e3596e682b3dbe33e8db7a9a459f2e151b0a82d82932852d0beea,
         0x09b25081631f2bfb87448ceff7c9ea48cef6fc5802458b520e5aa4abd2a97091,
         0x276e299851a7dcfae16ff69fafea355cde2aa8a022613b816d5d5dd3919213c9,
         0x27d41ae902452603ab78b1519fdd79e2b30aaa8600a4de7791b357f71c444ea0)
"""A point of G2's curve of order 10,069, outside the group."""


@pytest.mark.parametrize("name", ["b2", "beta2", "delta2"])
def test_a_point_of_small_order_is_found_whatever_chance_has_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that this order divides hide it from a sum: one random sum would miss it once in 10,069."""
    small = points.from_bytes(b"".join((value * (1 << 256) % points.P).to_bytes(32, "little") for value in SMALL), 2)[0]
    assert (small * 5000 + small * 5069).is_zero()
    assert not small.is_zero()
    key: Proving = KEYS.proving
    held = [*key.b2[:2], key.b2[2] + small, *key.b2[3:]] if name == "b2" else getattr(key, name) + small
    draw = keycheck._random
    monkeypatch.setattr(keycheck, "_random", lambda: draw() // 10_069 * 10_069)
    with pytest.raises(Refuted, match="outside the group"):
        keycheck.check(replace(KEYS, proving=replace(key, **{name: held})), circuit(3))
