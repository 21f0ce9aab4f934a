"""The roles in a plan and what they do whatever its privacy mode: `flows.round` and `flows.masked` build on it."""

from __future__ import annotations

import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from troth.core.claims import Evidence, Ref
from troth.core.encoding import from_hex
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.terms import SUBMISSION, Entry, Result
from troth.flows.parts import Party
from troth.learn import arrays
from troth.learn import claims as kinds
from troth.learn.arrays import State
from troth.learn.claims import (
    BUILT_IN,
    AggregateClaim,
    DeliveryClaim,
    Listing,
    ModelClaim,
    Plan,
    Training,
    VerdictClaim,
    digest_subject,
    found_digest,
)
from troth.learn.code import NotHere
from troth.learn.data import Part
from troth.learn.lineage import RoundStep
from troth.learn.privacy.mechanisms import Spent
from troth.learn.recheck import Replay, the_evidence
from troth.learn.round import RoundOutput
from troth.verify.policies.voices import commit_data, reveal_data
from troth.verify.trace import CONSENT

RISE = 65_536 // 20  # a loss on the public records that rises by 0.05 nats makes a site call the verifiers


def list_records(party: Party, part: Part, commitment: bytes, evidence: Evidence,
                 consents: Iterable[bytes] = ()) -> bytes:
    """Attest that these records exist; the listing's id. ``evidence`` named "records" holds them, sealed or public.

    consents: the claims by which the people concerned consented. Whoever checks the listing, or anything that rests on
    it, sees whether they still do.
    """
    listing = Listing(evidence.cid, len(part), evidence.sealed, commitment, part.schema.json())
    subject = digest_subject("records", hashlib.sha256(evidence.cid.encode()).digest())
    refs = [Ref(CONSENT, claim) for claim in sorted(consents)]
    return party.attest(kinds.LISTING, subject, listing.body(), refs=refs, evidence=[evidence])


def call_plan(sponsor: Party, plan: Plan, validation: bytes, listings: Iterable[bytes]) -> bytes:
    """Attest the plan that every later claim refers to; its id."""
    refs = [Ref("validation", validation), *(Ref("listing", claim) for claim in sorted(listings))]
    return sponsor.attest(kinds.PLAN, digest_subject("seed", plan.seed), plan.body(), refs=refs)


@dataclass(slots=True)
class Role:
    """A party's place in a plan: what every role needs to follow the rounds. ``last`` is the newest aggregate."""

    party: Party
    plan_id: bytes
    last: bytes | None = None

    @property
    def replay(self) -> Replay:
        """The plan's rounds over this party's claims and evidence."""
        return Replay(self.party, self.plan_id, self.party.read)

    @property
    def plan(self) -> Plan:
        return Plan.of(self.party.statement(self.plan_id))

    def everybody(self) -> tuple[str, ...]:
        """All seats but this party's."""
        plan = self.plan
        seats = (*plan.sites, plan.aggregator, *plan.verifiers)
        sponsor = self.party.statement(self.plan_id).issuer
        return tuple(did for did in (*(seat.did for seat in seats), sponsor) if did != self.party.did)

    def overseers(self) -> tuple[str, ...]:
        """The aggregator and the verifiers: who may see an update in privacy mode *open*."""
        return tuple(seat.did for seat in (self.plan.aggregator, *self.plan.verifiers) if seat.did != self.party.did)

    def step(self, claim: bytes) -> RoundStep:
        """An aggregate in this party's log."""
        statement = self.party.statement(claim)
        return RoundStep(claim, statement, AggregateClaim.of(statement))

    def updates(self, round_: int, deal: bytes) -> tuple[bytes, ...]:
        """The update claims of a round in this party's log that it may count if they were committed in time, by site.

        What anybody else says, or a site says wrongly, is nobody's update and stops nobody.
        """
        claims = (claim for claim, _ in self.party.claims(kinds.UPDATE))
        return self.replay.fit(claims, round_, deal, self.last, self.seated(deal))

    def own(self, round_: int, deal: bytes) -> bytes | None:
        """This party's own update of a round, if it committed to one."""
        return next((claim for claim in self.updates(round_, deal)
                     if self.party.statement(claim).issuer == self.party.did), None)

    def submitted(self, deal: bytes) -> Entry | None:
        """What the aggregator put on chain: its answer to the first ask."""
        account = self.plan.aggregator.account
        return next((entry for entry in self.party.book.state(deal).history
                     if (entry.kind, entry.rung, entry.by) == (SUBMISSION, 0, account)), None)

    def base(self) -> State:
        """The model that the next round starts from."""
        return self.replay.base(self.last)[0]

    def base_refs(self) -> list[Ref]:
        return [Ref("base", self.last)] if self.last else []

    def seated(self, deal: bytes) -> frozenset[str]:
        """The plan's sites that deposited in this deal."""
        depositors = {pot.depositor for pot in self.party.book.state(deal).terms.pots}
        return frozenset(seat.did for seat in self.plan.sites if seat.account in depositors)

    def deliver(self, deal: bytes, round_: int, evidence: Iterable[Evidence], claims: Iterable[bytes] = ()) -> bytes:
        """Answer the evidence ask: hand the evidence and its claims to the verifiers, and say so on chain."""
        items = tuple(evidence)
        verifiers = tuple(seat.did for seat in self.plan.verifiers)
        said = DeliveryClaim(deal, round_, tuple(item.cid for item in items), verifiers)
        claim = self.party.attest(kinds.DELIVERY, digest_subject("deal", deal), said.body(),
                                  refs=[Ref("plan", self.plan_id)])
        self.party.send(verifiers, [*claims, claim], items)
        self.party.book.submit(self.party.account, deal, 0, 0, claim, b"")
        return claim


