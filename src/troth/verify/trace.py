"""The lineage graph of a claim: what it rests on, and what in it has become stale.

A claim is stale where data it rests on was erased: an erasure claim names a listing, and everything that refers to the
listing, directly or through other claims, is derived from data that is gone. Stale is not refuted: the evidence can no
longer be executed again, and a licence may say what follows. A withdrawal does the same from a consent upwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from troth.core.claims import Statement
from troth.core.errors import Undecidable
from troth.core.ports import Statements

ERASURE, LISTING = "erasure", "listing"
WITHDRAWAL, CONSENT = "withdrawal", "consent"


@dataclass(frozen=True, slots=True)
class Node:
    """One claim of the graph. ``depth``: the fewest references from the target. ``statement`` None: not here."""

    id: bytes
    statement: Statement | None
    depth: int
    stale: bool
    erased: bool
    withdrawn: bool = False

    @property
    def state(self) -> str:
        """What is to be said of it, in a word: erased, withdrawn, stale, or nothing."""
        return "erased" if self.erased else "withdrawn" if self.withdrawn else "stale" if self.stale else ""


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` refers to ``to`` in ``role``."""

    source: bytes
    to: bytes
    role: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A target with everything it rests on; the target first, then by depth."""

    target: bytes
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def stale(self) -> bool:
        """Whether the target itself is stale."""
        return self.nodes[0].stale

    def json(self) -> dict[str, Any]:
        """As ``trace --json`` prints it."""
        return {
            "target": self.target.hex(), "stale": self.stale,
            "nodes": [{"claim": node.id.hex(), "kind": node.statement.kind if node.statement else None,
                       "issuer": node.statement.issuer if node.statement else None,
                       "issued_at": node.statement.issued_at if node.statement else None,
                       "depth": node.depth, "stale": node.stale, "erased": node.erased,
                       "withdrawn": node.withdrawn} for node in self.nodes],
            "edges": [{"from": edge.source.hex(), "to": edge.to.hex(), "role": edge.role} for edge in self.edges],
        }


def trace(source: Statements, target: bytes, erasures: Iterable[Statement],
          withdrawals: Iterable[Statement] = ()) -> Graph:
    """The graph of ``target``. ``erasures``: the erasure claims known; only a listing's own issuer can erase it.

    ``withdrawals``: those of consents that are known; only a consent's own issuer can withdraw it.

    Claims referred to that are not here appear as nodes without a statement.
    """
    erased_by = {(claim, erasure.issuer) for erasure in erasures for claim in erasure.all_refs("listing")}
    withdrawn_by = {(claim, said.issuer) for said in withdrawals for claim in said.all_refs(CONSENT)}
    found: dict[bytes, tuple[Statement | None, int]] = {}
    edges: list[Edge] = []
    level, depth = [target], 0
    while level:
        below: list[bytes] = []
        for claim in level:
            if claim in found:
                continue
            try:
                statement: Statement | None = source.statement(claim)
            except Undecidable:
                statement = None
            found[claim] = (statement, depth)
            for ref in statement.refs if statement else ():
                edges.append(Edge(claim, ref.claim, ref.role))
                below.append(ref.claim)
        level, depth = below, depth + 1
    erased = {claim for claim, (statement, _) in found.items()
              if statement and statement.kind == LISTING and (claim, statement.issuer) in erased_by}
    withdrawn = {claim for claim, (statement, _) in found.items()
                 if statement and statement.kind == CONSENT and (claim, statement.issuer) in withdrawn_by}
    stale = reaching(erased | withdrawn, referring((edge.source, edge.to) for edge in edges))
    nodes = tuple(Node(claim, statement, at, claim in stale, claim in erased, claim in withdrawn)
                  for claim, (statement, at) in found.items())
    return Graph(target, nodes, tuple(edges))


def referring(edges: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """Each claim with those that refer to it, from pairs of a claim and what it refers to."""
    found: dict[bytes, list[bytes]] = {}
    for source, to in edges:
        found.setdefault(to, []).append(source)
    return found


def reaching(marked: set[bytes], by: Mapping[bytes, list[bytes]]) -> set[bytes]:
    """Every claim from which a marked one can be reached, the marked ones too. by: as ``referring`` gives it."""
    found, stack = set(marked), list(marked)
    while stack:
        for source in by.get(stack.pop(), ()):
            if source not in found:
                found.add(source)
                stack.append(source)
    return found
