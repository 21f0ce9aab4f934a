"""Policy accounts of a workspace: its party owns them, and an agent acts through them within limits.

The agent has a key of its own, and as a rule a workspace of its own. Nothing here needs it.
"""

from __future__ import annotations

import json
import re
import secrets
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from troth.core.encoding import amount, from_hex, take
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.core.terms import NO_PARAM, Account
from troth.core.times import moment
from troth.identity.jsondoc import time_text, unix_time
from troth.ledger.limits import TRANSFER, Limits, selector
from troth.verify.mandates import mandate_document, sign_mandate
from troth.verify.policies.mandated import Mandate

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.app.wallet import Wallet
    from troth.ledger.accounts import Entry, PolicyAccount, PolicyAccounts

ACCOUNTS = "accounts"
"""What the contract that makes accounts is called among a workspace's contracts."""


def maker(party: Troth, *, deploy: bool = False) -> PolicyAccounts:
    """What makes accounts on this workspace's chain. deploy: put it there where it is not.

    Raises Undecidable where it is not there, and is not to be.
    """
    # Imported here: the chain's libraries take a second to load, and most commands need none.
    from troth.ledger.accounts import ACCOUNTS as SPEC
    from troth.ledger.accounts import PolicyAccounts
    from troth.ledger.deploy import extend

    if ACCOUNTS not in party.contracts.named:
        if not deploy:
            raise Undecidable("this workspace has made no policy account", do="Make one: troth account new.")
        party.use_contracts(extend(party.sender, party.contracts, SPEC))
    return PolicyAccounts(party.chain.web3, party.contracts[ACCOUNTS].address, first=party.contracts.block)


def next_salt(party: Troth, made: PolicyAccounts) -> bytes:
    """The salt of this party's next account: their number. Asking again before it is made gives the same."""
    return len(made.of(party.account)).to_bytes(32, "big")


def make(party: Troth, limits: Limits) -> PolicyAccount:
    """This party's next account. Raises ActRefused BadLimits, Misuse for limits that are over."""
    _in_time(party, limits)
    made = maker(party, deploy=True)
    return made.make(party.sender, next_salt(party, made), limits)


def make_with_mandate(party: Troth, wallet: Wallet, agent: str, limits: Limits, covers: tuple[str, int],
                      by: str | None = None) -> tuple[PolicyAccount, dict[str, Any]]:
    """This party's next account, and the credential that says in one paper what it is for and what its limits are.

    agent: the agent's credential identity. covers: the kind of deal act that the mandate covers, and the most each, in
    the token's smallest unit. by: which identity of the wallet signs. Raises as ``make``, and BadInput for a mandate
    that cannot be said.
    """
    _in_time(party, limits)
    made = maker(party, deploy=True)
    salt = next_salt(party, made)
    scope, most = covers
    what = Mandate(party.account, made.address_of(party.account, salt), scope, most, limits.expiry,
                   secrets.token_bytes(32))
    held = sign_mandate(what, party.contracts.chain_id, party.contracts["book"].address, party.identity.account)
    named = replace(limits, mandate=held.digest)
    paper = wallet.issue(mandate_document(held, agent, named), by=by)
    return made.make(party.sender, salt, named), paper


def account(party: Troth, where: Account | None = None) -> PolicyAccount:
    """An account on this workspace's chain; this party's only one where none is named.

    Raises OutsideFailed for what is none of Troth's, Misuse where there is not one alone.
    """
    # Imported here for the same reason.
    from troth.ledger.accounts import PolicyAccount

    if where is not None:
        first = 0
        with suppress(Undecidable):  # an agent's workspace may know no contracts, and needs none
            first = party.contracts.block
        found = PolicyAccount(party.chain.web3, where, first=first)
        found.check()
        return found
    mine = maker(party).of(party.account)
    if len(mine) != 1:
        raise Misuse("which account?", expected="its address",
                     actual=", ".join("0x" + one.address.hex() for one in mine) or "none",
                     do="Name one: --account 0x…")
    return mine[0]


def limit(party: Troth, found: PolicyAccount, limits: Limits) -> None:
    """Other limits for an account of this party's. Raises ActRefused BadLimits, Misuse for limits that are over."""
    _in_time(party, limits)
    found.limit(party.sender, limits)


