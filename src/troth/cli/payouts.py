"""Payouts to many under one root: publish the list, check it before upholding, collect (docs/reference/deals.md)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, deal_app, deal_id, read_file, show, workspace
from troth.core.errors import BadInput

if TYPE_CHECKING:
    from troth.app.paying import Listed

payouts_app = typer.Typer(no_args_is_help=True, help="Payouts to many under one root.")
deal_app.add_typer(payouts_app, name="payouts")
List = Annotated[str | None, typer.Option("--list", metavar="CID", help="This list, and no other.")]
Due = Annotated[Path | None, typer.Option("--expect", help="Payees as they should be: CSV or JSON.")]
HEAD = ["account", "amount"]


@payouts_app.command()
def publish(deal: str, pot: Annotated[int, typer.Argument(min=0, help="Which pot pays: 0 for the first.")],
            file: Annotated[Path, typer.Argument(help="CSV or JSON of account and amount.")],
            home: Where = None, as_json: Json = False) -> None:
    """Keep a list of payees in the store and attest it; prints the root and the total that a result must name."""
    # Imported here and below: start-up of --help must not load chains.
    from troth.app.paying import publish_payouts
    from troth.core.terms import UPHELD, Result

    payees = payees_of(read_file(file))
    with workspace(home) as party:
        found = publish_payouts(party, deal_id(party, deal), pot, payees)
        payouts = found.payouts
        answer = Result(UPHELD, root=payouts.tree.root, total=payouts.total).to_bytes()
        show(_said(found) | {"result": answer.hex()}, as_json)


@payouts_app.command()
def check(deal: str, cid: List = None, expect: Due = None,
          home: Where = None, as_json: Json = False) -> None:
    """Check the list behind a deal's result before upholding it: 0 right, 1 wrong, 3 not to be found, 4 no result."""
    from troth.app.paying import check_payouts  # start-up time

    due = None if expect is None else payees_of(read_file(expect))
    with workspace(home) as party:
        show({"outcome": "upheld"} | _said(check_payouts(party, deal_id(party, deal), cid=cid, expect=due)), as_json)


@payouts_app.command()
def collect(deal: str, cid: List = None,
            everybody: Annotated[bool, typer.Option("--everybody", help="All payees, at this party's cost.")] = False,
            home: Where = None, as_json: Json = False) -> None:
    """Collect what a closed deal's list pays this party. What was collected already is passed over."""
    from troth.app.paying import collect_payouts  # start-up time

    with workspace(home) as party:
        found, amount = collect_payouts(party, deal_id(party, deal), cid=cid, everybody=everybody)
        show({"list": found.cid, "amount": str(amount)}, as_json)


def payees_of(data: bytes) -> list[tuple[bytes, int]]:
    """Payees from CSV (account,amount; a first line of these words is passed over) or JSON (a list of objects with
    these two, the amount as text). Raises BadInput that names the line.
    """
    from troth.core.encoding import amount, from_hex, take  # start-up time, as above

    try:
        text = data.decode("utf-8-sig")
        if text.lstrip()[:1] == "[":
            rows = [take(entry, account=str, amount=str) for entry in json.loads(text)]
        else:
            rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), strict=True) if row]
            rows = rows[1:] if rows[:1] == [HEAD] else rows
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, csv.Error) as error:
        raise BadInput("a list of payees that cannot be read", expected="CSV or JSON of account and amount",
                       actual=error) from None
    found = []
    for line, row in enumerate(rows, 1):
        try:
            account, value = row
            found.append((from_hex(account.lower().removeprefix("0x"), 20), amount(value)))
        except (ValueError, BadInput):
            raise BadInput(f"payee {line} cannot be read", expected="ACCOUNT,AMOUNT: 20 bytes in hex, decimal digits",
                           actual=", ".join(row)) from None
    return found


def _said(found: Listed) -> dict[str, Any]:
    payouts = found.payouts
    return {"claim": found.claim.hex() if found.claim else None, "list": found.cid, "root": payouts.tree.root.hex(),
            "total": str(payouts.total), "payees": len(payouts.payees)}
