"""A round that is signed, committed and verified, against the plain loop: the same local training, nothing signed.

Ten sites on 8 x 8 digits with about 10,000, 100,000 and 1,000,000 parameters; 10 full steps on some 90 records a site.
*Signed*: each site trains, rounds, bounds, encodes and digests its update and signs the claim with both suites; the
aggregator checks signatures and digests, decodes, rejects, combines by a rule, signs; each site checks and decodes the
model. *Whole*: the same through real workspaces and files: sealed to each reader, synced to disk, logged, committed to
before any is shown, handed over in parcels, opened. The deal's transactions are no part of either, and neither is
valuing updates, which is timed apart: it depends on the number of sites and public records, and the plain loop pays
nobody.

Two comparisons, each by rule, with the raw cost of signatures added to the unsigned side (what the same suites take to
sign and check as many short messages):

- **over the plain loop**: federated averaging in floats, which bounds nothing and averages whatever comes. It holds the
  price of the rule too, which is a figure of its own.
- **over the same rule**: the loop without claims, digests and signatures, combined by the same rule. So this is what
  signing, committing and verifying add.

Ratios are medians over pairs: the signed round and the loops take turns, so that what else the machine does falls on
both. CPU seconds of one process.

Run: python -m benchmarks rounds
"""

from __future__ import annotations

import hashlib
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from troth import Settings, Troth
from troth.core.claims import Envelope, Ref, Statement
from troth.core.terms import UPHELD
from troth.fixed.numbers import ONE, FloatArray, dequantise, stack
from troth.flows import round as flow
from troth.flows.parts import Pin, join_all
from troth.flows.roles import call_plan, list_records
from troth.flows.terms import Money, Words, round_terms
from troth.identity.documents import signature_pairs
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.identity.keys import Ed25519KeyPair, MlDsa65KeyPair
from troth.identity.keystore import MIN_COST
from troth.identity.signers import attest as sign
from troth.learn import arrays, plain, site
from troth.learn.aggregate import DEFAULT_RULE, Update, default_rule
from troth.learn.arrays import State
from troth.learn.claims import (
    AGGREGATE,
    UPDATE,
    AggregateClaim,
    Plan,
    Seat,
    Training,
    UpdateClaim,
    digest_subject,
)
from troth.learn.data import Part, Scaling, scaling
from troth.learn.dense import Dense
from troth.learn.round import Combined, RoundInput, RoundOutput, combine
from troth.learn.sets import Consortium, digits, divided
from troth.learn.training import dense
from troth.learn.worth import Record, worth
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

SITES = 10
SIZES = {"10k": (128,), "100k": (300, 256), "1M": (1024, 900)}
PAIRS = {"10k": 15, "100k": 9, "1M": 5}
FIT = site.Fit(10, 0.2, 0.001, 64 * ONE)
MONEY = Money(reward=3_000, fee=200, keeper=50, site_stake=2_100, aggregator_stake=7_000, verifier_stake=1_000,
              verifier_fee=300, bond=500)
PURSE = 10_000_000
COMMONS = hashlib.sha256(b"commons").digest()[:20]
NOW = 1_800_000_000
DEFAULT = default_rule(Dense.FAMILY)
RULES = ("mean", DEFAULT_RULE, DEFAULT)
"""Averaging, and the defaults of rounds without and with public records to go by."""
COMBINED = "judged and combined"
PLAIN, SAME = "over_the_plain_loop", "over_the_same_rule"
VALUED = 31
"""Coalitions that are valued of up to 1,023, for a figure a coalition."""


@dataclass
class Watch:
    """CPU seconds by part."""

    parts: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, action: Callable[[], Any]) -> Any:
        """Run ``action`` and add what it took to a part."""
        start = time.process_time()
        found = action()
        self.parts[name] = self.parts.get(name, 0.0) + time.process_time() - start
        return found

    @property
    def whole(self) -> float:
        """All parts."""
        return sum(self.parts.values())


