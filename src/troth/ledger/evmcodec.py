"""How the contract ``Book`` is spoken to: calldata out, events in (contracts/src/interfaces/IBook.sol).

Calldata and events are encoded by hand from ABI types, since web3.py's contract objects cost milliseconds a call.
Shapes and limits are those of docs/reference/deals.md, section 1; accounts are 20 bytes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from troth.core.encoding import keccak256
from troth.core.errors import BadInput, OutsideFailed
from troth.core.terms import (
    ENTRY,
    POT,
    RESULT,
    RUNG,
    TERMS,
    Answered,
    Ask,
    Entry,
    Pot,
    Result,
    Root,
    Rule,
    Rung,
    Split,
    Terms,
    unlabel,
)

HEAD = "(address,uint64,address,bytes32[],bytes32[])"
DEAL = ("bytes32", "bytes32", "uint256", "uint8", "uint8", "uint8", "uint8", "uint64", "uint64", "uint32")
"""What ``deals(id)`` answers: terms, history, filled, status, missing, rung, ask, start, judgedAt, joined."""

CALLS: Mapping[str, tuple[str, ...]] = {
    "open": (TERMS, "bytes32"),
    "join": ("bytes32", "uint8", HEAD, POT),
    "joinWithConsent": ("bytes32", "uint8", HEAD, POT, "uint64", "bytes"),
    "submit": ("bytes32", HEAD, RUNG, "uint8", "uint8", "bytes32", "bytes"),
    "submitAndJudge": ("bytes32", TERMS, f"{ENTRY}[]", "uint8", "uint8", "bytes32", "bytes"),
    "judge": ("bytes32", TERMS, f"{ENTRY}[]"),
    "challenge": ("bytes32", TERMS),
    "close": ("bytes32", TERMS, f"{ENTRY}[]"),
    "collect": ("bytes32", "uint8", "uint256", "address", "uint128", "bytes32[]"),
    "sweep": ("bytes32", "uint8"),
    "withdraw": ("address",),
    "stop": ("bool",),
    "credit": ("address", "address"),
    "deals": ("bytes32",),
}
SELECTORS = {name: keccak256(f"{name}({','.join(types)})".encode())[:4] for name, types in CALLS.items()}

OPENED = keccak256(f"DealOpened(bytes32,address,bytes32,{TERMS})".encode())
JOINED = keccak256(b"PotJoined(bytes32,uint8,uint64)")
RECORDED = keccak256(f"Recorded(bytes32,{ENTRY})".encode())
LEAF_COLLECTED = keccak256(b"LeafCollected(bytes32,uint8,uint256,address,uint128)")
ROOT_SWEPT = keccak256(b"RootSwept(bytes32,uint8,uint128)")
CLOSED = keccak256(f"DealClosed(bytes32,uint8,{RESULT})".encode())


def calldata(name: str, *values: Any) -> bytes:
    """The calldata of one of ``CALLS``. Raises BadInput for values that have no ABI form."""
    from eth_abi.abi import encode  # takes 0.2 s to load
    from eth_abi.exceptions import EncodingError

    try:
        return SELECTORS[name] + encode(CALLS[name], values)
    except (EncodingError, OverflowError, TypeError) as error:
        raise BadInput(f"{name}: a value that the contract cannot be given", expected=", ".join(CALLS[name]),
                       actual=error) from None


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values of an answer or an event. Raises OutsideFailed: a Book writes no other bytes."""
    from eth_abi.abi import decode as decode_abi  # takes 0.2 s to load
    from eth_abi.exceptions import DecodingError

    try:
        return decode_abi(types, data)
    except (DecodingError, OverflowError, ValueError) as error:
        raise OutsideFailed("the node answers bytes that no Book writes", expected=", ".join(types), actual=error,
                            do="Check the Book's address and the node.") from None


def terms_of(value: Sequence[Any]) -> Terms:
    """Terms from their decoded ABI tuple. Raises BadInput for names that are no UTF-8."""
    token, fund_by, wrong_bonds, pots, rungs = value
    return Terms(account_of(token), tuple(_pot(pot) for pot in pots), tuple(_rung(rung) for rung in rungs), fund_by,
                 account_of(wrong_bonds))


def entry_of(value: Sequence[Any]) -> Entry:
    """An entry from its decoded ABI tuple."""
    kind, by, rung, ask, slot, at, claim, data = value
    return Entry(kind, account_of(by), rung, ask, slot, at, bytes(claim), bytes(data))


def result_of(value: Sequence[Any]) -> Result:
    """A result from its decoded ABI tuple."""
    outcome, values, slashed, root, total = value
    return Result(outcome, tuple(values), frozenset(account_of(one) for one in slashed), bytes(root), total)


def account_of(text: str) -> bytes:
    """An account as eth_abi writes it, as 20 bytes."""
    return bytes.fromhex(text[2:])


def _name(data: bytes) -> str:
    try:
        return unlabel(bytes(data))
    except UnicodeDecodeError:
        raise BadInput("a name that is no UTF-8", actual=data.hex(),
                       do="This deal was not opened by Troth; it cannot be shown.") from None


def _pot(value: Sequence[Any]) -> Pot:
    name, depositor, amount, residual, rules = value
    return Pot(_name(name), account_of(depositor), amount, {rule[0]: _rule(rule) for rule in rules},
               account_of(residual))


def _rule(value: Sequence[Any]) -> Rule:
    _, kind, rung, term, payees, numbers = value
    if kind == 3:
        return Answered(rung)
    if kind == 4:
        return Root(term)
    accounts = tuple(account_of(payee) for payee in payees)
    return Split(accounts, tuple(numbers) if kind == 0 else None, tuple(numbers) if kind == 1 else None)


def _rung(value: Sequence[Any]) -> Rung:
    policy, codehash, asks, verdict_period, window, bond, silent, param = value
    return Rung(account_of(policy), bytes(codehash), tuple(_ask(ask) for ask in asks), verdict_period, window, bond,
                silent, bytes(param))


def _ask(value: Sequence[Any]) -> Ask:
    kind, who, period, slots = value
    return Ask(_name(kind), tuple(account_of(account) for account in who) or None, period, slots)
