"""People with records and a model trained on them, on one chain: who makes, who earns, who checks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from troth.app import Settings, Troth
from troth.core.claims import Ref, Subject
from troth.flows import royalties
from troth.flows.parts import Pin
from troth.flows.roles import list_records
from troth.flows.royalty_words import Money, Owed, Periods, Words
from troth.identity.keystore import MIN_COST
from troth.learn.contributions import CONTRIBUTION, DECLARED, Contribution, Row
from troth.learn.data import Part
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20
from troth.verify.policies.voices import commit_data, reveal_data

HOUR, PURSE, PRICE = 3_600, 1_000_000, 1_000
MONEY = Money(stake=3_000, bond=100, fee=40, verifier_stake=100, keeper=6)
COMMONS = hashlib.sha256(b"commons").digest()[:20]
VERIFIERS = ("verifier-1", "verifier-2")
NAMES = ("maker", "anna", "ben", *VERIFIERS)


class World:
    """``maker`` trained on what ``anna`` and ``ben`` listed, and earns; verifiers can be called."""

    def __init__(self, folder: Path) -> None:
        self.chain = EmbeddedChain(folder / "chain.sqlite")
        self.parties = {name: Troth.init(folder / name, "x", Settings(name, "", str(folder / "exchange")),
                                         cost=MIN_COST, clock=self.chain, chain=self.chain) for name in NAMES}
        maker = self["maker"]
        self.contracts = maker.deploy(supply=PURSE * len(NAMES))
        self.token = Erc20(self.chain.web3, self.contracts["token"].address)
        for party in self.parties.values():
            party.use_contracts(self.contracts)
            party.bind_account()
            if party is not maker:
                self.token.transfer(maker.sender, party.account, PURSE)
            self.token.approve(party.sender, self.contracts["book"].address, PURSE)
        for party in self.parties.values():
            for other in self.parties.values():
                if other is not party:
                    other.meet(party.introduction())
        self.count = 0

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def close(self) -> None:
        for party in self.parties.values():
            party.close()
        self.chain.close()

    def everybody(self, party: Troth) -> list[str]:
        return [one.did for one in self.parties.values() if one is not party]

    def receive(self) -> None:
        for party in self.parties.values():
            party.receive()
            assert not party.refused

    def balances(self) -> dict[str, int]:
        return {name: self.token.balance(party.account) for name, party in self.parties.items()}

    def give(self, party: Troth, claim: bytes) -> bytes:
        """Hand a claim to everybody."""
        party.send(self.everybody(party), [claim], party.evidence_here([claim]))
        self.receive()
        return claim

    def listing(self, name: str, part: Part | None = None) -> bytes:
        """A listing of these records, in the open so that verifiers may value them."""
        party = self[name]
        self.count += 1
        if part is None:
            return self.give(party, party.attest("listing", [Subject("records", {"sha256": hashlib.sha256(
                bytes([self.count])).hexdigest()})], {"cid": f"{name} {self.count}"}))
        return self.give(party, list_records(party, part, bytes(32), party.add("records", part.to_bytes())))

    def trained(self, name: str, *rests: bytes, validation: bytes | None = None) -> bytes:
        """A run of ``name`` on what it refers to."""
        self.count += 1
        refs = [Ref("data", claim) for claim in rests] + ([Ref("validation", validation)] if validation else [])
        subject = Subject("model", {"sha256": hashlib.sha256(bytes([255, self.count])).hexdigest()})
        return self.give(self[name], self[name].attest("run", [subject], {"number": self.count}, refs=refs))

    def contribution(self, target: bytes, weights: dict[bytes, int], passes: int = 400_000) -> Contribution:
        """By declaration, each paid at its maker's account."""
        rows = tuple(Row(claim, self.account(claim), weights[claim]) for claim in sorted(weights))
        return Contribution(target, self.account(target), DECLARED, passes, rows)

    def account(self, claim: bytes) -> bytes:
        did = self["maker"].statement(claim).issuer
        return next(party.account for party in self.parties.values() if party.did == did)

    def say(self, name: str, said: Contribution) -> bytes:
        party = self[name]
        subjects = party.statement(said.target).subjects
        return self.give(party, party.attest(CONTRIBUTION, subjects, said.body(), refs=said.refs()))

    def owed(self, target: bytes, contributions: tuple[bytes, ...], amount: int = PRICE) -> Owed:
        self.count += 1
        pins = (Pin.of(self.contracts[name]) for name in ("assumed", "rerun:2"))
        bench = tuple((self[one].did, self[one].account) for one in VERIFIERS)
        words = Words(self.token.address, COMMONS, *pins, bench, MONEY, Periods(HOUR, HOUR, HOUR))
        return Owed(self.contracts.chain_id, self.contracts["book"].address, self["maker"].account, target, amount,
                    contributions, None, self.chain.now() + HOUR, self.count.to_bytes(32, "big"), words)

    def run(self, owed: Owed) -> royalties.Run:
        """An honest payer's run, stated, funded by everybody, not answered yet."""
        maker = self["maker"]
        found = royalties.due(maker, owed.target, owed.amount, maker.accounts_of)
        run = royalties.state_run(maker, replace(owed, contributions=found.contributions), maker.accounts_of,
                                  self.everybody(maker))
        return self.start(run)

    def start(self, run: royalties.Run) -> royalties.Run:
        self.receive()
        royalties.open_run(self["maker"], run.claim)
        for name in VERIFIERS:
            royalties.join_run(self[name], run.deal)
        return run

    def checked(self, name: str, deal: bytes) -> royalties.Checked:
        party = self[name]
        return royalties.check_run(party, deal, party.accounts_of, party.read)

    def close_run(self, deal: bytes, by: str = "anna") -> None:
        self.chain.advance(HOUR)
        self[by].book.close(self[by].account, deal)

    def verify(self, deal: bytes, caller: str, *, silent_payer: bool = False) -> None:
        """``caller`` climbs; the payer hands its evidence over; both verifiers find, commit and reveal."""
        one = self[caller]
        one.book.challenge(one.account, deal)
        if silent_payer:
            self.chain.advance(HOUR)
        else:
            royalties.evidence(self["maker"], deal)
            self.receive()
        found = {}
        for name in VERIFIERS:
            party = self[name]
            finding = royalties.find(party, deal, party.accounts_of, party.read)
            found[name] = finding.right.to_bytes()
            self.give(party, royalties.publish(party, finding.payouts))
            party.book.submit(party.account, deal, 1, 0, bytes(32),
                              commit_data(deal, 1, party.account, found[name], bytes(32)))
        for name in VERIFIERS:
            self[name].book.submit(self[name].account, deal, 2, 0, bytes(32), reveal_data(found[name], bytes(32)))
        one.book.judge(one.account, deal)
        one.book.close(one.account, deal)
