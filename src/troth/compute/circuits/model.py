"""A program as a circuit: that these scores are what the model gives for this input.

Three choices make a statement. *Weights*: constants of the circuit, so that the verifying key is the model; or
`committed`, private and bound by a Poseidon commitment, so that one circuit and one setup serve every model of an
architecture. *Input*: public, or `committed` likewise. *Output*: the scores, or only the label. Whatever is private is
bound; there is no mode in which it is not.

Public values, in order: ``context``; ``model`` where weights are committed; ``input``, or the packed input; then the
packed scores or ``label``. What a number may be is fixed by the program's ranges (with committed weights: by the
declared bits of each step's weights), every private number is proven to be within them, and so no value wraps.

What it does not prove: that the model is good, that the input is true, or who ran it. Of committed weights, whoever
sees the scores of many inputs learns what follows from those. A committed forest's shape and the features its nodes
compare are part of the architecture, and public; thresholds and leaves are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from troth.compute.circuits import layers
from troth.compute.circuits.builder import Builder, Circuit, Lin
from troth.compute.circuits.field import R
from troth.compute.circuits.gadgets import at_least_zero, bit_size, in_range, largest_place
from troth.compute.circuits.packing import Packing
from troth.compute.circuits.poseidon import poseidon_chain, poseidon_chain_lin
from troth.compute.circuits.trees import LearnedTree, forest, inner_nodes, leaf_nodes
from troth.compute.circuits.vectors import Learned, Vector
from troth.core.encoding import decode_object, encode, sha256
from troth.core.errors import BadInput, Misuse
from troth.fixed.numbers import IntArray
from troth.fixed.program import Affine, Clamp, Conv, Forest, Gather, Maximum, Program, Rescale, Step, Sum

FIXED, COMMITTED, PUBLIC = "fixed", "committed", "public"
SCORES, LABEL = "scores", "label"
SALT_BITS = 248
CONTEXT_BITS = 248


@dataclass(frozen=True, slots=True)
class Modes:
    """weights: `FIXED` or `COMMITTED`. input: `PUBLIC` or `COMMITTED`. output: `SCORES` or `LABEL`."""

    weights: str = FIXED
    input: str = COMMITTED
    output: str = SCORES

    def __post_init__(self) -> None:
        for value, known in ((self.weights, (FIXED, COMMITTED)), (self.input, (PUBLIC, COMMITTED)),
                             (self.output, (SCORES, LABEL))):
            if value not in known:
                raise Misuse("no such way to prove a model", expected=" or ".join(known), actual=value)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a proof says. model, input: commitments, or None where fixed or public. row: the public input. scores or
    label: what came out; the other is None."""

    context: int
    model: int | None
    input: int | None
    row: tuple[int, ...] | None
    scores: tuple[int, ...] | None
    label: int | None


# ---- what was learned ----

def learned_parts(program: Program) -> Iterator[tuple[int, str, list[int]]]:
    """(step, part, integers) of everything learned, in the one order that commitments have. Parts: weights, bias,
    thresholds (of the inner nodes), leaves (of the leaves)."""
    for number, step in enumerate(program.steps, 1):
        if isinstance(step, Affine | Conv):
            yield number, "weights", step.weights.reshape(-1).tolist()
            yield number, "bias", step.bias.tolist()
        elif isinstance(step, Forest):
            yield number, "thresholds", [int(v) for t in step.trees for v in t.threshold[inner_nodes(t)]]
            yield number, "leaves", [int(v) for t in step.trees for v in t.leaf[leaf_nodes(t)].reshape(-1)]
            yield number, "bias", step.bias.tolist()


def declared_bits(program: Program) -> tuple[int, ...]:
    """The fewest bits, sign included, that hold each of `learned_parts`. Declare more to serve other models too."""
    return tuple(1 + max((bit_size(value, value) for value in values), default=0)
                 for _, _, values in learned_parts(program))


