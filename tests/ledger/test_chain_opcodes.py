"""Instructions in one step do what py-evm's do: drawn programs, with gas for all or for a part, run both ways."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from eth.vm.forks.prague.computation import PragueComputation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from troth.ledger.chains import engine
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.engine import Outcome
from troth.ledger.chains.opcodes import _destinations, quick
from troth.ledger.chains.transactions import Transaction

USUAL = PragueComputation.opcodes
QUICK = [code for code, step in quick(USUAL).items() if step is not USUAL[code]]
OTHERS = [0x05, 0x06, 0x0B, 0x12, 0x13, 0x1A, 0x1D, 0x20, 0x30, 0x33, 0x35, 0x36, 0x38, 0x47, 0x54, 0x58, 0x59, 0x5A,
          0x5C, 0x5E, 0xFE, 0x0C]
"""That leave bytes where ours leave integers, and read what ours left; the last two are none."""
WORDS = st.one_of(
    st.integers(0, 64), st.integers(0, 2**256 - 1), st.sampled_from([31, 32, 255, 256, 2**255, 2**256 - 1]))
BEGIN = bytes.fromhex("7f" + "a7" * 32 + "5f52" + "7f" + bytes(range(1, 33)).hex() + "602052")
"""64 bytes of memory, none of them 0."""
END = bytes.fromhex("5f525f60205260a05fa0")  # two words into memory, and memory into a log
OPERANDS = ("5f", "6001", "6020", "6021", "60ff", "610100", "30", "7f" + "ff" * 32, "7f80" + "00" * 30 + "07")
"""As instructions: numbers about the edges, and an address, which lies on the stack as bytes."""


def push(word: int) -> bytes:
    raw = word.to_bytes((word.bit_length() + 7) // 8)
    return bytes([0x5F + len(raw)]) + raw


PIECES = st.one_of(
    WORDS.map(push),
    st.sampled_from(QUICK).map(lambda code: bytes([code])),
    st.sampled_from(QUICK).map(lambda code: bytes([code])),
    st.sampled_from(OTHERS).map(lambda code: bytes([code])),
    st.builds(lambda at, code: push(at) + bytes([code]), st.integers(0, 300),
              st.sampled_from([0x51, 0x52, 0x56, 0x57])),
    st.just(b"\x5b"),
)
PROGRAMS = st.tuples(st.lists(WORDS.map(push), max_size=20), st.lists(PIECES, max_size=40)).map(
    lambda drawn: b"".join((BEGIN, *drawn[0], *drawn[1])) + END)


@pytest.fixture(scope="module")
def chain() -> Iterator[EmbeddedChain]:
    with EmbeddedChain(None) as found:
        yield found


def both(chain: EmbeddedChain, program: bytes, spare: int) -> tuple[Outcome, Outcome]:
    """What a program does as the code of a deployment: by our table, and by py-evm's alone."""
    tx = Transaction(2, chain.chain_id, 0, 0, 0, 0, b"", 0, program, sender=bytes(19) + b"\1")
    tx = Transaction(2, chain.chain_id, 0, 0, 0, tx.intrinsic_gas + spare, b"", 0, program, sender=bytes(19) + b"\1")
    ours = chain.call(tx)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine._Computation, "opcodes", USUAL)
        return ours, chain.call(tx)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=PROGRAMS, spare=st.one_of(st.integers(0, 300), st.just(12_000)))
def test_any_program_does_the_same(chain: EmbeddedChain, program: bytes, spare: int) -> None:
    ours, usual = both(chain, program, spare)
    assert ours == usual


@pytest.mark.parametrize("code", QUICK)
def test_each_instruction_at_its_edges(chain: EmbeddedChain, code: int) -> None:
    """Of all pairs of operands; of too few words, as many as it takes, a full stack; with and without gas for it."""
    for left, right in itertools.product(OPERANDS, repeat=2) if code < 0x5B else [("5f", "6001")]:
        ours, usual = both(chain, BEGIN + bytes.fromhex("5f" * 15 + right + left) + bytes([code]) + END, 12_000)
        assert ours == usual, (hex(code), left, right)
    for depth in (0, 1, 2, 3, 15, 16, 17):
        program = b"".join(push(7 + at) for at in range(depth)) + bytes([code]) + END
        for spare in (3 * depth, 3 * depth + 2, 3 * depth + 8, 12_000):
            ours, usual = both(chain, program, spare)
            assert ours == usual, (hex(code), depth, spare)
    for depth in (1_023, 1_024):
        ours, usual = both(chain, b"\x30" * depth + bytes([code]), 30_000)
        assert ours == usual, (hex(code), depth)


def test_jumps_that_are_taken(chain: EmbeddedChain) -> None:
    """To an instruction, to a byte of a PUSH, to another instruction, beyond the end; back for a loop."""
    for target in (0, 2, 4, 5, 6, 7, 40, 2**200):
        for how in ("56", "6001905790", "5f9057"):
            program = bytes.fromhex("5b605b505b5b") + push(target) + bytes.fromhex(how) + END
            ours, usual = both(chain, program, 9_000)
            assert ours == usual, (target, how)
    ours, usual = both(chain, bytes.fromhex("600a5b600190038060025700") + END, 9_000)
    assert ours == usual
    assert ours.error is None


def test_jumps_go_to_instructions_alone() -> None:
    assert _destinations(bytes.fromhex("5b605b5b7f" + "5b" * 32 + "5b61")) == {0, 3, 37}


def test_most_of_what_contracts_run_is_here() -> None:
    assert len(QUICK) == 12 + 2 + 33 + 32 + 6