def limits_of(party: Troth, text: str) -> Limits:
    """Limits from their file. Accounts are 0x and 40 hex digits, or the name of one of the workspace's contracts.

    The token's ``transfer`` may always be called: who is paid, and how much, is said apart. Raises BadInput, Misuse.
    """
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput("not a file of limits", expected="TOML", actual=error) from None
    sure, hot = said.pop("confidence", None), said.pop("hot", None)
    said = {"token": "token", "payees": [], "calls": [], "mandate": NO_PARAM.hex(), **said}
    agent, token, per_act, per_day, until, payees, calls, mandate = take(
        said, agent=str, token=str, per_act=str, per_day=str, until=str, payees=list, calls=list, mandate=str)
    least, agree, strikes, verifiers = take(sure, least=int, agree=int, strikes=int, verifiers=list) if sure else (
        0, 0, 0, [])
    filled, fill = take(hot, account=str, fill=str) if hot else ("0x" + bytes(20).hex(), "0")
    coin = address(party, token)
    named = tuple(_call(party, one) for one in calls)
    return Limits(address(party, agent), coin, amount(per_act), amount(per_day), unix_time(until),
                  tuple(address(party, one) for one in payees),
                  tuple(dict.fromkeys(((coin, TRANSFER), *named))), least, agree, strikes,
                  tuple(sorted(address(party, one) for one in verifiers)), address(party, filled), amount(fill),
                  from_hex(mandate, 32))


def limits_text(limits: Limits) -> str:
    """The file of these limits, that ``limits_of`` reads."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in (
        ("agent", _hex(limits.agent)), ("token", _hex(limits.token)), ("per_act", str(limits.per_act)),
        ("per_day", str(limits.per_day)), ("until", time_text(limits.expiry)),
        ("payees", [_hex(one) for one in limits.payees]),
        ("calls", [f"{_hex(target)}:{_hex(one)}" for target, one in limits.calls]), ("mandate", limits.mandate.hex()))]
    if limits.confidence:
        lines += ["", "[confidence]", f"least = {limits.confidence}", f"agree = {limits.agree}",
                  f"strikes = {limits.strikes}",
                  f"verifiers = {json.dumps([_hex(one) for one in limits.verifiers])}"]
    if any(limits.hot):
        lines += ["", "[hot]", f'account = "{_hex(limits.hot)}"', f'fill = "{limits.fill}"']
    return "\n".join(lines) + "\n"


def address(party: Troth, text: object) -> Account:
    """An account, by 0x and 40 hex digits or as one of the workspace's contracts. Raises BadInput."""
    if not isinstance(text, str):
        raise BadInput("not an account", expected="0x and 40 hex digits, or a contract's name", actual=text)
    return from_hex(text[2:].lower(), 20) if text[:2] == "0x" else party.contracts[text].address


def _call(party: Troth, text: object) -> tuple[Account, bytes]:
    contract, _, function = str(text).partition(":")
    if re.fullmatch(r"0x[0-9a-f]{8}", function):
        return address(party, contract), bytes.fromhex(function[2:])
    if not re.fullmatch(r"\w+\([\w,()\[\]]*\)", function, re.ASCII):
        raise BadInput("not a call", expected="CONTRACT:FUNCTION(TYPES), or CONTRACT:0x and 8 hex digits", actual=text)
    return address(party, contract), selector(function)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def account_json(party: Troth, found: PolicyAccount, *, newest: int = 20) -> dict[str, Any]:
    """An account as it stands, with the newest of what it recorded; amounts as text."""
    # Imported here for the same reason.
    from troth.ledger.erc20 import Erc20

    limits, standing, now = found.limits(), found.standing(), party.chain.now()
    spent = standing.spent_on(now)
    return {"account": "0x" + found.address.hex(), "owner": "0x" + found.owner().hex(), "limits": limits.json(),
            "balance": str(Erc20(party.chain.web3, limits.token).balance(found.address)), "spent_today": str(spent),
            "left_today": str(max(0, limits.per_day - spent)), "acts": standing.nonce, "strikes": standing.strikes,
            "stopped": standing.stopped, "tripped": standing.tripped, "expired": now > limits.expiry,
            "record": [entry_json(one) for one in found.entries()[-newest:]]}


def entry_json(entry: Entry) -> Mapping[str, Any]:
    """A line of the record; what says nothing is left out."""
    told = {"what": entry.what, "block": entry.block, "tx": "0x" + entry.tx.hex(), "nonce": entry.nonce,
            "target": "0x" + entry.target.hex() if entry.target else "", "reason": entry.reason,
            "amount": str(entry.amount) if entry.amount else "",
            "payee": "0x" + entry.payee.hex() if entry.payee else "",
            "call": "0x" + entry.data.hex() if entry.data and entry.what != "limited" else ""}
    return {name: value for name, value in told.items() if value not in ("", None)}


def _in_time(party: Troth, limits: Limits) -> None:
    if limits.expiry < party.chain.now():
        raise Misuse("limits that are over already", actual=moment(limits.expiry),
                     expected=f"after {moment(party.chain.now())}")
