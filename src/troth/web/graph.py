"""The lineage graph as SVG: time from left to right, one lane for each issuer; and the page of ``troth trace --html``.

A claim's column is one after the last of the claims it refers to, so all edges lead left, and a round of training is
two columns: its updates, then its aggregate. Only claims that are drawn have edges. The picture works without a script
(titles); with one, choosing a claim shows what it rests on and what rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from troth.web.page import page, table, text

MOST_DRAWN = 1500
"""Claims beyond that, the farthest from the target, are counted and not drawn."""
MOST_LANES = 24
"""With more issuers than that, lanes are kinds instead."""
_COLUMN, _ROW, _RADIUS, _LABELS = 46, 38, 13, 108
COLOURS = ("listing", "plan", "update", "aggregate", "verdict", "model", "erasure")
"""Kinds with a colour of their own; all others share the last one."""


_TOP = ("update", "aggregate", "verdict")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a claim is drawn."""

    x: int
    y: int
    row: Mapping[str, Any]


def graph_svg(graph: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """The graph as HTML: a picture, a legend, the chosen claim's details, and a table of all claims.

    graph: as ``troth.verify.trace.Graph.json`` gives it. names: DID to the name to show.
    """
    replaced = {edge["to"] for edge in graph["edges"] if edge["role"] == "corrects"}
    rows = [{**row, "replaced": row["claim"] in replaced} for row in list(graph["nodes"])[:MOST_DRAWN]]
    left_out = len(graph["nodes"]) - len(rows)
    known = {row["claim"] for row in rows}
    edges = [edge for edge in graph["edges"] if edge["from"] in known and edge["to"] in known]
    lanes = _lanes(rows, names or {})
    places, heights = _places(rows, _columns(rows, edges), lanes)
    numbers = {claim: at for at, claim in enumerate(places)}
    width = max((place.x for place in places.values()), default=0) + _COLUMN // 2
    height = sum(heights.values()) + 8
    drawn = "".join(_edge(edge, places, numbers) for edge in edges)
    drawn += "".join(_node(at, place, str(graph["target"]), names or {}) for at, place in enumerate(places.values()))
    more = f"<p>{left_out} claims farther from the target are not drawn.</p>" if left_out else ""
    return (
        f'<div class="lineage"><svg class="lanes" width="{_LABELS}" height="{height}" aria-hidden="true">'
        f"{_lane_labels(heights)}</svg>"
        '<div class="scroll" role="group" aria-label="Lineage graph; arrow keys move between claims">'
        f'<svg class="graph" width="{width}" height="{height}" role="group">{_stripes(heights, width)}{drawn}</svg>'
        f'</div></div>{_legend(rows)}<p id="picked" aria-live="polite">Choose a claim to see who says it, and what it '
        f"rests on.</p>{more}{_table(rows, names or {})}")


def trace_page(graph: Mapping[str, Any]) -> str:
    """The whole page of ``troth trace --html``, from the same JSON that ``troth trace --json`` prints."""
    stale = sum(1 for row in graph["nodes"] if row["stale"])
    erased = sum(1 for row in graph["nodes"] if row["erased"])
    withdrawn = sum(1 for row in graph["nodes"] if row["withdrawn"])
    why = " and ".join(filter(None, ("data it rests on was erased" if erased else "",
                                     "a consent was withdrawn" if withdrawn else "")))
    says = (f"{why[:1].upper()}{why[1:]}: {stale} of {len(graph['nodes'])} claims are stale." if graph["stale"]
            else f"Nothing that its {len(graph['nodes'])} claims rest on was erased or withdrawn.")
    if erased and not graph["stale"]:
        says = f"{erased} listings were erased, none of which the target rests on."
    body = (f'<main><h1>Lineage</h1><p class="lead">{text(says)}</p><p>Target <code>{text(graph["target"])}</code></p>'
            f"{graph_svg(graph)}</main>")
    return page("Lineage of a claim", body, ["graph.js"])


def _lanes(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    """Each claim's lane, by name."""
    issuers = {row["issuer"] for row in rows}
    if len(issuers) > MOST_LANES:
        return [row["kind"] or "not here" for row in rows]
    return [_name(row["issuer"], names) for row in rows]


def _name(did: str | None, names: Mapping[str, str]) -> str:
    if did is None:
        return "not here"
    return names.get(did) or (did if len(did) <= 14 else f"{did[4:10]}…{did[-6:]}")


def _columns(rows: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Column of each claim: one after the last it refers to. References form no circle, because ids are hashes."""
    below: dict[str, list[str]] = {row["claim"]: [] for row in rows}
    above: dict[str, list[str]] = {row["claim"]: [] for row in rows}
    for edge in edges:
        below[edge["from"]].append(edge["to"])
        above[edge["to"]].append(edge["from"])
    waiting = {claim: len(refs) for claim, refs in below.items()}
    column = dict.fromkeys(below, 0)
    ready = [claim for claim, count in waiting.items() if not count]
    while ready:
        claim = ready.pop()
        for upper in above[claim]:
            column[upper] = max(column[upper], column[claim] + 1)
            waiting[upper] -= 1
            if not waiting[upper]:
                ready.append(upper)
    return column


def _places(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, int],
            lanes: Sequence[str]) -> tuple[dict[str, _Place], dict[str, int]]:
    """Where each claim is drawn, left to right, and each lane's height, both in drawing order."""
    stacks: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row, lane in zip(rows, lanes, strict=True):
        stacks.setdefault((lane, columns[row["claim"]]), []).append(row)
    heights = {lane: _ROW * max(len(stack) for (at, _), stack in stacks.items() if at == lane)
               for lane in _order(rows, lanes)}
    tops, top = {}, 4
    for lane, height in heights.items():
        tops[lane], top = top, top + height
    places = {}
    for (lane, column), stack in sorted(stacks.items(), key=lambda item: item[0][1]):
        for at, row in enumerate(stack):
            y = tops[lane] + heights[lane] * (2 * at + 1) // (2 * len(stack))
            places[row["claim"]] = _Place(_COLUMN // 2 + column * _COLUMN, y, row)
    return places, heights


def _order(rows: Sequence[Mapping[str, Any]], lanes: Sequence[str]) -> list[str]:
    """The lanes from top to bottom: who sends updates, who aggregates, who judges, everybody else; each by name."""
    first = {lane: len(_TOP) for lane in lanes}
    for row, lane in zip(rows, lanes, strict=True):
        if row["kind"] in _TOP:
            first[lane] = min(first[lane], _TOP.index(row["kind"]))
    return sorted(first, key=lambda lane: (first[lane], lane))


def _lane_labels(heights: Mapping[str, int]) -> str:
    parts, top = [], 4
    for lane, height in heights.items():
        short = lane if len(lane) <= 15 else lane[:14] + "…"
        parts.append(f'<text x="0" y="{top + height // 2 + 4}"><title>{text(lane)}</title>{text(short)}</text>')
        top += height
    return "".join(parts)


def _stripes(heights: Mapping[str, int], width: int) -> str:
    parts, top = [], 4
    for at, height in enumerate(heights.values()):
        parts.append(f'<rect class="lane l{at % 2}" x="0" y="{top}" width="{width}" height="{height}"/>')
        top += height
    return "".join(parts)


def _edge(edge: Mapping[str, Any], places: Mapping[str, _Place], numbers: Mapping[str, int]) -> str:
    here, there = places[edge["from"]], places[edge["to"]]
    # What everything refers to (the plan, a listing from afar) would hide the rest: drawn faintly until chosen.
    far = " far" if here.x - there.x > 2 * _COLUMN else ""
    bend = (here.x - there.x) // 2
    return (f'<path class="edge{far}" data-from="{numbers[edge["from"]]}" data-to="{numbers[edge["to"]]}" '
            f'd="M{here.x} {here.y}C{here.x - bend} {here.y} {there.x + bend} {there.y} {there.x} {there.y}"/>')


def _states(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What is to be said of a claim besides its kind: erased, withdrawn, stale or not here; and replaced."""
    gone = "erased" if row["erased"] else "withdrawn" if row["withdrawn"] else ""
    state = gone or ("stale" if row["stale"] else "" if row["kind"] else "absent")
    return tuple(filter(None, ("replaced" if row["replaced"] else "", state)))


def _node(at: int, place: _Place, target: str, names: Mapping[str, str]) -> str:
    row, states = place.row, _states(place.row)
    kind, who = row["kind"] or "claim that is not here", _name(row["issuer"], names)
    says = ", ".join((f"{kind} by {who}" if row["issuer"] else kind, *states))
    letter = "?" if row["kind"] is None else row["kind"][:1].upper()
    ring = f'<circle class="target" r="{_RADIUS + 4}"/>' if row["claim"] == target else ""
    gone = row["erased"] or row["withdrawn"]
    cross = f'<path class="cross" d="M-{_RADIUS} -{_RADIUS}L{_RADIUS} {_RADIUS}"/>' if gone else ""
    style = " ".join(("node", _colour(row["kind"]), *states))
    return (f'<g class="{style}" transform="translate({place.x} {place.y})" role="button" '
            f'tabindex="{0 if at == 0 else -1}" data-at="{at}" data-claim="{text(row["claim"])}" '
            f'data-kind="{text(kind)}" data-who="{text(who)}" data-did="{text(row["issuer"] or "")}" '
            f'data-state="{", ".join(states)}" aria-label="{text(says)}">'
            f'<title>{text(says)}\n{text(row["claim"])}</title>'
            f'{ring}<circle r="{_RADIUS}"/>{cross}<text y="4.5">{text(letter)}</text></g>')


def _colour(kind: str | None) -> str:
    return f"k{COLOURS.index(kind) if kind in COLOURS else len(COLOURS)}"


def _legend(rows: Sequence[Mapping[str, Any]]) -> str:
    kinds = sorted({row["kind"] for row in rows if row["kind"]},
                   key=lambda kind: (COLOURS.index(kind) if kind in COLOURS else 99, kind))
    items = [(f"node {_colour(kind)}", kind[:1].upper(), kind) for kind in kinds]
    states = {state for row in rows for state in _states(row)}
    items += [(f"node k7 {state}", "", says) for state, says in
              (("replaced", "refuted and replaced"), ("erased", "data erased"), ("withdrawn", "consent withdrawn"),
               ("stale", "stale: rests on erased data or a withdrawn consent"), ("absent", "not here"))
              if state in states]
    return "<p class=legend>" + "".join(
        f'<span><svg class="swatch round" viewBox="-15 -15 30 30" aria-hidden="true"><g class="{style}"><circle '
        f'r="12"/><text y="5">{text(letter)}</text></g></svg> {text(says)}</span>'
        for style, letter, says in items) + "</p>"


def _table(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    cells = [(text(row["kind"] or "not here"), text(_name(row["issuer"], names)),
              text(", ".join(_states(row)) or "in force"), f"<code>{text(row['claim'])}</code>") for row in rows]
    return (f"<details><summary>All {len(rows)} claims as a table</summary>"
            f"{table(['kind', 'issuer', 'state', 'claim'], cells, label='All claims')}</details>")
