"""``troth demo``: tells the story on the screen and leaves its results behind."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from troth.app import verify_bundle
from troth.cli import story as telling
from troth.cli.show import report_table
from troth.core.encoding import encode
from troth.core.errors import BadInput
from troth.core.verdicts import Outcome, Report
from troth.learn.claims import OMITTED, WITHHELD
from troth.learn.study import stored, why_join
from troth.verify.trust import Trust
from troth.web.report import write_report

OUTCOMES = {1: "upheld", 2: "refuted", WITHHELD: "upheld without the withheld update",
            OMITTED: "upheld with the update that was left out"}


class Screen:
    """Tells chapters and lines on ``console``, progress on stderr."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(TextColumn("  {task.description}"), BarColumn(24), TimeElapsedColumn(),
                                 console=Console(stderr=True), transient=True)
        self._task = self.progress.add_task("", total=None)

    def chapter(self, number: int, title: str) -> None:
        """A heading."""
        self.console.print(f"\n[bold]{number}. {title}[/bold]")

    def say(self, text: str) -> None:
        """A line, as it is."""
        self.console.print("  " + text, highlight=False, markup=False, soft_wrap=True)

    def step(self, done: int, of: int, what: str) -> None:
        """Progress; each step also stays as a line where there is no terminal to move a bar on."""
        self.progress.update(self._task, completed=done, total=of, description=what)
        if what.startswith("round"):
            self.say(what)


def tell(out: Path, cheat: str, console: Console, seed: int = 1) -> dict[str, Any]:
    """Run the whole story; what it leaves in ``out`` and the summary that ``--json`` prints.

    Raises Misuse for an unknown cheat or a folder with other content.
    """
    started = time.monotonic()
    screen = Screen(console)
    told = telling.Story(out, screen, cheat, seed)
    with screen.progress:
        _who_to_settlement(told, screen)
        screen.chapter(7, "Why join: accuracy on records that nobody trained on")
        study, here = stored(), why_join([seed]).to_json()
        console.print(_study_table(study, here))
        screen.say(f"this split was computed now; the {len(study['seeds'])} splits are stored, made by "
                   f"`{study['command']}`")
        screen.chapter(8, "Check")
        bundle, trust = told.publish()
        reports = _checks(told, screen, bundle, trust)
        screen.chapter(9, "Erase")
        told.erase()
        graph = told["sponsor"].trace(told.model)
        stale = [node for node in graph.nodes if node.stale]
        screen.say(f"hospital-{telling.ERASER + 1} erased its records and keys: the model and {len(stale) - 1} claims "
                   "below it are stale")
        screen.chapter(10, "See")
        summary = _summary(told, study, here, reports, graph.json(), bundle, trust)
        summary["seconds"] = round(time.monotonic() - started, 1)
        write_report(out / "report.html", summary)
        (out / "summary.json").write_bytes(encode({**summary, "seconds": str(summary["seconds"])}))
        screen.say(f"{out / 'report.html'} holds the graph, curves, payouts and gas, and checks bundles by itself")
    told.close()
    for line in _next(out, told.model.hex(), summary["seconds"]):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return summary


def _who_to_settlement(told: telling.Story, screen: Screen) -> None:
    screen.chapter(1, "Who")
    told.prepare()
    screen.say(f"{len(told.parties)} workspaces with hybrid keys (Ed25519 + ML-DSA-65) and an account each; "
               f"play money, passphrase {telling.PASSPHRASE!r}")
    screen.chapter(2, "Data: breast-cancer records, 569 x 30, split unevenly by class")
    told.list_data()
    screen.chapter(3, "Promise")
    told.promise()
    money = telling.MONEY
    reward, site, aggregator, verifier = (amount // telling.UNIT for amount in (
        money.reward, money.site_stake, money.aggregator_stake, money.verifier_stake))
    screen.say(f"each round is a deal on the embedded chain: reward {reward}; stakes {site} a hospital, {aggregator} "
               f"the aggregator, {verifier} a verifier")
    screen.say("time on an embedded chain is its operator's word, and this story moves it instead of waiting")
    screen.say("privacy mode open: the aggregator and the three verifiers see each update, and nobody else does")
    screen.chapter(4, "Training and 5. Judgement")
    told.train()
    _judgement(told, screen)
    screen.chapter(6, "Settlement")
    told.settle()
    screen.console.print(_balances(told))


def _judgement(told: telling.Story, screen: Screen) -> None:
    for record in told.rounds:
        if record.caught:
            caught = record.caught
            screen.say(f"caught in round {record.round}: {', '.join(caught['slashed']) or 'nobody'}, in the verifiers' "
                       f"re-execution (rung 1, Rerun 2 of 3: {OUTCOMES[caught['outcome']]}), called by "
                       f"{caught['challenger']}; training went on from what they found")


