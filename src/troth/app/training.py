"""``troth train``: the sponsor's and the aggregator's side of a plan, from ROUND.toml to curves, one step at a time.

Everything lies under one folder: the parties that are local, and ``rounds.json``, which names the moment each round's
deal is opened for *before* it is opened, so that its id is known. Whatever was done before is found again: in the
parties' logs and outboxes, and on chain. So a run that was killed goes on where it was, and opens or pays nothing
twice.

Time is the chain's. A chain in this folder is nobody's but this process's: its clock is moved instead of waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.app import Settings, Troth, funding
from troth.app.conducting import AGGREGATOR, PATIENCE, SPONSOR, Row
from troth.app.following import Follower, the_plan
from troth.app.masked import journal_of, member_of, rounds_of
from troth.app.place import FOLDER
from troth.app.privacy import opened
from troth.app.rounds import RoundFile
from troth.app.seating import Seated, given, seat
from troth.app.site import Holding, Member, Say
from troth.core.encoding import encode
from troth.core.errors import Misuse, OutsideFailed, Pending, Undecidable
from troth.flows import masked
from troth.flows import round as flow
from troth.flows.roles import AggregatorRole, Role, call_plan, list_records, publish_model
from troth.identity.binding import BINDING
from troth.identity.keystore import MIN_COST
from troth.learn import arrays
from troth.learn import claims as kinds
from troth.learn.claims import Listing, Seat
from troth.learn.data import Part
from troth.learn.engines import Answer, Engine
from troth.learn.engines.exchange import ExchangeEngine, Writer
from troth.learn.engines.inprocess import InProcessEngine
from troth.learn.masking.terms import OPEN
from troth.learn.recheck import the_evidence
from troth.learn.tables import read_table
from troth.store.files import holding, replacing

if TYPE_CHECKING:
    from troth.app.flower import Link
    from troth.ledger.chains import Chain

MARK = "troth-train.json"


class Coordinator:
    """One plan's coordinator. ``prepare``, ``gather``, ``run``; each finds what was done before.

    engine: instead of the one that fits the file: given the answers of the local parties by DID. say: told each step.
    link: a prepared SuperLink over which invited sites are called; without it, through the exchange.
    """

    def __init__(self, file: RoundFile, out: Path, passphrase: str, *, say: Say = print,
                 engine: Callable[[Mapping[str, Answer]], Engine] | None = None, link: Link | None = None) -> None:
        self.file, self.agreed, self.out, self._passphrase = file, file.agreed, out, passphrase
        self.say, self._engine, self._link = say, engine, link
        self._open = ExitStack()
        self.parties: dict[str, Troth] = {}
        self.members: dict[str, Member] = {}
        self.chain: Chain | None = None
        self._lock: AbstractContextManager[None] | None = None

    # Life

    def __enter__(self) -> Coordinator:
        _claim_folder(self.out, self.file)
        self._lock = holding(self.out / "lock", 0.0, "another process trains in this folder")
        self._lock.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        for member in self.members.values():
            member.close()
        for party in self.parties.values():
            party.close()
        if self.chain is not None:
            self.chain.close()
        if self._lock is not None:
            self._lock.__exit__(None, None, None)

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    @property
    def local_chain(self) -> bool:
        """Whether the chain is this folder's own, so that its clock may be moved."""
        return not self.file.invited

    # Preparing

    def prepare(self) -> None:
        """The parties, the contracts, the demonstration tokens; the sponsor's validation records. Idempotent.

        Raises what reading a file raises, before anything is made.
        """
        validation = _tables(self.file)
        # Imported here: the chain's libraries take a second to load.
        from troth.ledger.chains import open_chain
        from troth.ledger.chains.embedded import EmbeddedChain

        self.chain = open_chain(self.file.chain) if self.file.invited else EmbeddedChain(self.out / "chain.sqlite")
        local = self.agreed.verifiers - self.file.invited_verifiers
        verifiers = [f"verifier-{number}" for number in range(1, local + 1)]
        for name in (SPONSOR, AGGREGATOR, *verifiers, *self.file.sites):
            self.parties[name] = self._workspace(name)
        sponsor = self[SPONSOR]
        if not (sponsor.root / "contracts.json").exists():
            if self.agreed.token:
                funding.check(self.agreed, {party: self._role(name) for name, party in self.parties.items()},
                              sponsor_pays=self.file.sponsor_stakes)
                self.say("deploying the contracts")
                sponsor.deploy(quorum=self.agreed.quorum)
            else:
                self.say("deploying the contracts, with a demonstration token")
                sponsor.deploy(quorum=self.agreed.quorum, supply=self._supply())
        for name, party in self.parties.items():
            if party is not sponsor and not (party.root / "contracts.json").exists():
                party.use_contracts(sponsor.contracts)
            self.fund(name)
        for party in self.parties.values():
            for other in self.parties.values():
                if other is not party and other.account not in party.accounts_of(other.did):
                    party.meet(other.introduction())
        if self._listing(sponsor) is None:
            list_records(sponsor, validation, bytes(32), sponsor.add("records", validation.to_bytes()))

    def _workspace(self, name: str) -> Troth:
        place = self.out / "parties" / name
        chain, clock = self.chain, (self.chain if self.local_chain else None)
        if (place / FOLDER).exists():
            return Troth.open(place, self._passphrase, chain=chain, clock=clock)
        settings = Settings(name, self.file.chain or f"embedded:{(self.out / 'chain.sqlite').resolve()}",
                            self.file.post or str((self.out / "exchange").resolve()))
        self.say(f"a workspace for {name}")
        # What the keys of a trial in one folder protect is play money.
        cost = {"cost": MIN_COST} if self.local_chain else {}
        return Troth.init(place, self._passphrase, settings, chain=chain, clock=clock, **cost)  # type: ignore[arg-type]

    def _purse(self) -> int:
        money = self.agreed.money
        return 4 * max(money.site_stake + money.bond + money.verifier_fee, money.aggregator_stake, money.verifier_stake)

    def _supply(self) -> int:
        money, people = self.agreed.money, self.agreed.sites + self.agreed.verifiers + 2
        return (money.reward + money.fee + money.keeper) * (self.agreed.rounds + 8) + self._purse() * people * 2

    def fund(self, name: str) -> None:
        """A local party's play money, or its stake where the sponsor pays it; the Book may take deposits. Once."""
        sponsor, party = self[SPONSOR], self[name]
        party.bound_account()
        if party is not sponsor and not self.agreed.token:
            self.pay_in(party.account)
        elif party is not sponsor and self.file.sponsor_stakes:
            funding.give(sponsor, self.agreed, party.account, funding.held(self.agreed, self._role(name)))
        funding.approve(party, self.agreed, self._role(name))

    def _role(self, name: str) -> str:
        """What a party of this folder deposits as."""
        if name in (SPONSOR, AGGREGATOR):
            return funding.SPONSORS if name == SPONSOR else funding.AGGREGATES
        return funding.TRAINS if name in self.file.sites else funding.VERIFIES

    def pay_in(self, account: bytes) -> None:
        """Demonstration tokens for an account, once; nobody is given any of a token that the file names."""
        if not self.agreed.token:
            funding.give(self[SPONSOR], self.agreed, account, self._purse())

    def _listing(self, party: Troth) -> bytes | None:
        return next((claim for claim, said in party.claims(kinds.LISTING) if said.issuer == party.did), None)

    # Who takes part

    def gather(self, patience: float = 3600.0) -> bytes:
        """The plan: called as soon as every seat is taken, and handed to everybody; its id. Idempotent.

        patience: seconds to wait for invited sites. Raises Pending where too few came.
        """
        sponsor, aggregator = self[SPONSOR], self[AGGREGATOR]
        plan = the_plan(sponsor, self.agreed, sponsor.did, aggregator.did)
        if plan is None:
            if self.file.invited:
                # Nothing is taken in after it: a new binding could make two of these seats one account's.
                came = self._invited(patience)
                listings, judges, records = came.sites, came.verifiers, came.records
            else:
                judges, records = (), {self[name].did: len(self._part(name)) for name in self.file.sites}
                listings = {self[name].did: self._list(self[name], self._part(name)) for name in self.file.sites}
                sponsor.receive()
            seats = tuple(Seat(did, sponsor.account_of(did)) for did in listings)
            verifiers = (*(Seat(party.did, party.account) for name, party in self.parties.items()
                           if name.startswith("verifier-") and name not in self.file.sites),
                         *(Seat(did, sponsor.account_of(did)) for did in judges))
            called = self.agreed.plan(seats, Seat(aggregator.did, aggregator.account), verifiers,
                                      tuple(records[did] for did in sorted(listings)))
            validation = self._listing(sponsor)
            if validation is None:
                raise Undecidable("the sponsor lists no validation records", do="Prepare first.")
            plan = call_plan(sponsor, called, validation, listings.values())
            self.say(f"the plan is called: {plan.hex()}")
        self._hand_out(plan)
        return plan

    def _list(self, party: Troth, part: Part) -> bytes:
        """A local site's listing, with the budget that the file allows for its records."""
        listing = list_own(party, part, self[SPONSOR].did)
        if self.file.budget is not None:
            with opened(party) as privacy:
                privacy.set_budget(listing, self.file.budget)
        return listing

    def _invited(self, patience: float) -> Seated:
        """Who came by an invitation of this folder and takes a seat; paid in as they come."""
        sponsor, until, judges = self[SPONSOR], time.monotonic() + patience, self.file.invited_verifiers
        taken = {party.account for party in self.parties.values()}
        wanted = f"{self.agreed.sites} sites" + (f", {judges} verifiers" if judges else "")
        while True:
            found = seat(sponsor, self.agreed, given(self.out), taken, judges)
            for did in (*found.sites, *found.verifiers):
                self.pay_in(sponsor.account_of(did))
            if (len(found.sites), len(found.verifiers)) == (self.agreed.sites, judges):
                return found
            came = f"{len(found.sites)} sites" + (f", {len(found.verifiers)} verifiers" if judges else "")
            if time.monotonic() >= until:
                raise Pending("not every seat is taken yet", expected=wanted, actual=came,
                              do="Make and send the invitations (troth invite), and run troth train again.")
            self.say(f"{came} of {wanted} have joined; waiting")
            sponsor.receive(min(PATIENCE, max(0.0, until - time.monotonic())))

    def _hand_out(self, plan: bytes) -> None:
        """Everybody gets everybody's introduction, the listings, the validation records and the plan; once."""
        sponsor, handed = self[SPONSOR], self.out / f"handed-{plan.hex()}"
        if handed.exists():
            return
        said = sponsor.statement(plan)
        people = kinds.Plan.of(said)
        dids = [seat.did for seat in (*people.sites, people.aggregator, *people.verifiers)]
        listings = [*said.all_refs("listing"), said.ref("validation")]
        validation = sponsor.statement(said.ref("validation")).evidence
        bindings = [claim for claim, one in sponsor.claims(BINDING) if one.issuer in {*dids, sponsor.did}]
        # Verifiers and the aggregator of this process were met in person; others learn of them here.
        introductions = [self[name].introduction() for name in self.parties if self[name].did in dids]
        for did in dids:
            for parcel in introductions:
                sponsor.exchange.send(did, parcel)
        sponsor.send(dids, bindings)
        sponsor.send(dids, [*listings, plan], validation)
        with replacing(handed) as out:
            out.write(b"")

    def _part(self, name: str) -> Part:
        return read_table(self.file.sites[name], self.agreed.schema)

    # The rounds

    def seats(self, plan: bytes) -> tuple[Follower, Follower]:
        """The sponsor and the aggregator, who follow the rounds; and the local members."""
        sponsor, aggregator = self[SPONSOR], self[AGGREGATOR]
        words = self.agreed.words(sponsor.contracts, sponsor.account)
        for name, party in self.parties.items():
            if name in self.file.sites:
                self.members[name] = member_of(party, self.agreed, (sponsor.did, sponsor.account), aggregator.did,
                                               Holding(_later(self._part, name), self._listing(party) or b""))
            elif name not in (SPONSOR, AGGREGATOR):
                self.members[name] = member_of(party, self.agreed, (sponsor.did, sponsor.account), aggregator.did)
        return (Follower(Role(sponsor, plan), words, sponsor.did),
                Follower(self._aggregating(aggregator, plan), words, sponsor.did))

    def _aggregating(self, party: Troth, plan: bytes) -> AggregatorRole:
        if self.agreed.privacy == OPEN:
            return flow.Aggregator(party, plan)
        journal = journal_of(party)
        self._open.callback(journal.close)
        return masked.Aggregator(party, plan, journal=journal)

    def run(self, plan: bytes, progress: Callable[[Row], None] | None = None) -> list[Row]:
        """Every round that does not stand yet, in order; all rounds' rows. progress: told of each as it stands."""
        return rounds_of(self, plan).run(progress)

    def engines(self) -> list[tuple[Engine, frozenset[str]]]:
        """Which engine reaches whom; the rest is reached by the first."""
        local = {member.party.did: member.answer for member in self.members.values()}
        if self._engine is not None:
            return [(self._engine(local), frozenset(local))]
        engines: list[tuple[Engine, frozenset[str]]] = []
        if self.file.invited and self._link is not None:
            # Imported here: only a run over Flower makes certificates.
            from troth.app.flower import over_flower

            engine = over_flower(self[SPONSOR], self._link, self._absent)
            engines.append((self._open.enter_context(engine), frozenset()))
        elif self.file.invited:
            sponsor = self[SPONSOR]
            writer = Writer(sponsor.exchange, sponsor.identity.signer(), lambda: sponsor.keybook)
            engines.append((ExchangeEngine(writer), frozenset()))
        return [*engines, (InProcessEngine(local), frozenset(local))]

    def _absent(self, site: str, why: str) -> None:
        self.say(f"{site[-12:]} {why}")

    def finish(self, plan: bytes, rows: list[Row]) -> dict[str, Any]:
        """Publish the model, its anchored bundle, a trust file for whoever checks it; what ``result.json`` says.

        Idempotent: what is published stays as it is.
        """
        sponsor, said = self[SPONSOR], kinds.Plan.of(self[SPONSOR].statement(plan))
        sponsor.receive()
        bundle, trust = self.out / "model.troth", self.out / "trust.json"
        if not bundle.exists():
            model = next((claim for claim, one in sponsor.claims(kinds.MODEL) if one.all_refs("plan") == (plan,)), None)
            if model is None:
                model = publish_model(Role(sponsor, plan, rows[-1].aggregate))
            sponsor.anchor()
            roles = {"hospital": list(said.keys), "sponsor": [sponsor.did], "aggregator": [said.aggregator.did],
                     "verifier": [seat.did for seat in said.verifiers]}
            with replacing(self.out / "model.params") as out:
                out.write(arrays.encode(Role(sponsor, plan, rows[-1].aggregate).base()))
            with replacing(trust) as out:
                out.write(sponsor.trust(roles, sponsor.log_pin(), {"name": "federated-model"}).to_bytes())
            sponsor.bundle(model, bundle)
        names = {party.did: name for name, party in self.parties.items()}
        return {"bundle": str(bundle), "name": self.agreed.name, "params": rows[-1].params.hex(), "plan": plan.hex(),
                "rounds": [row.json() for row in rows],
                "sites": {did: names.get(did, did[-12:]) for did in said.keys}, "trust": str(trust)}


