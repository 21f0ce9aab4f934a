"""A federated round: sites train on what only they hold, an aggregator combines, verifiers re-execute, all are paid.

Claims: listing, plan, update, aggregate, delivery, verdict, model. Ladder: Assumed, then Rerun by more than half of the
verifiers (asks: evidence, commit, reveal). Each round is one deal (`flows.terms`), so that a wrong aggregate in the
middle of training is settled, and corrected, before the next round starts from it.

Privacy is *open* here: updates are sealed to the aggregator and the verifiers, who see them; nobody else does. Where
nobody may, rounds are those of `flows.masked`.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from troth.core.claims import Evidence, Ref
from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.terms import Result
from troth.flows.roles import AggregatorRole, Role, SiteRole, VerifierRole, agreeing, majority
from troth.learn import arrays
from troth.learn import claims as kinds
from troth.learn.arrays import State
from troth.learn.claims import (
    MAX_REJECTED,
    SALT,
    WITHHELD,
    CommitmentsClaim,
    Listing,
    Training,
    UpdateClaim,
    VerdictClaim,
    digest_subject,
    seal_update,
)
from troth.learn.lineage import RoundStep, commitments_of
from troth.learn.recheck import Held, the_evidence
from troth.learn.round import RoundOutput


class OpenRole(Role):
    """A role in a plan with open updates: what may count was committed to before any was shown."""

    __slots__ = ()

    def by_site(self, updates: Iterable[bytes]) -> tuple[tuple[str, bytes], ...]:
        """(site, claim) of these updates, by site: one each, as ``updates`` and the aggregator's sorting give them."""
        return tuple(sorted((self.party.statement(claim).issuer, claim) for claim in updates))

    def lists(self, round_: int, deal: bytes) -> tuple[tuple[bytes, str, frozenset[bytes]], ...]:
        """(claim, issuer, updates) of every list of commitments of a round in this party's log, in order.

        An update that is here and listed as another site's than its issuer's is left out: so a list fixes one a site.
        """
        issuers = {claim: statement.issuer for claim, statement in self.party.claims(kinds.UPDATE)}
        found = ((claim, statement, commitments_of(statement, self.plan_id, round_, deal))
                 for claim, statement in self.party.claims(kinds.COMMITMENTS))
        return tuple((claim, statement.issuer, frozenset(update for site, update in said.sites
                                                         if issuers.get(update, site) == site))
                     for claim, statement, said in found if said)

    def held(self, round_: int, deal: bytes) -> Held:
        """What this party holds of a round."""
        plan, lists = self.plan, self.lists(round_, deal)
        fixed = [(claim, updates) for claim, did, updates in lists if did == plan.aggregator.did]
        voices: dict[bytes, set[str]] = {}
        for _, did, updates in lists:
            if did in {seat.did for seat in plan.verifiers}:
                for claim in updates:
                    voices.setdefault(claim, set()).add(did)
        return Held(tuple(claim for claim, statement in self.party.claims(kinds.UPDATE)),
                    tuple(sorted(claim for claim, _ in fixed)),
                    frozenset.intersection(*(updates for _, updates in fixed)) if fixed else frozenset(),
                    frozenset(claim for claim, dids in voices.items() if len(dids) > len(plan.verifiers) // 2))


@dataclass(slots=True)
class Site(OpenRole, SiteRole):
    """A site: trains, sends its update sealed, watches the aggregate, challenges."""

    def commit(self, deal: bytes, round_: int, delta: State, examples: int, training: Training | None = None, *,
               quote: Evidence | None = None) -> bytes:
        """Attest this round's update, sealed, and say so without handing it over; the claim's id.

        A site stands by its word: where it has committed already, that commitment is sent again. examples: at most the
        rows of its listing. quote: evidence of that name, from the hardware that trained.
        """
        claim = self.own(round_, deal)
        if claim is None:
            listing = Listing.of(self.party.statement(self.listing))
            if not 1 <= examples <= listing.rows:
                raise Misuse("an update on other records than were listed", expected=f"1 to {listing.rows} examples",
                             actual=examples, do="List the records that are trained on.")
            data = seal_update(self.party.did, deal, round_, secrets.token_bytes(SALT), arrays.encode(delta))
            evidence = [self.party.add("update", data, self.overseers()), *([quote] if quote else [])]
            said = UpdateClaim(round_, deal, arrays.digest(self.base()), hashlib.sha256(data).digest(), examples,
                               listing.commitment, training or self.training())
            refs = [Ref("plan", self.plan_id), Ref("listing", self.listing), *self.base_refs()]
            claim = self.party.attest(kinds.UPDATE, digest_subject("update", said.digest), said.body(), refs=refs,
                                      evidence=evidence)
        self.tell(claim)
        return claim

    def reveal(self, deal: bytes, round_: int, *, withhold: bool = False) -> bytes:
        """Hand over the update that this site committed to, once the aggregator's list holds it; the claim's id.

        The verifiers get the list first: what they did not hold by then is late. ``withhold``: the cheat that keeps the
        evidence from the verifiers. Raises Misuse without a commitment, Pending before the list is here, Refuted where
        the list leaves this site out or is one of several: then nothing is handed over, and the site should challenge
        what the aggregator publishes.
        """
        claim, held = self.own(round_, deal), self.held(round_, deal)
        if claim is None:
            raise Misuse("nothing to reveal", expected="an update that was committed to", do="Commit first.")
        if not held.lists:
            raise Pending("the aggregator has not fixed the round's commitments", do="Take in what arrives, and retry.")
        if len(held.lists) > 1:
            raise Refuted("the aggregator signed several lists of one round's commitments", expected=1,
                          actual=len(held.lists), do="Reveal nothing, and challenge its aggregate.")
        if claim not in held.fixed:
            raise Refuted("the aggregator's list leaves out this site's commitment", expected=claim.hex(),
                          do="Reveal nothing, and challenge its aggregate.")
        evidence = the_evidence(self.party.statement(claim), "update")
        verifiers = tuple(seat.did for seat in self.plan.verifiers)
        self.party.send(verifiers, [*held.lists, claim], [] if withhold else [evidence])
        self.party.send([self.plan.aggregator.did], [claim], [evidence])
        return claim

    def deliver(self, deal: bytes, round_: int, evidence: Iterable[Evidence], claims: Iterable[bytes] = ()) -> bytes:
        """As every seat, with the lists of commitments that this site got: two of them refute the aggregator."""
        own = self.own(round_, deal)
        claims = [*claims, *self.held(round_, deal).lists, *([own] if own else [])]
        return Role.deliver(self, deal, round_, evidence, sorted(set(claims)))

    def _left_out(self, step: RoundStep) -> str | None:
        """Whether the aggregate counts what was committed to in time, this site's update among it."""
        claim = step.claim
        counted, held = step.statement.all_refs("update"), self.held(claim.round, claim.deal)
        own = self.own(claim.round, claim.deal)
        if held.lists != step.statement.all_refs("commitments"):
            return "it does not rest on the one list of commitments that its aggregator signed"
        if not held.fixed.issuperset(counted):
            return "it counts an update that was not committed to in time"
        if own and own not in counted:
            return "it leaves out this site's update"
        if own and self.replay.made_nothing(claim, own, self.last):
            return "it counts this site's update for nothing"
        return None


@dataclass(slots=True)
class Aggregator(OpenRole, AggregatorRole):
    """Fixes which updates may count, combines them and says with what result."""

    def fix(self, deal: bytes, round_: int) -> bytes:
        """Sign and send the list of the commitments that arrived: what may count, before any is revealed; its id.

        It names what arrived and may not count, with the reason. A list is signed once: where there is one already, it
        is sent again.
        """
        held = self.held(round_, deal)
        if held.lists:
            claim = held.lists[0]
        else:
            updates, rejected = self.replay.sort(self._unsorted(), round_, deal, self.last, self.seated(deal))
            said = CommitmentsClaim(round_, deal, self.by_site(updates), rejected[:MAX_REJECTED])
            claim = self.party.attest(kinds.COMMITMENTS, digest_subject("deal", deal), said.body(),
                                      refs=[Ref("plan", self.plan_id)])
        self.party.send(self.everybody(), [claim])
        return claim

    def _unsorted(self) -> list[bytes]:
        """Update claims of this plan, or of none, that no list of this aggregator's names yet."""
        named = set[bytes]()
        for _, statement in self.party.claims(kinds.COMMITMENTS):
            if statement.issuer != self.party.did:
                continue
            with contextlib.suppress(BadInput):  # its own words, and yet no list
                said = CommitmentsClaim.of(statement)
                named |= {*said.updates, *(claim for claim, _ in said.rejected)}
        return [claim for claim, statement in self.party.claims(kinds.UPDATE)
                if claim not in named and statement.all_refs("plan") in ((), (self.plan_id,))]

    def deliver(self, deal: bytes, round_: int, evidence: Iterable[Evidence], claims: Iterable[bytes] = ()) -> bytes:
        """As every seat, with the update claims that arrived: no site can hide one from the verifiers that counts."""
        return Role.deliver(self, deal, round_, evidence,
                            [*claims, *self.held(round_, deal).lists, *self.updates(round_, deal)])

    def aggregate(self, deal: bytes, round_: int) -> tuple[RoundOutput, tuple[bytes, ...]]:
        """The honest result over the updates that were fixed and handed over, and their claims.

        What was handed over and cannot be read is among them, rejected in the result with its reason.
        """
        held = self.held(round_, deal)
        updates = self.replay.counted(held.fixed, held, round_, deal, self.last, self.seated(deal))[0]
        found = self.replay.gather(updates)
        output = self.replay.run(round_, self.last, found.updates, found.rejected)
        return output, tuple(claim for claim in updates if self.party.statement(claim).issuer not in found.withheld)

    def _rests_on(self, deal: bytes, round_: int) -> tuple[Ref, ...]:
        return tuple(Ref("commitments", found) for found in self.held(round_, deal).lists[:1])


@dataclass(slots=True)
class Verifier(OpenRole, VerifierRole):
    """Executes a challenged round again, from the updates that it was handed."""

    def share(self, deal: bytes, round_: int) -> None:
        """Hand the round's updates that this verifier can open to the other verifiers and the aggregator.

        Verifiers who reveal something else than the majority lose their stakes, so they must judge the same evidence: a
        site that gave its update to some of them only must not be able to set them apart. Do this when the evidence ask
        is over, take in the others' shares once, then find.
        """
        held, witness = self.held(round_, deal), self.witness(deal, round_)
        in_time = held.fixed | set(CommitmentsClaim.of(self.party.statement(witness)).updates)
        claims = [claim for claim in held.received if claim in in_time]
        items = []
        for claim in claims:
            item = the_evidence(self.party.statement(claim), "update")
            try:
                self.party.share(item, self.overseers())
            except Undecidable:  # not given to this verifier
                continue
            items.append(item)
        self.party.send(self.overseers(), [*claims, *held.lists, witness], items)

    def witness(self, deal: bytes, round_: int) -> bytes:
        """Sign which commitments this verifier held before it saw any list of them; the claim's id.

        Whom the aggregator left off its list is known by this. A log only grows, so its order is the order of arrival.
        However much strangers sent, it is one pass over the log, and only seats' claims are looked into.
        """
        own = [claim for claim, did, _ in self.lists(round_, deal) if did == self.party.did]
        if own:
            return own[0]
        plan = self.plan
        aggregator, seats, before = plan.aggregator.did, set(plan.keys), []
        for claim, statement in self.party.claims(kinds.UPDATE, kinds.COMMITMENTS):
            if statement.issuer in seats and statement.kind == kinds.UPDATE:
                before.append(claim)
            elif statement.issuer == aggregator and commitments_of(statement, self.plan_id, round_, deal):
                break
        fit = self.replay.fit(before, round_, deal, self.last, self.seated(deal))
        return self.party.attest(kinds.COMMITMENTS, digest_subject("deal", deal),
                                 CommitmentsClaim(round_, deal, self.by_site(fit)).body(),
                                 refs=[Ref("plan", self.plan_id)])

    def _judge(self, step: RoundStep, deal: bytes, submitted: Result | None) -> tuple[RoundOutput, Result]:
        return self.replay.judge(step, self.held(step.claim.round, deal), self.seated(deal), submitted)

    def _without(self, deal: bytes, round_: int) -> tuple[RoundOutput, Result]:
        """The finding on an aggregate that is none: the round as the received updates give it."""
        _, claims = self.replay.counted((), self.held(round_, deal), round_, deal, self.last, self.seated(deal))
        opened = self.replay.gather(claims)
        output = self.replay.run(round_, self.last, opened.updates, opened.rejected)
        return output, self.replay.refuted(output, self.seated(deal))

    def _withheld(self, output: RoundOutput, result: Result) -> tuple[str, ...]:
        return self.replay.withheld(output, result) if result.outcome == WITHHELD else ()

    def missing(self, aggregate: bytes) -> tuple[str, ...]:
        """Sites whose update's evidence this verifier does not hold."""
        return self.replay.gather(self.step(aggregate).statement.all_refs("update")).withheld


def correct(aggregator: Aggregator, wrong: bytes, verdicts: Mapping[bytes, VerdictClaim],
            result: Result) -> bytes:
    """The aggregate that training goes on from after a refutation: what more than half of the verifiers found.

    verdicts: of ``wrong``. result: the deal's, which may slash verifiers besides. Raises Refuted where this
    aggregator's own re-execution does not give what more than half of them found; what a few say beside stops nobody.
    """
    step, replay, party = aggregator.step(wrong), aggregator.replay, aggregator.party
    deal, round_ = step.claim.deal, step.claim.round
    found = agreeing(aggregator, verdicts, result)
    named, others = replay.counted(step.statement.all_refs("update"), aggregator.held(round_, deal), round_, deal,
                                   aggregator.last, aggregator.seated(deal))
    for withheld in sorted({said.withheld for said in found.values()}):
        counted = [claim for claim in (*named, *others) if party.statement(claim).issuer not in withheld]
        opened = replay.gather(counted)
        output = replay.run(round_, aggregator.last, opened.updates, opened.rejected)
        if same := majority(aggregator, found, output):
            refs = [Ref("corrects", wrong), *(Ref("verdict", claim) for claim in same)]
            return aggregator.publish(deal, round_, output, [
                claim for claim in counted if party.statement(claim).issuer not in opened.withheld], refs)
    raise Refuted("the verifiers found another model than this aggregator does",
                  expected=sorted({said.params.hex() for said in found.values()}),
                  actual=f"{len(found)} verdicts of {len(aggregator.plan.verifiers)} verifiers with the deal's result")
