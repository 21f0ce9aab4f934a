"""The gas of every act is what is committed: a change of price is seen, and committed on purpose."""

from __future__ import annotations

import importlib.util
from pathlib import Path

BENCH = Path(__file__).parents[2] / "benchmarks" / "gas.py"


def test_gas_is_the_committed_one() -> None:
    spec = importlib.util.spec_from_file_location("gas_benchmark", BENCH)
    assert spec is not None
    assert spec.loader is not None
    gas = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gas)
    found = gas.run()["gas"]
    assert len(found) > 30
    assert gas.differences(found) == {}, "if this is meant: python benchmarks/gas.py --write"
    assert gas.differences(found | {"stop": found["stop"] + 1}) == {"stop": (found["stop"], found["stop"] + 1)}