def architecture(program: Program, bits: Sequence[int]) -> bytes:
    """32 bytes that name what models with committed weights share: all of the program but its learned integers and its
    names, and the bits declared for those."""
    said = decode_object(program.to_bytes())
    del said["classes"], said["features"]
    for step, shown in zip(program.steps, said["steps"], strict=True):
        if isinstance(step, Affine | Conv):
            shown |= {"bias": len(step.bias), "weights": list(step.weights.shape)}
        elif isinstance(step, Forest):
            shown["bias"] = len(step.bias)
            for tree in shown["trees"]:
                del tree["leaf"], tree["threshold"]
    return sha256(b"troth/architecture/1\n" + encode({"bits": list(bits), "program": said}))


def commitment(program: Program, salt: int, bits: Sequence[int] | None = None) -> int:
    """The Poseidon commitment to a program's learned integers, for the model's claim: of the architecture's digest (its
    first 31 bytes), the salt and the packed integers.

    salt: 248 random bits, kept secret with the model. Raises BadInput for integers that do not fit the declared bits.
    """
    declared = declared_bits(program) if bits is None else tuple(bits)
    learned = [value for _, _, part in learned_parts(program) for value in part]
    packed = _weights_packing(program, declared).ints(learned)
    return poseidon_chain([_short(architecture(program, declared)), _salted(salt), *packed])


def input_commitment(program: Program, row: Sequence[int], salt: int) -> int:
    """The Poseidon commitment to an input: of the salt and the packed numbers. salt: 248 random bits."""
    return poseidon_chain([_salted(salt), *_input_packing(program).ints(row)])


def _short(digest: bytes) -> int:
    return int.from_bytes(digest[:31], "big")


def _salted(salt: int) -> int:
    if not 0 <= salt < 1 << SALT_BITS:
        raise BadInput("a salt of another length", expected=f"0 to 2**{SALT_BITS} - 1")
    return salt


def _input_packing(program: Program) -> Packing:
    return Packing(program.low.tolist(), program.high.tolist())


def _weights_packing(program: Program, bits: Sequence[int]) -> Packing:
    low, high = [], []
    for size, (_, _, values) in zip(bits, learned_parts(program), strict=True):
        low.extend([-(1 << size - 1)] * len(values))
        high.extend([(1 << size - 1) - 1] * len(values))
    return Packing(low, high)


# ---- the circuit ----

