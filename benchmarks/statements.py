"""Statements in zero knowledge: constraints, and processor seconds to set up, prove and verify, on one core.

Fairness over 4,096 decisions in one proof, and over 100,000 in a chain of ten parts; one record, membership, a step of
training, and the key of a sealed file. Quick: only the small ones, and fairness over 512 and 5,000 decisions.

Run: python -m benchmarks statements
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from troth.compute.provers.groth16 import Groth16
from troth.compute.provers.port import Keys
from troth.compute.statements.audits import Fairness
from troth.compute.statements.keyfit import KeyFit
from troth.compute.statements.parts import FairnessPart, prove_chain, verify_chain
from troth.compute.statements.records import Member, Members, Within, identity_of, member_of, scope_of
from troth.compute.statements.statement import Instance, Statement, prove, verify, without_prover
from troth.compute.statements.tables import Column, Layout, Table
from troth.compute.statements.training import Step
from troth.store import sealing, unixfs
from troth.store.cid import Cid
from troth.store.memory import MemoryBlobs

PROVER = Groth16()
CONTEXT, KEY, SECRET = 7, bytes(range(32)), 123456789
DECISIONS = (Column("group", 0, 1), Column("decision", 0, 1))
_T = TypeVar("_T")


def timed(act: Callable[[], _T]) -> tuple[_T, float]:
    """What it gives, and processor seconds."""
    before = time.process_time()
    found = act()
    return found, round(time.process_time() - before, 2)


def one(statement: Statement, instance: Instance) -> dict[str, Any]:
    """The figures of one statement."""
    circuit, built = timed(lambda: statement.circuit)
    keys, setup = timed(lambda: PROVER.setup(circuit))
    proven, proving = timed(lambda: prove(statement, instance, CONTEXT, PROVER, keys))
    publics = {"context": CONTEXT, **instance.publics}
    _, checked = timed(lambda: verify(proven, statement, publics, keys.verifying, PROVER.verify))
    _, alone = timed(lambda: verify(proven, statement, publics, keys.verifying, without_prover))
    return {"constraints": circuit.constraints, "build": built, "setup": setup, "prove": proving, "verify": checked,
            "verify without a prover": alone}


def decisions(rows: int) -> list[tuple[int, int]]:
    """Made up, the groups three points apart."""
    drawn = random.Random(7)
    groups = [int(drawn.random() < 0.4) for _ in range(rows)]
    return [(group, int(drawn.random() < (0.50 if group else 0.53))) for group in groups]


def fairness(rows: int) -> dict[str, Any]:
    """In one proof."""
    layout = Layout.dense(DECISIONS, rows)
    table, committing = timed(lambda: Table.of(layout, decisions(rows), KEY))
    _, more = timed(lambda: table.commitment)
    statement = Fairness(layout, "group", "decision")
    return {"commit": round(committing + more, 2), **one(statement, statement.instance(table, 100_000, 10))}


def chained(rows: int, per_leaf: int) -> dict[str, Any]:
    """In a chain of parts of eight leaves."""
    table = Table.of(Layout(DECISIONS, rows, per_leaf), decisions(rows), KEY)
    _, committing = timed(lambda: table.commitment)
    first, held, setups = FairnessPart(table.layout, "group", "decision", 3), dict[str, Keys](), 0.0

    def keys(statement: Statement) -> Keys:
        nonlocal setups
        if statement.circuit.digest not in held:
            held[statement.circuit.digest], took = timed(lambda: PROVER.setup(statement.circuit))
            setups += took
        return held[statement.circuit.digest]

    chain, proving = timed(lambda: prove_chain(first, table, 100_000, 10, CONTEXT, PROVER, keys))
    publics = {"context": CONTEXT, "commitment": table.commitment, "limit": 100_000, "least": 10}
    _, checked = timed(lambda: verify_chain(chain, first, publics, lambda at: keys(at).verifying, PROVER.verify))
    return {"parts": len(chain.parts), "constraints of a part": first.circuit.constraints, "commit": committing,
            "setup": round(setups, 2), "prove, with building": round(proving - setups, 2), "verify": checked,
            "bytes": len(chain.to_bytes())}


def record() -> dict[str, Any]:
    """A score in a range, one of 4,096 records."""
    layout = Layout((Column("score", 300, 850), Column("born", 1, 1 << 22)), 4096)
    table = Table.of(layout, [(300 + at % 551, 700_000 + at) for at in range(4096)], KEY)
    statement = Within(layout, "score")
    return one(statement, statement.instance(table, 500, low=700))


def member() -> dict[str, Any]:
    """One act a scope, of a set of 2^20 places, with an age."""
    layout = Layout((Column("age", 0, 150),), 1)
    age = Table.of(layout, [(20,)], KEY)
    members = Members([member_of(identity_of(at), age.commitment) for at in (*range(1, 50), SECRET)], 20)
    statement = Member(20, layout, "age")
    return one(statement, statement.instance(members, SECRET, scope_of("ballot"), age, low=18))


def training() -> dict[str, Any]:
    """A step over 256 rows of four features."""
    layout = Layout((*(Column(f"x{at}", -1000, 1000) for at in range(4)), Column("y", 0, 1)), 256, 64)
    rows = [[*((at * (place + 3) * 7919) % 2001 - 1000 for place in range(4)), at % 2] for at in range(256)]
    statement, table = Step(layout, "y", 24, 1000, 12, 12), Table.of(layout, rows, KEY)
    before, after = [0] * 5, Step(layout, "y", 24, 1000, 12, 12).step(table, [0] * 5)
    held = [Table.of(statement.weights, [weights], KEY) for weights in (before, after)]
    return one(statement, statement.instance(table, *held))


def key() -> dict[str, Any]:
    """The data key of a sealed file."""
    blobs = MemoryBlobs()
    sealed = sealing.seal(io.BytesIO(b"what is sold"), blobs, KEY)
    header = sealing.Header.read(next(unixfs.blocks(Cid.parse(str(sealed.cid)), blobs)))
    return one(KeyFit(), KeyFit().instance(header, KEY, SECRET))


def run(quick: bool = False) -> dict[str, Any]:
    """Everything; see above."""
    found = {"a score of 4,096 records": record(), "member of 2^20, and an age": member(),
             "a step of training, 256 rows": training()}
    if quick:
        return found | {"fairness, 512 rows": fairness(512), "fairness, 5,000 rows": chained(5000, 250)}
    return found | {"fairness, 4,096 rows": fairness(4096), "fairness, 100,000 rows": chained(100_000, 1250),
                    "key of a sealed file": key()}