class Core:
    """Ten sites and an aggregator in memory: keys, but no files."""

    def __init__(self, hidden: tuple[int, ...]) -> None:
        data = digits()
        self.split: Consortium = divided(data, 1, [[1] * SITES] * len(data.schema.classes))
        self.task = dense(data, hidden)
        self.by: Scaling = scaling(self.split.validation)
        self.keys = sorted((HybridIdentity.create() for _ in range(SITES)), key=lambda one: one.did)
        self.server = HybridIdentity.create()
        self.book = KeyBook([one.history for one in (*self.keys, self.server)])
        self.base: arrays.State = self.task.start(bytes(32))

    def update(self, who: HybridIdentity, part: Part, deltas: State, base: bytes) -> tuple[bytes, bytes]:
        """A site's envelope, and the bytes that it commits to."""
        data = arrays.encode(deltas)
        said = UpdateClaim(1, bytes(32), base, hashlib.sha256(data).digest(), len(part), bytes(32),
                           Training(FIT.clip))
        statement = Statement(UPDATE, who.did, NOW, digest_subject("update", said.digest), said.body(),
                              (Ref("listing", bytes(32)), Ref("plan", bytes(32))))
        return sign(statement, who.signer()).to_bytes(), data

    def checked(self, data: bytes) -> Statement:
        """What a signed claim says. Raises Refuted for a signature that is none."""
        envelope = Envelope.from_bytes(data)
        statement = envelope.statement()
        self.book.verify(statement.issuer, envelope.signed_bytes(), signature_pairs(envelope))
        return statement

    def taken(self, envelope: bytes, data: bytes) -> Update:
        """An update that was checked."""
        statement = self.checked(envelope)
        said = UpdateClaim.of(statement)
        if hashlib.sha256(data).digest() != said.digest:
            raise AssertionError("other bytes than were signed for")
        return Update(statement.issuer, said.examples, arrays.decode(data))

    def given(self, updates: tuple[Update, ...], rule: str = DEFAULT) -> RoundInput:
        """A round's input."""
        return RoundInput(self.task, self.base, tuple(one.did for one in self.keys), updates, self.split.validation,
                          bytes(32), 0, rule=rule, clip=FIT.clip)

    def unsigned(self, watch: Watch) -> tuple[Update, ...]:
        """The sites' updates, of which nobody says anything."""
        return tuple(Update(who.did, len(part), watch.time("local training", lambda part=part: site.train(
            self.task, self.base, part, self.by, FIT))) for who, part in zip(self.keys, self.split.sites, strict=True))

    def round(self, watch: Watch) -> tuple[RoundInput, Combined]:
        """From training to what every site checked."""
        sent = []
        base = arrays.digest(self.base)
        for who, part in zip(self.keys, self.split.sites, strict=True):
            delta = watch.time("local training", lambda part=part: site.train(
                self.task, self.base, part, self.by, FIT))
            sent.append(watch.time("encoded, digested, signed", lambda who=who, part=part, delta=delta: self.update(
                who, part, delta, base)))
        updates = watch.time("checked and decoded", lambda: tuple(self.taken(*one) for one in sent))
        given = self.given(updates)
        combined = watch.time(COMBINED, lambda: combine(given))
        if combined.rejected or len(combined.counted) != SITES:
            raise AssertionError(combined.rejected)

        def publish() -> tuple[bytes, bytes]:
            data = arrays.encode(combined.params)
            digest = hashlib.sha256(data).digest()
            said = AggregateClaim(1, bytes(32), base, {"params": digest.hex()})
            statement = Statement(AGGREGATE, self.server.did, NOW, digest_subject("params", digest), said.body(),
                                  (Ref("plan", bytes(32)),))
            return sign(statement, self.server.signer()).to_bytes(), data

        envelope, data = watch.time("the model encoded, digested, signed", publish)

        def take() -> None:
            if AggregateClaim.of(self.checked(envelope)).params != hashlib.sha256(data).digest():
                raise AssertionError("another model than was signed for")
            arrays.decode(data)

        for _ in self.keys:
            watch.time("the model checked and decoded", take)
        return given, combined


