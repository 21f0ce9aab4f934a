"""Deals for the terminal and as JSON, and the progress of an index that catches up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from troth.core.terms import REFUTED, SUBMISSION, UPHELD, VERDICT, Account, Entry, Result, climber
from troth.core.times import moment
from troth.ledger.readings import AsOf, DealLine, DealReading, Payout, Place

_ENTRY = {1: "submission", 2: "verdict", 3: "challenge"}
_OUTCOME = {UPHELD: "1 (upheld)", REFUTED: "2 (refuted)"}  # every other number is its kind of deal's own
SECONDS = 1.0
"""Between two lines of progress."""


class Catching:
    """Says on stderr how far an index is, about once a second, and nothing where it is there at once."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._said = float("-inf")

    def __call__(self, done: int, head: int) -> None:
        """The index holds blocks up to ``done`` of ``head``."""
        now = self._now()
        if done < head and now - self._said >= SECONDS:
            self._said = now
            typer.echo(f"reading the chain: block {done} of {head}", err=True)


def as_of_json(as_of: AsOf) -> dict[str, Any]:
    """The block that a reading is of."""
    return {"block": as_of.number, "hash": as_of.hash.hex(), "finalized": as_of.finalized}


def line_json(line: DealLine) -> dict[str, Any]:
    """A deal in a list."""
    return {"id": line.id.hex(), "opener": _hex(line.opener), "token": _hex(line.token), "fund_by": line.fund_by,
            "status": line.status, "rung": line.rung, "entries": line.entries, "outcome": line.outcome,
            "opened": _place(line.opened)}


def lines(as_of: AsOf, found: Sequence[DealLine]) -> str:
    """A list of deals, one a line."""
    def line(one: DealLine) -> str:
        outcome = f"  outcome {_outcome(one.outcome)}" if one.outcome is not None else ""
        return f"{one.id.hex()}  {one.status:8} rung {one.rung}  entries {one.entries}{outcome}"

    return "\n".join([*map(line, found), f"{len(found)} deal{'' if len(found) == 1 else 's'} as of {as_of}"])


def whole(as_of: AsOf, found: DealReading) -> dict[str, Any]:
    """A deal as JSON; amounts are text."""
    state = found.state
    pots = [{"name": pot.name, "amount": str(pot.amount), "depositor": _hex(pot.depositor),
             "joined": index in state.joined} for index, pot in enumerate(state.terms.pots)]
    return {
        "as_of": as_of_json(as_of), "id": found.id.hex(), "opener": _hex(found.opener), "opened": _place(found.opened),
        "token": _hex(state.terms.token), "fund_by": state.terms.fund_by, "closes_by": state.terms.closes_by,
        "status": state.status, "rung": state.rung, "rungs": len(state.terms.rungs), "pots": pots,
        "history": [_entry(entry) for entry in state.history], "payouts": [_payout(one) for one in found.payouts],
        "result": _result(state.final), "outcome": state.final.outcome if state.final else None,
        "entries": len(state.history)}


def page(as_of: AsOf, found: DealReading, known: Mapping[Account, str]) -> str:
    """A deal for reading. known: whose an account is; the others are shown by their digits."""
    state, said = found.state, whole(as_of, found)
    whose = {_hex(account): f"{who}, {_hex(account)}" for account, who in known.items()}
    whose |= {_hex(climber(rung)): f"whoever starts rung {rung}" for rung in range(1, len(state.terms.rungs))}

    def who(account: str) -> str:
        return whose.get(account, account)

    rows = [f"status: {state.status}", f"rung: {state.rung}",
            f"outcome: {_outcome(state.final.outcome) if state.final else 'none yet'}",
            f"opener: {who(said['opener'])}"]
    rows += [f"pot {_pot(pot['name'])}: {pot['amount']} from {who(pot['depositor'])}"
             f"{'' if pot['joined'] else ', not joined'}" for pot in said["pots"]]
    rows += [f"fund by: {moment(said['fund_by'])}", f"closes by: {moment(said['closes_by'])}"]
    rows += [f"{entry['kind']} at {moment(entry['at'])} by {who(entry['by'])}"
             + (f": claim {entry['claim']}" if entry["claim"] else "") for entry in said["history"]]
    rows += [f"{one['what']}: {one['amount']}" + (f" by {who(one['account'])}" if one["account"] else "")
             for one in said["payouts"]]
    return "\n".join([*rows, f"as of {as_of}"])


def _outcome(number: int) -> str:
    return _OUTCOME.get(number, str(number))


def _pot(name: str) -> str:
    """A stake's pot is named after its depositor's first digits, which the line says anyway."""
    return "stake" if name.startswith("stake:") else name


def _entry(entry: Entry) -> dict[str, Any]:
    return {"kind": _ENTRY[entry.kind], "by": _hex(entry.by), "rung": entry.rung, "ask": entry.ask, "slot": entry.slot,
            "at": entry.at, "claim": entry.claim.hex() if entry.kind == SUBMISSION else None,
            "result": _result(Result.from_bytes(entry.data)) if entry.kind == VERDICT else None}


def _result(result: Result | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {"outcome": result.outcome, "values": [str(value) for value in result.values],
            "slashed": sorted(_hex(one) for one in result.slashed), "root": result.root.hex(),
            "total": str(result.total)}


def _payout(one: Payout) -> dict[str, Any]:
    return {"what": one.what, "pot": one.pot, "account": _hex(one.account) if one.account else None,
            "amount": str(one.amount), **_place(one.place)}


def _place(place: Place) -> dict[str, Any]:
    return {"block": place.block, "transaction": "0x" + place.tx.hex()}


def _hex(account: bytes) -> str:
    return "0x" + account.hex()
