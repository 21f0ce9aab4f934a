"""A market in memory: seller, two buyers, three verifiers and others, each with its own workspace, on one Book."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contracts.court_parts import drawn, fill, over, voted
from ports.books import account
from ports.courts import MemoryCourts
from troth.app import Settings, Troth
from troth.core.claims import Ref
from troth.core.seats import encoded
from troth.core.terms import Result
from troth.flows import sale as flow
from troth.flows import sale_bench as bench
from troth.flows.parts import Above, Pin
from troth.flows.sale_deal import RESULTS, Sale, read
from troth.flows.sale_words import Deal, Evaluation, Judge, Licence, Money, Offer, Periods
from troth.identity.keystore import MIN_COST
from troth.learn.claims import LISTING, Listing, digest_subject
from troth.store.cid import Cid
from troth.store.delivery import content_of
from troth.store.sealing import check_key

HOUR = 3600
ASKER = account("asker")
PURSE = 1_000_000
MONEY = Money(price=1_000, stake=2_500, fee=90, bond=200, costs=40, verifier_stake=100)
COURTED = replace(MONEY, verifier_stake=0)
GAS = 8
"""What one act on chain costs, in the token: five of them at most are a side's."""
PERIODS = Periods(HOUR, HOUR, HOUR, 2 * HOUR, HOUR)
DATA = b"text,label\nbread and butter,NOUN\nrun,VERB\nred,ADJ\n"
PREVIEW = b"text,label\nrun,VERB\n"
SCHEMA = {"columns": ["text", "label"], "media": "text/csv"}
PURPOSE = "training of taggers"
LICENCE = Licence(PURPOSE, 30 * 24 * HOUR, royalty=250)
VERIFIERS = ("verifier-1", "verifier-2", "verifier-3")
NAMES = ("seller", "buyer", "other", *VERIFIERS, "person", "stranger")


@dataclass
class Acts:
    """How many acts on chain each party made."""

    made: dict[str, int] = field(default_factory=dict)