@dataclass(frozen=True, eq=False)
class ModelCircuit:
    """The circuit of a program and its modes. bits: declared for each of `learned_parts`, where weights are committed;
    by default the fewest that hold this program's.

    Raises BadInput where a value on the way could wrap, or weights do not fit their bits.
    """

    program: Program
    modes: Modes = Modes()
    bits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.modes.output == LABEL and self.program.head == "number":
            raise Misuse("a model of numbers has no label", expected=SCORES)
        if self.modes.weights == COMMITTED and not self.bits:
            object.__setattr__(self, "bits", declared_bits(self.program))

    @cached_property
    def circuit(self) -> Circuit:
        """The constraint system."""
        return self._made[0]

    @cached_property
    def _made(self) -> tuple[Circuit, Packing]:
        builder = Builder()
        committed, hidden = self.modes.weights == COMMITTED, self.modes.input == COMMITTED
        packing = _input_packing(self.program)
        model = builder.output("model") if committed else None
        given = [builder.output("input")] if hidden else [
            builder.output(f"input {place}") for place in range(packing.elements)]
        # How many elements the scores take is known once their ranges are; the label takes one.
        ranges = self._ranges()
        scores_packing = Packing(*ranges)
        scored = [builder.output("label")] if self.modes.output == LABEL else [
            builder.output(f"scores {place}") for place in range(scores_packing.elements)]
        row = builder.private("row", len(self.program.low))
        packed = packing.pack(builder, row, proven=True)   # `_through` proves the ranges
        if hidden:
            with builder.group("input commitment"):
                builder.publish(given[0], poseidon_chain_lin(builder, [*builder.private("row salt", 1), *packed]))
        else:
            for out, element in zip(given, packed, strict=True):
                builder.publish(out, element)
        parts = self._committed(builder, model) if model is not None else self._constants()
        last = self._through(builder, row, parts)
        if (list(last.low), list(last.high)) != (list(ranges[0]), list(ranges[1])):
            raise Misuse("the scores' ranges differ from those first computed")
        self._publish(builder, last, scored, scores_packing)
        return builder.build(), scores_packing

    def _ranges(self) -> tuple[list[int], list[int]]:
        """The ranges of the scores: by a circuit that is thrown away where weights are committed."""
        if self.modes.weights == FIXED:
            low, high = self.program.ranges[-1]
            return low.tolist(), high.tolist()
        builder = Builder()
        last = self._through(builder, builder.private("row", len(self.program.low)),
                             self._private(builder.private("weights", self.program_size)))
        return list(last.low), list(last.high)

    @property
    def program_size(self) -> int:
        """How many integers were learned."""
        return sum(len(values) for _, _, values in learned_parts(self.program))

    def _constants(self) -> dict[tuple[int, str], Learned]:
        return {(number, part): Learned.of(values) for number, part, values in learned_parts(self.program)}

    def _private(self, wires: Sequence[Lin]) -> dict[tuple[int, str], Learned]:
        found, at = {}, 0
        for size, (number, part, values) in zip(self.bits, learned_parts(self.program), strict=True):
            count = len(values)
            found[number, part] = Learned(wires[at:at + count], [-(1 << size - 1)] * count,
                                          [(1 << size - 1) - 1] * count)
            at += count
        return found

    def _committed(self, builder: Builder, model: Lin) -> dict[tuple[int, str], Learned]:
        wires, (salt,) = builder.private("weights", self.program_size), builder.private("weights salt", 1)
        packing = _weights_packing(self.program, self.bits)
        with builder.group("weights"):
            packed = packing.pack(builder, wires)
        named = Lin.of(_short(architecture(self.program, self.bits)))
        with builder.group("weights commitment"):
            builder.publish(model, poseidon_chain_lin(builder, [named, salt, *packed]))
        return self._private(wires)

    def _through(self, builder: Builder, row: Sequence[Lin], parts: dict[tuple[int, str], Learned]) -> Vector:
        """The last vector. Every input is proven to be in its range on the way."""
        low, high = self.program.low.tolist(), self.program.high.tolist()
        vectors, unproven = [Vector(row, low, high)], set(range(len(row)))
        for number, step in enumerate(self.program.steps, 1):
            with builder.group(f"step {number} {step.KIND}"):
                made = _step(builder, step, number, vectors, parts, unproven if step.source == 0 else set())
            worst = max(max(-least, most) for least, most in zip(made.low, made.high, strict=True))
            if worst > layers.SAFE:
                raise BadInput(f"step {number} ({step.KIND}) could wrap around the field", actual=worst,
                               expected=f"magnitudes up to {layers.SAFE}", do="Declare fewer bits a weight.")
            vectors.append(made)
        with builder.group("input range"):
            for place in sorted(unproven):
                in_range(builder, row[place], low[place], high[place])
        return vectors[-1]

    def _publish(self, builder: Builder, last: Vector, outputs: Sequence[Lin], packing: Packing) -> None:
        if self.modes.output == SCORES:
            elements = packing.pack(builder, last.lins, proven=True)
        elif self.program.head == "sign":
            with builder.group("label"):
                elements = [at_least_zero(builder, last.lins[0] - 1, bit_size(last.low[0] - 1, last.high[0] - 1))]
        else:
            last = last.short(builder)
            spread = max(last.high) - min(last.low)
            with builder.group("label"):
                elements = [largest_place(builder, last.lins, bit_size(-spread, spread))]
        for out, element in zip(outputs, elements, strict=True):
            builder.publish(out, element)

    @property
    def answer_ranges(self) -> tuple[tuple[int, int], ...]:
        """(lowest, highest) of each number that the answer packs: the scores, or the label."""
        if self.modes.output == LABEL:
            return ((0, 1 if self.program.head == "sign" else self.program.outputs - 1),)
        packing = self._made[1]
        return tuple(zip(packing.low, packing.high, strict=True))

    # ---- what goes in, what comes out ----

    def witness(self, row: Sequence[int] | IntArray, context: int, *, row_salt: int = 0, model: Program | None = None,
                weights_salt: int = 0) -> list[int]:
        """A witness for an input. model: another program of this architecture, where weights are committed.

        Raises BadInput for an input beyond its range or a model of another architecture.
        """
        values = [int(value) for value in row]
        _input_packing(self.program).ints(values)
        if not 0 <= context < 1 << CONTEXT_BITS:
            raise BadInput("a context of another length", expected=f"{CONTEXT_BITS} bits", actual=context)
        given: dict[str, Sequence[int] | int] = {"context": context, "row": values}
        if self.modes.input == COMMITTED:
            given["row salt"] = _salted(row_salt)
        if self.modes.weights == COMMITTED:
            of = model or self.program
            if architecture(of, self.bits) != architecture(self.program, self.bits):
                raise BadInput("a model of another architecture")
            weights = [value for _, _, part in learned_parts(of) for value in part]
            _weights_packing(self.program, self.bits).ints(weights)
            given |= {"weights": weights, "weights salt": _salted(weights_salt)}
        elif model is not None and model.digest != self.program.digest:
            raise Misuse("the weights are constants of this circuit")
        return self.circuit.witness(given)

    def read(self, publics: Sequence[int]) -> Answer:
        """What the public values of a proof say. Raises BadInput for values that no proof of this circuit has."""
        if len(publics) != len(self.circuit.publics) or not all(0 <= value < R for value in publics):
            raise BadInput("not the public values of this circuit", expected=self.circuit.publics, actual=len(publics))
        left = list(publics)
        context = left.pop(0)
        model = left.pop(0) if self.modes.weights == COMMITTED else None
        bound, row = None, None
        if self.modes.input == COMMITTED:
            bound = left.pop(0)
        else:
            packing = _input_packing(self.program)
            row = tuple(packing.unpacked(left[:packing.elements]))
            left = left[packing.elements:]
        if self.modes.output == LABEL:
            return Answer(context, model, bound, row, None, left[0])
        return Answer(context, model, bound, row, tuple(self._made[1].unpacked(left)), None)


