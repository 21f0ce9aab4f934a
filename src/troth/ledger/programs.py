"""Small integer programs as a contract runs them. Twin of contracts' ``Machine``, where the form of the bytes is.

The contract gives the same integers as ``Program.run``: the ranges that were proven before hold there too, and inputs
out of their range are refused. It knows Affine, Rescale, Clamp and Forest; names of features and classes, the head and
the scales are for people and stay outside, so the name of a program here is not its digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Misuse
from troth.core.terms import Account
from troth.fixed.numbers import IntArray
from troth.fixed.program import Affine, Clamp, Forest, Program, Rescale, Step, Tree
from troth.ledger.kept import kept_name
from troth.ledger.sending import call

if TYPE_CHECKING:
    from web3 import Web3

LEAF = 0xFFFF
"""In the place of a node's feature; also how many inputs, outputs, nodes and trees there may be, and one more."""
TREE_BYTES = 5
"""Of a threshold and of a leaf's value: magnitudes go up to 2**31."""


def chain_code(program: Program) -> bytes:
    """The program as the contract reads it. Raises Misuse for a step that it does not know, or for too much of one."""
    found = bytearray(_count(len(program.low), "inputs"))
    for low, high in zip(program.low.tolist(), program.high.tolist(), strict=True):
        found += _signed(low, 8) + _signed(high, 8)
    if len(program.steps) > 255:
        raise Misuse("too many steps for a contract", expected="at most 255", actual=len(program.steps))
    found.append(len(program.steps))
    for step in program.steps:
        found += _step(step)
    kept_name(bytes(found))
    return bytes(found)


def run_on_chain(web3: Web3, programs: Account, program: Program, inputs: Sequence[int]) -> list[int]:
    """What the contract ``Programs`` there gives for these inputs. Raises ActRefused where it refuses them, or has no
    such program."""
    # Imported here: eth_abi takes 0.2 s to load.
    from eth_abi.abi import decode

    found = call(web3, programs, run_call(kept_name(chain_code(program)), inputs), errors=[
        {"type": "error", "name": "BadInputs", "inputs": []}])
    return [int(score) for score in decode(["int256[]"], found)[0]]


def run_call(name: bytes, inputs: Sequence[int]) -> bytes:
    """Calldata of ``Programs.run``."""
    # Imported here for the same reason.
    from eth_abi.abi import encode

    return keccak256(b"run(bytes32,bytes)")[:4] + encode(["bytes32", "bytes"], [name, input_data(inputs)])


def input_data(inputs: Sequence[int]) -> bytes:
    """Inputs as the contract reads them. Raises BadInput for one that no program could take."""
    return b"".join(_signed(value, 8) for value in inputs)


def _step(step: Step) -> bytes:
    source = step.source.to_bytes(2, "big")
    if isinstance(step, Affine):
        size = _size(step.weights)
        rows = (_signed(bias, 8) + b"".join(_signed(weight, size) for weight in row)
                for bias, row in zip(step.bias.tolist(), step.weights.tolist(), strict=True))
        return b"\1" + source + bytes([size]) + _count(len(step.bias), "outputs") + b"".join(rows)
    if isinstance(step, Rescale):
        return b"\2" + source + bytes([step.bits])
    if isinstance(step, Clamp):
        return b"\3" + source + _signed(step.low, 8) + _signed(step.high, 8)
    if isinstance(step, Forest):
        head = _count(len(step.bias), "outputs") + _count(len(step.trees), "trees")
        biases = b"".join(_signed(bias, 8) for bias in step.bias.tolist())
        return b"\4" + source + head + biases + b"".join(_tree(tree) for tree in step.trees)
    raise Misuse(f"a contract does not run the step {step.KIND}", expected="affine, rescale, clamp, forest",
                 do="Prove the answer instead.")


def _tree(tree: Tree) -> bytes:
    leaves = [int(node) for node in np.flatnonzero(tree.feature < 0)]
    numbers = {node: number for number, node in enumerate(leaves)}
    found = bytearray(_count(len(tree.feature), "nodes") + _count(len(leaves), "leaves"))
    for node, (feature, threshold, left, right) in enumerate(zip(
            tree.feature.tolist(), tree.threshold.tolist(), tree.left.tolist(), tree.right.tolist(), strict=True)):
        leaf = node in numbers
        found += (LEAF if leaf else feature).to_bytes(2, "big") + _signed(threshold, TREE_BYTES)
        found += (numbers[node] if leaf else left).to_bytes(2, "big") + right.to_bytes(2, "big")
    for node in leaves:
        found += b"".join(_signed(value, TREE_BYTES) for value in tree.leaf[node].tolist())
    return bytes(found)


def _size(weights: IntArray) -> int:
    """The fewest bytes that hold each of them."""
    worst = max(int(weights.max()), -int(weights.min()) - 1, 0)
    return worst.bit_length() // 8 + 1


def _count(count: int, what: str) -> bytes:
    if count >= LEAF:
        raise Misuse(f"too many {what} for a contract", expected=f"below {LEAF}", actual=count)
    return count.to_bytes(2, "big")


def _signed(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big", signed=True)
    except OverflowError:
        raise BadInput("a number out of range", expected=f"{size} bytes", actual=value) from None
