"""Four hospitals train one model for pay, and nobody sees an update but its owner: masked rounds as deals, on real
records. One of them falls silent in the middle of a sum; a verifier sums every round again from its transcript.

    python examples/train_behind_masks.py

Needs ``pip install 'troth[learn]'`` for the records. What a masked round can and cannot do: docs/reference/masking.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from troth import Troth
from troth.app import verify_bundle
from troth.app.rounds import read
from troth.app.training import Coordinator
from troth.core.encoding import decode_object
from troth.core.errors import OutsideFailed
from troth.core.verdicts import Outcome
from troth.identity.messages import Message
from troth.learn.data import Part
from troth.learn.engines import Answer, Engine
from troth.learn.engines.inprocess import InProcessEngine
from troth.learn.sets import consortium
from troth.verify.trust import Trust

ROUNDS, SILENT = 2, 2
HOSPITALS = ("east", "north", "south", "west")
MONEY = {"reward": 3_000, "fee": 200, "keeper": 50, "site_stake": 2_100, "aggregator_stake": 7_000,
         "verifier_stake": 1_000, "verifier_fee": 300, "bond": 500}


def table(part: Part, path: Path) -> None:
    """A hospital's file: numbers as people write them."""
    unit, schema = 10**part.schema.decimals, part.schema
    lines = [",".join((schema.label, *(f'"{name}"' for name in schema.columns)))]
    lines += [",".join((schema.classes[label], *(f"{number / unit:.{schema.decimals}f}" for number in row)))
              for label, row in zip(part.labels.tolist(), part.features.tolist(), strict=True)]
    path.write_text("\n".join(lines) + "\n")


class Silent:
    """An engine between which and the south hospital the line is cut: in round SILENT, once it said it takes part."""

    def __init__(self, home: Coordinator, local: Mapping[str, Answer]) -> None:
        south = home["south"].did

        def answer(call: bytes) -> bytes:
            said = decode_object(Message.from_bytes(call).body)
            if (said["act"], said["round"]) == ("sum", SILENT):
                raise OutsideFailed("the line is cut")
            return local[south](call)

        self._engine = InProcessEngine({**local, south: answer})

    def ask(self, *words: Any) -> Mapping[str, bytes]:
        """As any engine."""
        return self._engine.ask(*words)


def main() -> int:
    """Print each round and what was paid; 0 when the model has learned and every round was summed again."""
    folder, split = Path(mkdtemp()), consortium(1)
    for name, part in zip((*HOSPITALS, "validation"), (*split.sites, split.validation), strict=True):
        table(part, folder / f"{name}.csv")
    schema = split.validation.schema
    file = read({
        "round": {"name": "four hospitals", "rounds": ROUNDS, "privacy": "masked"},
        "schema": {"columns": list(schema.columns), "decimals": schema.decimals, "label": schema.label,
                   "classes": list(schema.classes)},
        "validation": {"file": "validation.csv"}, "money": MONEY, "verifiers": {"count": 1},
        "sites": {name: f"{name}.csv" for name in HOSPITALS}}, folder / "ROUND.toml")

    def engine(local: Mapping[str, Answer]) -> Engine:
        return Silent(home, local)

    with Coordinator(file, folder / "training", "a passphrase", say=lambda text: None, engine=engine) as home:
        home.prepare()
        plan = home.gather()
        rows = home.run(plan, lambda row: print(
            f"round {row.round}: {row.counted} of {len(HOSPITALS)} in the sum, {row.score / 10_000:.1f} % right, "
            f"paid {', '.join(str(row.paid[home[name].did]) for name in HOSPITALS)}"))
        found = home.finish(plan, rows)
    with Troth.open(folder / "training" / "parties" / "verifier-1", "a passphrase") as verifier:
        verifier.receive()
        report = verify_bundle(Path(found["bundle"]), Trust.from_bytes(Path(found["trust"]).read_bytes()), verifier)
    again = [step.detail for step in report.steps if "summed again" in step.detail]
    print(f"a verifier checks the model's bundle: {report.outcome.value}, {len(again)} rounds {again[-1]}")
    return 0 if report.outcome is Outcome.UPHELD and len(again) == ROUNDS and rows[-1].score > 900_000 else 1


if __name__ == "__main__":
    raise SystemExit(main())