def _step(builder: Builder, step: Step, number: int, vectors: Sequence[Vector],
          parts: dict[tuple[int, str], Learned], unproven: set[int]) -> Vector:
    source = vectors[step.source]
    if isinstance(step, Affine):
        return layers.affine(builder, source, parts[number, "weights"], parts[number, "bias"])
    if isinstance(step, Conv):
        return layers.convolution(builder, step, source, parts[number, "weights"], parts[number, "bias"])
    if isinstance(step, Rescale):
        return layers.rescale(builder, step, source)
    if isinstance(step, Clamp):
        return layers.clamp(builder, step, source)
    if isinstance(step, Maximum):
        return layers.largest(builder, step, source)
    if isinstance(step, Gather):
        return layers.gather(step, source)
    if isinstance(step, Sum):
        return layers.added(source, vectors[step.other])
    return forest(builder, step, source, list(_trees(step, parts[number, "thresholds"], parts[number, "leaves"])),
                  parts[number, "bias"], unproven.discard)


def _trees(step: Forest, thresholds: Learned, leaves: Learned) -> Iterator[LearnedTree]:
    at = leaf = 0
    for tree in step.trees:
        inner, ends = len(inner_nodes(tree)), len(leaf_nodes(tree)) * len(step.bias)
        yield LearnedTree(_part(thresholds, at, at + inner), _part(leaves, leaf, leaf + ends))
        at, leaf = at + inner, leaf + ends


def _part(learned: Learned, start: int, end: int) -> Learned:
    return Learned(learned.lins[start:end], learned.low[start:end], learned.high[start:end])
