"""A small consortium on an embedded chain: three sites, an aggregator, three verifiers, a sponsor, a stranger.

Every attack is one first round in a deal of its own, so that one set-up serves them all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from troth.app import Settings, Troth
from troth.core.claims import Evidence, Ref
from troth.core.terms import Result
from troth.flows import round as flow
from troth.flows.parts import Pin, join_all
from troth.flows.roles import call_plan, list_records
from troth.flows.terms import Money, Words, round_terms
from troth.identity.keystore import MIN_COST
from troth.learn import arrays, site
from troth.learn import claims as kinds
from troth.learn.arrays import State
from troth.learn.claims import Listing, Plan, UpdateClaim, VerdictClaim, digest_subject, seal_update
from troth.learn.claims import Seat as PlanSeat
from troth.learn.data import scaling
from troth.learn.dense import Dense
from troth.learn.masking.terms import Terms
from troth.learn.round import RoundOutput
from troth.learn.sets import consortium
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

LINEAR = Dense(30, 2)

SITES = ("site-1", "site-2", "site-3")
VERIFIERS = ("verifier-1", "verifier-2", "verifier-3")
OVERSEERS = ("aggregator", *VERIFIERS)
NAMES = (*SITES, "sponsor", "aggregator", *VERIFIERS, "stranger")
MONEY = Money(reward=3_000, fee=200, keeper=50, site_stake=2_100, aggregator_stake=7_000, verifier_stake=1_000,
              verifier_fee=300, bond=500)
PURSE = 1_000_000
COMMONS = hashlib.sha256(b"commons").digest()[:20]


@dataclass
class Run:
    """One round: its deal, what the aggregator found and published, balances before it."""

    deal: bytes
    before: dict[str, int]
    output: RoundOutput | None = None
    updates: tuple[bytes, ...] = ()
    aggregate: bytes = b""
    reveals: list[tuple[str, bytes, Evidence, tuple[str, ...]]] = field(default_factory=list)


class Small:
    """The parties and their seats; every method is one step of a round."""

    def __init__(self, folder: Path, names: tuple[str, ...] = SITES, masking: Terms | None = None) -> None:
        self.chain, self.names = EmbeddedChain(folder / "chain.sqlite"), names
        self.parties = {name: Troth.init(folder / name, "x", Settings(name, "embedded:", str(folder / "exchange")),
                                         cost=MIN_COST, clock=self.chain, chain=self.chain)
                        for name in (*names, *NAMES[len(SITES):])}
        sponsor = self.parties["sponsor"]
        contracts = sponsor.deploy(quorum=2, supply=PURSE * len(self.parties))
        self.token = Erc20(self.chain.web3, contracts["token"].address)
        for party in self.parties.values():
            party.use_contracts(contracts)
            if party is not sponsor:
                self.token.transfer(sponsor.sender, party.account, PURSE)
            self.token.approve(party.sender, contracts["book"].address, PURSE)
            for other in self.parties.values():
                if other is not party:
                    other.meet(party.introduction())
        split = consortium(1, max(4, len(names)))
        self.parts = dict(zip(names, split.sites, strict=False))
        listings = {}
        for name, part in self.parts.items():
            sealing = self[name].seal_records(part.to_bytes(), part.to_bytes().splitlines()[1:])
            listings[name] = list_records(self[name], part, sealing.commitment, sealing.evidence)
            self[name].send([sponsor.did], [listings[name]])
        sponsor.receive()
        public = sponsor.add("records", split.validation.to_bytes())
        validation = list_records(sponsor, split.validation, bytes(32), public)
        sites = tuple(sorted(map(self.seat, names), key=lambda seat: seat.did))
        self.plan = Plan(sites, self.seat("aggregator"), tuple(map(self.seat, VERIFIERS)), 1, MONEY.reward,
                         "nnm+trimmed_mean", site.DEFAULT_CLIP, bytes(32), masking.privacy if masking else "open",
                         masking=masking)
        self.plan_id = call_plan(sponsor, self.plan, validation, listings.values())
        everybody = [party.did for party in self.parties.values() if party is not sponsor]
        sponsor.send(everybody, [*listings.values(), validation, self.plan_id], [public])
        self.receive()
        assumed, rerun = (Pin.of(contracts[name]) for name in ("assumed", "rerun:2"))
        self.words = Words(self.token.address, sponsor.account, COMMONS, assumed, rerun, MONEY)
        self.listings = listings
        self.sites = {name: flow.Site(self[name], self.plan_id, listing=listings[name]) for name in names}
        self.aggregator = flow.Aggregator(self["aggregator"], self.plan_id)
        self.verifiers = {name: flow.Verifier(self[name], self.plan_id) for name in VERIFIERS}
        self.count = 0
        by, base = scaling(split.validation), self.aggregator.base()
        self.deltas = {name: site.train(LINEAR, base, part, by, site.Fit()) for name, part in self.parts.items()}

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def close(self) -> None:
        for party in self.parties.values():
            party.close()
        self.chain.close()

    def seat(self, name: str) -> PlanSeat:
        return PlanSeat(self[name].did, self[name].account)

    def index(self, name: str) -> int:
        """A site's place in the plan, and so in every list of values."""
        return self.plan.keys.index(self[name].did)

    def receive(self) -> None:
        """Everybody takes in what waits, and nothing is refused."""
        for party in self.parties.values():
            party.receive()
            assert not party.refused, party.refused

    def balances(self) -> dict[str, int]:
        accounts = {name: party.account for name, party in self.parties.items()}
        return {name: self.token.balance(account) for name, account in (accounts | {"commons": COMMONS}).items()}

    def open(self, join: Iterable[str] | None = None) -> Run:
        """A funded round among all sites."""
        self.count += 1
        before, sponsor = self.balances(), self["sponsor"]
        terms = round_terms(self.words, self.plan, frozenset(self.plan.keys), self.chain.now())
        deal = sponsor.book.open(sponsor.account, terms, self.count.to_bytes(32, "big"))
        for name in self.parties if join is None else join:
            join_all(self[name], deal)
        return Run(deal, before)

    def update(self, name: str, run: Run, *, to: Iterable[str] | None = None, delta: State | None = None,
               inner: bytes | None = None, to_know: Iterable[str] | None = None, late: bool = False,
               **said: object) -> bytes:
        """An update as a site could commit to it, honest by default. ``to``: who is handed it, once it is fixed.

        to_know: who is told of the commitment. inner: what stands for the arrays' bytes. late: handed over at once.
        """
        seat = self.sites[name]
        inner = arrays.encode(self.deltas[name] if delta is None else delta) if inner is None else inner
        data = seal_update(self[name].did, run.deal, 1, bytes(32), inner)
        evidence = self[name].add("update", data, seat.overseers())
        body: dict[str, object] = {"round": 1, "deal": run.deal, "base": arrays.digest(seat.base()),
                                   "digest": hashlib.sha256(data).digest(), "examples": len(self.parts[name]),
                                   "data": Listing.of(self[name].statement(seat.listing)).commitment,
                                   "training": seat.training()} | said
        claim = UpdateClaim(**body)  # type: ignore[arg-type]
        id_ = self[name].attest(kinds.UPDATE, digest_subject("update", claim.digest), claim.body(), evidence=[evidence],
                                refs=[Ref("plan", self.plan_id), Ref("listing", seat.listing)])
        for other in OVERSEERS if to_know is None else to_know:
            self[name].send([self[other].did], [id_])
        run.reveals.append((name, id_, evidence, tuple(OVERSEERS if to is None else to)))
        if late:
            self.reveal(run)
        return id_

    def fix(self, run: Run) -> bytes:
        """The aggregator fixes what arrived."""
        self.receive()
        found = self.aggregator.fix(run.deal, 1)
        self.receive()
        return found

    def reveal(self, run: Run) -> None:
        """Everybody hands over what it committed to, whether it is on the list or not."""
        for name, id_, evidence, to in run.reveals:
            for other in to:
                self[name].send([self[other].did], [id_], [evidence])
        run.reveals.clear()
        self.receive()

    def aggregate(self, run: Run, *, submit: bool = True) -> None:
        """The honest aggregate of what arrived, fixed and was handed over."""
        self.fix(run)
        self.reveal(run)
        run.output, run.updates = self.aggregator.aggregate(run.deal, 1)
        self.publish(run, run.output, run.updates, submit=submit)

    def publish(self, run: Run, output: RoundOutput, updates: Iterable[bytes], *, submit: bool = True) -> None:
        run.aggregate = self.aggregator.publish(run.deal, 1, output, updates)
        if submit:
            self.aggregator.submit(run.deal, run.aggregate, output)
        self.receive()

    def honest(self, run: Run) -> None:
        """Everybody sends an update, and the aggregator does its work."""
        for name in SITES:
            self.update(name, run)
        self.aggregate(run)

    def challenge(self, run: Run, by: str) -> None:
        self[by].book.challenge(self[by].account, run.deal)

    def evidence(self, run: Run, missing: Iterable[str] = ()) -> None:
        """Every seat answers the evidence ask; the verifiers then share."""
        for name in self.names:
            if name not in missing:
                own = [claim for claim in self.sites[name].updates(1, run.deal)
                       if self[name].statement(claim).issuer == self[name].did]
                items: list[Evidence] = [item for claim in own for item in self[name].statement(claim).evidence]
                self.sites[name].deliver(run.deal, 1, items, own)
        if "aggregator" not in missing:
            self.aggregator.deliver(run.deal, 1, self["aggregator"].evidence_here([run.aggregate]) if run.aggregate
                                    else ())
        if list(missing):
            self.chain.advance(self.words.periods.answer)
        self.receive()
        for verifier in self.verifiers.values():
            verifier.share(run.deal, 1)
        self.receive()

    def findings(self, run: Run) -> dict[str, tuple[RoundOutput, Result]]:
        """What every verifier finds; they agree, or honest ones would lose their stakes."""
        entry = self.aggregator.submitted(run.deal)
        claim = entry.claim if entry else run.aggregate or bytes(32)
        found = {name: verifier.find(claim, run.deal, 1) for name, verifier in self.verifiers.items()}
        assert len({result.to_bytes() for _, result in found.values()}) == 1
        return found

    def rerun(self, run: Run, asleep: Iterable[str] = ()) -> Result:
        """The verifiers commit, reveal and are judged."""
        found, entry = self.findings(run), self.aggregator.submitted(run.deal)
        claim = entry.claim if entry else run.aggregate
        voices = {name: self.verifiers[name].commit(claim, output, result, deal=run.deal, round_=1)
                  for name, (output, result) in found.items() if name not in asleep}
        if list(asleep):
            self.chain.advance(self.words.periods.answer)
        for name, (claim, salt) in voices.items():
            self.verifiers[name].reveal(claim, salt)
        if list(asleep):
            self.chain.advance(self.words.periods.answer)
        result = self["sponsor"].book.judge(self["sponsor"].account, run.deal)
        self.receive()
        assert all(VerdictClaim.of(self[name].statement(claim)).deal == run.deal for name, (claim, _) in voices.items())
        return result

    def settle(self, run: Run, by: str = "sponsor") -> dict[str, int]:
        """Close when the window is over; who gained how much. Nothing appears or vanishes."""
        self.chain.advance(self.words.periods.window + self.words.periods.verdict)
        self[by].book.close(self[by].account, run.deal)
        after = self.balances()
        assert sum(after.values()) == sum(run.before.values())
        return {name: after[name] - run.before[name] for name in after}
