"""A run becomes a claim; its model leaves with a signature, a bill of materials and a card that others' tools read.

    python examples/model_for_others.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import mkdtemp

import troth
from troth import Settings, Troth, TrothError
from troth.app import formats
from troth.formats import oms

ROWS = "hours,score\n1,52\n2,58\n3,69\n4,73\n"


def fit(text: str) -> tuple[float, float, float]:
    """Least squares through the rows: slope, intercept, mean squared error."""
    rows = [tuple(map(float, line.split(","))) for line in text.splitlines()[1:]]
    mean_x, mean_y = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in rows) / sum((x - mean_x) ** 2 for x, _ in rows)
    intercept = mean_y - slope * mean_x
    return slope, intercept, sum((slope * x + intercept - y) ** 2 for x, y in rows) / len(rows)


def main(folder: Path) -> None:
    """Tell it all in ``folder``, which must not hold a workspace yet."""
    party = Troth.init(folder, "a passphrase", Settings("me", "", ""))
    rows, model = folder / "rows.csv", folder / "model"
    rows.write_text(ROWS)
    model.mkdir()

    with troth.run("line", workspace=party) as run:
        run.data(rows)
        slope, intercept, error = fit(ROWS)
        (model / "line.json").write_text(json.dumps({"slope": slope, "intercept": intercept}))
        run.param("method", "least squares")
        run.metric("mse", round(error, 6))
        run.model(model)
    assert run.claim is not None
    print("claim:", party.statement(run.claim).kind, party.statement(run.claim).body["metrics"])

    bom = json.loads(formats.export(party, run.claim, "cyclonedx"))
    cited = [one["note"] for one in bom["citations"]]
    print("bill of materials:", len(bom["components"]), "components, every sentence on", len(cited), "claim")
    card = formats.export(party, run.claim, "card")
    print("card:", next(line for line in card.decode().splitlines() if line.startswith("- mse")))
    try:
        formats.check_export(party, run.claim, "card", card.replace(b"2.05", b"0.05"))
    except TrothError as refused:
        print("a nicer number:", refused.message)

    signed = formats.sign_model(party, run.claim, model, folder / "model.sig")
    print("signed:", oms.verify(signed.bundle, model, key=signed.key).files)
    (model / "line.json").write_text("{}")
    try:
        oms.verify(signed.bundle, model, key=signed.key)
    except TrothError as refused:
        print("another model:", refused.message)
    party.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(mkdtemp()))
