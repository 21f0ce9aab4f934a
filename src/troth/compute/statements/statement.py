"""What a statement is: a relation as a circuit, what everybody sees of an instance, and a proof that travels.

Public 0 of every circuit is the context: whom the proof is for, which request it answers, who shows it. The verifier
names every public itself and compares; a proof's own word for them counts for nothing. A proof shows that its maker
knew secrets with which the relation holds; not that it is the only one who knows them, nor anything of a setup whose
secrets somebody kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from troth.compute.circuits.builder import Builder, Circuit, Lin
from troth.compute.circuits.field import R
from troth.compute.circuits.gadgets import bits
from troth.compute.provers.port import Keys, Prover
from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Refuted
from troth.verify import groth16

Check = Callable[[bytes, bytes, Sequence[int]], None]
"""(verifying key, proof, publics); raises Refuted or BadInput. `without_prover`, or a prover's own `verify`."""
MILLION = 10**6
"""Ratios are in parts per million."""
_FIELD = (0, R - 1)
_DIGITS = 80


def number_of(label: str, *parts: bytes) -> int:
    """A 248-bit number for a label and what belongs to it: the first 31 bytes of SHA-256, each part with its length."""
    data = b"".join(len(part).to_bytes(8, "big") + part for part in (label.encode(), *parts))
    return int.from_bytes(sha256(b"troth/statement/1/number\n" + data)[:31], "big")


def context_of(audience: str, challenge: str, presenter: str) -> int:
    """The context of a proof: for whom, in answer to which challenge, shown by whom. A challenge counts once: whoever
    verifies must not accept it twice. On a chain the contract says what the context is."""
    return number_of("context", audience.encode(), challenge.encode(), presenter.encode())


@dataclass(frozen=True, slots=True)
class Instance:
    """What a prover proves: publics without the context, and the secret inputs."""

    publics: Mapping[str, int]
    secrets: Mapping[str, Sequence[int]] = field(repr=False)


class Statement(ABC):
    """A relation, for tables of one layout. One of these is one circuit, and so one key. Subclasses are frozen
    dataclasses; what they add to a circuit is `build`, and what they make of a table is `instance`."""

    name: ClassVar[str]
    told: ClassVar[tuple[str, ...]] = ()
    """Publics that the verifier learns from the proof."""

    @property
    @abstractmethod
    def publics(self) -> tuple[str, ...]:
        """Names of the publics after the context, in order."""

    @abstractmethod
    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        """Constrain the publics after the context."""

    @property
    @abstractmethod
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        """The publics that are numbers of a range, with it; the others are field elements. The circuit relies on it:
        publics come from whoever verifies."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What makes this circuit, as JSON."""

    @cached_property
    def circuit(self) -> Circuit:
        """The constraint system."""
        builder = Builder()
        self.build(builder, [builder.public(name) for name in self.publics])
        return builder.build()

    @property
    def json(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": self.name, **self.parameters}

    def ordered(self, publics: Mapping[str, int]) -> list[int]:
        """The publics in the circuit's order. Raises BadInput for other names or a number beyond its range."""
        names = ("context", *self.publics)
        if set(publics) != set(names):
            raise BadInput(f"not the publics of {self.name!r}", expected=", ".join(names), actual=", ".join(publics))
        for name in names:
            low, high = self.bounds.get(name, _FIELD)
            if not low <= publics[name] <= high:
                raise BadInput(f"public {name!r} is beyond its range", expected=f"{low} to {high}",
                               actual=publics[name])
        return [publics[name] for name in names]


@dataclass(frozen=True, slots=True)
class Proven:
    """A proof as it travels: which statement (name and parameters), publics by name, the key's digest, the proof."""

    statement: Mapping[str, Any]
    publics: Mapping[str, int]
    key: str
    proof: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Canonical JSON; publics are text, as they pass what JSON's numbers hold."""
        return encode({"key": self.key, "proof": self.proof.hex(), "statement": dict(self.statement),
                       "publics": {name: str(value) for name, value in self.publics.items()}})

    @classmethod
    def from_bytes(cls, data: bytes) -> Proven:
        """Read strictly. Raises BadInput."""
        key, proof, statement, publics = take(decode_object(data), key=str, proof=str, statement=dict, publics=dict)
        return cls(statement, {name: number_text(value) for name, value in publics.items()}, key, from_hex(proof, 256))


def number_text(value: object) -> int:
    """A number from its one spelling in decimal digits. Raises BadInput."""
    if type(value) is str and len(value) <= _DIGITS and value.removeprefix("-").isascii() and (
            value.removeprefix("-").isdecimal() and str(int(value)) == value):
        return int(value)
    raise BadInput("not a number in text", expected="decimal digits", actual=str(value)[:80])


def prove(statement: Statement, instance: Instance, context: int, prover: Prover, keys: Keys) -> Proven:
    """A proof of an instance for a context.

    Raises Refuted where the relation does not hold (before anything is proven), BadInput for publics beyond their
    range, Misuse for keys of another circuit.
    """
    publics = {"context": context, **instance.publics}
    statement.ordered(publics)
    witness = statement.circuit.witness({**publics, **instance.secrets})
    return Proven(statement.json, publics, keys.digest, prover.prove(keys, statement.circuit, witness))


def without_prover(verifying: bytes, proof: bytes, publics: Sequence[int]) -> None:
    """The equation, checked with what every installation has; some 2 s for a key's first proof."""
    groth16.verify(groth16.VerifyingKey(verifying), groth16.Proof(proof), publics)


def verify(proven: Proven, statement: Statement, publics: Mapping[str, int], verifying: bytes,
           check: Check = without_prover) -> None:
    """Check a proof. publics: all that the verifier expects, the context too; verifying: the key it trusts.

    1. the statement is the one expected; 2. the key is the trusted one; 3. the publics are the expected ones, each
    within its range; 4. the proof holds for them. Raises Refuted at whichever fails, BadInput for what cannot be read.
    """
    if dict(proven.statement) != statement.json:
        raise Refuted("a proof of another statement", expected=statement.json, actual=dict(proven.statement))
    digest = sha256(verifying).hex()
    if proven.key != digest:
        raise Refuted("a proof under another key", expected=digest, actual=proven.key,
                      do="Trust a key only if you made its setup, or trust whoever did.")
    wanted = statement.ordered(publics)
    for name in ("context", *statement.publics):
        if proven.publics.get(name) != publics[name]:
            do = "It was made for another verifier, request or holder." if name == "context" else None
            raise Refuted(f"a proof for another {name}", expected=publics[name], actual=proven.publics.get(name), do=do)
    check(verifying, proven.proof, [value % R for value in wanted])


# ---- what the circuits share ----

def not_below(builder: Builder, value: Lin, least: Lin | int, size: int) -> None:
    """Prove value >= least, where both are known to differ by less than 2**size. ``size`` constraints."""
    bits(builder, value - least, size)
