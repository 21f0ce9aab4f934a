"""What a rung's voices bring on chain, and how a policy reads it: the data of commits, reveals and signed verdicts.

Each form has exactly one encoding. Anything else is an absent voice, never a failure (docs/reference/deals.md,
section 11): one malformed answer once made a policy revert for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from troth.core.deals import Question
from troth.core.encoding import keccak256
from troth.core.errors import BadInput
from troth.core.terms import SUBMISSION, Account, Entry, Result, Rung, history_hash

REVEAL = ("bytes", "bytes32")
VERDICT = ("bytes", "uint64", "bytes")


def commit_data(deal: bytes, rung: int, account: Account, result: bytes, salt: bytes) -> bytes:
    """What a verifier submits to *commit*: binds the account, so that nobody can copy it. ``salt`` is 32 secret bytes.

    Raises BadInput for another size of salt.
    """
    # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
    from eth_abi.abi import encode

    if len(salt) != 32:
        raise BadInput("not a salt", expected="32 bytes", actual=f"{len(salt)} bytes")
    types = ("bytes32", "uint8", "address", "bytes32", "bytes32")
    return keccak256(encode(types, (deal, rung, account, keccak256(result), salt)))


def reveal_data(result: bytes, salt: bytes) -> bytes:
    """What a verifier submits to *reveal*: the result's bytes and the salt it committed with."""
    # Imported here for the same reason.
    from eth_abi.abi import encode

    return encode(REVEAL, (result, salt))


def verdict_data(result: bytes, expiry: int, signature: bytes) -> bytes:
    """What a signer submits to *verdict*; ``signature`` is over ``troth.core.typed_data.verdict_digest``."""
    # Imported here for the same reason.
    from eth_abi.abi import encode

    return encode(VERDICT, (result, expiry, signature))


def read(types: Sequence[str], data: bytes) -> tuple[object, ...] | None:
    """The values of exactly this ABI encoding, or None for any other bytes."""
    # Imported here for the same reason.
    from eth_abi.abi import decode, encode
    from eth_abi.exceptions import DecodingError

    try:
        values = decode(types, data)
    except (DecodingError, OverflowError, ValueError):
        return None
    return values if encode(types, values) == data else None


def read_result(data: bytes) -> Result | None:
    """The Result that these bytes are exactly the encoding of, or None."""
    try:
        return Result.from_bytes(data)
    except BadInput:
        return None


def submissions(question: Question, ask: int) -> dict[Account, Entry]:
    """Who answered ask ``ask`` of the judged rung in slot 0."""
    return {entry.by: entry for entry in question.history
            if entry.kind == SUBMISSION and entry.rung == question.rung and entry.ask == ask and entry.slot == 0}


def two_steps(rung: Rung) -> bool:
    """Whether the last two asks are *commit* and *reveal*, of one bench, one slot each."""
    if len(rung.asks) < 2:
        return False
    commit, reveal = rung.asks[-2:]
    return ((commit.kind, reveal.kind) == ("commit", "reveal") and commit.slots == reveal.slots == 1
            and rung.asked(len(rung.asks) - 2) == rung.bench)


def majority(rung: Rung, k: int) -> bool:
    """Whether the last ask has one slot an account and ``k`` is more than half of its n accounts, and at most n."""
    return rung.asks[-1].slots == 1 and k <= len(rung.bench) < 2 * k


def opened(question: Question, account: Account, commit: bytes, reveal: bytes) -> bytes | None:
    """What an account revealed, if it is well formed and is what it committed; else None."""
    found = read(REVEAL, reveal)
    if found is None:
        return None
    said, salt = found
    assert isinstance(said, bytes)
    assert isinstance(salt, bytes)
    return said if commit == commit_data(question.deal, question.rung, account, said, salt) else None


def evidence_root(question: Question, ask: int) -> bytes:
    """The history's hash before the first answer to ask ``ask`` (section 4)."""
    digest = question.deal
    for entry in question.history:
        if entry.kind == SUBMISSION and entry.rung == question.rung and entry.ask == ask:
            break
        digest = history_hash(digest, entry)
    return digest


def elect(voices: dict[Account, bytes], k: int) -> bytes | None:
    """The bytes that at least ``k`` voices say. ``k`` is more than half of all seats, so there is at most one."""
    for said in voices.values():
        if sum(other == said for other in voices.values()) >= k:
            return said
    return None
