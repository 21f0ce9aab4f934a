"""A federated round in which nobody but its owner sees an update: privacy modes *masked* and *grouped*.

Ladder and money are those of `flows.terms`, roles begin as those of open rounds do (`flows.roles`); what differs is
what goes from hand to hand.

1. Each site says in an update claim, signed, that it takes part: round, base, data, examples, clip, privacy spent, and
   the one sum that its vector goes into. It hands nothing over.
2. The aggregator carries the messages of the sums (`troth.learn.masking`). It asks nobody who did not say so.
3. The aggregate names the update claims of those in the sums, and the transcripts by digest. They are its evidence,
   sealed to the verifiers.
4. Who doubts it challenges. Verifiers check the transcripts in full and run the round again. An aggregate whose
   transcripts are withheld, of another round, or show something else than it says is refuted.

Where too few sites stay, a sum does not come out. With no sum the model stays as it is, the round is paid by rule, and
its aggregator has no fee, whose word alone it is that none came out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from troth.core.claims import Evidence, Ref
from troth.core.encoding import decode_object, encode
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.ports import Signer
from troth.core.terms import Result
from troth.fixed.numbers import IntArray
from troth.flows.roles import AggregatorRole, Role, SiteRole, VerifierRole, agreeing, majority
from troth.learn import arrays
from troth.learn import claims as kinds
from troth.learn.claims import Listing, UpdateClaim, VerdictClaim, digest_subject, found_digest
from troth.learn.lineage import RoundStep
from troth.learn.masked_recheck import TRANSCRIPTS, MaskedReplay, Shown
from troth.learn.masking.journal import SumJournal
from troth.learn.masking.kept import Ask, KeptSite, Sums, split_calls, write_transcripts
from troth.learn.masking.port import Session
from troth.learn.masking.terms import MASKED
from troth.learn.privacy.mechanisms import Spent
from troth.learn.recheck import the_evidence
from troth.learn.round import RoundOutput

PHASES = 6


class BehindMasks(Role):
    """A role in a plan without open updates."""

    __slots__ = ()

    @property
    def replay(self) -> MaskedReplay:
        """The plan's rounds over this party's claims, evidence and keys."""
        return MaskedReplay(self.party, self.plan_id, self.party.read, self.party.keybook)

    def said(self, round_: int, deal: bytes) -> dict[str, bytes]:
        """The update claim of each site that said it takes part, as far as this party heard, by DID."""
        claims = (claim for claim, _ in self.party.claims(kinds.UPDATE))
        return self.replay.said(claims, round_, deal, self.last, self.seated(deal))


@dataclass(slots=True)
class Site(BehindMasks, SiteRole):
    """A site: trains, says that it takes part, answers for its part of the sum, watches the aggregate, challenges.

    journal: of this site's parts in sums. signer: its own.
    """

    journal: SumJournal = field(kw_only=True)
    signer: Signer = field(kw_only=True)
    _going: dict[bytes, KeptSite] = field(default_factory=dict, repr=False)

    def session(self, round_: int, deal: bytes) -> Session:
        """The sum that this site's vector of a round goes into. Raises Misuse without a seat in this deal."""
        return self.replay.session(self.party.did, round_, deal, self.last, self.seated(deal))

    def take_part(self, deal: bytes, round_: int, make: Callable[[], tuple[IntArray, Spent | None]], examples: int,
                  environment: Mapping[str, str] | None = None) -> bytes:
        """Say that this site takes part in the round's sum, and keep the vector for it; the claim's id.

        make: the vector, and what it spends of the records' privacy; asked once a round, whatever happens in between.
        Where the site has said so already, that claim is sent again. Raises Refuted where its vector of this round is
        in another sum, Misuse for more examples than it listed, and what ``make`` raises.
        """
        claim = self.own(round_, deal)
        if claim is None:
            listing = Listing.of(self.party.statement(self.listing))
            if not 1 <= examples <= listing.rows:
                raise Misuse("an update on other records than were listed", expected=f"1 to {listing.rows} examples",
                             actual=examples, do="List the records that are trained on.")
            session = self.session(round_, deal)
            part = self.journal.part(self.plan_id, round_, session.id)
            if part is None:
                vector, spent = make()
                note = encode({"privacy": None if spent is None else spent.body()})
                part = self.journal.begin(self.plan_id, round_, session.id, os.urandom(32),
                                          session.check_vector(vector), note)
            noted = decode_object(part.note)["privacy"]
            training = self.training(environment, None if noted is None else Spent.of(noted))
            said = UpdateClaim(round_, deal, arrays.digest(self.base()), session.id, examples, listing.commitment,
                               training)
            refs = [Ref("plan", self.plan_id), Ref("listing", self.listing), *self.base_refs()]
            claim = self.party.attest(kinds.UPDATE, digest_subject("update", said.digest), said.body(), refs=refs)
        self.tell(claim)
        return claim

    def sum(self, deal: bytes, round_: int, calls: bytes) -> bytes:
        """This site's message in its sum, to one call of the aggregator's; written down before it leaves.

        Raises BadInput and Refuted as `BonawitzSite.answer`, Misuse where this site said nothing of the round, or where
        its part is over.
        """
        session = self.session(round_, deal)
        call = split_calls(calls).get(session.id)
        if call is None:
            raise BadInput("a call of other sums", expected=session.id.hex())
        part = self.journal.part(self.plan_id, round_, session.id)
        if part is None or self.own(round_, deal) is None:
            raise Misuse("this site did not say that it takes part", do="It says so first, or sits the round out.")
        going = self._going.get(session.id)
        if going is None:
            self._going.clear()
            going = self._going[session.id] = KeptSite(session, self.signer, self.party.keybook, part, self.journal)
        return going.answer(call)

    def unsummed(self, aggregate: bytes) -> bool:
        """Whether an aggregate says that no sum came out where this site has shown its shares for one.

        It is no proof of a lie: others' shares may not have come. It is ground to ask, and to leave.
        """
        claim = self.step(aggregate).claim
        session, counted = self.session(claim.round, claim.deal), claim.flags("counted")
        mine = [one for did, one in zip(self.plan.keys, counted, strict=False) if did in session.sites]
        return len(self.journal.said(session.id)) == PHASES and not any(mine)

    def deliver(self, deal: bytes, round_: int, evidence: Iterable[Evidence], claims: Iterable[bytes] = ()) -> bytes:
        """As every seat, with this site's word that it takes part."""
        own = self.own(round_, deal)
        return Role.deliver(self, deal, round_, evidence, sorted({*claims, *([own] if own else [])}))

    def _left_out(self, step: RoundStep) -> str | None:
        """What this site knows itself of its part in the sum."""
        claim, me = step.claim, self.party.did
        session, keys = self.session(claim.round, claim.deal), self.plan.keys
        flags = claim.flags("counted")
        if len(flags) != len(keys):
            return "it counts other seats than the plan's"
        counted = dict(zip(keys, flags, strict=True))
        phases = len(self.journal.said(session.id))
        if phases == PHASES and not counted[me] and any(counted[did] for did in session.sites):
            # t sites signed the set that it is in; no transcript of this sum shows another.
            return "it says that this site dropped out of a sum that it is in"
        if counted[me] and phases < PHASES - 2:
            return "it counts this site in a sum that it sent nothing to"
        if counted[me] != (self.own(claim.round, claim.deal) in step.statement.all_refs("update")):
            return "it names other updates than those it counts"
        blamed = {str(one.get("site")) for one in claim.result.get("rejected", ()) if one.get("reason") == "protocol"}
        if me in blamed or (self.replay.terms.privacy == MASKED and keys.index(me) in claim.numbers("slashed")):
            return "it slashes this site for breaking the protocol"
        return None


