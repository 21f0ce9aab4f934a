"""An answer on the chain: a proof checked there, against the model executed there, by the size of the model.

Gas on the embedded chain (Prague's prices), each in a transaction of its own: 21,000 and the bytes of the input are in
every figure. ``publish`` is paid once: for the proof it is the key's, which with committed weights serves every model
of its architecture. The proof's price does not depend on the model; 8-bit weights, inputs of ten bits.

Run: python benchmarks/answers.py
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from groth16_setups import Setup
from troth.core.encoding import keccak256
from troth.core.errors import Misuse
from troth.fixed.program import Affine, Clamp, Forest, Program, Rescale, Step, Tree
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.deploy import deploy
from troth.ledger.kept import kept_name
from troth.ledger.programs import chain_code, run_call, run_on_chain
from troth.ledger.sending import Sender
from troth.verify.policies.proof import key_name

FEATURES = 30


def network(*sizes: int) -> Program:
    """Layers of these sizes with ReLU between them."""
    rng, steps = np.random.default_rng(sum(sizes)), []
    for number, (wide, out) in enumerate(pairwise(sizes)):
        made: list[Step] = [Affine(len(steps), rng.integers(-127, 128, (out, wide)), rng.integers(-999, 999, out))]
        steps += made
        if number < len(sizes) - 2:
            steps += [Rescale(len(steps), 7), Clamp(len(steps) + 1, 0, 1 << 20)]
    low, high = np.full(sizes[0], -512), np.full(sizes[0], 511)
    return Program(low, high, tuple(steps), "sign" if sizes[-1] == 1 else "largest")


def forest(trees: int, depth: int) -> Program:
    """Whole trees of this depth."""
    rng, nodes, inner = np.random.default_rng(trees), 2 ** (depth + 1) - 1, 2**depth - 1
    places = np.arange(nodes)

    def one() -> Tree:
        split = places < inner
        return Tree(np.where(split, rng.integers(0, FEATURES, nodes), -1),
                    np.where(split, rng.integers(-500, 500, nodes), 0), np.where(split, 2 * places + 1, 0),
                    np.where(split, 2 * places + 2, 0),
                    np.where(split, 0, rng.integers(-9999, 9999, nodes))[:, None])

    return Program(np.full(FEATURES, -512), np.full(FEATURES, 511),
                   (Forest(0, tuple(one() for _ in range(trees)), np.array([5])),), "sign")


MODELS = {"logistic regression, 30 features": network(FEATURES, 1), "network 30-8-2": network(FEATURES, 8, 2),
          "network 30-32-2": network(FEATURES, 32, 2), "network 30-64-32-2": network(FEATURES, 64, 32, 2),
          "network 30-128-64-2": network(FEATURES, 128, 64, 2), "network 784-24-10": network(784, 24, 10),
          "tree of depth 4": forest(1, 4), "20 trees of depth 3": forest(20, 3), "100 trees of depth 3": forest(100, 3),
          "100 trees of depth 4": forest(100, 4)}


def run(quick: bool = False) -> dict[str, Any]:
    """Gas by model, and what a proof of four publics costs (``quick`` changes nothing)."""
    with EmbeddedChain(None, clock=ManualClock(1_700_000_000)) as chain:
        sender = Sender(chain.web3, keccak256(b"answers"))
        contracts = deploy(sender, supply=None)
        programs, proof = contracts["programs"].address, _proof(sender, contracts["keys"].address,
                                                                contracts["proof"].address)
        found: dict[str, Any] = {}
        for name, program in MODELS.items():
            try:
                code = chain_code(program)
            except Misuse:
                found[name] = {"weights": program.weights, "executed": None, "why": "more than an account's code holds"}
                continue
            published = sender.send(programs, _publish(code)).gas_used
            inputs = [((37 * at) % 1023) - 511 for at in range(len(program.low))]
            gas = sender.send(programs, run_call(kept_name(code), inputs)).gas_used
            assert run_on_chain(chain.web3, programs, program, inputs) == program.run(np.array([inputs]))[0].tolist()
            found[name] = {"weights": program.weights, "bytes": len(code), "publish": published, "executed": gas,
                           "of the proof": round(gas / proof["checked"], 2)}
        return {"headlines": {name: one["executed"] for name, one in found.items()} | {"proof": proof["checked"]},
                "proof": proof, "executed": found}


def _proof(sender: Sender, keys: bytes, policy: bytes) -> dict[str, int]:
    """A proof of four publics: publishing its key, and checking it alone."""
    from eth_abi.abi import encode

    setup, rest = Setup(4), (11, 22, 33)
    published = sender.send(keys, _publish(setup.key.data)).gas_used
    data = encode(["bytes32", "bytes", "uint256", "bytes"], [
        key_name(setup.key), setup.forge((5, *rest)).data, 5, b"".join(one.to_bytes(32, "big") for one in rest)])
    return {"publish": published,
            "checked": sender.send(policy, keccak256(b"holds(bytes32,bytes,uint256,bytes)")[:4] + data).gas_used}


def _publish(data: bytes) -> bytes:
    from eth_abi.abi import encode

    return keccak256(b"publish(bytes)")[:4] + encode(["bytes"], [data])


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
