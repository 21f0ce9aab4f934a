"""What sending may cost, and how final is final: the two things about a chain that its user decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from troth.core.errors import BadInput, OutsideFailed
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.rpc import RpcError, request
from troth.ledger.outbox import FINALIZED, INCLUDED, SAFE

if TYPE_CHECKING:
    from web3 import Web3

CEILING = 300 * 10**9
PATIENCE = 60.0
WAIT = 120.0
"""Seconds to wait for an answer."""


@dataclass(frozen=True, slots=True)
class Fees:
    """The rule for fees (EIP-1559). ceiling: the most wei per gas, tip included, ever signed for. patience: seconds
    after which a transaction that could be in a block and is in none is signed again for more.
    """

    ceiling: int = CEILING
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        if self.ceiling < 0 or self.patience < 0:
            raise BadInput("not a rule for fees", expected="0 or more", actual=self)

    def first(self, base: int, tip: int) -> tuple[int, int] | None:
        """(fee, tip) to begin with: room for the base fee to double. None where the ceiling is below the base fee."""
        fee = min(2 * base + tip, self.ceiling)
        return None if fee < base else (fee, min(tip, fee))

    def more(self, fee: int, tip: int, base: int, wanted: int) -> tuple[int, int] | None:
        """(fee, tip) at least an eighth above both of an earlier version, which is what nodes ask of a replacement,
        and enough for the present base fee. None where the ceiling is below that.
        """
        least, tip = fee + fee // 8 + 1, max(tip + tip // 8 + 1, wanted)
        fee = max(least, min(2 * base + tip, self.ceiling))
        return None if fee > self.ceiling or fee < base else (fee, min(tip, fee))


    def filler(self, fee: int, tip: int, base: int, wanted: int) -> tuple[int, int] | None:
        """(fee, tip) of what is to fill the place of an earlier version: ``more``, or all that the ceiling allows,
        which a node takes that no longer has the earlier one. None where the ceiling is below either.
        """
        better = self.more(fee, tip, base, wanted)
        return better if better is not None or self.ceiling < max(fee, base) else (self.ceiling, tip)


@dataclass(frozen=True, slots=True)
class Sending:
    """How an account's acts are sent. depth: how many blocks on top make one final; None takes the node's word.

    wait: seconds to wait for an answer; sleep: how to wait between polls; clock: this machine's, Unix seconds.
    """

    fees: Fees = field(default_factory=Fees)
    depth: int | None = None
    wait: float = WAIT
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if self.depth is not None and self.depth < 0:
            raise BadInput("not a depth", expected="a number of blocks", actual=self.depth)


class Heads:
    """The chain's head, safe and finalized blocks during one look at it; each asked for when it is first needed.

    depth: so many blocks on top make a block safe and final; None takes the node's word: its ``safe`` and
    ``finalized`` tags, which follow the chain's own rules.
    """

    def __init__(self, web3: Web3, depth: int | None) -> None:
        self._web3, self._depth = web3, depth
        self._blocks: dict[object, Any] = {}

    def block(self, tag: str | int) -> Any:
        """A block's JSON, or None.

        What is final is asked before any block is: a block that is then seen at a final height is the one that stays.
        The other way round a re-organisation between the two questions would make the block that it took away final.
        """
        if isinstance(tag, int):
            self.number(FINALIZED)
        if tag not in self._blocks:
            name = hex(tag) if isinstance(tag, int) else tag
            self._blocks[tag] = request(self._web3, "eth_getBlockByNumber", name, False)
        return self._blocks[tag]

    def number(self, tag: str) -> int:
        """The number of the latest, safe or finalized block; -1 where there is none yet. Raises OutsideFailed."""
        if tag != "latest" and self._depth is not None:
            return max(self.number("latest") - self._depth, -1)
        try:
            block = self.block(tag)
        except RpcError as error:
            if "not found" in error.reason:  # a young chain
                return -1
            raise OutsideFailed(f"the node does not say which block is {tag}: {error.reason}",
                                do="Say how many blocks make a block final: [chain] finality = \"64\".") from error
        return -1 if block is None else quantity(block["number"])

    def level(self, block: int) -> str:
        """How sure it is that a block of the present chain stays."""
        if block <= self.number(FINALIZED):
            return FINALIZED
        return SAFE if block <= self.number(SAFE) else INCLUDED


def lowest(holds: Callable[[int], bool], last: int) -> int:
    """The lowest number up to ``last`` that holds, where all above hold too: first in steps back that double."""
    low, high, step = -1, last, 1
    while high - step >= 0 and holds(high - step):
        high, step = high - step, step * 2
    low = max(low, high - step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
