"""The story that ``troth demo`` tells: four hospitals train a model, anyone can check it, everyone is paid.

Everything here happens for real: ten workspaces with their own keys, one embedded chain, parcels through a folder. The
one liberty is time: an embedded chain's clock is its operator's word, and the story moves it instead of waiting.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from troth.app import Settings, Troth
from troth.app.running import environment
from troth.core.errors import Misuse
from troth.core.ports import Clock
from troth.core.terms import UPHELD, Account, DealState, Result
from troth.flows import round as flow
from troth.flows.parts import Pin, join_all
from troth.flows.roles import Role, call_plan, list_records, publish_model
from troth.flows.terms import Money, Words, round_terms
from troth.identity.keystore import MIN_COST
from troth.learn import arrays, site
from troth.learn.arrays import State
from troth.learn.claims import Plan, VerdictClaim
from troth.learn.claims import Seat as PlanSeat
from troth.learn.data import scaling
from troth.learn.round import RoundOutput
from troth.learn.sets import Consortium, consortium
from troth.learn.study import POISONER
from troth.learn.training import dense
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20
from troth.ledger.usage import gas_by_act

PASSPHRASE = "demo"  # noqa: S105  (play money; the screen says so)
MARK = "troth-demo"
UNIT = 10**18
CHEATS = ("aggregator", "hospital", "verifier", "none")
HOSPITALS, VERIFIERS, ROUNDS, CHEAT_ROUND, ERASER = 4, 3, 8, 5, 1
MONEY = Money(reward=300 * UNIT, fee=20 * UNIT, keeper=5 * UNIT, site_stake=350 * UNIT,
              aggregator_stake=700 * UNIT, verifier_stake=100 * UNIT, verifier_fee=30 * UNIT, bond=50 * UNIT)
PURSE = 10_000 * UNIT
QUORUM = VERIFIERS // 2 + 1


class Teller(Protocol):
    """Shows the story as it happens."""

    def chapter(self, number: int, title: str) -> None:
        """A new chapter."""
        ...

    def say(self, text: str) -> None:
        """One line."""
        ...

    def step(self, done: int, of: int, what: str) -> None:
        """Progress of long work."""
        ...


class ChainClock:
    """Claims are dated by the chain's clock, so that the story has one time."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._chain = chain

    def now(self) -> int:
        """Unix time in seconds."""
        return self._chain.now()


@dataclass(slots=True)
class RoundRecord:
    """What one round leaves for the tables and the report. Amounts in the token's unit."""

    round: int
    deal: bytes
    aggregate: bytes
    output: RoundOutput
    final: Result
    seated: tuple[str, ...]
    corrected: bytes | None = None
    caught: dict[str, Any] | None = None


