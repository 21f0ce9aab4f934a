"""How the contract ``Book`` is spoken to: calldata out, events in (contracts/src/interfaces/IBook.sol).

Calldata and events are encoded by hand from ABI types, since web3.py's contract objects cost milliseconds a call.
Accounts are 20 bytes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from troth.core.encoding import keccak256
from troth.core.errors import BadInput, OutsideFailed
from troth.core.terms import CHALLENGE, RESULT, SUBMISSION, VERDICT, Account, Entry, Result, Terms

STATE = "(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256)"
DEAL = ("bytes32", STATE)
"""What ``deals(id)`` answers: history; status, missing, rung, ask, joined, start, judgedAt, filled."""

CALLS: Mapping[str, tuple[str, ...]] = {
    "open": ("bytes32", "bytes"),
    "openAndJoin": ("bytes32", "bytes", "uint8", "(uint8,uint64,bytes)[]"),
    "join": ("bytes", "uint8"),
    "joinWithConsent": ("bytes", "uint8", "uint64", "bytes"),
    "joinWithPermit": ("bytes", "uint8", "uint256", "uint8", "bytes32", "bytes32"),
    "joinWithAuthorization": ("bytes", "uint8", "uint256", "uint256", "uint8", "bytes32", "bytes32"),
    "submit": ("bytes", "uint8", "uint8", "bytes32", "bytes"),
    "submitAndJudge": ("bytes", "bytes", "uint8", "uint8", "bytes32", "bytes"),
    "submitAndClose": ("bytes", "bytes", "uint8", "uint8", "bytes32", "bytes"),
    "judge": ("bytes", "bytes"),
    "judgeAndClose": ("bytes", "bytes"),
    "challenge": ("bytes",),
    "close": ("bytes", "bytes"),
    "collect": ("bytes32", "uint8", "uint256", "address", "uint128", "bytes32[]"),
    "collectMany": ("bytes32", "uint8", "(uint256,address,uint128,bytes32[])[]"),
    "sweep": ("bytes32", "uint8"),
    "withdraw": ("address",),
    "stop": ("bool",),
    "credit": ("address", "address"),
    "deals": ("bytes32",),
}

OPENED = keccak256(b"DealOpened(bytes32,address,bytes32,bytes)")
JOINED = keccak256(b"PotJoined(bytes32,uint8,uint64)")
RECORDED = keccak256(b"Recorded(bytes32,bytes32,bytes32,bytes)")
RECORD = ("bytes32", "bytes32", "bytes")
"""What ``Recorded`` holds: head, claim, data."""
LEAF_COLLECTED = keccak256(b"LeafCollected(bytes32,uint8,uint256,address,uint128)")
ROOT_SWEPT = keccak256(b"RootSwept(bytes32,uint8,uint128)")
CLOSED = keccak256(f"DealClosed(bytes32,uint8,{RESULT})".encode())


def calldata(name: str, *values: Any) -> bytes:
    """The calldata of one of ``CALLS``. Raises BadInput for values that have no ABI form."""
    return encoded_call(name, CALLS[name], values)


def encoded_call(name: str, types: Sequence[str], values: Sequence[Any]) -> bytes:
    """The calldata of a call by name and types. Raises BadInput for values that have no ABI form."""
    from eth_abi.abi import encode  # takes 0.2 s to load
    from eth_abi.exceptions import EncodingError

    try:
        return selector(name, tuple(types)) + encode(types, values)
    except (EncodingError, OverflowError, TypeError) as error:
        raise BadInput(f"{name}: a value that the contract cannot be given", expected=", ".join(types),
                       actual=error) from None


@cache
def selector(name: str, types: tuple[str, ...]) -> bytes:
    """The first four bytes of a call."""
    return keccak256(f"{name}({','.join(types)})".encode())[:4]


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values of an answer or an event. Raises OutsideFailed: a Book writes no other bytes."""
    from eth_abi.abi import decode as decode_abi  # takes 0.2 s to load
    from eth_abi.exceptions import DecodingError

    try:
        return decode_abi(types, data)
    except (DecodingError, OverflowError, ValueError) as error:
        raise OutsideFailed("the node answers bytes that no Book writes", expected=", ".join(types), actual=error,
                            do="Check the Book's address and the node.") from None


def deal_bytes(opener: Account, salt: bytes, terms: Terms) -> bytes:
    """What a deal's id is made of, as acts bring it."""
    return opener + salt + terms.to_bytes()


def long_history(history: Sequence[Entry]) -> bytes:
    """Whole entries, as ``judge`` takes them."""
    return b"".join(entry.head + entry.claim + len(entry.data).to_bytes(2, "big") + entry.data for entry in history)


def short_history(history: Sequence[Entry]) -> bytes:
    """What ``close`` needs of the entries: not the data of submissions."""
    return b"".join(_short(entry) for entry in history)


def _short(entry: Entry) -> bytes:
    if entry.kind == SUBMISSION:
        return entry.head + entry.content
    return entry.head + (len(entry.data).to_bytes(2, "big") + entry.data if entry.kind == VERDICT else b"")


def entry_of(head: bytes, claim: bytes, data: bytes) -> Entry:
    """An entry from what ``Recorded`` holds. Raises OutsideFailed for a kind that no Book writes."""
    if head[0] not in (SUBMISSION, VERDICT, CHALLENGE):
        raise OutsideFailed("an entry that no Book writes", expected="kind 1, 2 or 3", actual=head[0],
                            do="Check the Book's address and the node.")
    return Entry(head[0], head[12:], head[1], head[2], head[3], int.from_bytes(head[4:12], "big"), claim, data)


def result_of(value: Sequence[Any]) -> Result:
    """A result from its decoded ABI tuple."""
    outcome, values, slashed, root, total = value
    return Result(outcome, tuple(values), frozenset(account_of(one) for one in slashed), bytes(root), total)


def account_of(text: str) -> bytes:
    """An account as eth_abi writes it, as 20 bytes."""
    return bytes.fromhex(text[2:])
