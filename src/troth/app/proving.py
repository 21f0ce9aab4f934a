"""``troth prove``: a model's answer as a claim, with a proof that it is the model's, or with what executes it again.

What a proof costs is estimated before anything is made. Where it is beyond the limits, the answer's evidence is the
program and the input themselves, sealed to whom it is for: a verifier executes them again. Nothing is attested before
the proof, which is verified by the code that verifiers run, holds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from troth.app.models import read_inputs
from troth.compute.circuits.model import COMMITTED, SCORES, ModelCircuit, Modes, declared_bits, learned_parts
from troth.compute.models.build import ints, price
from troth.core.claims import Evidence, Ref
from troth.core.encoding import from_hex, sha256
from troth.core.errors import BadInput, Undecidable, unreadable
from troth.core.terms import Account
from troth.core.verdicts import Report
from troth.fixed.program import Program
from troth.flows.answer import Proven
from troth.identity.binding import BINDING, accounts_of
from troth.verify import groth16
from troth.verify.answers import (
    ANSWER,
    GROTH16,
    INPUT,
    KEY,
    PROGRAM,
    PROOF,
    RERUN,
    Answer,
    claim_context,
    report,
    row_bytes,
)
from troth.verify.policies.proof import key_name

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.compute.provers.port import Keys, Prover

NO_QUESTION = bytes(32)
MOST_SECONDS, MOST_MEMORY = 600, 8 << 30
MOST_INPUT = 1 << 20
_SETUP, _PROVE = 400e-6, 60e-6
"""Seconds a constraint on one core of the machine of docs/benchmarks.md, the costliest of what was measured."""
_KEY_BYTES, _MEMORY, _START = 1_200, 6_500, 60 << 20
"""Bytes a constraint, and of memory before the first."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a proof would cost, roughly: constraints, seconds of one core for setup and proof, bytes of key and memory.
    """

    constraints: int
    setup: int
    prove: int
    key: int
    memory: int

    @classmethod
    def of(cls, program: Program, modes: Modes) -> Estimate:
        """From the program alone, before any circuit is built; within a factor of two of what was measured."""
        constraints = 400 + round(1.1 * price(program))
        if modes.weights == COMMITTED:
            sizes = zip(declared_bits(program), learned_parts(program), strict=True)
            constraints += round(1.3 * sum(bits * len(part[2]) for bits, part in sizes))
        return cls.of_constraints(constraints)

    @classmethod
    def of_constraints(cls, constraints: int) -> Estimate:
        """Of a circuit of so many constraints."""
        return cls(constraints, math.ceil(_SETUP * constraints), math.ceil(_PROVE * constraints),
                   _KEY_BYTES * constraints, _START + _MEMORY * constraints)

    def beyond(self, seconds: int, memory: int) -> str:
        """Why this is too dear under these limits, or nothing."""
        found = [f"about {self.setup + self.prove} s of {seconds} s"] if self.setup + self.prove > seconds else []
        if self.memory > memory:
            found.append(f"about {self.memory >> 20} MiB of {memory >> 20} MiB")
        return " and ".join(found)

    def json(self) -> dict[str, int]:
        """As ``--json`` prints it."""
        return {"constraints": self.constraints, "key_bytes": self.key, "memory_bytes": self.memory,
                "prove_seconds": self.prove, "setup_seconds": self.setup}


@dataclass(frozen=True, slots=True)
class Made:
    """An answer that was attested. why: why it is a rerun; empty for a proof. proofs: how many answers under this key
    this log now holds: each shows scores, and from many of them a model that is not public can be told.
    """

    claim: bytes
    answer: Answer
    estimate: Estimate
    why: str
    proofs: int


class Proving:
    """A model and the way its answers are proven, in a workspace: circuit and keys are made once. Raises BadInput for a
    model that no circuit can hold."""

    def __init__(self, party: Troth, program: Program, modes: Modes = Modes(), prover: Prover | None = None) -> None:  # noqa: B008
        self._party, self.program, self.modes = party, program, modes
        self._prover = prover or _prover()
        self._made = ModelCircuit(program, modes)
        self._keys: Keys | None = None

    @property
    def keys(self) -> Keys:
        """Of a ceremony where one was imported, else dev keys, made now if need be."""
        # Imported here: it loads the prover's arithmetic.
        from troth.compute.provers.cache import KeyCache

        if self._keys is None:
            self._keys = KeyCache(self._party.root / "proving").keys(self._prover, self._made.circuit)
        return self._keys

    @property
    def key(self) -> groth16.VerifyingKey:
        """What verifies."""
        return groth16.VerifyingKey(self.keys.verifying)

    def prove(self, row: Sequence[int], context: int) -> tuple[Proven, tuple[int, ...]]:
        """The answer to this input, and the publics between context and answer. Raises BadInput for no input."""
        circuit = self._made.circuit
        witness = self._made.witness(row, context, row_salt=self._salt("input", row_bytes(row)),
                                     weights_salt=self._salt("weights", self.program.digest))
        publics = circuit.public_values(witness)
        told = self._made.read(publics)
        scores = (told.label,) if told.label is not None else told.scores
        assert scores is not None
        proof = self._prover.prove(self.keys, circuit, witness)
        groth16.verify(self.key, groth16.Proof(proof), publics)
        return Proven(proof, scores, self.ranges, self.modes.output, self.keys.origin), self._bound(publics)

    def bound(self, row: Sequence[int]) -> tuple[int, ...]:
        """The publics that say which model and input: what a question fixes."""
        witness = self._made.witness(row, 0, row_salt=self._salt("input", row_bytes(row)),
                                     weights_salt=self._salt("weights", self.program.digest))
        return self._bound(self._made.circuit.public_values(witness))

    @property
    def says(self) -> tuple[str, ...]:
        """What each of these is."""
        return tuple(name for name in self._made.circuit.publics if name.split()[0] in ("model", "input"))

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """(lowest, highest) of each number of an answer: how its publics are read."""
        return self._made.answer_ranges

    def _bound(self, publics: Sequence[int]) -> tuple[int, ...]:
        return tuple(publics[1 : 1 + len(self.says)])

    def _salt(self, what: str, data: bytes) -> int:
        """248 secret bits that follow from this party's keys: the same commitment again for the same thing."""
        seed = self._party.identity.account.reveal_seed()
        return int.from_bytes(sha256(b"troth/salt/1\n" + what.encode() + b"\n" + seed + sha256(data))[:31], "big")


