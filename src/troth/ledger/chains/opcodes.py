"""The instructions that contracts run most, done in one step each where py-evm takes a dozen calls.

The rules stay py-evm's: an instruction here looks first whether anything is out of the ordinary (too little gas, too
few words on the stack or too many, memory that must grow, a jump to nowhere) and then hands over to py-evm's own, with
nothing changed yet. So errors, their kinds and their gas are py-evm's by construction, and what is left is what the
Yellow Paper's table says of the ordinary case. On the stack lie integers, or bytes from an instruction of py-evm's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

Step: TypeAlias = Callable[..., Any]
"""What runs one instruction; py-evm passes ``computation`` by name."""

_WORD = (1 << 256) - 1
_FULL = 1023
_JUMPDEST, _PUSH0, _PUSH1, _PUSH32, _DUP1, _SWAP1 = 0x5B, 0x5F, 0x60, 0x7F, 0x80, 0x90
_TWO: Mapping[int, Callable[[int, int], int]] = {
    0x01: lambda left, right: left + right & _WORD,
    0x02: lambda left, right: left * right & _WORD,
    0x03: lambda left, right: left - right & _WORD,
    0x04: lambda left, right: left // right if right else 0,
    0x10: lambda left, right: 1 if left < right else 0,
    0x11: lambda left, right: 1 if left > right else 0,
    0x14: lambda left, right: 1 if left == right else 0,
    0x16: operator.and_, 0x17: operator.or_, 0x18: operator.xor,
    0x1B: lambda bits, value: value << bits & _WORD if bits < 256 else 0,
    0x1C: lambda bits, value: value >> bits if bits < 256 else 0,
}
_ONE: Mapping[int, Callable[[int], int]] = {
    0x15: lambda value: 0 if value else 1,
    0x19: lambda value: value ^ _WORD,
}


def quick(table: Mapping[int, Any]) -> dict[int, Any]:
    """py-evm's table of instructions with the most frequent ones replaced; prices are the table's."""
    made: dict[int, Any] = dict(table)

    def put(code: int, make: Callable[..., Step], *how: object) -> None:
        made[code] = make(table[code], table[code].gas_cost, *how)

    for code, two in _TWO.items():
        put(code, _two, two)
    for code, one in _ONE.items():
        put(code, _one, one)
    for size in range(33):
        put(_PUSH0 + size, _push, size)
    for depth in range(1, 17):
        put(_DUP1 + depth - 1, _dup, depth)
        put(_SWAP1 + depth - 1, _swap, depth)
    for code, make in ((0x50, _pop), (0x51, _mload), (0x52, _mstore), (0x56, _jump), (0x57, _jumpi),
                       (_JUMPDEST, _jumpdest)):
        put(code, make)
    return made


def _two(usual: Step, gas: int, work: Callable[[int, int], int]) -> Step:
    def run(computation: Any) -> Any:
        """The step, in place of the usual one wherever nothing special happens."""
        values, meter = computation._stack.values, computation._gas_meter
        if len(values) < 2 or meter.gas_remaining < gas:
            return usual(computation)
        meter.gas_remaining -= gas
        left, right = values.pop(), values[-1]
        if left.__class__ is bytes:
            left = int.from_bytes(left)
        if right.__class__ is bytes:
            right = int.from_bytes(right)
        values[-1] = work(left, right)
        return None
    return run


def _one(usual: Step, gas: int, work: Callable[[int], int]) -> Step:
    def run(computation: Any) -> Any:
        values, meter = computation._stack.values, computation._gas_meter
        if not values or meter.gas_remaining < gas:
            return usual(computation)
        meter.gas_remaining -= gas
        value = values[-1]
        values[-1] = work(int.from_bytes(value) if value.__class__ is bytes else value)
        return None
    return run


def _push(usual: Step, gas: int, size: int) -> Step:
    def run(computation: Any) -> Any:
        """The step, in place of the usual one wherever nothing special happens."""
        values, meter, code = computation._stack.values, computation._gas_meter, computation.code
        at = code.program_counter
        if len(values) > _FULL or meter.gas_remaining < gas or at + size > len(code):
            return usual(computation)
        meter.gas_remaining -= gas
        code.program_counter = at + size
        values.append(int.from_bytes(code._raw_code_bytes[at:at + size]))
        return None
    return run


def _dup(usual: Step, gas: int, depth: int) -> Step:
    def run(computation: Any) -> Any:
        values, meter = computation._stack.values, computation._gas_meter
        if not depth <= len(values) <= _FULL or meter.gas_remaining < gas:
            return usual(computation)
        meter.gas_remaining -= gas
        values.append(values[-depth])
        return None
    return run


def _swap(usual: Step, gas: int, depth: int) -> Step:
    under = -depth - 1

    def run(computation: Any) -> Any:
        values, meter = computation._stack.values, computation._gas_meter
        if len(values) <= depth or meter.gas_remaining < gas:
            return usual(computation)
        meter.gas_remaining -= gas
        values[-1], values[under] = values[under], values[-1]
        return None
    return run


def _pop(usual: Step, gas: int) -> Step:
    def run(computation: Any) -> Any:
        values, meter = computation._stack.values, computation._gas_meter
        if not values or meter.gas_remaining < gas:
            return usual(computation)
        meter.gas_remaining -= gas
        values.pop()
        return None
    return run


def _mload(usual: Step, gas: int) -> Step:
    def run(computation: Any) -> Any:
        """The step, in place of the usual one wherever the memory need not grow."""
        values, meter, memory = computation._stack.values, computation._gas_meter, computation._memory._bytes
        if not values or meter.gas_remaining < gas:
            return usual(computation)
        at = values[-1]
        if at.__class__ is bytes:
            at = int.from_bytes(at)
        if at + 32 > len(memory):  # it grows, and that costs
            return usual(computation)
        meter.gas_remaining -= gas
        values[-1] = int.from_bytes(memory[at:at + 32])
        return None
    return run


def _mstore(usual: Step, gas: int) -> Step:
    def run(computation: Any) -> Any:
        """The step, in place of the usual one wherever the memory need not grow."""
        values, meter, memory = computation._stack.values, computation._gas_meter, computation._memory._bytes
        if len(values) < 2 or meter.gas_remaining < gas:
            return usual(computation)
        at, value = values[-1], values[-2]
        if at.__class__ is bytes:
            at = int.from_bytes(at)
        if at + 32 > len(memory):
            return usual(computation)
        meter.gas_remaining -= gas
        del values[-2:]
        memory[at:at + 32] = value.rjust(32, b"\0") if value.__class__ is bytes else value.to_bytes(32)
        return None
    return run


@lru_cache(maxsize=256)
def _destinations(code: bytes) -> frozenset[int]:
    """Where a code may be jumped to: its JUMPDESTs that are no data of a PUSH before."""
    found, at = [], 0
    while at < len(code):
        one = code[at]
        if one == _JUMPDEST:
            found.append(at)
        at += one - _PUSH0 + 1 if _PUSH1 <= one <= _PUSH32 else 1
    return frozenset(found)


def _jump(usual: Step, gas: int) -> Step:
    def run(computation: Any) -> Any:
        """The step, in place of the usual one wherever the jump leads somewhere."""
        values, meter, code = computation._stack.values, computation._gas_meter, computation.code
        if not values or meter.gas_remaining < gas:
            return usual(computation)
        at = values[-1]
        if at.__class__ is bytes:
            at = int.from_bytes(at)
        if at not in _destinations(code._raw_code_bytes):
            return usual(computation)
        meter.gas_remaining -= gas
        values.pop()
        code.program_counter = at
        return None
    return run


def _jumpi(usual: Step, gas: int) -> Step:
    def run(computation: Any) -> Any:
        """The step, in place of the usual one wherever the jump leads somewhere."""
        values, meter, code = computation._stack.values, computation._gas_meter, computation.code
        if len(values) < 2 or meter.gas_remaining < gas:
            return usual(computation)
        at, asked = values[-1], values[-2]
        if asked.__class__ is bytes:
            asked = int.from_bytes(asked)
        if asked:
            if at.__class__ is bytes:
                at = int.from_bytes(at)
            if at not in _destinations(code._raw_code_bytes):
                return usual(computation)
            code.program_counter = at
        meter.gas_remaining -= gas
        del values[-2:]
        return None
    return run


def _jumpdest(usual: Step, gas: int) -> Step:
    def run(computation: Any) -> Any:
        meter = computation._gas_meter
        if meter.gas_remaining < gas:
            return usual(computation)
        meter.gas_remaining -= gas
        return None
    return run
