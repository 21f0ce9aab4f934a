"""``troth demo person``: one person's story on the screen, and its results in a folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from troth.cli.demo import Screen
from troth.cli.person_model import ModelStory
from troth.cli.person_story import PersonStory
from troth.cli.story import clear
from troth.core.errors import Misuse
from troth.core.verdicts import Outcome

CHEATS = ("all", "none")


def tell(out: Path, cheat: str, console: Console) -> dict[str, Any]:
    """Run the whole story; what it leaves in ``out``, and the summary that ``--json`` prints.

    Raises Misuse for an unknown cheat or a folder with other content.
    """
    if cheat not in CHEATS:
        raise Misuse("no such cheat in this story", expected=", ".join(CHEATS), actual=cheat)
    started = time.monotonic()
    clear(out)
    screen = Screen(console)
    story = PersonStory(out, screen, cheat == "all")
    model = ModelStory(story)
    try:
        chapters = (("Ten people and a chain", story.begin), ("A linguist sells annotated words", story.list_words),
                    ("An agent goes shopping", story.send_agent), ("The goods", story.deliver),
                    ("A rented machine", story.rent), ("A model", model.train), ("Answers for sale", model.sell),
                    ("Royalties", model.royalties))
        for number, (title, tell_it) in enumerate(chapters, 1):
            screen.chapter(number, title)
            tell_it()
        screen.chapter(len(chapters) + 1, "Check")
        bundle, trust, report = model.publish()
        used = model.used()
        screen.say(f"was the linguist's work used in this model? {used.outcome}")
        screen.say(f"the model's bundle: {report.outcome}; again: troth verify {bundle} --trust {trust} --offline")
        console.print(journal_table(story))
        console.print(gains_table(story))
        summary = model.summary(time.monotonic() - started) | {"used": str(used.outcome), "verify": str(report.outcome)}
        if {used.outcome, report.outcome} != {Outcome.UPHELD}:
            raise AssertionError("the story's own check does not hold")
        (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
        screen.say(f"{summary['seconds']} s; everything is in {out}/")
        return summary
    finally:
        story.close()


def journal_table(story: PersonStory) -> Table:
    """What the agent meant to do, and what came of it."""
    table = Table(title="the agent's journal, as its owner has it", title_justify="left")
    for name in ("step", "tool", "what it moves", "came to"):
        table.add_column(name)
    for entry in story.journal():
        payment, outcome = entry.intent.payment, entry.outcome
        moves = "" if payment is None or not payment.amount else f"{payment.amount} to 0x{payment.payee.hex()[:8]}…"
        came = "" if outcome is None else f"{outcome.outcome} {outcome.reason}".strip()
        table.add_row(str(entry.intent.step), entry.intent.tool, moves, came)
    return table


def gains_table(story: PersonStory) -> Table:
    """What everybody gained."""
    table = Table(title="who gained what", title_justify="left")
    table.add_column("who")
    table.add_column("gain", justify="right")
    for name, gain in story.gains().items():
        table.add_row(name, f"{gain:+}")
    return table