def train(file: RoundFile, out: Path | str, passphrase: str, *, say: Say = print, patience: float = 3600.0,
          progress: Callable[[Row], None] | None = None, link: Link | None = None) -> dict[str, Any]:
    """All of it: prepare, wait for every seat, train every round, publish; the result, as ``result.json`` holds it.

    Goes on where an earlier run was cut off. Raises what reading the file and the data raises before anything is made,
    Pending where seats stay empty or somebody does not deposit, OutsideFailed.
    """
    out = Path(out)
    with Coordinator(file, out, passphrase, say=say, link=link) as home:
        home.prepare()
        plan = home.gather(patience)
        result = home.finish(plan, home.run(plan, progress))
        with replacing(out / "result.json") as written:
            written.write(encode(result))
        return result


def _later(act: Callable[[str], Part], name: str) -> Callable[[], Part]:
    return lambda: act(name)


def list_own(party: Troth, part: Part, sponsor: str) -> bytes:
    """A site's listing of its records, sealed to itself, handed to the sponsor; the one it has, if it has one."""
    found = next((claim for claim, said in party.claims(kinds.LISTING) if said.issuer == party.did), None)
    if found is None:
        data = part.to_bytes()
        sealing = party.seal_records(data, data.splitlines()[1:])
        found = list_records(party, part, sealing.commitment, sealing.evidence)
    elif party.read(the_evidence(party.statement(found), "records"), None) != part.to_bytes():
        # Whatever is trained on is said, and charged to a budget, by this listing.
        raise Misuse("this workspace has listed other records", expected=Listing.of(party.statement(found)).rows,
                     actual=len(part), do="Use another workspace for another data set.")
    party.introduce(sponsor)
    party.send([sponsor], [found])
    return found


def _tables(file: RoundFile) -> Part:
    """The validation records, once every file named here fits the schema. Raises what reading a table raises."""
    for path in file.sites.values():
        read_table(path, file.agreed.schema)
    return read_table(file.validation, file.agreed.schema)


def _claim_folder(out: Path, file: RoundFile) -> None:
    """Make the folder this plan's, or find that it is; a file that does not fit leaves nothing behind.

    Raises Misuse for another's, and what reading a table raises.
    """
    said = encode({"agreed": file.agreed.json(), "format": "troth-train-1"})
    mark = out / MARK
    try:
        if mark.exists():
            if mark.read_bytes() != said:
                raise Misuse(f"{out} holds another plan, or this one as it was before {file.path.name} was changed",
                             do="Choose another folder with --out, or undo the change.")
            return
        if out.exists() and any(path.name != "lock" for path in out.iterdir()):
            raise Misuse(f"{out} is not empty and holds no training", do="Choose another folder with --out.")
        _tables(file)  # before the folder is this plan's: who corrects the file may use it
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutsideFailed(f"cannot use {out}", actual=error.strerror) from None
    with replacing(mark) as written:
        written.write(said)
