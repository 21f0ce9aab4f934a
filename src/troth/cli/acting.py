"""Commands for acts on the chain: what is under way, requests for a relayer, carrying them, keeping deals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, chain_app, claim_id, deal_app, deal_id, read_file, show, workspace, write_file
from troth.core.errors import BadInput, Misuse

if TYPE_CHECKING:
    from troth.app import Troth

PAUSE = 15.0
"""Seconds between two rounds of a keeper."""
Reader = Callable[["Troth", str], Any]
Until = Annotated[str | None, typer.Option("--wait", help="Until all are included, safe or finalized.")]
Worth = Annotated[list[str] | None, typer.Option("--worth", metavar="TOKEN=WEI", help="Wei that a unit is worth.")]
Loss = Annotated[bool, typer.Option("--at-a-loss", help="Also what costs more than it earns.")]


@chain_app.command("acts")
def chain_acts(wait: Until = None, home: Where = None, as_json: Json = False) -> None:
    """What this party was asked to do on the chain, and how far each act is; goes on with what is under way."""
    with workspace(home) as party:
        party.sender.tend()
        if wait is not None:
            for one in party.sender.acts():
                if one.state not in ("failed", "expired"):
                    party.sender.wait(one.act, wait)
        found: list[dict[str, Any]] = [
            {"act": one.act.hex(), "state": one.state, "nonce": one.nonce, "note": one.note, "block": one.block_number,
             "transaction": None if one.tx_hash is None else "0x" + one.tx_hash.hex()}
            for one in party.sender.acts()]
        show({"acts": found}, as_json, lambda: "\n".join(
            f"{one['act'][:16]}  {one['state']:9}  {_place(one)}".rstrip() for one in found) or "nothing was asked for")


@deal_app.command("request")
def deal_request(act: Annotated[str, typer.Argument(help="join, submit, judge, challenge, close, sweep or withdraw.")],
                 values: Annotated[list[str], typer.Argument(help="The deal and what the act takes, see the page.")],
                 output: Annotated[Path, typer.Option("-o", "--output")],
                 hours: Annotated[int, typer.Option("--hours", min=1, help="How long it is good for.")] = 24,
                 home: Where = None, as_json: Json = False) -> None:
    """Sign an act of this party's for somebody else to carry and pay for. Nothing is sent."""
    readers = _readers(act, values)
    with workspace(home) as party:
        given = [read(party, value) for read, value in zip(readers, values, strict=True)]
        one = party.request(act, *given, life=hours * 3600)
        write_file(output, one.encode())
        show({"request": one.digest().hex(), "from": "0x" + one.signer.hex(), "act": act, "nonce": one.nonce,
              "deadline": one.deadline, "output": str(output)}, as_json)


@deal_app.command("relay")
def deal_relay(files: Annotated[list[Path], typer.Argument(help="Signed requests; several go in one transaction.")],
               home: Where = None, as_json: Json = False) -> None:
    """Carry others' signed requests to the Book, at this party's cost."""
    from troth.ledger.relay import Request  # start-up time

    requests = [Request.decode(read_file(path)) for path in files]
    with workspace(home) as party:
        if len(requests) == 1:
            receipt = party.relayer.carry(requests[0])
            outcomes = [(requests[0], f"done in block {receipt.block_number}")]
        else:
            outcomes = [(one.request, one.outcome) for one in party.relayer.carry_all(requests)]
        show({"carried": [{"request": one.digest().hex(), "from": "0x" + one.signer.hex(), "outcome": outcome}
                          for one, outcome in outcomes]}, as_json,
             lambda: "\n".join(f"0x{one.signer.hex()}  nonce {one.nonce}  {outcome}" for one, outcome in outcomes))


@deal_app.command("keep")
def deal_keep(once: Annotated[bool, typer.Option("--once", help="One round, and stop.")] = False,
              dry: Annotated[bool, typer.Option("--dry", help="Only say what is due.")] = False,
              worth: Worth = None, at_a_loss: Loss = False, home: Where = None, as_json: Json = False) -> None:
    """Judge and close what is due in the Book, for the keeper's fee. Ctrl-C stops it."""
    from troth.cli.deals import Catching  # start-up time
    prices = dict(map(_price, worth or ()))
    with workspace(home) as party:
        while True:
            done = party.keep(worth=prices, at_a_loss=at_a_loss, dry=dry, progress=Catching())
            found = [{"deal": one.due.deal.hex(), "act": one.due.act, "token": "0x" + one.due.token.hex(),
                      "outcome": one.outcome, "note": one.note,
                      "earns": str(one.due.earns), "gas": one.due.gas, "cost_wei": str(one.due.cost),
                      "loss": one.due.loss} for one in done]
            if found or once or dry:
                text = "\n".join(map(_due, found)) or "nothing is due"
                show({"due": found}, as_json, text.__str__)
            if once or dry:
                return
            time.sleep(PAUSE)


def _price(text: str) -> tuple[bytes, Fraction]:
    token, _, wei = text.partition("=")
    try:
        price = Fraction(wei)
    except (ValueError, ZeroDivisionError):
        raise BadInput("not a price", expected="TOKEN=WEI, such as 0x…=2.5", actual=text) from None
    return _hex(token.lower(), 20), price


def _due(one: Mapping[str, Any]) -> str:
    loss = "  a loss" if one["loss"] else ""
    note = f"  {one['note']}" if one["note"] else ""
    return (f"{one['deal'][:16]}  {one['act']:5}  earns {one['earns']}  costs {one['cost_wei']} wei ({one['gas']} gas)"
            f"{loss}  {one['outcome']}{note}")


def _place(one: Mapping[str, Any]) -> str:
    block = "" if one["block"] is None else f"block {one['block']}"
    return f"{block}  {one['note']}".strip()


def _readers(act: str, values: list[str]) -> tuple[Reader, ...]:
    """What reads an act's values from words. Raises Misuse for an act that has no words, or too many or few."""
    readers = ACTS.get(act)
    if readers is None:
        raise Misuse("no act that can be requested from here", expected=", ".join(ACTS), actual=act)
    if len(values) != len(readers):
        raise Misuse(f"{act} takes {len(readers)} values", expected=_WORDS[act], actual=len(values))
    return readers


def _token(_: Troth, text: str) -> bytes:
    return _hex(text, 20)


def _data(_: Troth, text: str) -> bytes:
    return _hex(text, None)


def _hex(text: str, size: int | None) -> bytes:
    from troth.core.encoding import from_hex  # start-up time

    return from_hex(text.removeprefix("0x"), size)


def _number(_: Troth, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadInput("not a number", expected="digits", actual=text)
    return int(text)


ACTS: Mapping[str, tuple[Reader, ...]] = {
    "join": (deal_id, _number), "submit": (deal_id, _number, _number, claim_id, _data), "judge": (deal_id,),
    "submit_and_close": (deal_id, _number, _number, claim_id, _data), "judge_and_close": (deal_id,),
    "challenge": (deal_id,), "close": (deal_id,), "sweep": (deal_id, _number), "withdraw": (_token,),
}
_WORDS = {"join": "DEAL POT", "submit": "DEAL ASK SLOT CLAIM DATA", "judge": "DEAL",
          "submit_and_close": "DEAL ASK SLOT CLAIM DATA", "judge_and_close": "DEAL", "challenge": "DEAL",
          "close": "DEAL", "sweep": "DEAL POT", "withdraw": "TOKEN"}
