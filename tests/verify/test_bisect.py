"""Bisection: a cheat at any step is found by one step and a few questions, and a liar loses whatever it answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, Refuted
from troth.verify.bisect import Committed, Trace, digest_of, dispute

EXAMPLES = int(os.environ.get("TROTH_JOBS", "40"))


@dataclass
class Adder:
    """Adds n, n - 1, … 1 to a number, and is finished: a state is (n, the number)."""

    executed: int = 0

    def step(self, state: bytes) -> bytes:
        if len(state) != 9:
            raise Refuted("not a state")
        self.executed += 1
        left = state[0]
        return state if not left else bytes([left - 1]) + (int.from_bytes(state[1:], "big") + left).to_bytes(8, "big")


def run(steps: int) -> list[bytes]:
    found = [bytes([steps]) + bytes(8)]
    while found[-1][0]:
        found.append(Adder().step(found[-1]))
    return found


def cheated(honest: list[bytes], at: int, wrong: bytes) -> list[bytes]:
    """Another state from step ``at`` on, from which everything is executed rightly."""
    states = [*honest[:at], wrong]
    while len(states) < len(honest):
        states.append(Adder().step(states[-1]))
    return states


def found(one: list[bytes], two: list[bytes], machine: Adder | None = None) -> tuple[set[int], int, int]:
    traces = [Trace(Adder(), one), Liar(two)]
    result = dispute(machine or Adder(), one[0], tuple((trace.committed, trace) for trace in traces))  # type: ignore[arg-type]
    return set(result.wrong), result.step, result.questions


class Liar(Trace):
    """A trace of states that follow from nothing: it can give each, as it kept them all."""

    def __init__(self, states: Sequence[bytes]) -> None:
        super().__init__(Adder(), states, apart=1)


@settings(max_examples=EXAMPLES)
@given(st.integers(1, 200), st.data())
def test_a_cheat_at_any_step_is_found(steps: int, data: st.DataObject) -> None:
    honest = run(steps)
    at = data.draw(st.integers(1, steps))
    wrong = bytes([honest[at][0]]) + data.draw(st.binary(min_size=8, max_size=8))
    if wrong == honest[at]:
        return
    machine = Adder()
    guilty, step, questions = found(honest, cheated(honest, at, wrong), machine)
    assert guilty == {1}
    assert (step, machine.executed) == (at, 1), "the one step, and no other, was executed"
    assert questions <= steps.bit_length() + 3


@settings(max_examples=EXAMPLES)
@given(st.integers(1, 60), st.lists(st.tuples(st.integers(1, 60), st.binary(min_size=9, max_size=9)), min_size=1),
       st.booleans())
def test_states_that_follow_from_nothing(steps: int, lies: list[tuple[int, bytes]], swapped: bool) -> None:
    """Wherever and however often it lies, and even where some of its later states are right again."""
    honest = run(steps)
    other = list(honest)
    for at, wrong in lies:
        if at < len(other):
            other[at] = wrong
    if other[-1] == honest[-1]:
        other[-1] = bytes([0, 255]) + bytes(7)
    if swapped:
        liar, good = Liar(other), Trace(Adder(), honest)
        assert dispute(Adder(), honest[0], ((liar.committed, liar), (good.committed, good))).wrong == {0}
    else:
        assert found(honest, other)[0] == {1}


@settings(max_examples=EXAMPLES)
@given(st.integers(2, 60), st.data())
def test_one_that_stops_early_or_goes_on(steps: int, data: st.DataObject) -> None:
    honest = run(steps)
    cut = data.draw(st.integers(1, steps))
    assert found(honest, honest[:cut])[0] == {1}
    longer = [*honest, *(bytes([0, 255]) + bytes(6) + bytes([n]) for n in range(1, data.draw(st.integers(2, 20))))]
    assert found(honest, longer)[0] == {1}


def test_two_liars_are_both_found() -> None:
    honest = run(20)
    one, two = (cheated(honest, 7, bytes([13]) + bytes(7) + bytes([n])) for n in (1, 2))
    traces = Liar(one), Liar(two)
    result = dispute(Adder(), honest[0], tuple((trace.committed, trace) for trace in traces))  # type: ignore[arg-type]
    assert (result.wrong, result.step) == ({0, 1}, 7)


def test_who_ends_alike_has_no_dispute() -> None:
    with pytest.raises(Misuse, match="end alike"):
        found(run(9), run(9))
    with pytest.raises(BadInput):
        Trace(Adder(), [])


class Mute(Liar):
    def opening(self, index: int) -> tuple[bytes, Sequence[bytes]]:
        if index not in (0, 30):
            raise TimeoutError("no answer")
        return super().opening(index)


class Evading(Liar):
    """Says in the bisection what the other said, to lead it elsewhere."""

    def opening(self, index: int) -> tuple[bytes, Sequence[bytes]]:
        found, path = super().opening(index)
        return (digest_of(run(30)[index]) if index < 30 else found), path


class Keeping(Liar):
    """Gives no state, or a wrong one."""

    def state(self, index: int) -> bytes:
        return b"a wrong one"


@pytest.mark.parametrize("liar", [Mute, Evading, Keeping])
def test_a_liar_in_the_bisection_loses(liar: type[Liar]) -> None:
    honest = run(30)
    good, bad = Trace(Adder(), honest), liar(cheated(honest, 11, bytes([19]) + bytes(7) + b"\7"))
    result = dispute(Adder(), honest[0], ((good.committed, good), (bad.committed, bad)))
    assert result.wrong == {1}


def test_another_beginning_or_an_impossible_commitment_loses_at_once() -> None:
    honest, other = run(9), run(8)
    assert found(honest, other)[:2] == ({1}, 0)
    good = Trace(Adder(), honest)
    for committed in (Committed(bytes(32), 10), replace(good.committed, states=0),
                      replace(good.committed, states=1 << 41), replace(good.committed, states=9)):
        assert dispute(Adder(), honest[0], ((good.committed, good), (committed, good))).wrong == {1}


def test_a_state_without_a_next_one_convicts_whoever_went_on() -> None:
    """Both end in a state from which no step is possible, and say different things after it: neither followed."""
    start = bytes([1]) + bytes(8)
    one, two = Liar([start, b"stuck", b"1"]), Liar([start, b"stuck", b"2"])
    result = dispute(Adder(), start, ((one.committed, one), (two.committed, two)))
    assert (result.wrong, result.step) == ({0, 1}, 2)


def test_nobody_gives_the_state_they_agree_on() -> None:
    honest = run(9)
    one, two = Keeping(honest), Keeping(cheated(honest, 5, bytes([4]) + bytes(8)))
    assert dispute(Adder(), honest[0], ((one.committed, one), (two.committed, two))).wrong == {0, 1}


def test_a_digest_names_a_state() -> None:
    assert digest_of(b"x") != sha256(b"x")


def test_a_trace_keeps_no_more_than_it_may() -> None:
    honest = run(200)
    thin, whole = Trace(Adder(), honest, apart=1, most=90), Trace(Adder(), honest, apart=1)
    assert len(thin._whole) <= 10
    assert thin.committed == whole.committed
    assert [thin.state(index) for index in range(201)] == honest