def prove(party: Troth, program: Program, row: Sequence[int], modes: Modes = Modes(), *,  # noqa: B008
          question: bytes = NO_QUESTION, seconds: int = MOST_SECONDS, memory: int = MOST_MEMORY,
          seal_to: Sequence[str] | None = ()) -> Made:
    """Attest what the program answers to an input, with a proof, or where that is too dear with what executes it again.

    question: the claim that is answered. seconds, memory: the limits. seal_to: who may open the input and, of a rerun,
    the program (this party always can); None: everybody. Raises BadInput for an input that the program refuses, with
    nothing written.
    """
    scores = tuple(int(value) for value in program.run(np.array([list(row)], dtype=np.int64))[0])
    if any(question):
        party.statement(question)
    estimate = Estimate.of(program, modes)
    why = estimate.beyond(seconds, memory)
    refs = [Ref("question", question)] if any(question) else []
    if why:
        low, high = (side.tolist() for side in program.ranges[-1])
        said = Answer(RERUN, program.digest, scores, tuple(zip(low, high, strict=True)), SCORES, question)
        evidence = [party.add(PROGRAM, program.to_bytes(), seal_to), party.add(INPUT, row_bytes(row), seal_to)]
    else:
        proving = Proving(party, program, modes)
        context = claim_context(party.did, question)
        found, bound = proving.prove(row, context)
        said = Answer(GROTH16, from_hex(proving.key.digest, 32), found.scores, found.ranges, found.output, question,
                      context, bound, proving.says, found.origin)
        evidence = [party.add(PROOF, found.proof), party.add(KEY, proving.key.data),
                    party.add(INPUT, row_bytes(row), seal_to)]
    claim = party.attest(ANSWER, said.subjects(), said.body(), refs=refs, evidence=evidence)
    return Made(claim, said, estimate, why, answers_of(party, said.model))


def answers_of(party: Troth, model: bytes) -> int:
    """How many answers of this party's, by this key or program, the log holds."""
    return sum(1 for _, said in party.claims(ANSWER)
               if said.issuer == party.did and any(one.digests.get("sha256") == model.hex() for one in said.subjects))


