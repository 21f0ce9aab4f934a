"""iden3's binary files: what circom and snarkjs read and write.

Constraint systems (.r1cs) and witnesses (.wtns) are here, the prover's keys in `provers.zkey`. A file is a magic word,
a version and numbered sections, each with its length; numbers are little endian (iden3/r1csfile,
doc/r1cs_bin_format.md).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from troth.compute.circuits.builder import Circuit, Rows
from troth.compute.circuits.field import R, centred
from troth.core.errors import BadInput

WORD = 32
_PRIME = struct.pack("<I", WORD) + R.to_bytes(WORD, "little")


def container(magic: bytes, version: int, sections: Mapping[int, bytes]) -> bytes:
    """A file of these sections, in this order."""
    return magic + struct.pack("<II", version, len(sections)) + b"".join(
        struct.pack("<IQ", number, len(data)) + data for number, data in sections.items())


def sections_of(data: bytes, magic: bytes, version: int) -> dict[int, bytes]:
    """The sections of a file. Raises BadInput for another kind of file, one cut short, or a section twice."""
    if data[:4] != magic or len(data) < 12:
        raise BadInput("another kind of file", expected=magic.decode(), actual=data[:4].hex())
    found_version, count = struct.unpack_from("<II", data, 4)
    if found_version != version:
        raise BadInput("another version of the format", expected=version, actual=found_version)
    at, found = 12, {}
    for _ in range(count):
        if at + 12 > len(data):
            break
        number, size = struct.unpack_from("<IQ", data, at)
        at += 12
        if number in found:
            raise BadInput("a section twice", actual=number)
        found[number] = data[at:at + size]
        at += size
    if len(found) != count or at != len(data):
        raise BadInput("a file cut short, or with more at its end", expected=f"{count} sections, {at} bytes",
                       actual=f"{len(found)} sections, {len(data)} bytes")
    return found


# ---- constraint systems ----

def r1cs(circuit: Circuit) -> bytes:
    """The system as a .r1cs file, every public wire a public input."""
    publics = len(circuit.publics)
    private = sum(len(wires) for wires in circuit.inputs.values() if wires.start > publics)
    header = _PRIME + struct.pack("<IIIIQI", circuit.wires, 0, publics, private, circuit.wires, circuit.constraints)
    rows = []
    for row in range(circuit.constraints):
        for matrix in (circuit.a, circuit.b, circuit.c):
            wires, coefficients = matrix.wires[row], matrix.coefficients[row]
            rows.append(struct.pack("<I", len(wires)))
            rows.extend(struct.pack("<I", wire) + (value % R).to_bytes(WORD, "little")
                        for wire, value in sorted(zip(wires, coefficients, strict=True)))
    labels = struct.pack(f"<{circuit.wires}Q", *range(circuit.wires))
    return container(b"r1cs", 1, {1: header, 2: b"".join(rows), 3: labels})


def read_r1cs(data: bytes) -> Circuit:
    """A constraint system from a .r1cs file. It has no hints: its witness must come from whoever made it, with
    `read_wtns`. Raises BadInput."""
    sections = sections_of(data, b"r1cs", 1)
    header, body = sections.get(1, b""), sections.get(2, b"")
    if header[:len(_PRIME)] != _PRIME or len(header) != len(_PRIME) + 28:
        raise BadInput("a system over another field", expected=f"the prime {R}")
    wires, outputs, inputs, private, _, constraints = struct.unpack_from("<IIIIQI", header, len(_PRIME))
    matrices: tuple[list[dict[int, int]], ...] = ([], [], [])
    at = 0
    try:
        for row in range(3 * constraints):
            (count,) = struct.unpack_from("<I", body, at)
            end = at + 4 + count * (4 + WORD)
            terms = {}
            for start in range(at + 4, end, 4 + WORD):
                (wire,) = struct.unpack_from("<I", body, start)
                terms[wire] = centred(int.from_bytes(body[start + 4:start + 4 + WORD], "little"))
            matrices[row % 3].append(terms)
            at = end
    except struct.error:
        at = -1
    if at != len(body) or any(wire >= wires for rows in matrices for terms in rows for wire in terms):
        raise BadInput("constraints that cannot be read", expected=f"{constraints} rows over {wires} wires")
    publics = outputs + inputs
    a, b, c = (Rows(tuple(tuple(terms) for terms in rows), tuple(tuple(terms.values()) for terms in rows))
               for rows in matrices)
    return Circuit(tuple(f"public {place}" for place in range(publics)),
                   {"private": range(1 + publics, 1 + publics + private)}, wires, a, b, c,
                   tuple(f"row {row}" for row in range(constraints)), ())


# ---- witnesses ----

def wtns(witness: Sequence[int]) -> bytes:
    """A witness as a .wtns file. It holds everything that is private."""
    return container(b"wtns", 2, {1: _PRIME + struct.pack("<I", len(witness)),
                                  2: b"".join((value % R).to_bytes(WORD, "little") for value in witness)})


def read_wtns(data: bytes) -> list[int]:
    """A witness, centred. Raises BadInput."""
    sections = sections_of(data, b"wtns", 2)
    header, body = sections.get(1, b""), sections.get(2, b"")
    values = [int.from_bytes(body[at:at + WORD], "little") for at in range(0, len(body), WORD)]
    if header != _PRIME + struct.pack("<I", len(body) // WORD) or len(body) % WORD or max(values, default=0) >= R:
        raise BadInput("a witness that cannot be read", expected="numbers below the field's prime")
    return [centred(value) for value in values]