class Bench:
    """Ten sites, an aggregator, a verifier and a sponsor with workspaces, and a plan for one size of model."""

    def __init__(self, folder: Path, hidden: tuple[int, ...], rounds: int) -> None:
        data = digits()
        self.split: Consortium = divided(data, 1, [[1] * SITES] * len(data.schema.classes))
        self.task = dense(data, hidden)
        self.by: Scaling = scaling(self.split.validation)
        self.chain = EmbeddedChain(folder / "chain.sqlite")
        self.names = tuple(f"site-{number}" for number in range(SITES))
        self.parties = {name: Troth.init(folder / name, "x", Settings(name, "", str(folder / "exchange")),
                                         cost=MIN_COST, clock=self.chain, chain=self.chain)
                        for name in (*self.names, "sponsor", "aggregator", "verifier")}
        sponsor = self.parties["sponsor"]
        contracts = sponsor.deploy(quorum=1, supply=PURSE * len(self.parties))
        token = Erc20(self.chain.web3, contracts["token"].address)
        for party in self.parties.values():
            party.use_contracts(contracts)
            if party is not sponsor:
                token.transfer(sponsor.sender, party.account, PURSE)
            token.approve(party.sender, contracts["book"].address, PURSE)
            for other in self.parties.values():
                if other is not party:
                    party.meet(other.introduction())
        pins = (Pin(contracts[name].address, contracts[name].codehash) for name in ("assumed", "rerun:1"))
        self.words = Words(token.address, sponsor.account, COMMONS, *pins, MONEY)
        self._plan(rounds)

    def _plan(self, rounds: int) -> None:
        sponsor, listings = self.parties["sponsor"], {}
        for name, part in zip(self.names, self.split.sites, strict=True):
            sealing = self.parties[name].seal_records(part.to_bytes(), part.to_bytes().splitlines()[1:])
            listings[name] = list_records(self.parties[name], part, sealing.commitment, sealing.evidence)
            self.parties[name].send([sponsor.did], [listings[name]])
        sponsor.receive()
        public = sponsor.add("records", self.split.validation.to_bytes())
        validation = list_records(sponsor, self.split.validation, bytes(32), public)
        seats = {name: Seat(party.did, party.account) for name, party in self.parties.items()}
        self.plan = Plan(tuple(sorted((seats[name] for name in self.names), key=lambda seat: seat.did)),
                         seats["aggregator"], (seats["verifier"],), rounds, MONEY.reward, DEFAULT,
                         FIT.clip, bytes(32), "open", self.task.json(), FIT.json())
        plan = call_plan(sponsor, self.plan, validation, listings.values())
        sponsor.send([party.did for party in self.parties.values() if party is not sponsor],
                     [*listings.values(), validation, plan], [public])
        for party in self.parties.values():
            party.receive()
        self.sites = {name: flow.Site(self.parties[name], plan, listing=listings[name]) for name in self.names}
        self.aggregator = flow.Aggregator(self.parties["aggregator"], plan)

    def deal(self, number: int) -> bytes:
        """A funded round's deal."""
        sponsor = self.parties["sponsor"]
        terms = round_terms(self.words, self.plan, frozenset(self.plan.keys), self.chain.now())
        deal = sponsor.book.open(sponsor.account, terms, number.to_bytes(32, "big"))
        for party in self.parties.values():
            join_all(party, deal)
        return deal

    def commit(self, name: str, deal: bytes, number: int, watch: Watch) -> None:
        """A site's training and its commitment."""
        seat, part = self.sites[name], self.split.sites[self.names.index(name)]
        base = watch.time("the model opened by the sites", seat.base)
        delta = watch.time("local training", lambda: site.train(self.task, base, part, self.by, FIT))
        watch.time("updates encoded, sealed, signed", lambda: seat.commit(deal, number, delta, len(part)))

    def _list(self, deal: bytes, number: int) -> None:
        """The aggregator says whose updates it knows of, before anybody shows one."""
        self.parties["aggregator"].receive()
        self.aggregator.fix(deal, number)
        for name in self.names:
            self.parties[name].receive()

    def round(self, number: int, watch: Watch) -> tuple[RoundInput, Combined]:
        """A round from training to the sites' next model."""
        deal, seat = self.deal(number), self.aggregator
        for name in self.names:
            self.commit(name, deal, number, watch)
        watch.time("commitments taken in and listed", lambda: self._list(deal, number))
        for name in self.names:
            watch.time("updates sent", lambda name=name: self.sites[name].reveal(deal, number))
        watch.time("updates taken in and checked", self.parties["aggregator"].receive)
        claims = watch.time("updates chosen", lambda: seat.updates(number, deal))
        found = watch.time("updates opened and decoded", lambda: seat.replay.gather(claims))
        given = watch.time("the model opened by the aggregator", lambda: RoundInput(
            self.task, seat.base(), self.plan.keys, found.updates, self.split.validation, bytes(32), 0,
            rule=self.plan.rule, clip=FIT.clip))
        combined = watch.time(COMBINED, lambda: combine(given))
        if combined.rejected or len(combined.counted) != SITES:
            raise AssertionError(combined.rejected)
        nobody = Record((0,) * SITES, (0,) * SITES, (True,) * SITES)

        def publish() -> bytes:
            output = RoundOutput(combined.params, arrays.digest(combined.params), nobody, (0,) * SITES, (0,) * SITES,
                                 (), (), 0, 0, 0)
            claim = seat.publish(deal, number, output, claims)
            seat.replay.result(UPHELD, output, frozenset(self.plan.keys))
            return claim

        aggregate = watch.time("the model encoded, sealed, signed, sent", publish)
        for name in self.names:
            watch.time("the model taken in and checked", self.parties[name].receive)
        for party in ("verifier", "sponsor"):
            self.parties[party].receive()
        for every in (*self.sites.values(), seat):
            every.last = aggregate
        return given, combined


def signatures() -> float:
    """CPU seconds of a round's hybrid signatures alone: 11 made, 20 checked (10 updates; the model by 10 sites)."""
    message, pairs = bytes(300), (Ed25519KeyPair(bytes(32)), MlDsa65KeyPair(bytes(32)))
    start = time.process_time()
    for pair in pairs:
        for _ in range(SITES + 1):
            signature = pair.sign(message)
        for _ in range(2 * SITES):
            pair.public.verify(message, signature)
    return time.process_time() - start