def check(party: Troth, claim: bytes) -> Report:
    """An answer that is in this log, checked: its proof, or executed again with what this party can open.

    No prover is needed. It does not say whether the key is to be believed. Raises BadInput for a claim that is none.
    """
    def read(evidence: Evidence) -> bytes | None:
        try:
            return party.read(evidence)
        except Undecidable:
            return None

    def holder(did: str, chain: int) -> tuple[Account, ...]:
        mine = (party.account,) if did == party.did else ()
        return mine + accounts_of((one for _, one in party.claims(BINDING)), did, chain)

    return report(party.statement(claim), read, holder)


@dataclass(frozen=True, slots=True)
class KeyOf:
    """A key that is of a model. reading: what a trust file believes. name: the key's on the chain."""

    key: str
    name: bytes
    reading: bytes
    origin: str


def export_key(party: Troth, program: Program, modes: Modes) -> bytes:
    """The whole key of a model, for whoever wants to see that it is of that model. Not secret."""
    # Imported here: it loads the prover's arithmetic.
    from troth.compute.provers import zkey

    proving = Proving(party, program, modes)
    return zkey.write(proving.keys, ModelCircuit(program, modes).circuit)


def check_key(data: bytes, program: Program, modes: Modes) -> KeyOf:
    """Whether a whole key is of this program in these modes, whoever made it: then what to believe and to ask for.

    It does not say who knows the setup's secrets. Raises BadInput for a file that is no key of such a circuit, Refuted
    for a key of another model, Misuse for a ceremony's, which `snarkjs zkey verify` checks.
    """
    # Imported here: both load the prover's arithmetic.
    from troth.compute.provers import keycheck, zkey

    made = ModelCircuit(program, modes)
    keys = zkey.read(data, made.circuit, dev=True)
    keycheck.check(keys, made.circuit)
    says = tuple(name for name in made.circuit.publics if name.split()[0] in ("model", "input"))
    said = Answer(GROTH16, from_hex(keys.digest, 32), tuple(low for low, _ in made.answer_ranges), made.answer_ranges,
                  modes.output, NO_QUESTION, 0, (0,) * len(says), says, keys.origin)
    return KeyOf(keys.digest, key_name(groth16.VerifyingKey(keys.verifying)), said.reading, keys.origin)


def read_input(path: Path | str, program: Program) -> list[int]:
    """One input, in real numbers: a JSON list of the features in order, an object by their names, or a CSV of one row.

    Raises BadInput for anything else, a name that the program does not know or lacks, NaN, or a number out of range.
    """
    path = Path(path)
    if path.suffix == ".csv":
        rows = ints(program, read_inputs(path, program)).tolist()
        if len(rows) != 1:
            raise BadInput(f"{path.name} holds several inputs", expected="one row", actual=len(rows))
        only: list[int] = rows[0]
        return only
    try:
        if path.stat().st_size > MOST_INPUT:
            raise BadInput(f"{path.name} is too large for one input", expected=f"at most {MOST_INPUT} bytes")
        said = json.loads(path.read_bytes(), parse_constant=_no_number)
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError as error:
        raise BadInput(f"{path.name} is no JSON", actual=error) from None
    return row_of(said, program)


def row_of(said: object, program: Program) -> list[int]:
    """One input as JSON says it: a list of the features in order, or an object by their names. Raises BadInput."""
    if isinstance(said, dict):
        names = [program.name(place) for place in range(len(program.low))]
        if said.keys() != set(names):
            raise BadInput("other features than the model's", expected=names, actual=sorted(said))
        said = [said[name] for name in names]
    if not isinstance(said, list) or any(type(one) not in (int, float) for one in said):
        raise BadInput("not an input", expected="a list of numbers, or an object of them by name")
    if len(said) != len(program.low):
        raise BadInput("an input of another shape", expected=f"{len(program.low)} numbers", actual=len(said))
    row: list[int] = ints(program, [said])[0].tolist()
    return row


def _no_number(text: str) -> float:
    raise BadInput("an input that is no number", actual=text)


def _prover() -> Prover:
    from troth.compute.provers.groth16 import Groth16  # it loads the prover's arithmetic, which is an extra

    return Groth16()