@dataclass(slots=True)
class Story:
    """One run. ``run`` tells it all; afterwards the fields hold what happened."""

    out: Path
    teller: Teller
    cheat: str = "aggregator"
    seed: int = 1
    parties: dict[str, Troth] = field(default_factory=dict)
    rounds: list[RoundRecord] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    supply: tuple[int, int] = (0, 0)
    model: bytes = b""
    listings: dict[str, bytes] = field(default_factory=dict)
    erasure: bytes = b""
    challenge: dict[str, Any] | None = None
    chain: EmbeddedChain = field(init=False)
    token: Erc20 = field(init=False)
    split: Consortium = field(init=False)
    plan: Plan = field(init=False)
    plan_id: bytes = field(init=False)
    words: Words = field(init=False)
    sites: dict[str, flow.Site] = field(init=False)
    aggregator: flow.Aggregator = field(init=False)
    verifiers: dict[str, flow.Verifier] = field(init=False)
    sponsor: Role = field(init=False)

    # 1. Who

    def prepare(self) -> None:
        """Make the folder, the chain and the ten workspaces, and let everybody meet."""
        if self.cheat not in CHEATS:
            raise Misuse("no such cheat", expected=", ".join(CHEATS), actual=self.cheat)
        clear(self.out)
        self.chain = EmbeddedChain(self.out / "chain.sqlite")
        names = [*(f"hospital-{n}" for n in range(1, HOSPITALS + 1)), "sponsor", "aggregator",
                 *(f"verifier-{n}" for n in range(1, VERIFIERS + 1)), "regulator"]
        clock: Clock = ChainClock(self.chain)
        for done, name in enumerate(names, 1):
            self.teller.step(done, len(names), f"workspace of {name}")
            settings = Settings(name, f"embedded:{(self.out / 'chain.sqlite').resolve()}",
                                str((self.out / "exchange").resolve()))
            self.parties[name] = Troth.init(self.out / "parties" / name, PASSPHRASE, settings, cost=MIN_COST,
                                            clock=clock, chain=self.chain)
        contracts = self["sponsor"].deploy(quorum=QUORUM, supply=PURSE * len(names))
        self.token = Erc20(self.chain.web3, contracts["token"].address)
        for party in self.parties.values():
            party.use_contracts(contracts)
            if party.name != "sponsor":
                self.token.transfer(self["sponsor"].sender, party.account, PURSE)
            self.token.approve(party.sender, contracts["book"].address, PURSE * len(names))
            party.bind_account()
        for party in self.parties.values():
            for other in self.parties.values():
                if other is not party:
                    party.exchange.send(other.did, party.introduction())
        self.receive(*self.parties)

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def names(self, role: str) -> list[str]:
        """The parties of a role, in order."""
        return [name for name in self.parties if name.rpartition("-")[0] == role]

    def name_of(self, did: str) -> str:
        """A party's name by its DID."""
        return next(name for name, party in self.parties.items() if party.did == did)

    def receive(self, *names: str) -> None:
        """Let parties take in what waits for them. Nothing in the story may be refused."""
        for name in names:
            party = self[name]
            party.receive()
            if party.refused:
                raise party.refused[0][1]

    # 2. Data

    def list_data(self) -> None:
        """Every hospital seals its records and lists them; the sponsor lists public validation records."""
        self.split: Consortium = consortium(self.seed)
        for name, part in zip(self.names("hospital"), self.split.sites, strict=True):
            data = part.to_bytes()
            sealing = self[name].seal_records(data, data.splitlines()[1:])
            self.listings[name] = list_records(self[name], part, sealing.commitment, sealing.evidence)
            self[name].send([self["sponsor"].did], [self.listings[name]])
            self.teller.say(f"{name} lists {len(part)} records, {int(part.labels.sum())} benign; "
                            f"sealed as {sealing.evidence.cid[:20]}…, commitment {sealing.commitment.hex()[:12]}…")
        sponsor = self["sponsor"]
        sponsor.receive()
        public = sponsor.add("records", self.split.validation.to_bytes())
        self.listings["sponsor"] = list_records(sponsor, self.split.validation, bytes(32), public)
        self.teller.say(f"sponsor lists {len(self.split.validation)} public validation records as {public.cid[:20]}…")

    # 3. Promise

    def promise(self) -> None:
        """The sponsor calls the plan; everybody takes a seat."""
        def seats(names: Iterable[str]) -> tuple[PlanSeat, ...]:
            return tuple(PlanSeat(self[name].did, self[name].account) for name in names)

        sponsor = self["sponsor"]
        sites = tuple(sorted(seats(self.names("hospital")), key=lambda seat: seat.did))
        plan = Plan(sites, seats(["aggregator"])[0], seats(self.names("verifier")), ROUNDS, MONEY.reward,
                    "nnm+trimmed_mean", site.DEFAULT_CLIP, hashlib.sha256(b"demo %d" % self.seed).digest(), "open")
        listings = [self.listings[name] for name in self.names("hospital")]
        self.plan_id = call_plan(sponsor, plan, self.listings["sponsor"], listings)
        self.plan = plan
        evidence = list(sponsor.statement(self.listings["sponsor"]).evidence)
        everybody = [party.did for party in self.parties.values() if party is not sponsor]
        sponsor.send(everybody, [*listings, self.listings["sponsor"], self.plan_id], evidence)
        self.receive(*(name for name in self.parties if name != "sponsor"))
        self.sites = {name: flow.Site(self[name], self.plan_id, listing=self.listings[name])
                      for name in self.names("hospital")}
        self.aggregator = flow.Aggregator(self["aggregator"], self.plan_id)
        self.verifiers = {name: flow.Verifier(self[name], self.plan_id) for name in self.names("verifier")}
        self.sponsor = Role(sponsor, self.plan_id)
        assumed, rerun = (Pin.of(sponsor.contracts[name]) for name in ("assumed", f"rerun:{QUORUM}"))
        self.words = Words(self.token.address, sponsor.account, commons(), assumed, rerun, MONEY)
        self.before = self.balances()

    def balances(self) -> dict[str, int]:
        """Everybody's tokens, the Book's and the commons' included."""
        accounts = {name: party.account for name, party in self.parties.items()}
        accounts |= {"commons": commons(), "Book": self["sponsor"].contracts["book"].address}
        return {name: self.token.balance(account) for name, account in accounts.items()}

    @property
    def seats(self) -> Iterator[Role]:
        yield from (*self.sites.values(), self.aggregator, *self.verifiers.values(), self.sponsor)

    # 4. and 5. Training and judgement

    def train(self) -> None:
        """All rounds, each its own deal."""
        for number in range(1, ROUNDS + 1):
            record = self.round(number)
            self.rounds.append(record)
            for seat in self.seats:
                seat.last = record.corrected or record.aggregate
            self.teller.step(number, ROUNDS, f"round {number}: loss {record.output.loss / 65536:.4f}, "
                             f"accuracy {record.output.score / 10_000:.2f} %")
            for index in record.output.slashed:
                if self.plan.sites[index].account in record.final.slashed:
                    self.teller.say(f"round {number}: {self.name_of(self.plan.keys[index])} did harm round after round "
                                    "on the public records; its stake is forfeited")

    def round(self, number: int) -> RoundRecord:
        """One round: open, join, update, aggregate, perhaps challenge, close."""
        sponsor = self["sponsor"]
        slashed = {index for record in self.rounds for index in record.output.slashed}
        seated = frozenset(seat.did for index, seat in enumerate(self.plan.sites) if index not in slashed)
        terms = round_terms(self.words, self.plan, seated, self.chain.now())
        deal = sponsor.book.open(sponsor.account, terms, hashlib.sha256(self.plan_id + bytes([number])).digest())
        active = [name for name in self.sites if self[name].did in seated]
        for name in ("sponsor", "aggregator", *active, *self.verifiers):
            join_all(self[name], deal)
        cheating = self.cheat if number == CHEAT_ROUND else "none"
        for name in active:
            site_ = self.sites[name]
            site_.commit(deal, number, self.delta(name), self.examples(name), site_.training(environment()))
        self.receive("aggregator", "sponsor", *self.verifiers)
        self.aggregator.fix(deal, number)
        self.receive(*active)
        for name in active:
            self.sites[name].reveal(deal, number, withhold=cheating == "hospital" and name == active[0])
        self.receive("aggregator", "sponsor", *self.verifiers)
        honest, updates = self.aggregator.aggregate(deal, number)
        output = tampered(honest, self.aggregator.base(), self.aggregator.replay) \
            if cheating in ("aggregator", "verifier") else honest
        aggregate = self.aggregator.publish(deal, number, output, updates)
        self.aggregator.submit(deal, aggregate, output)
        self.receive("sponsor", *self.sites, *self.verifiers)
        record = RoundRecord(number, deal, aggregate, output, Result(UPHELD), tuple(sorted(active)))
        challenger, why = self.doubts(active, aggregate)
        if challenger:
            self.dispute(record, challenger, why)
        self.advance_past_window(deal)
        sponsor.book.close(sponsor.account, deal)
        record.final = self.state(deal).final or record.final
        return record

    def delta(self, name: str) -> State:
        """A hospital's update: trained on its own records, which it unseals for itself; one hospital poisons."""
        index = self.names("hospital").index(name)
        base, by = self.sites[name].base(), scaling(self.sites[name].replay.validation)
        part = self.split.sites[index]
        attack = site.poisoned if index == POISONER else site.train
        return attack(dense(part), base, part, by, site.Fit())

    def examples(self, name: str) -> int:
        """How many records a hospital trained on."""
        return len(self.split.sites[self.names("hospital").index(name)])

    def doubts(self, active: Sequence[str], aggregate: bytes) -> tuple[str | None, str]:
        """The first hospital with a reason to call the verifiers, and the reason."""
        missing = {did for seat in self.verifiers.values() for did in seat.missing(aggregate)}
        if missing:
            who = ", ".join(self.name_of(did) for did in sorted(missing))
            return next(name for name in active if self[name].did not in missing), \
                f"the verifiers hold no evidence of the update by {who}"
        for name in active:
            reason = self.sites[name].doubt(aggregate)
            if reason:
                return name, reason
        return None, ""

    def dispute(self, record: RoundRecord, challenger: str, why: str) -> None:
        """A hospital posts the bond; the verifiers execute the round again; the claim stands or falls."""
        deal, aggregate = record.deal, record.aggregate
        self.teller.say(f"round {record.round}: {challenger} doubts the aggregate ({why}) and challenges with "
                        f"{MONEY.bond // UNIT} tokens")
        self[challenger].book.challenge(self[challenger].account, deal)
        withheld = self.names("hospital")[0] if self.cheat == "hospital" else None
        for name in record.seated:
            if name != withheld:
                own = [claim for claim in self.sites[name].updates(record.round, deal)
                       if self[name].statement(claim).issuer == self[name].did]
                self.sites[name].deliver(deal, record.round,
                                         [item for claim in own for item in self[name].statement(claim).evidence])
        self.aggregator.deliver(deal, record.round, self["aggregator"].statement(aggregate).evidence)
        self.receive(*self.verifiers)
        for verifier in self.verifiers.values():  # so that all of them judge from the same evidence
            verifier.share(deal, record.round)
        self.receive(*self.verifiers)
        if withheld:
            self.chain.advance(self.words.periods.answer)
        pending: dict[str, tuple[bytes, bytes]] = {}
        for name, verifier in self.verifiers.items():
            output, result = verifier.find(aggregate)
            if self.cheat == "verifier" and name == "verifier-3":
                output, result = record.output, verifier.replay.result(UPHELD, record.output, self.seated(deal))
            pending[name] = verifier.commit(aggregate, output, result)
        for name, (claim, salt) in pending.items():
            self.verifiers[name].reveal(claim, salt)
        result = self["sponsor"].book.judge(self["sponsor"].account, deal)
        self.receive("sponsor", "aggregator", *self.sites, *self.verifiers)
        verdicts = {claim: VerdictClaim.of(self["aggregator"].statement(claim)) for claim, _ in pending.values()}
        honest = self.verifiers["verifier-1"].find(aggregate)
        record.corrected = flow.correct(self.aggregator, aggregate, verdicts, honest[1])
        record.output = honest[0]
        self.receive("sponsor", *self.sites, *self.verifiers)
        record.caught = {"challenger": challenger, "why": why, "outcome": result.outcome,
                         "slashed": sorted(self.account_name(account) for account in result.slashed)}
        self.challenge = record.caught

    def seated(self, deal: bytes) -> frozenset[str]:
        return self.sponsor.seated(deal)

    def account_name(self, account: Account) -> str:
        """A party's name by its account."""
        return next(name for name, party in self.parties.items() if party.account == account)

    def state(self, deal: bytes) -> DealState:
        return self["sponsor"].book.state(deal)

    def advance_past_window(self, deal: bytes) -> None:
        """Move the chain's clock to where the deal can be closed."""
        state = self.state(deal)
        rung = state.terms.rungs[state.rung]
        self.chain.advance(rung.window)

    # 6. to 9.

    def settle(self) -> None:
        """Balances after the last round."""
        self.after = self.balances()

    def publish(self) -> tuple[Path, Path]:
        """The model claim, its anchored bundle, and the regulator's trust file."""
        sponsor, regulator = self["sponsor"], self["regulator"]
        self.model = publish_model(self.sponsor)
        sponsor.anchor()
        sponsor.send([regulator.did], [self.model])
        regulator.receive()
        roles = {"hospital": [self[name].did for name in self.names("hospital")], "sponsor": [sponsor.did],
                 "aggregator": [self["aggregator"].did], "verifier": [self[name].did for name in self.verifiers]}
        trust = regulator.trust(roles, sponsor.log_pin(), {"name": "federated-model"})
        paths = self.out / "model.troth", self.out / "trust.json"
        paths[1].write_bytes(trust.to_bytes())
        sponsor.bundle(self.model, paths[0])
        return paths

    def erase(self) -> None:
        """One hospital erases its data and tells the sponsor."""
        name = self.names("hospital")[ERASER]
        party, listing = self[name], self.listings[name]
        self.erasure = party.erase(listing)
        party.send([self["sponsor"].did], [self.erasure])
        self.receive("sponsor")

    def gas(self) -> list[dict[str, Any]]:
        """Gas of every act so far, dearest in all first."""
        named = {one.address: one.contract for one in self["sponsor"].contracts.named.values()}
        return [asdict(row) for row in gas_by_act(self.chain.web3, named)]

    def close(self) -> None:
        """Close every workspace."""
        for party in self.parties.values():
            party.close()
        self.chain.close()


def tampered(honest: RoundOutput, base: State, replay: Any) -> RoundOutput:
    """The aggregator's cheat: it pushes the model backwards, and scores what it publishes truthfully to look honest."""
    wrong = {name: array - 6 * (honest.params[name] - array) for name, array in base.items()}
    task, inputs = replay.task, replay.inputs()
    return replace(honest, params=wrong, digest=arrays.digest(wrong), score=task.score(wrong, inputs),
                   loss=task.loss(wrong, inputs))


def commons() -> Account:
    """The account that bonds of wrong challengers go to: a public one that nobody holds a key for."""
    return hashlib.sha256(b"troth demo commons").digest()[:20]


def clear(out: Path) -> None:
    """Make an empty folder for the story, taking away an earlier story only. Raises Misuse for other content."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            raise Misuse(f"{out} is not empty and holds no earlier demo", do="Choose another folder with --out.")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("made by troth demo; the next run replaces this folder\n")
