"""iden3's key files (.zkey, Groth16): what a ceremony run with snarkjs leaves, and what our own keys are kept as.

Points are in Montgomery form, little endian, as in memory. Section 4 repeats the system's first two matrices, each
coefficient times 2**512 modulo R. A file of another's making is checked to be for this circuit and on the curve; that
its contributions are right is for `snarkjs zkey verify` to say, which has the constraint system and the powers of tau.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from troth.compute.circuits.builder import Circuit
from troth.compute.circuits.field import R
from troth.compute.circuits.iden3 import WORD, container, sections_of
from troth.compute.provers import points
from troth.compute.provers.groth16 import Proving, decoded, encoded, power_of
from troth.compute.provers.points import Point
from troth.compute.provers.port import DEV, Keys
from troth.core.encoding import sha256
from troth.core.errors import BadInput

_PRIMES = (struct.pack("<I", WORD) + points.P.to_bytes(WORD, "little")
           + struct.pack("<I", WORD) + R.to_bytes(WORD, "little"))
_SQUARE = (1 << 512) % R
_TRANSCRIPT, _RIGHT = 0x7472, 0x7473
"""Sections of ours, which other readers pass over: the transcript; `Proving.c` as (wire, point) each."""
_HEADER = (64, 64, 128, 128, 64, 128)
"""alpha, beta in both groups, gamma, delta in both groups."""


def write(keys: Keys, circuit: Circuit) -> bytes:
    """Keys as a .zkey file."""
    key: Proving = keys.proving
    gamma = points.to_bytes([decoded(keys.verifying[192:320], 2)], 2)
    ic = points.to_bytes([decoded(keys.verifying[at:at + 64], 1) for at in range(448, len(keys.verifying), 64)], 1)
    header = _PRIMES + struct.pack("<III", circuit.wires, len(circuit.publics), 1 << key.power)
    header += (points.to_bytes([key.alpha, key.beta1], 1) + points.to_bytes([key.beta2], 2) + gamma
               + points.to_bytes([key.delta1], 1) + points.to_bytes([key.delta2], 2))
    rows = _coefficients(circuit)
    return container(b"zkey", 1, {
        1: struct.pack("<I", 1), 2: header, 3: ic, 4: struct.pack("<I", len(rows)) + b"".join(rows),
        **({_TRANSCRIPT: keys.transcript} if keys.transcript else {}),
        **({_RIGHT: _right(key)} if key.c else {}),
        5: points.to_bytes(key.a, 1), 6: points.to_bytes(key.b1, 1), 7: points.to_bytes(key.b2, 2),
        8: points.to_bytes(key.l, 1), 9: points.to_bytes(key.h, 1),
        10: bytes.fromhex(circuit.digest) + sha256(keys.verifying) + struct.pack("<I", 0)})


def read(data: bytes, circuit: Circuit, *, ours: bool = False, dev: bool = False) -> Keys:
    """Keys from a .zkey file. ours: it comes from our own cache, so the costly checks are left out and its origin is
    `DEV`; else its origin names the ceremony by the digest of the file's record of contributions. dev: take one that
    nobody contributed to as well, somebody's dev setup.

    Raises BadInput for a file that cannot be read, of another circuit, with a point off the curve, or without a
    contribution.
    """
    sections = sections_of(data, b"zkey", 1)
    publics, size = 1 + len(circuit.publics), 1 << power_of(circuit)
    said = _PRIMES + struct.pack("<III", circuit.wires, publics - 1, size)
    sizes = {1: 4, 2: len(said) + sum(_HEADER), 3: 64 * publics, 5: 64 * circuit.wires, 6: 64 * circuit.wires,
             7: 128 * circuit.wires, 8: 64 * (circuit.wires - publics), 9: 64 * size}
    found = {number: len(sections.get(number, b"")) for number in sizes}
    header = sections.get(2, b"")
    if found != sizes or header[:len(said)] != said or sections[1] != struct.pack("<I", 1):
        raise BadInput("keys of another circuit, or of another kind of proof",
                       expected=f"a key for {circuit.wires} wires and {publics - 1} publics",
                       actual=f"one for {found[5] // 64} wires and {max(0, found[3] // 64 - 1)} publics",
                       do="Is it of this program or statement, and made with the same modes?")
    origin = DEV
    if ours:
        if sections.get(10, b"")[:32].hex() != circuit.digest:
            raise BadInput("keys of another circuit", expected=circuit.digest)
    else:
        rows = sections.get(4, b"")[4:]
        theirs = sorted(rows[at:at + 12 + WORD] for at in range(0, len(rows), 12 + WORD))
        if theirs != sorted(_coefficients(circuit)):
            raise BadInput("keys of another circuit", expected=circuit.digest)
        record = sections.get(10, b"")
        if not dev or len(record) != 68:
            origin = _origin(record)
    parts = [header[len(said):], *(sections[number] for number in (3, 5, 6, 7, 8, 9))]
    (alpha, beta1), (beta2, gamma), (delta1,), (delta2,) = (
        _points(parts[0][start:end], group, ours) for start, end, group in
        ((0, 128, 1), (128, 384, 2), (384, 448, 1), (448, 576, 2)))
    ic, a, b1, b2, l, h = (_points(part, group, ours)  # noqa: E741
                           for part, group in zip(parts[1:], (1, 1, 1, 2, 1, 1), strict=True))
    # Whoever contributes to a setup changes delta, and these points with it: theirs are not taken.
    right = _rights(sections.get(_RIGHT, b""), circuit, ours) if origin == DEV else {}
    verifying = encoded([alpha], 1) + encoded([beta2, gamma, delta2], 2) + encoded(ic, 1)
    return Keys(circuit.digest, verifying, origin, Proving(size.bit_length() - 1, alpha, beta1, beta2, delta1, delta2,
                                                           a, b1, b2, l, h, right), sections.get(_TRANSCRIPT, b""))


def _points(data: bytes, group: int, ours: bool) -> Sequence[Point]:
    if not ours:
        points.check_on_curve(data, group)
    return points.from_bytes(data, group)


def _right(key: Proving) -> bytes:
    held = points.to_bytes(list(key.c.values()), 1)
    return b"".join(struct.pack("<I", wire) + held[64 * at:64 * at + 64] for at, wire in enumerate(key.c))


def _rights(data: bytes, circuit: Circuit, ours: bool) -> dict[int, Point]:
    wires = [struct.unpack_from("<I", data, at)[0] for at in range(0, len(data) - 67, 68)]
    if len(data) % 68 or not all(wire < circuit.wires for wire in wires):
        raise BadInput("keys of another circuit, or cut short", expected=f"wires below {circuit.wires}, 68 bytes each")
    held = _points(b"".join(data[at + 4:at + 68] for at in range(0, len(data), 68)), 1, ours)
    return dict(zip(wires, held, strict=True))


def _coefficients(circuit: Circuit) -> list[bytes]:
    """(matrix, row, wire, coefficient) of the first two matrices and of the rows of the public wires."""
    known: dict[int, bytes] = {}

    def encode(value: int) -> bytes:
        if value not in known:
            known[value] = (value * _SQUARE % R).to_bytes(WORD, "little")
        return known[value]

    found: list[bytes] = []
    for row in range(circuit.constraints):
        for number, matrix in enumerate((circuit.a, circuit.b)):
            found.extend(struct.pack("<III", number, row, wire) + encode(value) for wire, value in
                         sorted(zip(matrix.wires[row], matrix.coefficients[row], strict=True)))
    found.extend(struct.pack("<III", 0, circuit.constraints + wire, wire) + encode(1)
                 for wire in range(1 + len(circuit.publics)))
    return found


def _origin(record: bytes) -> str:
    """Which ceremony: a digest of the record of contributions, with how many there were."""
    count = struct.unpack_from("<I", record, 64)[0] if len(record) >= 68 else 0
    if count < 1:
        raise BadInput("keys that nobody has contributed to: whoever reads the file could forge proofs",
                       expected="one contribution or more", do="Run `snarkjs zkey contribute` with each member.")
    return f"ceremony {sha256(record).hex()} of {count}"
