"""The contract on anvil, behind the face of ``ports.books``: another implementation of the machine that runs it."""

from __future__ import annotations

from ports.anvil import anvil, block_seconds, mine, revert, snapshot
from ports.books import START
from ports.evm_world import EvmWorld
from troth.core.terms import Account
from troth.ledger.chains.blocks import hex_bytes, quantity
from troth.ledger.chains.rpc import request
from troth.ledger.erc20 import Erc20
from troth.ledger.evm import EvmBook
from troth.ledger.sending import Sender


class AnvilWorld(EvmWorld):
    """As ``EvmWorld``; time stands still until it is advanced. ``again`` takes everything back to ``keep``."""

    def __init__(self) -> None:
        self.chain = anvil(genesis_time=START)  # type: ignore[assignment]
        block_seconds(self.chain, 0)
        self.web3 = self.chain.web3
        self._senders: dict[Account, Sender] = {}
        self.addresses = self._deploy()
        self._begin()

    def _begin(self) -> None:
        self._senders.clear()
        self.book = EvmBook(self.web3, self.addresses.book, self.sender, chain_id=self.chain.chain_id)
        self.erc20 = Erc20(self.web3, self.token)

    def keep(self) -> None:
        """What ``again`` comes back to."""
        self._name = snapshot(self.chain)

    def again(self) -> None:
        """Everything as it was at ``keep``."""
        revert(self.chain, self._name)
        block_seconds(self.chain, 0)
        self.keep()
        self._begin()

    def now(self) -> int:
        return quantity(request(self.web3, "eth_getBlockByNumber", "latest", False)["timestamp"])

    def advance(self, seconds: int) -> None:
        if seconds:
            request(self.web3, "evm_setNextBlockTimestamp", self.now() + seconds)
            mine(self.chain)

    def head(self) -> bytes:
        """The newest block's hash."""
        return hex_bytes(request(self.web3, "eth_getBlockByNumber", "latest", False)["hash"], 32)

    def stored(self, account: Account, slot: int) -> int:
        """A storage slot."""
        return quantity(request(self.web3, "eth_getStorageAt", "0x" + account.hex(), hex(slot), "latest"))
