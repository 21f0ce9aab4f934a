"""Groth16 proofs over BN254, checked without a prover: keys, proofs and the one equation that decides.

Bytes are those of the chain's pairing precompile (EIP-196, EIP-197): every coordinate 32 bytes, big-endian; a point of
the second group has the imaginary part of each coordinate first. A proof is ``A (64) | B (128) | C (64)``. A key is
``alpha (64) | beta (128) | gamma (128) | delta (128)`` and one point of 64 bytes more than there are publics. A proof
is right where ``e(A, B) = e(alpha, beta) · e(L, gamma) · e(C, delta)``, with ``L`` the key's points weighted by the
publics (Groth, EUROCRYPT 2016, section 3.2).

What cannot be read as a key, a proof or a public is bad input, always for one named reason; a proof that can be read
and does not fit is refuted. A right proof shows that its maker knew values that fill the circuit of the key's setup;
it shows nothing where somebody kept the secrets of that setup, and nothing about what the circuit means. Anybody who
has seen a proof can make another one of the same statement, so a proof's bytes are no name for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from troth.core.encoding import sha256
from troth.core.errors import BadInput, Refuted

BASE = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Coordinates are below it."""
ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Publics are below it: the order of both groups, the field of the circuit."""
PROOF_BYTES = 256
FIXED_BYTES = 448
"""Of a key, before its points for the publics."""
MAX_PUBLICS = 64
"""A proof's cost in a contract grows by some 6,700 gas with each."""

