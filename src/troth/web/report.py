"""The report of a run: one HTML file that shows what happened and checks bundles by itself, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from troth.core.errors import OutsideFailed
from troth.web import charts
from troth.web.graph import graph_svg
from troth.web.page import listed, page, percent, table, text, tokens

NATS = 65536
"""Losses are nats at this scale."""
VERIFIER = ("codec.js", "keccak.js", "curves.js", "mldsa.js", "identity.js", "ledger.js", "trust.js", "container.js",
            "verifier.js")
"""The second verifier, in the order in which its parts build on one another; it also runs under Node."""
SCRIPTS = ("graph.js", *VERIFIER, "drop.js")
_FOUND = {1: "upheld what it challenged", 2: "refuted it", 3: "upheld it without the update that was withheld"}
_NUMBERS = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight", 9: "Nine", 10: "Ten"}


def write_report(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the report of ``summary`` (as ``troth demo --json`` prints it) to ``path``: one file, nothing to fetch.

    Raises OutsideFailed if the file cannot be written.
    """
    data = report(summary).encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutsideFailed("the report cannot be written", actual=error, do="Is the disk full?") from error


def report(summary: Mapping[str, Any]) -> str:
    """The report's HTML."""
    parts = [_headline(summary), _lineage(summary), _curves(summary), _contributions(summary), _money(summary),
             _study(summary["study"], summary.get("split")), _gas(summary["gas"]), _verified(summary["verify"]),
             _check_here()]
    return page("Troth: what happened, and who says so", f"<main>{''.join(parts)}</main>", SCRIPTS)


def _hospitals(summary: Mapping[str, Any]) -> list[str]:
    """Whoever may have contributed, in order."""
    return sorted({name for row in summary["rounds"] for name in row["contributions"]})


def _change(summary: Mapping[str, Any], name: str) -> int:
    row = summary["balances"][name]
    return int(row["after"]) - int(row["before"])


def _headline(summary: Mapping[str, Any]) -> str:
    rounds, hospitals = summary["rounds"], _hospitals(summary)
    count = _NUMBERS.get(len(hospitals), str(len(hospitals)))
    first = (f"{count} hospitals trained one model in {len(rounds)} rounds. No records left a hospital, and "
             f"everybody was paid by what was measured.")
    lines = [line for row in rounds for line in (*_caught(summary, row), *_poisoners(summary, row))]
    if not any(row["caught"] for row in rounds):
        lines.insert(0, "Nobody challenged a round.")
    stale = [row for row in summary["trace"]["nodes"] if row["stale"]]
    erased = sorted({summary["names"].get(row["issuer"], "somebody") for row in summary["trace"]["nodes"]
                     if row["erased"]})
    if erased:
        lines.append(f"Afterwards {text(listed(erased))} erased its records: the model and what else rests on them, "
                     f"{len(stale)} claims, now show as stale.")
    upheld = summary["verify"]["upheld"]
    facts = [(percent(rounds[-1]["accuracy_ppm"]), "accuracy on the validation records"),
             (upheld["outcome"], "what the regulator finds about the model"),
             (f"{len(summary['trace']['nodes'])}", "claims in the model\u2019s lineage"),
             (f"{summary['seconds']} s", "for the whole run")]
    cards = "".join(f"<li><b>{text(value)}</b><span>{text(says)}</span></li>" for value, says in facts)
    story = "".join(f"<li>{line}</li>" for line in lines)
    return (f'<h1>Troth: what happened, and who says so</h1><p class="lead">{text(first)}</p>'
            f'<ul class="story">{story}</ul><ul class="facts">{cards}</ul>'
            f'<p class="soft">Play money on an embedded chain; its time is its operator\u2019s word. Privacy mode '
            f"<em>open</em>: the aggregator and the verifiers saw each update, and nobody else did.</p>")


