"""Gadgets: right for every value within their ranges, and no wire of theirs that the prover may choose otherwise."""

import itertools
import random
from contextlib import suppress
from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.cheating import without
from troth.compute.circuits import gadgets
from troth.compute.circuits.builder import Builder, Circuit, Lin, Rows, combine
from troth.compute.circuits.field import R, centred
from troth.compute.circuits.merkle import PoseidonTree, merkle_root
from troth.compute.circuits.packing import Packing
from troth.compute.circuits.poseidon import poseidon, poseidon_chain, poseidon_chain_lin, poseidon_lin
from troth.core.errors import BadInput, Misuse, Refuted


def of(make, count=1) -> Circuit:
    """A circuit that publishes what ``make`` gives of ``count`` private inputs."""
    builder = Builder()
    out = builder.output("out")
    found = make(builder, builder.private("x", count))
    builder.publish(out, found if isinstance(found, Lin) else combine([1], [Lin.of(0)]))
    return builder.build()


def run(circuit: Circuit, *values: int) -> int:
    witness = circuit.witness({"context": 7, "x": values})
    circuit.check(witness)
    return centred(circuit.public_values(witness)[1])


def ranged(low, high):
    def make(builder, x):
        gadgets.in_range(builder, x[0], low, high)
        return x[0]
    return of(make)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1), (-3, 4), (0, 9), (-7, 5), (10, 23), (-128, 127), (0, 170),
                                           (0, 84), (0, 6), (1, 2)])