@dataclass(slots=True)
class Aggregator(BehindMasks, AggregatorRole):
    """Carries the messages of the sums, and says what follows. journal: of what it heard."""

    journal: SumJournal = field(kw_only=True)

    def deliver(self, deal: bytes, round_: int, evidence: Iterable[Evidence], claims: Iterable[bytes] = ()) -> bytes:
        """As every seat, with the update claims that arrived: an aggregate may name none that verifiers do not hold."""
        return Role.deliver(self, deal, round_, evidence, sorted({*claims, *self.said(round_, deal).values()}))

    def sum_up(self, deal: bytes, round_: int, ask: Ask) -> tuple[tuple[bytes | None, ...], tuple[str, ...]]:
        """The transcripts of the round's sums, None for one that did not come out; and why those did not.

        Goes on where an earlier run was cut off. Raises what ``ask`` raises.
        """
        sessions = self.replay.sessions(round_, deal, self.last, self.seated(deal))
        sums = Sums(sessions, self.party.keybook, sorted(self.said(round_, deal)), self.journal)
        return sums.run(ask), sums.failed

    def shown(self, deal: bytes, round_: int, transcripts: tuple[bytes | None, ...]) -> Shown:
        """What transcripts show of a round, to this aggregator."""
        replay, said = self.replay, self.said(round_, deal)
        return replay.shown(transcripts, said, replay.sessions(round_, deal, self.last, self.seated(deal)))

    def conclude(self, deal: bytes, round_: int, transcripts: tuple[bytes | None, ...],
                 refs: Iterable[Ref] = ()) -> bytes:
        """Attest the aggregate that follows from transcripts, and hand it to every seat; the claim's id."""
        shown, seated = self.shown(deal, round_, transcripts), self.seated(deal)
        output = self.replay.sum_up(round_, self.last, shown.sums, seated)
        claim = self.state(deal, round_, output, shown, refs)
        for session in self.replay.sessions(round_, deal, self.last, seated):
            self.journal.forget(session.id)
        return claim

    def state(self, deal: bytes, round_: int, output: RoundOutput, shown: Shown, refs: Iterable[Ref] = ()) -> bytes:
        """Attest an aggregate on what transcripts show; the claim's id."""
        said = self.said(round_, deal)
        updates = [said[did] for did in sorted(shown.included)]
        return self.publish(deal, round_, output, updates, refs, write_transcripts(shown.transcripts))

    def _rests_on(self, deal: bytes, round_: int) -> tuple[Ref, ...]:
        return ()


