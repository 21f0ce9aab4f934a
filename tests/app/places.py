"""Workspaces on one chain that can be opened again, as another process would."""

from __future__ import annotations

from pathlib import Path

from troth.app import Settings, Troth, file_subject
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain

PASSPHRASE = "correct horse"
START = 1_700_000_000


class Place:
    """A chain, a clock and a folder in which workspaces are made and opened again."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, ManualClock(START)
        self.chain = EmbeddedChain(None, clock=self.clock)
        self.open_: list[Troth] = []

    def make(self, name: str) -> Troth:
        settings = Settings(name, "", str(self.root / "exchange"))
        party = Troth.init(self.root / name, PASSPHRASE, settings, cost=MIN_COST, clock=self.clock,
                           chain=self.chain)
        self.open_.append(party)
        return party

    def again(self, name: str) -> Troth:
        """Another process that opens the workspace now."""
        party = Troth.open(self.root / name, PASSPHRASE, clock=self.clock, chain=self.chain)
        self.open_.append(party)
        return party

    def close(self) -> None:
        for party in self.open_:
            party.close()
        self.chain.close()


def attest(party: Troth, text: str) -> bytes:
    return party.attest("dataset", [file_subject("it", text.encode())], {"rows": 1})


def meet(*parties: Troth) -> None:
    for one in parties:
        for other in parties:
            if one is not other:
                one.introduce(other.did)
    for one in parties:
        one.receive()
        assert not one.refused
