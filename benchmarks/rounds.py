"""A round that is signed, committed and verified, against the plain loop: the same local training, nothing signed.

Ten sites on 8 x 8 digits with about 10,000, 100,000 and 1,000,000 parameters. *Local training*: 10 full gradient steps
on some 90 records a site, the study's own, and little beside what a site would do in a round: what signing adds does
not grow with it. So each ratio comes with the number of steps from which it is within the goal, reckoned from the same
seconds. *Signed*: each site trains, rounds, bounds, encodes and digests its update and signs the claim with both
suites; the aggregator checks signatures and digests, decodes, rejects, combines by a rule, signs; each site checks and
decodes the model. *Whole*: the same through real workspaces and files: sealed to each reader, synced to disk, logged,
committed to before any is shown, handed over in parcels, opened. The deal's transactions are no part of either, and
neither is valuing updates, which is timed apart: it depends on the number of sites and public records, and the plain
loop pays nobody.

Three ratios for each size and rule, with the raw cost of signatures added to the unsigned side (what the same suites
take to sign and check as many short messages):

- **over the plain loop**: federated averaging in floats, which bounds nothing and averages whatever comes. It holds the
  price of the rule too.
- **over the same rule**: the loop without claims, digests and signatures, combined by the same rule. So this is what
  signing, committing and verifying add.
- **the rule alone**: what judging and combining take of the plain loop and the signatures.

Ratios are medians over pairs: the signed round and the loops take turns, and change places, so that what else the
machine does falls on all. CPU seconds of one process with one thread: two threads of a matrix product wait for each
other by spinning, which counts as work and on a busy machine is most of it.

Run: python -m benchmarks rounds
"""

from __future__ import annotations

import hashlib
import math
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

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
PLAIN, SAME, ALONE = "over_the_plain_loop", "over_the_same_rule", "the_rule_alone"
STEPS = "local_steps_from_which_1.15"
GOAL = 1.15
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


@dataclass
class Pair:
    """One turn: CPU seconds of the parts of a signed round, of the plain loop, of training unsigned, of each rule on
    the turn's updates, which are the same on both sides, and of the bare signatures."""

    parts: dict[str, float]
    plain: float
    bare: float
    rules: dict[str, float]
    raw: float

    def signed(self, rule: str) -> float:
        """The signed round by a rule."""
        return sum(self.parts.values()) + self.rules[rule]

    def ratios(self, rule: str) -> dict[str, float]:
        """The three ratios."""
        floats = self.plain + self.raw
        return {PLAIN: self.signed(rule) / floats, ALONE: self.rules[rule] / floats,
                SAME: self.signed(rule) / (self.bare + self.rules[rule] + self.raw)}


def pair(core: Core, start: FloatArray, turn: int) -> tuple[Pair, RoundInput, Combined]:
    """The signed round and both loops, in an order that changes from turn to turn; and the signed round's own."""
    watch, bare, found = Watch(), Watch(), dict[str, Any]()
    actions: list[tuple[str, Callable[[], Any]]] = [
        ("signed", lambda: core.round(watch)), ("plain", lambda: loop(core, start)),
        ("bare", lambda: core.unsigned(bare)), ("raw", signatures)]
    for name, action in actions[::-1] if turn % 2 else actions:
        found[name] = action()
    given, combined = found["signed"]
    del watch.parts[COMBINED]  # by one rule: each has its own seconds
    rules = ruled(core, combined.counted)
    return Pair(watch.parts, found["plain"], bare.whole, rules, found["raw"]), given, combined


def steps_to_goal(pairs: list[Pair], rule: str) -> int:
    """The least local steps with which this rule's round is within GOAL of the plain loop, all else being the same."""
    added = median(one.signed(rule) - one.plain - one.raw for one in pairs)
    training = added / (GOAL - 1) - median(one.raw for one in pairs)
    return max(1, math.ceil(training / (median(one.plain for one in pairs) / FIT.steps)))


def signed(hidden: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """The signed round in memory against both loops, turn by turn."""
    core = Core(hidden)
    start, pairs = dequantise(arrays.flatten(core.base)), []
    for turn in range(repeats + 1):
        one, given, combined = pair(core, start, turn)
        pairs += [one] if turn else []  # the first to warm up
    ratios: dict[str, Any] = {name: {rule: median(one.ratios(rule)[name] for one in pairs) for rule in RULES}
                              for name in (PLAIN, SAME, ALONE)}
    times = [one.parts | {f"combined by {rule}": one.rules[rule] for rule in RULES} | {
        "the plain loop": one.plain, "trained and rounded, unsigned": one.bare, "the raw signatures": one.raw}
        for one in pairs]
    return {"parameters": sum(int(np.prod(shape)) for _, shape in core.task.layout), "pairs": repeats,
            "local_steps": FIT.steps, "records_of_a_site": len(core.split.sites[0]), **ratios,
            STEPS: {rule: steps_to_goal(pairs, rule) for rule in RULES},
            "parts_s": {name: median(one[name] for one in times) for name in times[0]},
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
    with threadpool_limits(1):
        core = {name: signed(hidden, 2 if quick else PAIRS[name]) for name, hidden in chosen.items()}
        files = {name: whole(hidden, 1) for name, hidden in chosen.items()}
    by_rule = {ratio: {rule: {name: found[ratio][rule] for name, found in core.items()} for rule in RULES}
               for ratio in (PLAIN, SAME, ALONE, STEPS)}
    return _short({
        **by_rule,
        "whole_over_plain_and_signatures": {
            name: found["round_s"] / (core[name]["parts_s"]["the plain loop"] + core[name]["parts_s"][
                "the raw signatures"]) for name, found in files.items()},
        "signed": {name: {key: value for key, value in found.items() if key not in by_rule}
                   for name, found in core.items()},
        "whole": files})


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    return value if isinstance(value, int) else float(f"{value:.4g}")