@dataclass(slots=True)
class SiteRole(Role, ABC):
    """A site: what it says of its training, and when it doubts an aggregate. listing: of its records."""

    listing: bytes = b""

    def training(self, environment: Mapping[str, str] | None = None, privacy: Spent | None = None) -> Training:
        """How this site trains: within the plan's norm, by the code that the plan names or what Troth comes with.

        privacy: what it does to each record, as it was reserved and said before it begins.
        """
        plan = self.plan
        code = from_hex(plan.task["sha256"], 32) if plan.task.get("family") == "code" else BUILT_IN
        return Training(plan.clip, code, environment or {}, privacy)

    def tell(self, claim: bytes) -> None:
        """Send a commitment, and nothing of what it commits to, to the aggregator, the verifiers and the sponsor."""
        self.party.send([*self.overseers(), self.party.statement(self.plan_id).issuer], [claim])

    def doubt(self, aggregate: bytes) -> str | None:
        """Why this site would challenge an aggregate, from what it can see itself; None if nothing speaks against it.

        It computes the model's score on the public validation records again, and compares it with the claim's and
        with the model before; and who is paid and slashed by the record that the claim gives. That the record itself is
        right only those who hold every update can tell.
        """
        try:
            return self._doubt(self.step(aggregate))
        except (Refuted, BadInput) as error:
            return f"it cannot be what it says: {error.message}"
        except NotHere:  # floats of another machine are no ground for a challenge
            return None
        except Undecidable as error:
            return f"it was not handed over: {error.message}"

    def _doubt(self, step: RoundStep) -> str | None:
        replay, claim = self.replay, step.claim
        entry = self.submitted(claim.deal)
        if entry is None or entry.claim != step.id:
            return "the aggregator submitted another claim"
        if Result.from_bytes(entry.data) != replay.promised(claim, self.seated(claim.deal)):
            return "the aggregator submitted another result than its claim's"
        if step.statement.all_refs("base") != ((self.last,) if self.last else ()):
            return "it starts from another aggregate than the last"
        state = arrays.decode(self.party.read(the_evidence(step.statement, "params")))
        task, inputs = replay.task, replay.inputs()
        task.check(state)
        # Before anything that another machine's floats may leave open:
        why = self._left_out(step) or replay.misreckoned(claim, self.last)
        if why:
            return why
        if arrays.digest(state) != claim.params:
            return f"its params are {arrays.digest(state).hex()}, the claim says {claim.params.hex()}"
        loss = task.loss(state, inputs)
        for name, value in {"loss": loss, "score_ppm": task.score(state, inputs)}.items():
            if claim.result.get(name) != value:
                return f"its {name} is {value}, the claim says {claim.result.get(name)}"
        before = task.loss(self.base(), inputs)
        if loss > before + RISE:
            return f"the loss on the public records rose from {before / 65536:.4f} to {loss / 65536:.4f}"
        return None

    @abstractmethod
    def _left_out(self, step: RoundStep) -> str | None:
        """What this site knows itself that speaks against who is counted; None for nothing."""