def _balances(told: telling.Story) -> Table:
    table = Table("account", "before", "after", "change", title="Tokens")
    for name, before in told.before.items():
        after = told.after[name]
        table.add_row(name, *(_tokens(amount) for amount in (before, after)), _tokens(after - before, sign=True))
    table.add_row("sum", *(_tokens(sum(side.values())) for side in (told.before, told.after)),
                  _tokens(sum(told.after.values()) - sum(told.before.values()), sign=True), style="bold")
    return table


def _tokens(amount: int, *, sign: bool = False) -> str:
    whole, rest = divmod(abs(amount), telling.UNIT)
    mark = "-" if amount < 0 else "+" if sign and amount else ""
    return f"{mark}{whole:,}.{rest * 100 // telling.UNIT:02d}"


def _study_table(study: dict[str, Any], here: dict[str, Any] | None = None) -> Table:
    """Accuracy by way of training: over the study's splits, and on this run's own split."""
    table = Table("trained as", f"{len(study['seeds'])} splits, mean and 95 % interval")
    if here:
        table.add_column("this split")
    for row in study["rows"]:
        cells = [row["name"], f"{row['mean_ppm'] / 10_000:.2f} % ± {row['margin_ppm'] / 10_000:.2f}"]
        own = [found["mean_ppm"] for found in here["rows"] if found["name"] == row["name"]] if here else []
        table.add_row(*cells, *(f"{found / 10_000:.2f} %" for found in own))
    return table


def _checks(told: telling.Story, screen: Screen, bundle: Path, trust_path: Path) -> dict[str, Report | str]:
    """Verify the bundle as a stranger, as a verifier, without trust, and changed."""
    trust = Trust.from_bytes(trust_path.read_bytes())
    upheld = verify_bundle(bundle, trust)
    screen.console.print(report_table(upheld))
    again = verify_bundle(bundle, trust, told["verifier-1"])
    done = [step for step in again.steps if "re-executed from" in step.detail]
    screen.say(f"as verifier-1, who holds the sealed updates: {again.outcome}, {len(done)} rounds executed again")
    alone = verify_bundle(bundle, None)
    screen.say(f"without a trust file: {alone.outcome} (status {alone.outcome.exit_status})")
    changed = bundle.with_suffix(".changed")
    data = bytearray(bundle.read_bytes())
    at = data.index(b'"contributions":[') + len(b'"contributions":[')
    data[at:at + 1] = b"7" if data[at:at + 1] != b"7" else b"8"
    changed.write_bytes(data)
    try:
        report = verify_bundle(changed, trust)
        found = next(step for step in report.steps if step.outcome is Outcome.REFUTED)
        screen.say(f"one digit of one contribution changed: {report.outcome}, step {found.n} ({found.name})")
    except BadInput as error:
        screen.say(f"one digit of one contribution changed: refused, {error.message}")
    changed.unlink()
    return {"upheld": upheld, "again": again, "alone": alone}


def _summary(told: telling.Story, study: dict[str, Any], here: dict[str, Any], reports: dict[str, Any],
             graph: dict[str, Any], bundle: Path, trust: Path) -> dict[str, Any]:
    names = {party.did: name for name, party in told.parties.items()}
    return {
        "model": told.model.hex(), "cheat": told.cheat, "seed": told.seed, "names": names,
        "bundle": str(bundle), "trust": str(trust),
        "rounds": [{"round": record.round, "deal": record.deal.hex(), "loss": record.output.loss,
                    "accuracy_ppm": record.output.score, "caught": record.caught,
                    "contributions": {names[did]: value for did, value in
                                      zip(told.plan.keys, record.output.contributions, strict=True)},
                    "payments": {names[did]: str(value) for did, value in
                                 zip(told.plan.keys, record.final.values, strict=False)},
                    "slashed": [told.account_name(account) for account in sorted(record.final.slashed)]}
                   for record in told.rounds],
        "balances": {name: {"before": str(told.before[name]), "after": str(told.after[name])} for name in told.before},
        "study": study, "split": here, "gas": told.gas(), "trace": graph,
        "verify": {name: report.json() for name, report in reports.items()},
    }


def study(console: Console) -> dict[str, Any]:
    """The 20-split study alone; its result as JSON."""
    screen = Screen(console)
    with screen.progress:
        found = why_join(progress=lambda done, of: screen.step(done, of, f"split {done} of {of}")).to_json()
    console.print(_study_table(found))
    return found


def _next(out: Path, model: str, seconds: float) -> list[str]:
    """The closing lines: what to try next, each to be copied as it is."""
    password = f"TROTH_PASSPHRASE={telling.PASSPHRASE}"
    troth = "troth" if shutil.which("troth") else sys.argv[0]
    return [
        f"\nDone in {seconds} s. Try next:\n",
        "  the numbered steps, offline; upheld",
        f"    {troth} verify {out}/model.troth --trust {out}/trust.json --offline",
        "  a verifier executes the rounds again",
        f"    {password} {troth} verify {out}/model.troth --trust {out}/trust.json --as {out}/parties/verifier-1",
        "  where the model comes from, and what is stale",
        f"    {password} {troth} trace {model} --home {out}/parties/sponsor --html {out}/trace.html",
    ]
