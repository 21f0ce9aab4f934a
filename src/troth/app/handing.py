"""Handing claims to somebody who shall check them: with all that they rest on, as a bundle has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.app.keeping import short
from troth.core.claims import Evidence
from troth.core.errors import Misuse

if TYPE_CHECKING:
    from troth.app import Troth


@dataclass(frozen=True, slots=True)
class Handed:
    """What went. claims: those named, then those that they rest on. size: bytes of the parcel.

    missing: what they rest on that could not go: it is not in this log, its body was forgotten, or it is a member of a
    batch, which no parcel carries.
    """

    claims: tuple[bytes, ...]
    named: int
    size: int
    missing: tuple[bytes, ...]


def push(party: Troth, to: str, claims: Sequence[bytes], *, only: bool = False) -> Handed:
    """Hand claims to a peer, with their evidence and every claim that they rest on, whoever made it.

    Of what they rest on goes the public evidence, and sealed evidence to which the peer was given a key; of the claims
    named all that is in this store. only: the claims named, and nothing that they rest on. The peer sees all of it:
    what a claim rests on may name others. Raises Undecidable for a named claim that is not here, Misuse for a member of
    a batch; then nothing is sent.
    """
    named = tuple(dict.fromkeys(claims))
    for claim in named:
        party.statement(claim)
        if not _alone(party, claim):
            raise Misuse("a member of a batch cannot be handed over alone", actual=claim.hex(),
                         do="Hand over a bundle: troth bundle.")
    found = {} if only else {node.id: node for claim in named for node in party.trace(claim).nodes}
    rests = [claim for claim, node in found.items() if claim not in named and node.statement is not None
             and _alone(party, claim)]
    evidence = (*party.evidence_here(named), *(item for item in party.evidence_here(rests) if _opens(party, item, to)))
    size = party.send([to], [*named, *rests], evidence)
    return Handed((*named, *rests), len(named), size,
                  tuple(claim for claim in found if claim not in named and claim not in rests))


def _alone(party: Troth, claim: bytes) -> bool:
    entry = party.log.find(claim)
    return entry is not None and entry.payload is not None and entry.batch is None


def _opens(party: Troth, item: Evidence, to: str) -> bool:
    return not item.sealed or party.keyring.get(item.cid, short(to)) is not None