Point = Any
"""A point of either group as py_ecc has it: three projective coordinates."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A circuit's verifying key, checked when it is made.

    Raises BadInput for bytes that are none, a coordinate out of the field, a point off its curve or outside its group,
    a point at infinity (a public that nothing binds, or worse), and a setup that nobody finished (gamma equal to
    delta: anybody can forge under such a key).
    """

    data: bytes = field(repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        _read_key(self.data)
        object.__setattr__(self, "digest", sha256(self.data).hex())

    @property
    def publics(self) -> int:
        """How many publics a proof under this key has."""
        return (len(self.data) - FIXED_BYTES) // 64 - 1


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof, checked when it is made. Raises BadInput for bytes that are none, as `VerifyingKey` does."""

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _read_proof(self.data)


def verify(key: VerifyingKey, proof: Proof, publics: Sequence[int]) -> None:
    """Check the proof of the statement that these publics say, under this key (some 2 s, or milliseconds
    where ``zksnake``, the prover's arithmetic, is installed).

    Raises BadInput for a wrong number of publics or one out of the field, Refuted where the proof does not fit.
    """
    bn = _bn254()

    if len(publics) != key.publics:
        raise BadInput("a wrong number of publics", expected=key.publics, actual=len(publics),
                       do="Is this the key of that circuit?")
    for at, value in enumerate(publics):
        if not 0 <= value < ORDER:
            raise BadInput(f"public {at} is out of the field", expected=f"0 to {ORDER - 1}", actual=value)
    prepared, (a, b, c) = _read_key(key.data), _read_proof(proof.data)
    bound = prepared.bound[0]
    for point, value in zip(prepared.bound[1:], publics, strict=True):
        bound = bn.add(bound, bn.multiply(point, value))
    if not _is_one(((bn.neg(a), b), (prepared.alpha, prepared.beta), (bound, prepared.gamma), (c, prepared.delta))):
        raise Refuted("the proof does not fit the key and the publics", actual=f"key {key.digest}",
                      do="It is for another circuit or another statement, or made up.")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A key's points."""

    alpha: Point
    beta: Point
    gamma: Point
    delta: Point
    bound: tuple[Point, ...]


@lru_cache(maxsize=32)
def _read_key(data: bytes) -> _Prepared:
    count, rest = divmod(len(data) - FIXED_BYTES, 64)
    if rest or not 1 <= count <= MAX_PUBLICS + 1:
        raise BadInput("not a verifying key", actual=f"{len(data)} bytes",
                       expected=f"{FIXED_BYTES} bytes and 64 more for each of 1 to {MAX_PUBLICS + 1} points")
    alpha = _first(data[:64], "the key's alpha")
    beta, gamma, delta = (_second(data[at : at + 128], f"the key's {name}")
                          for at, name in ((64, "beta"), (192, "gamma"), (320, "delta")))
    if data[192:320] == data[320:448]:
        raise BadInput("a key of a setup that nobody finished", expected="gamma and delta that differ",
                       actual="the same point twice", do="Anybody can forge under it. Contribute to the setup.")
    bound = tuple(_first(data[at : at + 64], f"the key's point of public {(at - FIXED_BYTES) // 64 - 1}")
                  for at in range(FIXED_BYTES, len(data), 64))
    return _Prepared(alpha, beta, gamma, delta, bound)


@lru_cache(maxsize=32)
def _read_proof(data: bytes) -> tuple[Point, Point, Point]:
    if len(data) != PROOF_BYTES:
        raise BadInput("not a proof", expected=f"{PROOF_BYTES} bytes", actual=f"{len(data)} bytes")
    return (_first(data[:64], "the proof's A"), _second(data[64:192], "the proof's B"),
            _first(data[192:], "the proof's C"))


def _first(data: bytes, what: str) -> Point:
    """A point of the first group, whose every point but infinity is in it: its order is prime."""
    bn = _bn254()

    x, y = (bn.FQ(value) for value in _coordinates(data, what))
    point = (x, y, bn.FQ.one())
    if not bn.is_on_curve(point, bn.b):
        raise BadInput(f"{what} is not on its curve", actual=data.hex())
    return point


def _second(data: bytes, what: str) -> Point:
    bn = _bn254()

    x1, x0, y1, y0 = _coordinates(data, what)
    point = (bn.FQ2((x0, x1)), bn.FQ2((y0, y1)), bn.FQ2.one())
    if not bn.is_on_curve(point, bn.b2):
        raise BadInput(f"{what} is not on its curve", actual=data.hex())
    if not bn.is_inf(bn.multiply(point, ORDER)):
        raise BadInput(f"{what} is outside its group", actual=data.hex(), do="Its order is another: it was made up.")
    return point


def _coordinates(data: bytes, what: str) -> list[int]:
    values = [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]
    for value in values:
        if value >= BASE:
            raise BadInput(f"a coordinate of {what} is out of the field", expected=f"below {BASE}", actual=value)
    if not any(values):
        raise BadInput(f"{what} is the point at infinity", expected="a point that was drawn")
    return values


def _is_one(pairs: Sequence[tuple[Point, Point]]) -> bool:
    """Whether the product of the pairings is one. All points are of their groups; none of the second is at infinity."""
    bn, native = _bn254(), _native()
    pairs = [(p, q) for p, q in pairs if not bn.is_inf(p)]
    if native is None:
        product = bn.FQ12.one()
        for p, q in pairs:
            product = product * bn.pairing(q, p, final_exponentiate=False)
        return bool(bn.final_exponentiate(product) == bn.FQ12.one())
    firsts = [native.PointG1(*(int(v) for v in bn.normalize(p))) for p, _ in pairs]
    seconds = [native.PointG2(*(int(v) for part in q[:2] for v in part.coeffs)) for _, q in pairs]
    one = native.multi_pairing([native.g1(), -native.g1()], [native.g2(), native.g2()])
    return bool(native.multi_pairing(firsts, seconds) == one)


def _native() -> Any:
    """The prover's arithmetic (extra ``prove``), which pairs in milliseconds; None where it is not installed."""
    try:
        # Imported here: an extra, and only who checks a proof needs it.
        from zksnake._algebra import ec_bn254
    except ImportError:
        return None
    return ec_bn254


def _bn254() -> Any:
    """The arithmetic that the embedded chain brings."""
    # Imported here: it takes 0.1 s, and most commands check no proof.
    from py_ecc import optimized_bn128

    return optimized_bn128