@dataclass(slots=True)
class AggregatorRole(Role, ABC):
    """The aggregator: says with what result a round ends."""

    def publish(self, deal: bytes, round_: int, output: RoundOutput, updates: Iterable[bytes],
                refs: Iterable[Ref] = (), transcripts: bytes | None = None) -> bytes:
        """Attest an aggregate and hand it to every seat, its parameters sealed to them; the claim's id.

        transcripts: of masked sums; they are sealed and handed to the verifiers.
        """
        updates = tuple(updates)
        evidence = self.party.add("params", arrays.encode(output.params), self.everybody())
        shown = [] if transcripts is None else [self.party.add("transcripts", transcripts, self.overseers())]
        said = AggregateClaim(round_, deal, arrays.digest(self.base()), output.to_json(),
                              None if transcripts is None else hashlib.sha256(transcripts).digest())
        all_refs = [Ref("plan", self.plan_id), *self.base_refs(), *self._rests_on(deal, round_),
                    *(Ref("update", claim) for claim in updates), *refs]
        claim = self.party.attest(kinds.AGGREGATE, digest_subject("params", output.digest), said.body(),
                                  refs=all_refs, evidence=[evidence, *shown])
        self.party.send(self.everybody(), [claim], [evidence])
        if shown:
            self.party.send([seat.did for seat in self.plan.verifiers], [*updates, claim], shown)
        return claim

    def submit(self, deal: bytes, claim: bytes, output: RoundOutput) -> None:
        """Put the claim and its result on chain, and have the first rung judge it."""
        result = self.replay.promised(self.step(claim).claim, self.seated(deal))
        self.party.book.submit(self.party.account, deal, 0, 0, claim, result.to_bytes())
        self.party.book.judge(self.party.account, deal)

    @abstractmethod
    def _rests_on(self, deal: bytes, round_: int) -> tuple[Ref, ...]:
        """What an aggregate of this round refers to besides the plan, the aggregate before and its updates."""


