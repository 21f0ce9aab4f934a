"""A chain behind HTTP: the shared suite against the embedded chain's own server, and what only a wire can do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ports.chain_suite import ALICE, ETHER, ChainSuite
from troth.core.errors import Misuse, OutsideFailed
from troth.ledger.chains import Chain, open_chain
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.server import RpcServer

GENESIS = 1_700_000_000


class TestRpc(ChainSuite):
    @pytest.fixture(autouse=True)
    def servers(self) -> Iterator[None]:
        self.running: list[tuple[EmbeddedChain, RpcServer]] = []
        yield
        for chain, server in self.running:
            server.close()
            chain.close()

    def make(self) -> Chain:
        chain = EmbeddedChain(None, genesis_time=GENESIS, accounts={ALICE: 10 * ETHER}, clock=ManualClock(GENESIS))
        self.running.append((chain, RpcServer(chain, 0)))
        return open_chain(self.url)

    @property
    def url(self) -> str:
        return self.running[-1][1].url

    def advance(self, chain: Chain, seconds: int) -> None:
        self.running[-1][0].advance(seconds)

    def test_another_chain_than_was_asked_for_is_refused(self) -> None:
        genesis = self.make().genesis_hash
        with pytest.raises(Misuse, match="another chain"):
            open_chain(self.url, chain_id=1)
        with pytest.raises(Misuse, match="another chain"):
            open_chain(self.url, chain_id=7_407, genesis_hash=bytes(32))
        with pytest.raises(Misuse, match="own genesis"):
            open_chain(self.url, genesis_time=1)
        with open_chain(self.url, chain_id=7_407, genesis_hash=genesis) as chain:
            assert chain.now() == GENESIS

    def test_nobody_there(self) -> None:
        self.make()
        url = self.url
        chain, server = self.running.pop()
        server.close()
        chain.close()
        with pytest.raises(OutsideFailed, match="does not answer"):
            open_chain(url)