def test_a_range_holds_exactly_its_values(low, high):
    circuit = ranged(low, high)
    for value in range(low, high + 1):
        assert run(circuit, value) == value
    for value in (low - 1, high + 1, low - 1000, high + 1000, R // 2, -(R // 2), R // 3):
        with pytest.raises(Refuted, match="breaks constraint"):
            run(circuit, value)


def test_no_bits_but_the_values_own_pass_a_range():
    """Every assignment of the wires of a small range, not only what the hints give."""
    circuit = ranged(0, 9)
    filled = circuit.wires - 4   # the constant, context, out and x come before: then bits and what runs along them
    for value in range(-2, 18):
        start = circuit.witness({"context": 7, "x": [value]})[:4]
        passed = 0
        for chosen in itertools.product((0, 1), repeat=filled):
            with suppress(Refuted):
                circuit.check([*start, *chosen])
                passed += 1
        assert passed == (0 <= value <= 9)


@given(st.integers(-2**20, 2**20 - 1), st.integers(-2**20, 2**20 - 1))
def test_comparisons_and_choices(left, right):
    def make(builder, x):
        less = gadgets.less_or_equal(builder, x[0], x[1], 21)
        return gadgets.select(builder, less, x[0] * 3, x[1] - 5)
    assert run(_once("less", make, 2), left, right) == (left * 3 if left <= right else right - 5)


_made: dict[str, Circuit] = {}


def _once(name, make, count):
    if name not in _made:
        _made[name] = of(make, count)
    return _made[name]


@given(st.sampled_from([0, 1, -1, 5, R // 2, -(R // 2)]) | st.integers(-R // 2, R // 2))
def test_is_zero(value):
    assert run(_once("zero", lambda builder, x: gadgets.is_zero(builder, x[0]), 1), value) == (centred(value) == 0)


@given(st.lists(st.integers(-500, 500), min_size=4, max_size=4))
def test_largest_and_its_place(values):
    assert run(_once("max", lambda builder, x: gadgets.maximum(builder, x, 10), 4), *values) == max(values)
    assert run(_once("argmax", lambda builder, x: gadgets.largest_place(builder, x, 10), 4), *values) == \
        values.index(max(values))


@given(st.lists(st.integers(-2**40, 2**40), min_size=6, max_size=6))
def test_inner_products(values):
    circuit = _once("inner", lambda builder, x: gadgets.inner(builder, x[:3], x[3:]), 6)
    assert run(circuit, *values) == sum(a * b for a, b in zip(values[:3], values[3:], strict=True))


@given(st.data())
def test_packing_gives_back_what_was_packed_and_refuses_the_rest(data):
    ranges = data.draw(st.lists(st.tuples(st.integers(-2**40, 2**40), st.integers(0, 2**70)), min_size=1, max_size=12))
    low, high = [a for a, _ in ranges], [a + b for a, b in ranges]
    packing = Packing(low, high)
    values = [data.draw(st.integers(a, b)) for a, b in zip(low, high, strict=True)]
    elements = packing.ints(values)
    assert packing.unpacked(elements) == values
    assert all(0 <= element < 2**253 for element in elements)
    beyond = list(values)
    beyond[0] = high[0] + 1
    with pytest.raises(BadInput, match="beyond its range"):
        packing.ints(beyond)


def test_packing_in_a_circuit_is_the_same_and_needs_its_ranges():
    packing = Packing([-4, 0, -100], [3, 9, 100])
    circuit = of(lambda builder, x: packing.pack(builder, x)[0], 3)
    assert run(circuit, -2, 7, 55) == packing.ints([-2, 7, 55])[0]
    # A prover that cheats: other numbers with the same element, as 8 of the first are 1 of the second.
    cheat = (-2 + 8, 7 - 1, 55)
    with pytest.raises(Refuted, match="packed ranges"):
        run(circuit, *cheat)
    assert run(without(circuit, "packed ranges"), *cheat) == packing.ints([-2, 7, 55])[0]


@pytest.mark.parametrize("make", [
    pytest.param(lambda b, x: gadgets.maximum(b, x[:3], 6), id="maximum"),
    pytest.param(lambda b, x: gadgets.largest_place(b, x[:3], 6), id="place of the largest"),
    pytest.param(lambda b, x: gadgets.joined(gadgets.at_most(b, x[0], 44)), id="range"),
    pytest.param(lambda b, x: Packing([0] * 4, [31] * 4).pack(b, x)[0], id="packing"),
    pytest.param(lambda b, x: poseidon_lin(b, x[:2]), id="poseidon"),
    pytest.param(lambda b, x: gadgets.inner(b, x[:2], x[2:]), id="inner product"),
])
def test_no_single_wire_may_change(make):
    """Every wire the hints fill, changed to many values: some constraint breaks."""
    circuit = of(make, 4)
    chance = random.Random(5)
    witness = circuit.witness({"context": 7, "x": [9, 30, 4, 21]})
    circuit.check(witness)
    filled = sorted({wire for op in circuit.ops for wire in range(op.start, op.start + op.fills)})
    for wire in filled if len(filled) < 100 else chance.sample(filled, 30):
        for value in (witness[wire] + 1, 1 - witness[wire], -witness[wire], 0, chance.randrange(R)):
            if (value - witness[wire]) % R:
                tried = list(witness)
                tried[wire] = centred(value)
                with pytest.raises(Refuted):
                    circuit.check(tried)


def test_the_only_free_wire_is_an_inverse_of_zero():
    """Of is_zero(0) the inverse may be anything, and the answer stays 1."""
    circuit = _once("zero", lambda builder, x: gadgets.is_zero(builder, x[0]), 1)
    witness = circuit.witness({"context": 7, "x": [0]})
    for wire in range(3, circuit.wires):
        tried = list(witness)
        tried[wire] += 1
        try:
            circuit.check(tried)
        except Refuted:
            continue
        assert circuit.public_values(tried)[1] == 1


@settings(max_examples=8)
@given(st.lists(st.integers(0, R - 1), min_size=1, max_size=16))
def test_poseidon_in_a_circuit_is_the_same(values):
    circuit = _once(f"hash {len(values)}", poseidon_lin, len(values))
    assert run(circuit, *values) % R == poseidon(values)


def test_a_chain_in_a_circuit_is_the_same():
    values = [pow(3, place, R) for place in range(20)]
    chain = of(poseidon_chain_lin, 20)
    assert run(chain, *values) % R == poseidon_chain(values)


def test_chains_of_other_lengths_differ():
    assert len({poseidon_chain([0] * count) for count in (0, 1, 2, 14, 15, 16, 30, 31)}) == 8


@settings(max_examples=10)
@given(st.lists(st.integers(0, R - 1), min_size=1, max_size=9), st.data())
def test_a_merkle_path_proves_its_place_and_no_other(leaves, data):
    tree = PoseidonTree(leaves, 4)
    place = data.draw(st.integers(0, len(leaves) - 1))
    circuit = _once("merkle", lambda builder, x: merkle_root(builder, x[0], x[1], x[2:]), 6)
    assert run(circuit, leaves[place], place, *tree.siblings(place)) % R == tree.root
    assert run(circuit, leaves[place] ^ 1, place, *tree.siblings(place)) % R != tree.root
    with pytest.raises(Refuted):
        run(circuit, leaves[place], place + 16, *tree.siblings(place))


def test_a_trees_root_is_the_one_its_definition_gives():
    leaves = [3, 1, 4]
    level = [poseidon([3, 1]), poseidon([4, 0])]
    assert PoseidonTree(leaves, 2).root == poseidon(level)
    assert PoseidonTree([], 1).root == poseidon([0, 0])
    with pytest.raises(BadInput):
        PoseidonTree([1, 2, 3], 1)
    with pytest.raises(Misuse):
        PoseidonTree([1], 1).siblings(1)


def test_what_a_builder_refuses():
    builder = Builder()
    out = builder.output("out")
    builder.private("x", 1)
    with pytest.raises(Misuse, match="public wires come before"):
        builder.public("late")
    with pytest.raises(Misuse, match="never given a value"):
        builder.build()
    builder.publish(out, Lin.of(3))
    with pytest.raises(Misuse, match="waits for its value"):
        builder.publish(out, Lin.of(4))
    with pytest.raises(Misuse, match="only one"):
        gadgets.bits(builder, out, 254)
    circuit = builder.build()
    with pytest.raises(BadInput, match="not the circuit's inputs"):
        circuit.witness({"context": 1})
    with pytest.raises(BadInput, match="another length"):
        circuit.witness({"context": 1, "x": [1, 2]})
    with pytest.raises(BadInput, match="not a witness"):
        circuit.check([1])
    with pytest.raises(Refuted):
        circuit.check([1, 1, 4, 0])


edge = st.sampled_from([0, 1, -1, 2**40 - 1, 2**40, -2**40, 2**62, R // 2, -(R // 2)]) | st.integers(-2**70, 2**70)


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), edge), max_size=6, unique_by=itemgetter(0)), max_size=5),
       st.lists(edge, min_size=6, max_size=6))
def test_rows_are_summed_exactly_whatever_their_size(rows, witness):
    made = Rows(tuple(tuple(wire for wire, _ in row) for row in rows), tuple(tuple(v for _, v in row) for row in rows))
    assert made.times(witness, {}) == [sum(value * witness[wire] for wire, value in row) for row in rows]