@dataclass(slots=True)
class VerifierRole(Role, ABC):
    """A verifier: commits to what it found, then reveals it."""

    def find(self, aggregate: bytes, deal: bytes | None = None, round_: int = 0) -> tuple[RoundOutput, Result]:
        """The honest finding on what the aggregator submitted, from the updates that this verifier received.

        deal, round_: needed where the claim was never handed over or cannot be read, which refutes it.
        """
        try:
            step = self.step(aggregate)
        except (Undecidable, BadInput):
            if deal is None:
                raise
            return self._without(deal, round_)
        deal = step.claim.deal if deal is None else deal
        bases = step.statement.all_refs("base")
        if step.claim.deal != deal or step.statement.issuer != self.plan.aggregator.did or (
                bases != ((self.last,) if self.last else ())):
            return self._without(deal, round_ or step.claim.round)
        return self._judge(step, deal, self._result(aggregate, deal))

    @abstractmethod
    def share(self, deal: bytes, round_: int) -> None:
        """Hand what this verifier can open to the other verifiers: they must judge the same evidence."""

    @abstractmethod
    def _judge(self, step: RoundStep, deal: bytes, submitted: Result | None) -> tuple[RoundOutput, Result]:
        """The finding on an aggregate of this deal that starts where it must."""

    @abstractmethod
    def _without(self, deal: bytes, round_: int) -> tuple[RoundOutput, Result]:
        """The finding on an aggregate that is none."""

    def _withheld(self, output: RoundOutput, result: Result) -> tuple[str, ...]:
        """The sites that a finding slashes for evidence that they did not hand over, ascending."""
        return ()

    def _result(self, aggregate: bytes, deal: bytes) -> Result | None:
        """What the aggregator submitted with this claim; None for another claim or nothing readable."""
        entry = self.submitted(deal)
        try:
            return Result.from_bytes(entry.data) if entry is not None and entry.claim == aggregate else None
        except BadInput:
            return None

    def commit(self, aggregate: bytes, output: RoundOutput, result: Result, salt: bytes | None = None, *,
               deal: bytes | None = None, round_: int = 0) -> tuple[bytes, bytes]:
        """Attest a verdict and commit to it on chain; (verdict claim, salt) to reveal with.

        output, result: as ``find`` gave them. salt: 32 secret bytes that were put away beforehand, so that a crash does
        not lose what it takes to reveal. deal, round_: as for ``find``.
        """
        if deal is None:
            said_by = self.step(aggregate).claim
            deal, round_ = said_by.deal, said_by.round
        data, salt = result.to_bytes(), salt or secrets.token_bytes(32)
        said = VerdictClaim(deal, 1, round_, result.outcome, output.digest, found_digest(output.to_json()), data,
                            self._withheld(output, result))
        claim = self.party.attest(kinds.VERDICT, digest_subject("params", said.params), said.body(),
                                  refs=[Ref("of", aggregate), Ref("plan", self.plan_id)])
        committed = commit_data(deal, 1, self.party.account, data, salt)
        self.party.book.submit(self.party.account, deal, 1, 0, hashlib.sha256(claim).digest(), committed)
        return claim, salt

    def reveal(self, claim: bytes, salt: bytes) -> None:
        """Reveal on chain, and hand the verdict to every seat."""
        said = VerdictClaim.of(self.party.statement(claim))
        self.party.book.submit(self.party.account, said.deal, 2, 0, claim, reveal_data(said.result, salt))
        self.party.send(self.everybody(), [claim])


def agreeing(aggregator: Role, verdicts: Mapping[bytes, VerdictClaim], result: Result) -> dict[bytes, VerdictClaim]:
    """The verdicts that the deal's result came from: it may slash verifiers besides."""
    bench = {seat.account for seat in aggregator.plan.verifiers}
    wanted = replace(result, slashed=result.slashed - bench).to_bytes()
    return {claim: said for claim, said in verdicts.items() if said.result == wanted}


def majority(aggregator: Role, verdicts: Mapping[bytes, VerdictClaim], output: RoundOutput) -> tuple[bytes, ...]:
    """The verdicts, ascending, that find exactly this; none unless they are by more than half of the verifiers.

    What one verifier signs beside what it revealed on chain stops nobody.
    """
    wanted = output.digest, found_digest(output.to_json())
    same = tuple(sorted(claim for claim, said in verdicts.items() if (said.params, said.found) == wanted))
    voices = {aggregator.party.statement(claim).issuer for claim in same}
    return same if len(voices) > len(aggregator.plan.verifiers) // 2 else ()


def publish_model(sponsor: Role) -> bytes:
    """Attest the finished model with its parameters in the open; the claim's id."""
    if sponsor.last is None:
        raise Misuse("there is no model before the first round", do="Train first.")
    step, replay = sponsor.step(sponsor.last), sponsor.replay
    state = sponsor.base()
    task, inputs = replay.task, replay.inputs()
    evidence = sponsor.party.add("params", arrays.encode(state))
    said = ModelClaim(step.claim.params, step.claim.round, task.score(state, inputs), task.loss(state, inputs))
    refs = [Ref("plan", sponsor.plan_id), Ref("aggregate", sponsor.last)]
    return sponsor.party.attest(kinds.MODEL, digest_subject("params", said.params), said.body(), refs=refs,
                                evidence=[evidence])
