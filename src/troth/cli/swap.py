"""Swaps across two chains (docs/reference/swap.md)."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, read_file, show, workspace, write_file
from troth.core.errors import BadInput, Pending
from troth.core.times import moment

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.flows.swap import Swap

PAUSE = 5.0
"""Seconds between two looks at the chains."""
swap_app = typer.Typer(no_args_is_help=True, help="Swaps across two chains: both sides or none.")
app.add_typer(swap_app, name="swap")
File = Annotated[Path, typer.Argument(help="The swap's file.")]


@swap_app.command()
def propose(wish: Annotated[Path, typer.Argument(help="What is given and wanted: a TOML file.")],
            contracts: Annotated[Path, typer.Option("--other-contracts", help="Contracts on the other chain.")],
            output: Annotated[Path, typer.Option("-o", "--output", help="Where the swap's file goes.")],
            home: Where = None, as_json: Json = False) -> None:
    """Write a swap's file as its maker, with a new secret's hash and safe deadlines. Nothing moves."""
    # Imported here and below: start-up of --help must not load chains.
    from troth.app.swapping import Wish
    from troth.ledger.deploy import Contracts

    try:
        wished = Wish.of(tomllib.loads(read_file(wish).decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{wish} cannot be read", actual=error, do="docs/reference/swap.md shows one.") from None
    with workspace(home) as party:
        swap = party.propose_swap(wished, Contracts.decode(read_file(contracts)))
        write_file(output, swap.encode())
        show({"lock": swap.lock.hex(), "file": str(output)}, as_json)


@swap_app.command("show")
def show_swap(file: File, home: Where = None, as_json: Json = False) -> None:
    """What both legs move, and where they stand."""
    with workspace(home) as party:
        swap = _read(file)
        show(_whole(party, swap), as_json, lambda: _text(swap, party.swap_standing(swap)))


@swap_app.command()
def step(file: File, wait: Annotated[bool, typer.Option("--wait", help="Until nothing is left to do.")] = False,
         home: Where = None, as_json: Json = False) -> None:
    """Do what is next and safe for this party; exit status 4 while it must wait."""
    done: list[str] = []
    with workspace(home) as party:
        seat = party.swap_seat(_read(file))
        while True:
            try:
                done.append(seat.step())
                typer.echo(done[-1], err=True)
            except Pending as pending:
                if not wait:
                    raise
                if not done or done[-1] != pending.message:
                    done.append(pending.message)
                    typer.echo(pending.message, err=True)
                time.sleep(PAUSE)
            if not wait or done[-1] == "done":
                break
    show({"did": done[-1]}, as_json)


def _read(file: Path) -> Swap:
    from troth.flows.swap import Swap  # start-up time, as above

    return Swap.decode(read_file(file))


def _whole(party: Troth, swap: Swap) -> dict[str, Any]:
    now = party.swap_standing(swap)
    return {"lock": swap.lock.hex(), "margin": swap.margin, "first": {**swap.first.body(), **now["first"]},
            "second": {**swap.second.body(), **now["second"]}}


def _text(swap: Swap, standing: dict[str, Any]) -> str:
    lines = []
    for name, leg in (("first", swap.first), ("second", swap.second)):
        now = standing[name]
        secret = ", secret revealed" if now["revealed"] else ""
        deadline = f", secret due before {moment(now['deadline'])}" if now["deadline"] and not now["revealed"] else ""
        final = ", final" if now["final"] else ""
        lines.append(f"{name}: chain {leg.chain_id}, {leg.amount} of 0x{leg.token.hex()}\n"
                     f"  from 0x{leg.giver.hex()} to 0x{leg.getter.hex()}\n  {now['status']}{final}{deadline}{secret}")
    lines.append(f"between the deadlines: {swap.gap} s or more, in which the taker must step")
    return "\n".join(lines)