class Market:
    """Every method is one party's step; ``sells`` puts something up, as it is or as a cheat would."""

    def __init__(self, folder: Path) -> None:
        self.world = MemoryCourts()
        self.parties = {name: Troth.init(folder / name, "x", Settings(name, "", str(folder / "exchange")),
                                         cost=MIN_COST, clock=self.world.clock) for name in NAMES}
        self.acts = Acts()
        for name, party in self.parties.items():
            party.__dict__["book"] = Counted(self.world.book, self.acts, name)
            self.world.fund(party.account, PURSE)
            for other in self.parties.values():
                if other is not party:
                    other.meet(party.introduction())
        self.salts = itertools.count(1)

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def close(self) -> None:
        for party in self.parties.values():
            party.close()

    def root(self, name: str) -> bytes:
        return hashlib.sha256(b"root of " + name.encode()).digest()

    def receive(self) -> None:
        for party in self.parties.values():
            party.receive()
            assert not party.refused, party.refused

    def words(self, money: Money = MONEY, *, court: bool = False, **changes: Any) -> Deal:
        at = self.world.addresses
        pins = {name: Pin(*at.policies[name]) for name in ("preimage", "rerun2")}
        above = Above(Pin(*self.world.court_policy), self.world.seat.address, self.world.seat.longest + HOUR)
        found = Deal(at.chain_id, at.book, self.world.token, self["seller"].account, pins["preimage"], pins["rerun2"],
                     tuple(Judge(self[name].did, self[name].account) for name in VERIFIERS), money, PERIODS,
                     court=above if court else None)
        return replace(found, **changes)

    def sells(self, data: bytes = DATA, *, promised: bytes | None = None, preview: bytes = PREVIEW, rows: int = 3,
              consents: Iterable[bytes] = (), persons: bool = False, evaluations: Iterable[bytes] = (),
              licence: Licence = LICENCE, form: str = "csv", **words: Any) -> bytes:
        """Seal and offer. promised: what the content commitment is of, where that is something else."""
        seller = self["seller"]
        sealing = seller.seal_records(data, data.splitlines()[1:] or [data])
        key = self.data_key(sealing.evidence.cid)
        listed = Listing(sealing.evidence.cid, rows, True, sealing.commitment, SCHEMA)
        about = digest_subject("records", hashlib.sha256(listed.cid.encode()).digest())
        listing = seller.attest(LISTING, about, listed.body(), evidence=[sealing.evidence],
                                refs=[Ref("consent", one) for one in consents])
        commitment = check_key(Cid.parse(listed.cid), key, seller.blobs)
        offer = Offer("Tagged words", "Three words, tagged by hand.", ("linguistics",), form, listed.cid, commitment,
                      content_of(key, data if promised is None else promised), persons, licence,
                      self.words(**words))
        return flow.put_up(seller, offer, listing, preview, evaluations)

    def data_key(self, cid: str) -> bytes:
        seller = self["seller"]
        wrapped = seller.keyring.get(cid, hashlib.sha256(seller.did.encode()).hexdigest()[:32])
        assert wrapped is not None
        return seller.keyring.open(Cid.parse(cid), wrapped)

    def shows(self, offer: bytes, to: Iterable[str] = ("buyer", "other")) -> None:
        """Hand the offer over as anybody would get it."""
        seller, statement = self["seller"], self["seller"].statement(offer)
        claims = [*(ref.claim for ref in statement.refs), offer]
        listing = seller.statement(statement.ref("listing"))
        claims = [*(ref.claim for ref in listing.refs), *claims]
        for name in to:
            seller.send([self[name].did], claims, statement.evidence)
        self.receive()

    def orders(self, offer: bytes, name: str = "buyer") -> bytes:
        claim = flow.order(self[name], offer, self.root(name), self.world.now())
        self.receive()
        return claim

    def hands(self, order: bytes, *, data_key: bytes | None = None, root: bytes | None = None) -> bytes:
        seller = self["seller"]
        statement = seller.statement(seller.statement(order).ref("offer"))
        key = self.data_key(statement.body["cid"]) if data_key is None else data_key
        claim = flow.hand(seller, order, root or self.root("seller"), key, seller.identity.account.sign_digest,
                          self.world.now())
        self.receive()
        return claim

    def funds(self, handover: bytes, name: str = "buyer", *, joined: bool = True) -> Sale:
        sale = flow.fund(self[name], handover, self.root(name), self.world.now())
        self.receive()
        if joined:
            for one in VERIFIERS:
                bench.join_bench(self[one], handover)
        return sale

    def bought(self, offer: bytes, name: str = "buyer", **handed: Any) -> bytes:
        """Up to a funded sale: the handover."""
        self.shows(offer, [name])
        handover = self.hands(self.orders(offer, name), **handed)
        self.funds(handover, name)
        return handover

    def reveals(self, handover: bytes) -> None:
        flow.show(self["seller"], handover, self.root("seller"))

    def looks(self, handover: bytes, asleep: Iterable[str] = ()) -> Result:
        """The verifiers share, commit, reveal and are judged."""
        awake = [name for name in VERIFIERS if name not in asleep]
        for name in awake:
            bench.pass_on(self[name], handover)
        self.receive()
        voices = {}
        for name in awake:
            salt = next(self.salts).to_bytes(32, "big")
            voices[name] = bench.commit(self[name], handover, salt), salt
        if asleep:
            self.world.advance(PERIODS.look)
        for name, (claim, salt) in voices.items():
            bench.reveal(self[name], claim, salt)
        if asleep:
            self.world.advance(PERIODS.look)
        return self.world.book.judge(self["stranger"].account, read(self["seller"], handover)[0].deal())

    def rules(self, handover: bytes, choice: int) -> None:
        """The court: somebody brings the case, the drawn jurors vote ``choice``, and the ruling is carried."""
        world, deal = self.world, read(self["seller"], handover)[0].deal()
        if not world.court().tickets:
            fill(world)
        dispute = world.seat.ask(ASKER, deal, encoded(RESULTS), world.seat.cost(ASKER, deal))
        drawn(world, dispute, world.seat.extra_data(ASKER, deal))
        voted(world, dispute, choice)
        over(world, dispute)
        world.seat.answer(ASKER, deal, encoded(RESULTS))
        world.book.judge(ASKER, deal)

    def ends(self, handover: bytes, by: str = "seller") -> Result | None:
        """Everything that must be waited for is over, and somebody closes."""
        self.world.advance(PERIODS.window + PERIODS.verdict + 4 * HOUR)
        return flow.finish(self[by], handover)

    def holds(self) -> dict[str, int]:
        return {name: self.world.balance(party.account) for name, party in self.parties.items()}

    def evaluates(self, offer_cid: str, commitment: bytes, by: str = "stranger", **metrics: int) -> bytes:
        found = Evaluation(offer_cid, commitment, "compared with a second annotator", metrics)
        return self[by].attest("evaluation", found.subjects(), found.body())


class Counted:
    """A Book that counts whose acts went through: each costs gas."""

    READS = ("state", "credit")

    def __init__(self, book: Any, acts: Acts, name: str) -> None:
        self._book, self._acts, self._name = book, acts, name

    def __getattr__(self, what: str) -> Any:
        found = getattr(self._book, what)
        if not callable(found) or what in self.READS:
            return found

        def act(*args: Any, **named: Any) -> Any:
            answer = found(*args, **named)
            self._acts.made[self._name] = self._acts.made.get(self._name, 0) + 1
            return answer

        return act
