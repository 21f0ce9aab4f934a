"""Was my work used? A listing looked for in what something rests on; and what its erasure touches.

``used`` answers in numbered steps:

1. *lineage*: everything that the target rests on, directly or through other claims, as far as it is here.
2. *named*: the listing is in it. 3. *listed again*: another claim lists the same bytes, or has the same keyed
commitment: only who holds the listing's key could commit to the records so. 4. *records*: public records in it, or
records that were opened against their commitment, are the asker's own, byte for byte.
5. *whole*: nothing of the lineage is missing.

Upheld if one of 2 to 4 is, and then those of them that found nothing have no outcome of their own; else undecidable
where something is missing or sealed; else refuted.

**Refuted says what the lineage says.** Who trained on a work and says nothing of it is not found by any claim: what a
model remembers of records is another question. Records that many hold (a public set) prove no use by being the same.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from troth.core.claims import Statement
from troth.core.encoding import amount, from_hex
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.ports import Statements
from troth.core.verdicts import Outcome, Report, Step
from troth.store.commitments import Commitment, Opening
from troth.store.commitments import verify as verify_opening
from troth.verify.trace import ERASURE, LISTING, Graph, reaching, referring, trace

LEAST = 100_000
"""Parts of a million of the asker's records that must be found, byte for byte, before it counts as use."""
STEPS = ("lineage", "named", "listed again", "records", "whole")


class PublicRecords(Protocol):
    """Opens a listing's public records; None where they are sealed or not here."""

    def __call__(self, listing: Statement) -> Sequence[bytes] | None: ...


@dataclass(frozen=True, slots=True)
class Own:
    """What the asker brings of its own work. records: each as it was listed. openings: by listing, what others opened.
    """

    records: Sequence[bytes] = field(default=(), repr=False)
    openings: Mapping[bytes, Sequence[Opening]] = field(default_factory=dict, repr=False)
    least: int = LEAST


def used(source: Statements, listing: bytes, target: bytes, own: Own | None = None,
         public: PublicRecords | None = None) -> Report:
    """Whether ``target`` rests on the listing's work, by the rules above. source: claims whose signatures were checked.

    Raises Misuse where the listing is none, Undecidable where it or the target is not here.
    """
    own = own or Own()
    mine = source.statement(listing)
    if mine.kind != LISTING:
        raise Misuse("this is no listing", expected=LISTING, actual=mine.kind)
    source.statement(target)
    graph = trace(source, target, ())
    missing = [node.id for node in graph.nodes if node.statement is None]
    steps = [Step(1, STEPS[0], Outcome.UPHELD, f"{len(graph.nodes) - len(missing)} claims, {len(missing)} more that "
                  "are not here")]
    way = path(graph, listing)
    steps.append(Step(2, STEPS[1], Outcome.UPHELD if way else Outcome.REFUTED, " <- ".join(reversed(way)) if way else
                      "no claim here refers to the listing"))
    others = [(node.id, node.statement) for node in graph.nodes
              if node.statement and node.statement.kind == LISTING and node.id != listing]
    again = [claim for claim, statement in others if _same_work(mine, statement)]
    steps.append(Step(3, STEPS[2], Outcome.UPHELD if again else Outcome.REFUTED,
                      f"also as {again[0].hex()}" if again else
                      f"none of {len(others)} other listings is of it" if others else "no other listing is in it"))
    steps.append(_records(others, own, public))
    steps.append(Step(5, STEPS[4], Outcome.UNDECIDABLE if missing else Outcome.UPHELD,
                      f"not here: {missing[0].hex()}" if missing else "the whole lineage is here"))
    found = {step.outcome for step in steps[1:4]}
    if Outcome.UPHELD in found:
        outcome = Outcome.UPHELD  # one way is enough: that another found nothing refutes nothing
        steps[1:4] = [step if step.outcome is Outcome.UPHELD else replace(step, outcome=None) for step in steps[1:4]]
    else:
        outcome = Outcome.UNDECIDABLE if missing or Outcome.UNDECIDABLE in found else Outcome.REFUTED
    return Report(outcome, None, tuple(steps))


def path(graph: Graph, to: bytes) -> tuple[str, ...]:
    """The shortest way from the target to a claim, as words; empty where there is none."""
    kinds = {node.id: node.statement.kind if node.statement else "?" for node in graph.nodes}
    if to not in kinds:
        return ()
    came: dict[bytes, bytes | None] = {graph.target: None}
    out: dict[bytes, list[bytes]] = {}
    for edge in graph.edges:
        out.setdefault(edge.source, []).append(edge.to)
    waiting = deque([graph.target])
    while waiting and to not in came:
        node = waiting.popleft()
        for below in out.get(node, ()):
            if below not in came:
                came[below] = node
                waiting.append(below)
    way: list[bytes] = []
    here: bytes | None = to
    while here is not None:
        way.append(here)
        here = came[here]
    return tuple(f"{kinds[claim]} {claim.hex()[:16]}" for claim in reversed(way))


def _same_work(mine: Statement, other: Statement) -> bool:
    """Whether another listing is of the same bytes, or has the same commitment (zeros commit to nothing)."""
    cid, commitment = mine.body.get("cid"), mine.body.get("commitment")
    return (cid is not None and other.body.get("cid") == cid) or (
        isinstance(commitment, str) and commitment.strip("0") != "" and other.body.get("commitment") == commitment)


