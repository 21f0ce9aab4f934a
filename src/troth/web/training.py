"""The page of a training: loss and score a round, what each site was paid, and what each round left on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troth.web import charts
from troth.web.page import page, percent, table, text

NATS = 65536


def training_page(result: Mapping[str, Any]) -> str:
    """The page of a result, as ``troth train --json`` prints it."""
    rows = result["rounds"]
    numbers = [row["round"] for row in rows]
    disputed = [row["round"] for row in rows if row["outcome"] != 1]
    names = result["sites"]

    def loss(value: float) -> str:
        return f"{value:.4f}"

    def share(value: float) -> str:
        return f"{value:.1f} %"

    def whole(value: float) -> str:
        return f"{value:,.0f}"

    curves = (
        _figure("Loss", charts.line("loss on the public records", numbers, [row["loss"] / NATS for row in rows], loss,
                                    disputed))
        + _figure("Score", charts.line("score on the public records", numbers,
                                       [row["score_ppm"] / 10_000 for row in rows], share, disputed)))
    paid = {name: [float(row["paid"].get(did, "0")) for row in rows] for did, name in names.items()}
    what = table(("round", "loss", "score", "updates", "outcome", "deal"), (
        (str(row["round"]), f"{row['loss'] / NATS:.4f}", percent(row["score_ppm"]), str(row["counted"]),
         _outcome(row["outcome"]), text(row["deal"][:16])) for row in rows), label="Rounds", numbers=(0, 1, 2, 3))
    money = table(("round", *names.values()), (
        (str(row["round"]), *(f"{int(row['paid'].get(did, '0')):,}" for did in names)) for row in rows),
        label="Paid", numbers=range(len(names) + 1))
    body = (f"<main><h1>{text(result['name'])}</h1><p>Model {text(result['params'][:16])}…, "
            f"{len(rows)} rounds. Score: the share predicted right, or for numbers the coefficient of determination. "
            "A ring marks a round that the verifiers settled.</p>"
            f'<h2>Curves</h2><div class="charts">{curves}</div>{what}'
            "<h2>Paid, in the token's smallest unit</h2>"
            f"{charts.bars('paid a round', numbers, paid, whole)}{charts.legend(list(names.values()))}{money}</main>")
    return page(f"Training: {result['name']}", body)


def _figure(name: str, chart: str) -> str:
    return (f"<figure><figcaption>{name} <span>on the sponsor\u2019s public records, by round</span></figcaption>"
            f"{chart}</figure>")


def _outcome(number: int) -> str:
    return {1: "upheld", 2: "refuted", 3: "without withheld updates", 4: "with omitted updates",
            5: "no sum came out"}.get(number, "?")
