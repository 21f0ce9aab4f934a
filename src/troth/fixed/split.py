"""Splitting an amount down a lineage, exact to the unit.

A lineage is a directed graph without circles: each node keeps a part of what reaches it and passes the rest on to what
it rests on, by integer weights. Rules of ``split``:

1. What reaches a node by several ways is added up before it is divided, so a diamond gives what its sum would give.
2. Shares are carried at 2**-128 of the smallest unit, every one of which is handed on: by largest remainder, equal
   remainders by the nodes' names. Only at the end are they rounded to whole units, in the same way.
3. So the parts sum to the amount exactly; none is negative; each is within one unit (and one part in 2**100) of its
   exact share; and the order in which nodes or edges are written changes nothing.

A circle is refused: what goes round would never be anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from troth.core.errors import BadInput

FINE = 128
"""Bits below the smallest unit in which shares are carried."""
MAX_NODES = 1 << 16
MAX_WEIGHT = 1 << 128


@dataclass(frozen=True, slots=True)
class Share:
    """What a node does with what reaches it: keeps it by the weight ``keeps``, passes it on by the other weights."""

    keeps: int
    passes: Mapping[bytes, int] = field(default_factory=dict)


LEAF = Share(1)
"""Rests on nothing, and keeps everything."""


def apportion(amount: int, weights: Sequence[int]) -> list[int]:
    """``amount`` in proportion to ``weights``, summing to it exactly: floors, then a unit each by largest remainder.

    Equal remainders go to the earlier. Raises BadInput for a negative amount or weight, or weights that are all 0.
    """
    whole = sum(weights)
    if amount < 0 or not whole or any(not 0 <= weight <= MAX_WEIGHT for weight in weights):
        raise BadInput("nothing to divide by", expected=f"an amount from 0, weights from 0 to {MAX_WEIGHT}, not all 0",
                       actual=f"{amount}, {len(weights)} weights that sum to {whole}")
    parts = [amount * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda at: (-(amount * weights[at] % whole), at))
    for at in order[:amount - sum(parts)]:
        parts[at] += 1
    return parts


def split(amount: int, top: bytes, shares: Mapping[bytes, Share]) -> dict[bytes, int]:
    """What each node that ``top`` leads to keeps of ``amount``; the parts sum to it. Nodes that keep nothing are 0.

    Raises BadInput for a circle, a node without a share, weights that are no weights, or too many nodes.
    """
    kept: dict[bytes, int] = {}
    reaches = {top: amount << FINE}
    for node in _downwards(top, shares):
        share, came = shares[node], reaches.pop(node)
        below = sorted(share.passes)
        parts = apportion(came, [share.keeps, *(share.passes[one] for one in below)])
        kept[node] = parts[0]
        for one, part in zip(below, parts[1:], strict=True):
            reaches[one] = reaches.get(one, 0) + part
    found = {node: fine >> FINE for node, fine in kept.items()}
    order = sorted(kept, key=lambda node: (-(kept[node] & ((1 << FINE) - 1)), node))
    for node in order[:amount - sum(found.values())]:
        found[node] += 1
    return found


def _downwards(top: bytes, shares: Mapping[bytes, Share]) -> Iterator[bytes]:
    """Every node that ``top`` leads to, each after all that lead to it."""
    above: dict[bytes, int] = {top: 0}
    stack = [top]
    while stack:
        node = stack.pop()
        if node not in shares:
            raise BadInput("a lineage that says nothing of one of its nodes", actual=node.hex())
        for below in shares[node].passes:
            if below not in above:
                if len(above) == MAX_NODES:
                    raise BadInput("a lineage too large to split", expected=f"at most {MAX_NODES} nodes")
                above[below] = 0
                stack.append(below)
            above[below] += 1
    ready, done = [top] if not above[top] else [], 0
    while ready:
        node = ready.pop()
        done += 1
        yield node
        for below in shares[node].passes:
            above[below] -= 1
            if not above[below]:
                ready.append(below)
    if done != len(above):
        raise BadInput("a lineage that goes in a circle", expected="each thing to rest on earlier ones",
                       actual=sorted(node.hex()[:16] for node, count in above.items() if count)[:4])