def _records(others: Sequence[tuple[bytes, Statement]], own: Own, public: PublicRecords | None) -> Step:
    """Step 4."""
    if not own.records:
        return Step(4, STEPS[3], None, "no records of one's own to compare")
    due, found, closed = Counter(own.records), Counter[bytes](), 0
    for claim, statement in others:
        shown = public(statement) if public is not None else None
        if shown is None and claim in own.openings:
            shown = [_opened(one, statement) for one in own.openings[claim]]
        elif shown is None:
            closed += 1
        for record, count in (Counter(shown or ()) & due).items():
            found[record] = max(found[record], count)
    same = sum(found.values())
    said = f"{same} of {len(own.records)} records are in it, byte for byte"
    if same and same * 1_000_000 >= own.least * len(own.records):
        return Step(4, STEPS[3], Outcome.UPHELD, said)
    if closed:
        return Step(4, STEPS[3], Outcome.UNDECIDABLE, f"{said}; {closed} other listings are sealed")
    return Step(4, STEPS[3], Outcome.REFUTED, said)


def _opened(opening: Opening, statement: Statement) -> bytes:
    """A record that was opened against its listing's commitment. Raises Refuted for one that was not in it."""
    rows, root = statement.body.get("rows"), statement.body.get("commitment")
    if type(rows) is not int:
        raise BadInput("a listing without its number of records", actual=rows)
    try:
        verify_opening(opening, Commitment(from_hex(root, 32), rows))
    except Refuted as error:
        raise Refuted("an opening that is not of this listing", actual=error.message) from None
    return opening.record


# ---- erasure ----

@dataclass(frozen=True, slots=True)
class Touched:
    """An offer whose licence an erasure touches. erasure: what its licence says follows, ``stays`` or ``ends``; empty
    where it says nothing. refund: basis points of the price that the holder may claim. holders: who ordered under it.
    deals: those that its claims name.
    """

    offer: bytes
    issuer: str
    erasure: str
    refund: int
    price: int | None
    holders: tuple[str, ...]
    deals: tuple[bytes, ...]

    @property
    def claim(self) -> int | None:
        """What a holder may claim back, in the token's smallest unit; None where no price is said."""
        return None if self.price is None else self.price * self.refund // 10_000


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure leaves stale. erased: whether its issuer said so. stale: claims above the listing, with kinds.
    deals: every deal that one of them names.
    """

    erased: bool
    stale: tuple[tuple[bytes, str], ...]
    licences: tuple[Touched, ...]
    deals: tuple[bytes, ...]


def touched(claims: Iterable[tuple[bytes, Statement]], listing: bytes) -> Erased:
    """What an erasure of the listing touches, among these claims: stale descendants, licences, deals.

    Asked before the erasure it says what would be. Nothing is paid by it: what a licence foresees is claimed from the
    seller, by its words and deal. Raises Misuse for a claim that is no listing, or is not among them.
    """
    known = dict(claims)
    if listing not in known or known[listing].kind != LISTING:
        raise Misuse("this is no listing that is known here", actual=listing.hex())
    by = referring((claim, ref.claim) for claim, statement in known.items() for ref in statement.refs)
    erasing = {claim for claim, statement in known.items() if statement.kind == ERASURE}
    above = reaching({listing}, by) - {listing} - erasing
    issuer = known[listing].issuer
    said = any(known[claim].issuer == issuer and listing in known[claim].all_refs(LISTING) for claim in erasing)
    stale = [claim for claim in known if claim in above]
    offers = [claim for claim in stale if isinstance(known[claim].body.get("licence"), dict)]
    licences = tuple(_licence(known, by, claim) for claim in offers)
    deals = {deal for claim in stale if (deal := _deal(known[claim])) is not None}
    return Erased(said, tuple((claim, known[claim].kind) for claim in stale), licences, tuple(sorted(deals)))


def _licence(known: Mapping[bytes, Statement], by: Mapping[bytes, list[bytes]], offer: bytes) -> Touched:
    statement = known[offer]
    licence: Any = statement.body["licence"]
    erasure, refund = licence.get("erasure"), licence.get("refund")
    deal: Any = statement.body.get("deal")
    money: Any = deal.get("money") if isinstance(deal, dict) else None
    price = money.get("price") if isinstance(money, dict) else None
    under = reaching({offer}, by) - {offer}
    holders = {known[claim].issuer for claim in under if known[claim].kind == "order"}
    deals = {found for claim in under if (found := _deal(known[claim])) is not None}
    return Touched(offer, statement.issuer, erasure if isinstance(erasure, str) else "",
                   refund if type(refund) is int and erasure == "ends" and 0 <= refund <= 10_000 else 0,
                   _amount(price),
                   tuple(sorted(holders)), tuple(sorted(deals)))


def _amount(price: object) -> int | None:
    try:
        return amount(price) if isinstance(price, str) else None
    except BadInput:
        return None


def _deal(statement: Statement) -> bytes | None:
    """The deal that a claim names, if it does."""
    found = statement.body.get("deal")
    try:
        return from_hex(found, 32) if isinstance(found, str) else None
    except BadInput:
        return None
