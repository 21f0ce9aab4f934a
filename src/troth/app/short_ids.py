"""Ids of claims and deals by their first digits, as people type them: what is printed short can be said short.

A prefix is looked for among what this workspace has: its log's claims, its Book's deals. It is never guessed: where
several begin with it, all of them are named and nothing is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from troth.core.errors import BadInput, Misuse, Undecidable

if TYPE_CHECKING:
    from troth.app import Troth

LEAST = 16
"""Hex digits that a prefix must have: what is here came from others, and a claim whose id begins with eight wanted
digits is made in minutes, one with sixteen in 2**64 tries."""
_WHOLE = 64
_SHOWN = 5
_HEX = re.compile(r"[0-9a-f]+")


def claim_of(party: Troth, text: str) -> bytes:
    """A claim's id from all of its 64 hex digits, or from the first 16 or more of one in this party's log.

    A whole id is taken as it is, whether it is here or not. Raises BadInput for what is no id, Undecidable for a prefix
    of none, Misuse for one of several.
    """
    return _whole(text, "claim", party.log.beginning, "troth pull")


def deal_of(party: Troth, text: str, *, offline: bool = False) -> bytes:
    """The same for a deal of this workspace's Book, by its index. offline: the index as it stands.

    Raises as ``claim_of`` does, and for a prefix what ``Troth.readings`` raises.
    """
    return _whole(text, "deal", lambda prefix: _deals(party, prefix, offline), "troth deal list")


def claim_or_deal_of(party: Troth, text: str) -> bytes:
    """The same for what may be either: among the claims first, then among the deals."""
    def both(prefix: str) -> Sequence[bytes]:
        return party.log.beginning(prefix) or _deals(party, prefix, False)

    return _whole(text, "claim or deal", both, "troth pull, or troth deal list")


def _deals(party: Troth, prefix: str, offline: bool) -> Sequence[bytes]:
    with party.readings(offline=offline) as now:
        return now.beginning(prefix)


def _whole(text: str, what: str, beginning: Callable[[str], Sequence[bytes]], look: str) -> bytes:
    digits = text.removeprefix("0x").lower()
    if not _HEX.fullmatch(digits) or not LEAST <= len(digits) <= _WHOLE:
        raise BadInput(f"no id of a {what}", actual=text,
                       expected=f"{_WHOLE} hex digits, or the first {LEAST} or more of one that is here")
    if len(digits) == _WHOLE:
        return bytes.fromhex(digits)
    found = beginning(digits)
    if not found:
        raise Undecidable(f"no {what} here begins with these digits", actual=text,
                          do=f"Say all {_WHOLE} digits, or see what is here: {look}.")
    if len(found) > 1:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise Misuse(f"{len(found)} {what}s begin with these digits", actual=text,
                     expected=", ".join(one.hex() for one in found[:_SHOWN]) + more, do="Say more digits.")
    return found[0]
