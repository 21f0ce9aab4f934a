"""``troth agent watch``: the account's limits, the journal, and a stop button, drawn in the terminal."""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from troth.cli.parts import visible
from troth.core.times import moment

if TYPE_CHECKING:
    from troth.agents.gate import GateState
    from troth.agents.journal import Entry
    from troth.app.agent import Board

LINES = 12
BAR = 24
_COLOURS = {"done": "green", "refused": "yellow", "failed": "red", "unknown": "red"}


def draw(board: Board, told: str = "") -> RenderableType:
    """What is shown. told: what the last key did."""
    parts: list[RenderableType] = []
    if board.state is not None:
        parts.append(_account(board.state))
    parts.append(_journal(board.entries))
    if board.unclaimed:
        parts.append(Text(f"{len(board.unclaimed)} of the account's records are in no journal here", style="bold red"))
    keys = "s stops the account   q leaves" if board.state is not None else "q leaves"
    parts.append(Text(f" {keys}   ", style="dim") + Text(visible(told), style="bold"))
    return Group(*parts)


def _account(state: GateState) -> Panel:
    limits, standing = state.limits, state.standing
    if standing.stopped:
        mark, colour = "STOPPED by its owner", "red"
    elif standing.tripped:
        mark, colour = "TRIPPED: its owner must reset it", "red"
    elif state.now > limits.expiry:
        mark, colour = "EXPIRED", "red"
    else:
        mark, colour = "acts within its limits", "green"
    table = Table.grid(padding=(0, 2))
    table.add_row("account", f"0x{state.account.hex()}")
    table.add_row("holds", str(state.balance))
    table.add_row("today", _bar(state.spent_today, limits.per_day))
    table.add_row("one act", f"at most {limits.per_act}")
    table.add_row("until", moment(limits.expiry, state.now))
    sure = f"{limits.agree} of {len(limits.verifiers)} verifiers sure by {limits.confidence / 100:g} %" \
        if limits.confidence else "nobody is asked"
    table.add_row("confidence", sure)
    if limits.strikes:
        table.add_row("strikes", _bar(standing.strikes, limits.strikes))
    table.add_row("payees", str(len(limits.payees)))
    return Panel(table, title=Text(mark, style=f"bold {colour}"), title_align="left", border_style=colour)


def _bar(part: int, whole: int) -> Text:
    filled = BAR if whole == 0 else min(BAR, BAR * part // whole)
    colour = "red" if part >= whole else "yellow" if 2 * part >= whole else "green"
    return Text("█" * filled, style=colour) + Text("░" * (BAR - filled), style="dim") + Text(f" {part} of {whole}")


def _journal(entries: tuple[Entry, ...]) -> Panel:
    table = Table(box=None, expand=True, padding=(0, 1))
    for name in ("when", "tool", "amount", "to", "outcome", "sure"):
        table.add_column(name, justify="right" if name in ("amount", "sure") else "left", no_wrap=True)
    for entry in entries[-LINES:]:
        payment, outcome = entry.intent.payment, entry.outcome
        word = "under way" if outcome is None else outcome.outcome
        shown = Text(word, style=_COLOURS.get(word, "cyan"))
        if outcome is not None and outcome.reason:
            shown += Text(f" {visible(outcome.reason)}", style="dim")
        sure = f"{outcome.level / 100:g} %" if outcome is not None and outcome.said_by else ""
        table.add_row(time.strftime("%H:%M:%S", time.gmtime(entry.at)), visible(entry.intent.tool),
                      str(payment.amount) if payment else "", f"0x{payment.payee.hex()[:8]}…" if payment else "", shown,
                      sure)
    left = len(entries) - LINES
    title = f"journal, {len(entries)} acts" + (f" ({left} earlier ones not shown)" if left > 0 else "")
    return Panel(table if entries else Text("nothing yet", style="dim"), title=title, title_align="left")


@contextlib.contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Reads single keys from the terminal: called with seconds to wait, gives a key or nothing. None without one."""
    if not sys.stdin.isatty():
        def wait(seconds: float) -> str:
            time.sleep(seconds)
            return ""
        yield wait
        return
    import termios  # no terminal, no termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield lambda seconds: sys.stdin.read(1) if select.select([sys.stdin], [], [], seconds)[0] else ""
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
