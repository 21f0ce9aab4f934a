"""Programs run by a contract: the same integers as NumPy for random models, and what is no program or no input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ports.anvil_world import AnvilWorld
from ports.books import account
from ports.evm_world import EvmWorld
from troth.core.errors import ActRefused, BadInput, Misuse
from troth.core.terms import Account
from troth.fixed.program import Affine, Clamp, Forest, Gather, Program, Rescale, Tree
from troth.ledger.kept import MAX_KEPT, kept_at, kept_name, load, publish
from troth.ledger.programs import chain_code, run_call, run_on_chain
from troth.ledger.sending import call

WHO = account("publisher")
LIMIT = 1 << 31


class Place:
    """A chain with the contract."""

    def __init__(self) -> None:
        self.world = AnvilWorld()
        self.programs: Account = self.world.make("Programs")

    def publish(self, data: bytes) -> bytes:
        return publish(self.world.sender(WHO), self.programs, data)

    def run(self, program: Program, inputs: list[int]) -> list[int]:
        return run_on_chain(self.world.web3, self.programs, program, inputs)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    found = Place()
    yield found
    found.world.close()


def tree(rng: np.random.Generator, width: int, outputs: int, depth: int) -> Tree:
    """A random tree, some of whose leaves are high up."""
    rows: list[tuple[int, int, int, int]] = []

    def grow(left: int) -> int:
        at = len(rows)
        rows.append((-1, 0, 0, 0))
        if left and rng.random() < 0.8:
            feature, threshold = int(rng.integers(width)), int(rng.integers(-40, 40))
            rows[at] = (feature, threshold, grow(left - 1), grow(left - 1))
        return at

    grow(depth)
    feature, threshold, left, right = (np.array(column) for column in zip(*rows, strict=True))
    leaf = np.where((feature < 0)[:, None], rng.integers(-LIMIT, LIMIT, (len(rows), outputs), endpoint=True), 0)
    return Tree(feature, threshold, left, right, leaf)


def drawn(seed: int) -> Program:
    """A network, a forest, or a forest over a network, with weights of one to five bytes."""
    rng = np.random.default_rng(seed)
    inputs, hidden, outputs = (int(v) for v in rng.integers(1, 6, 3))
    big = int(rng.choice([3, 127, 128, 30_000, 1 << 30, LIMIT]))
    low, high = np.full(inputs, -40), np.full(inputs, 40)
    if big == 128:  # one byte holds -128 and not 128
        big = 127
    network = (Affine(0, rng.integers(-big - 1 if big < LIMIT else -LIMIT, big, (hidden, inputs), endpoint=True),
                      rng.integers(-(1 << 40), 1 << 40, hidden)),
               Rescale(1, int(rng.integers(1, 40))), Clamp(2, int(rng.integers(-9, 1)), int(rng.integers(1, 1 << 20))))
    forest = tuple(tree(rng, inputs, outputs, 3) for _ in range(int(rng.integers(1, 4))))
    kind = int(rng.integers(3))
    if kind == 0:
        steps = (*network, Affine(3, rng.integers(-99, 99, (outputs, hidden)), rng.integers(-9, 9, outputs)))
    elif kind == 1:
        steps = (Forest(0, forest, rng.integers(-(1 << 40), 1 << 40, outputs)),)
    else:
        steps = (*network, Forest(0, forest, rng.integers(-9, 9, outputs)))
    return Program(low, high, steps, "sign" if outputs == 1 else "largest")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_contract_gives_the_integers_that_numpy_gives(place: Place, seed: int) -> None:
    program = drawn(seed)
    rows = np.random.default_rng(seed).integers(-40, 40, (2, len(program.low)), endpoint=True)
    place.publish(chain_code(program))
    assert [place.run(program, row) for row in rows.tolist()] == program.run(rows).tolist()


def test_rounding_and_sign_at_the_ends() -> None:
    """On the embedded chain: half rounds up, also below zero, and the widest weights keep their sign."""
    world = EvmWorld()
    programs = world.make("Programs")
    low, high = np.full(1, -(1 << 20)), np.full(1, 1 << 20)
    program = Program(low, high, (Rescale(0, 1), Affine(1, np.array([[LIMIT], [-LIMIT], [1], [-1]]), np.zeros(4, int))),
                      "largest")
    publish(world.sender(WHO), programs, chain_code(program))
    for value in (-3, -2, -1, 0, 1, 2, 3, -(1 << 20), 1 << 20):
        assert run_on_chain(world.web3, programs, program, [value]) == program.run(np.array([[value]]))[0].tolist()
    world.close()


PROGRAM = drawn(5)
CODE = chain_code(PROGRAM)
ZEROS = [0] * len(PROGRAM.low)


@pytest.mark.parametrize("inputs", [ZEROS[:-1], [*ZEROS, 0], [41, *ZEROS[1:]], [-41, *ZEROS[1:]], [2**62, *ZEROS[1:]]])
def test_inputs_that_the_program_refuses_are_refused(place: Place, inputs: list[int]) -> None:
    place.publish(CODE)
    with pytest.raises(BadInput):
        PROGRAM.run(np.array([inputs]))
    with pytest.raises(ActRefused) as error:
        place.run(PROGRAM, inputs)
    assert error.value.code == "BadInputs"


def test_a_program_that_nobody_published_is_refused(place: Place) -> None:
    with pytest.raises(ActRefused):
        place.run(drawn(77), [0] * len(drawn(77).low))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_bytes_that_are_no_program_end_and_say_so_or_give_numbers(place: Place, data: st.DataObject) -> None:
    """Never a hang, whatever is named; cut short or grown, always refused."""
    code = bytearray(CODE)
    how = data.draw(st.sampled_from(["cut", "grown", "changed"]))
    if how == "cut":
        code = code[: data.draw(st.integers(0, len(code) - 1))]
    elif how == "grown":
        code += bytes(data.draw(st.integers(1, 40)))
    else:
        code[data.draw(st.integers(0, len(code) - 1))] ^= data.draw(st.integers(1, 255))
    name = place.publish(bytes(code))
    try:
        call(place.world.web3, place.programs, run_call(name, ZEROS), gas=20_000_000)
        refused = False
    except ActRefused:
        refused = True
    assert refused or how == "changed"


def test_a_program_lies_at_its_name_and_is_published_once(place: Place) -> None:
    name = place.publish(CODE)
    assert (name, place.publish(CODE)) == (kept_name(CODE), name)
    assert load(place.world.web3, place.programs, name) == CODE
    assert load(place.world.web3, place.programs, bytes(32)) is None
    where = bytes(place.world.web3.eth.get_code(place.world.web3.to_checksum_address(kept_at(place.programs, name))))
    assert where == b"\0" + CODE


def test_what_a_contract_does_not_run_is_refused_by_name() -> None:
    low, high = np.zeros(2, int), np.ones(2, int)
    with pytest.raises(Misuse, match="does not run the step gather"):
        chain_code(Program(low, high, (Gather(0, np.array([1])),), "sign"))
    wide = Affine(0, np.full((200, 200), 99), np.zeros(200, int))
    with pytest.raises(Misuse, match="too much for the code of an account"):
        chain_code(Program(np.zeros(200, int), np.ones(200, int), (wide,), "largest"))
    assert len(kept_name(bytes(MAX_KEPT))) == 32
