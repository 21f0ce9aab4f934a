"""The lineage graph of a claim: what it rests on, and what in it has become stale.

A claim is stale where data it rests on was erased: an erasure claim names a listing, and everything that refers to the
listing, directly or through other claims, is derived from data that is gone. Stale is not refuted: the evidence can no
longer be executed again, and a licence may say what follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from troth.core.claims import Statement
from troth.core.errors import Undecidable
from troth.core.ports import Statements

ERASURE, LISTING = "erasure", "listing"


@dataclass(frozen=True, slots=True)
class Node:
    """One claim of the graph. ``depth``: the fewest references from the target. ``statement`` None: not here."""

    id: bytes
    statement: Statement | None
    depth: int
    stale: bool
    erased: bool


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
                       "depth": node.depth, "stale": node.stale, "erased": node.erased} for node in self.nodes],
            "edges": [{"from": edge.source.hex(), "to": edge.to.hex(), "role": edge.role} for edge in self.edges],
        }


def trace(source: Statements, target: bytes, erasures: Iterable[Statement]) -> Graph:
    """The graph of ``target``. ``erasures``: the erasure claims known; only a listing's own issuer can erase it.

    Claims referred to that are not here appear as nodes without a statement.
    """
    erased_by = {(claim, erasure.issuer) for erasure in erasures for claim in erasure.all_refs("listing")}
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
    stale = _reaching(erased, edges)
    nodes = tuple(Node(claim, statement, at, claim in stale, claim in erased)
                  for claim, (statement, at) in found.items())
    return Graph(target, nodes, tuple(edges))


def _reaching(marked: set[bytes], edges: Iterable[Edge]) -> set[bytes]:
    """Every claim from which a marked one can be reached, the marked ones too."""
    referring: dict[bytes, list[bytes]] = {}
    for edge in edges:
        referring.setdefault(edge.to, []).append(edge.source)
    found, stack = set(marked), list(marked)
    while stack:
        for source in referring.get(stack.pop(), ()):
            if source not in found:
                found.add(source)
                stack.append(source)
    return found
