"""The largest flow through a graph of integer capacities (Dinic's algorithm)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from troth.core.errors import BadInput

Node = TypeVar("Node", bound=Hashable)


class Network(Generic[Node]):
    """A directed graph with capacities, asked for one largest flow after another."""

    def __init__(self, capacities: Mapping[tuple[Node, Node], int]) -> None:
        """capacities: of each edge (from, to), at least 0. Raises BadInput for a negative one."""
        self._to: list[Node] = []
        self._room: list[int] = []
        self._out: dict[Node, list[int]] = {}
        for (source, to), room in capacities.items():
            if room < 0:
                raise BadInput("a negative capacity", expected="at least 0", actual=room)
            for node, other, size in ((source, to, room), (to, source, 0)):  # an edge and, beside it, its way back
                self._out.setdefault(node, []).append(len(self._to))
                self._to.append(other)
                self._room.append(size)

    def flow(self, sources: Iterable[Node], sinks: Iterable[Node]) -> int:
        """The most that can flow from the sources together to the sinks together.

        Raises BadInput where one is both: there the flow has no bound.
        """
        starts, ends = frozenset(sources), frozenset(sinks)
        if starts & ends:
            raise BadInput("a source that is a sink", expected="two sets that share no node")
        room, whole = self._room.copy(), 0
        while (levels := self._levels(starts, ends, room)) is not None:
            places = dict.fromkeys(levels, 0)
            for start in starts & levels.keys():
                while (sent := self._send(start, ends, levels, places, room)) > 0:
                    whole += sent
        return whole

    def _levels(self, starts: frozenset[Node], ends: frozenset[Node], room: list[int]) -> dict[Node, int] | None:
        """Edges from the nearest source to each node; None where no sink can be reached any more."""
        levels, waiting, reached, last = dict.fromkeys(starts, 0), deque(starts), False, 0
        while waiting:
            node = waiting.popleft()
            if reached and levels[node] >= last:
                break  # no shortest path leads through it
            for edge in self._out.get(node, ()):
                to = self._to[edge]
                if room[edge] and to not in levels:
                    levels[to] = levels[node] + 1
                    if to in ends and not reached:
                        reached, last = True, levels[to]
                    waiting.append(to)
        return levels if reached else None

    def _send(self, start: Node, ends: frozenset[Node], levels: Mapping[Node, int], places: dict[Node, int],
              room: list[int]) -> int:
        """Send what one path by rising levels takes; 0 if there is none left."""
        path: list[int] = []
        node = start
        while node not in ends:
            out = self._out.get(node, ())
            while places[node] < len(out):
                edge = out[places[node]]
                if room[edge] and levels.get(self._to[edge], -1) == levels[node] + 1:
                    break
                places[node] += 1
            else:
                if not path:
                    return 0
                back = path.pop()  # a dead end: never tried again at these levels
                node = self._to[back ^ 1]
                places[node] += 1
                continue
            path.append(out[places[node]])
            node = self._to[path[-1]]
        sent = min(room[edge] for edge in path)
        for edge in path:
            room[edge] -= sent
            room[edge ^ 1] += sent
        return sent
