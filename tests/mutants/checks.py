"""What a mutated tree is held to. Each check gives the first thing that noticed the mutant, or None if nothing did.

Run in a process of its own whose ``sys.path`` begins with the mutated tree; imports of the package are inside the
functions for that reason alone.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

PYTHON_TESTS = ["tests/core/test_deals_terms.py", "tests/core/test_deals_boundaries.py", "tests/core/test_payouts.py",
                "tests/core/test_deals_pure.py",
                "tests/core/test_deals_attacks.py"]
CONTRACT_TESTS = ["tests/stateful/test_terms_twins.py", "tests/stateful/test_boundaries_on_chain.py",
                  "tests/contracts/test_attacks_on_chain.py"]
POLICY_TESTS = ["tests/verify_policies/test_policies.py"]


def record(root: Path, traces: Path, examples: int) -> str | None:
    """Record the machine's runs into ``traces``, all of them, and the covering ones beside."""
    from mutants import traces as runs  # of the tree under test, see above
    from ports.evm_world import EvmWorld

    world = EvmWorld()
    found = runs.record(world.addresses, examples)
    world.close()
    runs.save(traces, found)
    few = runs.covering(found)
    runs.save(traces.with_suffix(".few"), few)
    acts = sum(len(trace.events) for trace in few.traces)
    whole = sum(len(trace.events) for trace in found.traces)
    return f"{len(found.traces)} runs with {whole} acts; {len(few.traces)} of them with {acts} acts show all of it"


def python(root: Path, traces: Path) -> str | None:
    """The recorded runs on ``MemoryBook``, then the tests of terms and of attacks."""
    from mutants import traces as runs  # of the tree under test, see above

    wrong = runs.replay_in_memory(runs.load(traces))
    return f"state machine: {wrong}" if wrong else tests(PYTHON_TESTS)


def contract(root: Path, traces: Path) -> str | None:
    """The covering runs on the contract, then the tests of terms and of attacks there."""
    from mutants import traces as runs  # of the tree under test, see above
    from ports.evm_world import EvmWorld
    from stateful.machine import endow
    from stateful.test_deals_twins import stored_balance

    place = Path(tempfile.mkdtemp(prefix="troth-mutant-"))
    try:
        origin = EvmWorld(place / "origin")
        endow(origin)
        origin.close()
        for index, trace in enumerate(runs.load(traces.with_suffix(".few")).traces):
            world = EvmWorld(place / str(index), origin=origin)
            wrong = runs.replay(trace, world, lambda who, world=world: stored_balance(world, who))
            world.close()
            if wrong is not None:
                return f"state machine: {wrong}"
    finally:
        shutil.rmtree(place)
    return tests(CONTRACT_TESTS)


def policies(root: Path, traces: Path) -> str | None:
    """The policies' own cases, Python's and the contracts'."""
    return tests(POLICY_TESTS)


def tests(files: list[str]) -> str | None:
    """Run tests until one fails; which."""
    import pytest  # beside its one use, so that the parent need not have it

    status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", *files])
    return None if status == 0 else f"tests: status {int(status)}"