def loop(core: Core, start: FloatArray) -> float:
    """CPU seconds of the plain loop's round."""
    began = time.process_time()
    plain.step(core.task, start, core.split.sites, core.by, FIT)
    return time.process_time() - began


def memory(bench: Bench, number: int) -> dict[str, float]:
    """The most that one site holds at once while it trains and commits, in MiB and in copies of the model in floats."""
    deal, name = bench.deal(number), bench.names[0]
    tracemalloc.start()
    bench.commit(name, deal, number, Watch())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = sum(int(np.prod(shape)) for _, shape in bench.task.layout) * 8
    return {"MiB": peak / 2**20, "over_the_models_bytes": peak / size}


def valuing(given: RoundInput, combined: Combined) -> float:
    """CPU seconds a coalition valued, from the worth of five of the updates on all public records."""
    rows = stack([arrays.flatten(update.delta) for update in combined.counted[:5]])
    data = scaling(given.validation).inputs(given.validation)
    start = time.process_time()
    worth(given.task, arrays.flatten(given.base), rows, data, bytes(32))
    return (time.process_time() - start) / VALUED


def ruled(core: Core, updates: tuple[Update, ...]) -> dict[str, float]:
    """CPU seconds that each rule takes to judge and combine these updates."""
    watch = Watch()
    for rule in RULES:
        watch.time(rule, lambda rule=rule: combine(core.given(updates, rule)))
    return watch.parts


def signed(hidden: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """The signed round in memory against both loops, turn by turn."""
    core = Core(hidden)
    start = dequantise(arrays.flatten(core.base))
    over: dict[str, dict[str, list[float]]] = {name: {rule: [] for rule in RULES} for name in (PLAIN, SAME)}
    times: dict[str, list[float]] = {}
    for turn in range(repeats + 1):
        watch, bare = Watch(), Watch()
        given, combined = core.round(watch)
        floats, updates = loop(core, start), core.unsigned(bare)
        mine, theirs, raw = ruled(core, combined.counted), ruled(core, updates), signatures()
        if not turn:  # to warm up
            continue
        rest = watch.whole - watch.parts.pop(COMBINED)
        for rule in RULES:
            over[PLAIN][rule].append((rest + mine[rule]) / (floats + raw))
            over[SAME][rule].append((rest + mine[rule]) / (bare.whole + theirs[rule] + raw))
        for name, value in (watch.parts | {f"combined by {rule}": mine[rule] for rule in RULES} | {
                "the plain loop": floats, "the raw signatures": raw}).items():
            times.setdefault(name, []).append(value)
    return {"parameters": sum(int(np.prod(shape)) for _, shape in core.task.layout), "pairs": repeats,
            **{name: {rule: median(values) for rule, values in by.items()} for name, by in over.items()},
            "parts_s": {name: median(values) for name, values in times.items()},
            "valuing_a_coalition_s": valuing(given, combined)}


def whole(hidden: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """The round through workspaces."""
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), hidden, repeats + 2)
        watches = []
        for number in range(1, repeats + 2):  # the first to warm up
            watches.append(Watch())
            bench.round(number, watches[-1])
        best = min(watches[1:], key=lambda found: found.whole)
        figures = {"round_s": best.whole, "parts_s": best.parts, "memory_of_a_site": memory(bench, repeats + 2)}
        for party in bench.parties.values():
            party.close()
        bench.chain.close()
    return figures


def run(quick: bool = False) -> dict[str, Any]:
    """Every size; the smallest alone where it must be quick."""
    chosen = {"10k": SIZES["10k"]} if quick else SIZES
    core = {name: signed(hidden, 2 if quick else PAIRS[name]) for name, hidden in chosen.items()}
    files = {name: whole(hidden, 1) for name, hidden in chosen.items()}
    floats = {name: found["parts_s"]["the plain loop"] + found["parts_s"]["the raw signatures"]
              for name, found in core.items()}
    return _short({
        "signed_over_plain_and_signatures": {name: found[PLAIN][DEFAULT] for name, found in core.items()},
        "signed_over_the_same_rule_and_signatures": {name: found[SAME]["mean"] for name, found in core.items()},
        "rule_over_plain_and_signatures": {name: found["parts_s"][f"combined by {DEFAULT}"] / floats[name]
                                           for name, found in core.items()},
        "whole_over_plain_and_signatures": {name: found["round_s"] / floats[name] for name, found in files.items()},
        "signed": core, "whole": files})


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    return value if isinstance(value, int) else float(f"{value:.4g}")
