"""Keeping an index in step with a chain that may change its mind.

``Projection.sync`` in order:

1. Walk back from the index's last block to the newest one that the node's chain still has. Take away what came after
   it, in one transaction. A block that was called final is never walked past: then the node is wrong, or the chain is.
2. Old blocks (final, and at least ``window`` below the head) in ranges; a range that the node refuses is halved.
3. The rest block by block, each linked to the one before by its parent hash, its events checked against its header.

Each step ends at a block, with one transaction: whoever is killed, or whose node fails, has an index that is right as
of its last block, and the next ``sync`` goes on from there. If the chain changes while it is read, the walk starts
again. A node that is behind the index on the same branch changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.core.errors import Misuse, OutsideFailed
from troth.core.terms import Account
from troth.ledger.events import TABLES, Reader, Row
from troth.ledger.feed import Block, Feed, Moved, TooMuch
from troth.ledger.projection_sql import Lost, Store

if TYPE_CHECKING:
    from web3 import Web3

WINDOW = 64
"""Blocks below the head that are always read one by one."""
KEPT = 256
"""Blocks whose hashes are kept even if they are final, and how deep a change may go on a chain without finality."""
FIRST_RANGE = 2_000
MOST_RANGE = 1 << 17
TOGETHER = 32
"""Blocks near the head that go into one transaction."""
TRIES = 5
Progress = Callable[[int, int], None]
"""Called with (the last block that is in, the head)."""


@dataclass(frozen=True, slots=True)
class Contracts:
    """What an index is of. first_block: the first that may hold an event of these contracts."""

    chain_id: int
    book: Account
    anchor: Account
    first_block: int


class Projection:
    """The events of ``of`` in ``store``, read from the node behind ``web3``.

    window: see ``WINDOW``; the chains of tests are short. depth: how many blocks make a block final; None takes the
    node's word. Raises Misuse where node or index are of another chain or
    other contracts, OutsideFailed where either fails.
    """

    def __init__(self, web3: Web3, store: Store, of: Contracts, *, window: int = WINDOW,
                 depth: int | None = None) -> None:
        self._feed = Feed(web3, Reader(of.chain_id, of.book, of.anchor), depth)
        self._store = store
        self._first = of.first_block
        self._window = window
        self._size, self._refused = FIRST_RANGE, False
        found, genesis = self._feed.chain_id(), self._feed.block(0)
        if found != of.chain_id:
            raise Misuse("the node is on another chain", expected=of.chain_id, actual=found)
        if genesis is None:
            raise OutsideFailed("the node has no block 0", do="Ask another node.")
        store.claim({"chain": str(of.chain_id), "genesis": genesis.hash.hex(), "book": of.book.hex(),
                     "anchor": of.anchor.hex(), "first": str(of.first_block)})

    def sync(self, progress: Progress | None = None) -> None:
        """Bring the index up to the node's head. Raises OutsideFailed; what is in by then is whole and stays."""
        furthest, idle = -1, 0
        while idle < TRIES:
            try:
                self._sync(progress or (lambda done, head: None))
                return
            except (Moved, Lost):
                tip = self._store.tip()
                idle = 0 if tip is not None and tip[0] > furthest else idle + 1
                furthest = max(furthest, -1 if tip is None else tip[0])
        raise OutsideFailed(f"the chain, or the index, changed {TRIES} times while it was read",
                            do="Try again; if it goes on, ask another node.")

    def _sync(self, progress: Progress) -> None:
        final, head = self._feed.finalized(), self._feed.head()  # in this order: blocks may come in between
        if final is not None and final.number > head.number:
            raise Moved
        tip = self._common(head)
        old = min(head.number - self._window, head.number - KEPT if final is None else final.number)
        tip = self._old(tip, old, head, progress)
        self._near(tip, head, progress)
        if final is not None and dict(self._store.blocks()).get(final.number, final.hash) != final.hash:
            raise Moved
        self._store.settle(None if final is None else final.number, KEPT)

    # -- step 1 ----------------------------------------------------------------------------------------------------

    def _common(self, head: Block) -> tuple[int, bytes] | None:
        """The newest block that index and chain share, after taking away what came after it."""
        blocks, final = self._store.blocks(), self._store.final()
        if not blocks:
            return None
        differs = False
        for number, digest in blocks:
            if number > head.number:
                continue
            found = head if number == head.number else self._there(number)
            if found.hash == digest:
                if blocks[0][0] > head.number and not differs:
                    return blocks[0]  # the node is behind, on the same branch
                if number != blocks[0][0]:
                    self._store.roll_back(blocks[0], number)
                return number, digest
            differs = True
            if final is not None and number <= final:
                raise OutsideFailed("the node's chain differs in a block that was final", expected=digest.hex(),
                                    actual=f"{found.hash.hex()} at block {number}",
                                    do="Ask another node. If the chain itself was set back, delete the index.")
        raise OutsideFailed("the node's chain shares no block with the index", actual=f"a head at block {head.number}",
                            expected=f"block {blocks[-1][0]} of the index",
                            do="Ask another node. If the chain itself was set back, delete the index.")

    # -- step 2 ----------------------------------------------------------------------------------------------------

    def _old(self, tip: tuple[int, bytes] | None, last: int, head: Block,
             progress: Progress) -> tuple[int, bytes] | None:
        done = self._first - 1 if tip is None else tip[0]
        while done < last:
            end = self._there(min(done + self._size, last))
            try:
                rows = self._feed.range(done + 1, end)
            except TooMuch as refused:
                if end.number == done + 1:
                    raise OutsideFailed(f"the node will not tell the events of block {end.number}",
                                        actual=refused.reason, do="Ask another node.") from refused
                self._size, self._refused = max(1, (end.number - done) // 2), True
                continue
            if self._there(end.number).hash != end.hash:
                raise Moved
            self._store.append(tip, [(end.number, end.hash)], rows)
            tip, done = (end.number, end.hash), end.number
            # Doubled until a first refusal; from then on the node's limit is near, and felt for in small steps.
            self._size = min(MOST_RANGE, self._size + (self._size // 16 + 1 if self._refused else self._size))
            progress(done, head.number)
        return tip

    def _there(self, number: int) -> Block:
        found = self._feed.block(number)
        if found is None:
            raise Moved
        return found

    # -- step 3 ----------------------------------------------------------------------------------------------------

    def _near(self, tip: tuple[int, bytes] | None, head: Block, progress: Progress) -> None:
        done = self._first - 1 if tip is None else tip[0]
        parent = None if tip is None else tip[1]
        while done < head.number:
            rows: dict[str, list[Row]] = {table: [] for table in TABLES}
            blocks: list[tuple[int, bytes]] = []
            for number in range(done + 1, min(done + TOGETHER, head.number) + 1):
                block = head if number == head.number else self._there(number)
                if parent not in (None, block.parent):
                    raise Moved
                for table, found in self._feed.events(block).items():
                    rows[table] += found
                blocks.append((number, block.hash))
                parent = block.hash
            self._store.append(tip, blocks, rows)
            tip = blocks[-1]
            done = tip[0]
            progress(done, head.number)
