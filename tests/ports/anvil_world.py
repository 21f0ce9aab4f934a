"""The contracts on anvil, a node of another make than the embedded chain, and fast where pairings are long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ports.anvil import advance, anvil, mine
from ports.books import START
from ports.evm_world import EvmWorld
from troth.core.terms import Account


class AnvilWorld(EvmWorld):
    """As ``EvmWorld``, on a node that forgets."""

    def _start(self, path: Path | None, accounts: Mapping[Account, int] | None) -> Any:
        return anvil(genesis_time=START)

    def now(self) -> int:
        return int(self.chain.now())

    def advance(self, seconds: int) -> None:
        advance(self.chain, seconds)
        mine(self.chain)