def _caught(summary: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """What a challenge in this round led to: who doubted, which step found what, whose money moved."""
    caught = row["caught"]
    if not caught:
        return []
    why = f" ({text(caught['why'])})" if caught.get("why") else ""
    found = _FOUND.get(caught["outcome"], f"found outcome {caught['outcome']}")
    guilty = [f"<strong>{text(name)}</strong> lost its stake ({tokens(_change(summary, name), sign=True)} tokens over "
              f"the run)" for name in caught["slashed"]]
    then = f"; {listed(guilty)}" if guilty else "; nobody lost a stake"
    return [f"Round {row['round']}: <strong>{text(caught['challenger'])}</strong> doubted the aggregate{why} and "
            f"posted a bond. The verifiers executed the round again (rung 1, Rerun) and {text(found)}{then}. "
            f"Training went on from what they found."]


def _poisoners(summary: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Who lost a stake in this round without a challenge: their updates did harm, measured round after round."""
    known = (row["caught"] or {}).get("slashed", ())
    return [f"Round {row['round']}: the updates of <strong>{text(name)}</strong> had done harm round after round, by "
            f"measured contribution; its stake was forfeited ({tokens(_change(summary, name), sign=True)} tokens over "
            "the run)." for name in row["slashed"] if name not in known]


def _lineage(summary: Mapping[str, Any]) -> str:
    return ("<h2>Lineage</h2><p>Every claim the model rests on, from left to right as one builds on the other, one "
            f"lane for each party. The model is ringed.</p>{graph_svg(summary['trace'], summary['names'])}")


def _curves(summary: Mapping[str, Any]) -> str:
    rows = summary["rounds"]
    numbers = [row["round"] for row in rows]
    flagged = [row["round"] for row in rows if row["caught"]]
    loss = charts.line("Validation loss by round, in nats", numbers, [row["loss"] / NATS for row in rows],
                       lambda value: f"{value:.3f}", flagged)
    accuracy = charts.line("Validation accuracy by round", numbers, [row["accuracy_ppm"] / 10_000 for row in rows],
                           lambda value: f"{value:.1f} %", flagged)
    ring = " A ring marks a round that was challenged; its values are those the verifiers found." if flagged else ""
    cells = [(str(row["round"]), f"{row['loss'] / NATS:.4f}", percent(row["accuracy_ppm"])) for row in rows]
    return (f"<h2>The model, round by round</h2><p>Measured on the sponsor\u2019s public validation records.{ring}</p>"
            f'<div class="charts"><figure><figcaption>Loss <span>nats per record, by round</span></figcaption>{loss}'
            f"</figure><figure><figcaption>Accuracy <span>by round</span></figcaption>{accuracy}</figure></div>"
            "<details><summary>As a table</summary>"
            f"{table(['round', 'loss', 'accuracy'], cells, label='Loss and accuracy', numbers=(0, 1, 2))}</details>")


def _contributions(summary: Mapping[str, Any]) -> str:
    rows, names = summary["rounds"], _hospitals(summary)
    series = {name: [row["contributions"].get(name, 0) / NATS for row in rows] for name in names}
    chart = charts.bars("Contribution of each hospital by round", [row["round"] for row in rows], series,
                        lambda value: f"{value:.4g}")
    worth = [(text(name), *(f"{value:.2f}" for value in series[name]), f"{sum(series[name]):.2f}") for name in names]
    paid = [(text(name), *(tokens(row["payments"].get(name, 0)) for row in rows),
             tokens(sum(int(row["payments"].get(name, 0)) for row in rows))) for name in names]
    head = ["hospital", *(f"round {row['round']}" for row in rows), "all"]
    figures = range(1, len(head))
    return ("<h2>Contributions</h2><p>How much each hospital\u2019s update lowered the validation loss (its Shapley "
            "value, in nats summed over the validation records). Below the line, an update did harm.</p>"
            f"<figure class=wide>{chart}{charts.legend(names)}</figure><details><summary>As a table</summary>"
            f"{table(head, worth, label='Contributions', numbers=figures)}</details>"
            f"<h3>Paid for it, in tokens</h3>{table(head, paid, label='Payments by round', numbers=figures)}")


def _money(summary: Mapping[str, Any]) -> str:
    rows = []
    before_all = after_all = 0
    for name, row in summary["balances"].items():
        before, after = int(row["before"]), int(row["after"])
        before_all, after_all = before_all + before, after_all + after
        rows.append((text(name), tokens(before), tokens(after), tokens(after - before, sign=True)))
    total = ("sum", tokens(before_all), tokens(after_all), tokens(after_all - before_all, sign=True))
    same = "The sum is unchanged." if before_all == after_all else "The sums differ."
    return (f"<h2>Payouts and balances</h2><p>Every account before the first deal and after the last. {same}</p>"
            + table(["account", "before", "after", "change"], rows, label="Balances", numbers=(1, 2, 3), total=total))


def _study(study: Mapping[str, Any], split: Mapping[str, Any] | None) -> str:
    """Accuracy by way of training: over the study's splits and, where given, on this run's own split."""
    rows, splits = study["rows"], len(study["seeds"])
    low = min((row["low_ppm"] for row in rows), default=0)
    scale = (low - low % 10_000, 1_000_000)
    here = {row["name"]: row["mean_ppm"] for row in split["rows"]} if split else {}
    cells = []
    for row in rows:
        strong = row["name"].startswith("Troth")
        span = f"{percent(row['low_ppm'])} to {percent(row['high_ppm'])}" if row["margin_ppm"] else "one split"
        cells.append([f"<strong>{text(row['name'])}</strong>" if strong else text(row["name"]),
                      percent(row["mean_ppm"]), span,
                      charts.interval(row["low_ppm"], row["mean_ppm"], row["high_ppm"], scale,
                                      f"{row['name']}: {percent(row['mean_ppm'])}", strong),
                      *([percent(here[row["name"]]) if row["name"] in here else "\u2013"] if split else [])])
    says = f"Accuracy on records nobody trained on: {text(study['data'])}, {splits} seeded splits"
    says += ", mean with the 95 % interval of the mean" if splits > 1 else ", so no interval"
    source = f"The splits are stored results, made by <code>{text(study['command'])}</code>"
    source += "; this run\u2019s own split was computed in this run." if split else "."
    head = ["trained as", "accuracy", "95 % interval", f"{scale[0] // 10_000} % to 100 %"]
    head += ["this run"] if split else []
    return (f"<h2>Why join</h2><p>{says}. {source}</p>"
            + table(head, cells, label="Accuracy by way of training", numbers=(1, 4)))


def _gas(gas: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> str:
    """Rows as they come: names as text, integers with separators."""
    listing = gas if not isinstance(gas, Mapping) else [{"act": name, "gas": cost} for name, cost in gas.items()]
    head = list(listing[0]) if listing else ["act", "gas"]
    figures = [at for at, name in enumerate(head) if all(isinstance(row[name], int) for row in listing)]
    rows = [[f"{row[name]:,}" if at in figures else text(row[name]) for at, name in enumerate(head)]
            for row in listing]
    return ("<h2>Gas</h2><p>What the chain charged for every kind of act in this run.</p>"
            + table([name.replace("_", " ") for name in head], rows, label="Gas by act", numbers=figures))


def _verified(verify: Mapping[str, Any]) -> str:
    upheld = verify["upheld"]
    as_of = f", as of {text(upheld['as_of'])}" if upheld.get("as_of") else ""
    others = []
    if "again" in verify:
        done = sum(1 for step in verify["again"]["steps"] if "re-executed from" in step["detail"])
        others.append(f"A verifier, who holds the sealed updates, executed {done} rounds again: "
                      f"{_mark(verify['again']['outcome'])}.")
    if "alone" in verify:
        others.append(f"Without a trust file the same bundle is {_mark(verify['alone']['outcome'])}: consistent with "
                      "itself, and nobody you trust vouches for it.")
    return (f"<h2>Verification</h2><p>The model\u2019s bundle, checked offline against the regulator\u2019s trust "
            f"file: {_mark(upheld['outcome'])}{as_of}. {' '.join(others)}</p>{steps_table(upheld['steps'])}")


def steps_table(steps: Sequence[Mapping[str, Any]]) -> str:
    """The numbered steps of one verification."""
    rows = [(str(step["n"]), text(step["name"]), _mark(step["outcome"]), text(step["detail"])) for step in steps]
    made = table(["step", "what", "outcome", "detail"], rows, label="Steps of the verification")
    return made.replace("<table>", '<table class="steps">', 1)


def _mark(outcome: str) -> str:
    return f'<span class="mark {text(outcome)}">{text(outcome)}</span>'


def _check_here() -> str:
    return (
        '<h2 id="check-title">Check a bundle here, offline</h2><p>This page holds a second verifier, in '
        "JavaScript, that shares no code with the first. Nothing leaves the page. It checks the container, the "
        "statements, identities, signatures, references, batches, the log, the checkpoint, the anchor and the roles. "
        "It does not apply the policy and executes nothing again, so its best answer says what is left to "
        "<code>troth verify</code>.</p>"
        '<div id="check"><p>Drop a bundle (<code>.troth</code>) here, and your trust file with it, or choose them:</p>'
        '<label for="bundle-file">Bundle</label><input type="file" id="bundle-file" accept=".troth">'
        '<label for="trust-file">Trust file (what you believe beforehand)</label>'
        '<input type="file" id="trust-file" accept=".json,application/json">'
        '<div id="answer" aria-live="polite"></div></div>'
        "<noscript><p>Scripts are off, so this page cannot check anything.</p></noscript>")