@dataclass(slots=True)
class Verifier(BehindMasks, VerifierRole):
    """Sums a challenged round again from its transcripts: commits to what it found, then reveals it."""

    def share(self, deal: bytes, round_: int) -> None:
        """Hand the transcripts that this verifier can open, and the update claims, to the other verifiers.

        Verifiers must judge the same: an aggregator that hands its transcripts to some of them must not be able to set
        them apart.
        """
        entry = self.submitted(deal)
        claims, items = sorted(self.said(round_, deal).values()), []
        try:
            if entry is not None:
                item = the_evidence(self.party.statement(entry.claim), TRANSCRIPTS)
                self.party.share(item, self.overseers())
                items.append(item)
                claims.append(entry.claim)
        except (Undecidable, Refuted):  # not given to this verifier, or not named
            pass
        self.party.send(self.overseers(), claims, items)

    def _judge(self, step: RoundStep, deal: bytes, submitted: Result | None) -> tuple[RoundOutput, Result]:
        output, result, _ = self.replay.found(step, self.seated(deal), submitted)
        return output, result

    def _without(self, deal: bytes, round_: int) -> tuple[RoundOutput, Result]:
        output, _ = self.replay.nothing(round_, deal, self.last, self.seated(deal))
        return output, self.replay.refuted(output, self.seated(deal))


def correct(aggregator: Aggregator, wrong: bytes, verdicts: Mapping[bytes, VerdictClaim], result: Result) -> bytes:
    """The aggregate that training goes on from after a refutation: what the agreeing verifiers found.

    From the transcripts of the refuted one where they had them, or without any sum. Raises Refuted where neither gives
    it.
    """
    step, replay = aggregator.step(wrong), aggregator.replay
    deal, round_, seated = step.claim.deal, step.claim.round, aggregator.seated(step.claim.deal)
    found = agreeing(aggregator, verdicts, result)
    candidates = [replay.nothing(round_, deal, aggregator.last, seated)]
    with contextlib.suppress(Undecidable):
        candidates.insert(0, replay.again(step, seated))
    for output, shown in candidates:
        if same := majority(aggregator, found, output):
            refs = [Ref("corrects", wrong), *(Ref("verdict", claim) for claim in same)]
            return aggregator.state(deal, round_, output, shown, refs)
    raise Refuted("the verifiers found another result", expected=sorted(one.found.hex() for one in found.values()),
                  actual=[found_digest(output.to_json()).hex() for output, _ in candidates])
