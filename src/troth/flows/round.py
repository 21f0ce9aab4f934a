"""A federated round: sites train on what only they hold, an aggregator combines, verifiers re-execute, all are paid.

Claims: listing, plan, update, aggregate, delivery, verdict, model. Ladder: Assumed, then Rerun by more than half of the
verifiers (asks: evidence, commit, reveal). Each round is one deal, so that a wrong aggregate in the middle of training
is settled, and corrected, before the next round starts from it.

Privacy is *open*: updates are sealed to the aggregator and the verifiers, who see them; nobody else does.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from troth.core.claims import Evidence, Ref
from troth.core.encoding import from_hex
from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.terms import (
    CHALLENGER,
    KEEPER,
    REFUTED,
    SLASHED,
    SUBMISSION,
    UPHELD,
    Account,
    Answered,
    Ask,
    Entry,
    Pot,
    Result,
    Rule,
    Rung,
    Split,
    Terms,
    climber,
)
from troth.flows.parts import Party, Pin
from troth.learn import arrays
from troth.learn import claims as kinds
from troth.learn.arrays import State
from troth.learn.claims import (
    BUILT_IN,
    MAX_REJECTED,
    OMITTED,
    SALT,
    WITHHELD,
    AggregateClaim,
    CommitmentsClaim,
    DeliveryClaim,
    Listing,
    ModelClaim,
    Plan,
    Training,
    UpdateClaim,
    VerdictClaim,
    digest_subject,
    found_digest,
    seal_update,
)
from troth.learn.code import NotHere
from troth.learn.data import Part
from troth.learn.lineage import RoundStep, commitments_of
from troth.learn.privacy.mechanisms import Spent
from troth.learn.recheck import Held, Replay, the_evidence
from troth.learn.round import RoundOutput
from troth.verify.policies.voices import commit_data, reveal_data
from troth.verify.trace import CONSENT

AGGREGATE_ASK, EVIDENCE_ASK, COMMIT_ASK, REVEAL_ASK = "aggregate", "evidence", "commit", "reveal"
OUTCOMES = (UPHELD, REFUTED, WITHHELD, OMITTED)
RISE = 65_536 // 20  # a loss on the public records that rises by 0.05 nats makes a site call the verifiers


@dataclass(frozen=True, slots=True)
class Money:
    """Amounts of one round, in the token's smallest unit. ``check`` says what keeps cheating from paying."""

    reward: int
    fee: int
    keeper: int
    site_stake: int
    aggregator_stake: int
    verifier_stake: int
    verifier_fee: int
    bond: int

    def check(self, sites: int, verifiers: int) -> None:
        """Raises Misuse unless every stake exceeds twice what its owner could gain by cheating.

        sites: how many are still seated: the fewer, the larger the share that one could take. An aggregator can at
        most redirect the round's reward; a site can at most be paid its fair share for harm; a verifier can at most
        take the seat's fee for no work. The bond must exceed the verifiers' fees, or calling them would be cheaper
        than being wrong; and what a right challenger gets of the smallest stake must exceed them too, or nobody would
        call. What is forfeited goes to a right challenger and the commons, so that nobody gains by seeing others
        slashed.
        """
        for who, stake, gain in (("aggregator", self.aggregator_stake, self.reward + self.fee),
                                 ("site", self.site_stake, self.reward // sites),
                                 ("verifier", self.verifier_stake, self.verifier_fee // verifiers)):
            if stake <= 2 * gain:
                raise Misuse(f"the {who}'s stake does not deter", expected=f"more than {2 * gain}", actual=stake,
                             do="Raise the stake or lower what cheating could win.")
        if min(self.aggregator_stake, self.site_stake) // 2 <= self.verifier_fee:
            raise Misuse("a right challenger would lose by calling the verifiers",
                         expected=f"stakes of more than {2 * self.verifier_fee}",
                         actual=min(self.aggregator_stake, self.site_stake))
        if self.bond <= self.verifier_fee:
            raise Misuse("the bond does not deter idle challenges", expected=f"more than {self.verifier_fee}",
                         actual=self.bond)


@dataclass(frozen=True, slots=True)
class Periods:
    """Seconds for each part of a round's deal."""

    fund: int = 3_600
    answer: int = 3_600
    verdict: int = 3_600
    window: int = 7_200


@dataclass(frozen=True, slots=True)
class Words:
    """A round's deal in its own words. ``commons`` gets the bonds of wrong challengers and is nobody's account."""

    token: Account
    sponsor: Account
    commons: Account
    assumed: Pin
    rerun: Pin
    money: Money
    periods: Periods = Periods()


def stake_pot(account: Account) -> str:
    """The name of an account's stake pot."""
    return f"stake:{account.hex()[:12]}"


def round_terms(words: Words, plan: Plan, seated: frozenset[str], now: int) -> Terms:
    """The terms of one round among the sites still seated. Raises Misuse where a stake would not deter."""
    money, periods = words.money, words.periods
    sites = tuple(seat for seat in plan.sites if seat.did in seated)
    if len(sites) < 2:
        raise Misuse("a round needs sites to compare", expected="at least 2 seated", actual=len(sites))
    money.check(len(sites), len(plan.verifiers))
    bench = tuple(seat.account for seat in plan.verifiers)
    shares = Split(tuple(seat.account for seat in plan.sites))

    def half(amount: int) -> Split:
        return Split((CHALLENGER,), amounts=(amount // 2,))

    def stake(account: Account, amount: int) -> Pot:
        # A slashed depositor gets nothing back: what no challenger earned goes to the commons.
        return Pot(stake_pot(account), account, amount, {SLASHED: half(amount)}, residual=account)

    fee = Split((plan.aggregator.account,), amounts=(money.fee,))
    by_outcome: dict[int, Rule] = dict.fromkeys(OUTCOMES, shares)
    pots = (
        Pot("reward", words.sponsor, money.reward, by_outcome, residual=words.sponsor),
        # Whoever has an omitted update counted gets half of the fee that the aggregator does not: with a share of the
        # reward at stake a site left out gains by calling, and nobody gains by sending to the verifiers alone.
        Pot("fee", words.sponsor, money.fee, {UPHELD: fee, WITHHELD: fee, OMITTED: half(money.fee)},
            residual=words.sponsor),
        Pot("keeper", words.sponsor, money.keeper,
            dict.fromkeys(OUTCOMES, Split((KEEPER,), weights=(1,))), residual=words.sponsor),
        stake(plan.aggregator.account, money.aggregator_stake),
        *(stake(seat.account, money.site_stake) for seat in sites),
        *(stake(account, money.verifier_stake) for account in bench),
        Pot("verifiers", climber(1), money.verifier_fee, dict.fromkeys(OUTCOMES, Answered(1))),
    )
    evidence = (plan.aggregator.account, *(seat.account for seat in sites))
    rungs = (
        Rung(words.assumed.address, words.assumed.codehash,
             (Ask(AGGREGATE_ASK, (plan.aggregator.account,), periods.answer),), periods.verdict, periods.window,
             money.bond, silent=REFUTED),
        Rung(words.rerun.address, words.rerun.codehash,
             (Ask(EVIDENCE_ASK, evidence, periods.answer), Ask(COMMIT_ASK, bench, periods.answer),
              Ask(REVEAL_ASK, None, periods.answer)), periods.verdict),
    )
    return Terms(words.token, pots, rungs, now + periods.fund, words.commons)


def join_all(party: Party, deal: bytes) -> int:
    """Deposit every pot of this deal that is this party's and is not deposited yet; the sum."""
    total, state = 0, party.book.state(deal)
    for index, pot in enumerate(state.terms.pots):
        if pot.depositor == party.account and index not in state.joined:
            party.book.join(party.account, deal, index)
            total += pot.amount
    return total


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
class Seat:
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

    def by_site(self, updates: Iterable[bytes]) -> tuple[tuple[str, bytes], ...]:
        """(site, claim) of these updates, by site: one each, as ``updates`` and the aggregator's sorting give them."""
        return tuple(sorted((self.party.statement(claim).issuer, claim) for claim in updates))

    def own(self, round_: int, deal: bytes) -> bytes | None:
        """This party's own update of a round, if it committed to one."""
        return next((claim for claim in self.updates(round_, deal)
                     if self.party.statement(claim).issuer == self.party.did), None)

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
class Site(Seat):
    """A site: trains, sends its update sealed, watches the aggregate, challenges."""

    listing: bytes = b""

    def training(self, environment: Mapping[str, str] | None = None, privacy: Spent | None = None) -> Training:
        """How this site trains: within the plan's norm, by the code that the plan names or what Troth comes with.

        privacy: what it does to each record, as it was reserved and said before it begins.
        """
        plan = self.plan
        code = from_hex(plan.task["sha256"], 32) if plan.task.get("family") == "code" else BUILT_IN
        return Training(plan.clip, code, environment or {}, privacy)

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

    def tell(self, claim: bytes) -> None:
        """Send a commitment, and nothing of what it commits to, to the aggregator, the verifiers and the sponsor."""
        self.party.send([*self.overseers(), self.party.statement(self.plan_id).issuer], [claim])

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
        return Seat.deliver(self, deal, round_, evidence, sorted(set(claims)))

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
class Aggregator(Seat):
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
            if statement.issuer == self.party.did:
                said = CommitmentsClaim.of(statement)
                named |= {*said.updates, *(claim for claim, _ in said.rejected)}
        return [claim for claim, statement in self.party.claims(kinds.UPDATE)
                if claim not in named and statement.all_refs("plan") in ((), (self.plan_id,))]

    def deliver(self, deal: bytes, round_: int, evidence: Iterable[Evidence], claims: Iterable[bytes] = ()) -> bytes:
        """As every seat, with the update claims that arrived: no site can hide one from the verifiers that counts."""
        return Seat.deliver(self, deal, round_, evidence,
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

    def publish(self, deal: bytes, round_: int, output: RoundOutput, updates: Iterable[bytes],
                refs: Iterable[Ref] = ()) -> bytes:
        """Attest an aggregate and hand it to every seat, its parameters sealed to them; the claim's id."""
        evidence = self.party.add("params", arrays.encode(output.params), self.everybody())
        said = AggregateClaim(round_, deal, arrays.digest(self.base()), output.to_json())
        lists = (Ref("commitments", found) for found in self.held(round_, deal).lists[:1])
        all_refs = [Ref("plan", self.plan_id), *self.base_refs(), *lists,
                    *(Ref("update", claim) for claim in updates), *refs]
        claim = self.party.attest(kinds.AGGREGATE, digest_subject("params", output.digest), said.body(),
                                  refs=all_refs, evidence=[evidence])
        self.party.send(self.everybody(), [claim], [evidence])
        return claim

    def submit(self, deal: bytes, claim: bytes, output: RoundOutput) -> None:
        """Put the claim and its result on chain, and have the first rung judge it."""
        result = self.replay.result(UPHELD, output, self.seated(deal))
        self.party.book.submit(self.party.account, deal, 0, 0, claim, result.to_bytes())
        self.party.book.judge(self.party.account, deal)


@dataclass(slots=True)
class Verifier(Seat):
    """Executes a challenged round again: commits to what it found, then reveals it."""

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
        """
        own = [claim for claim, did, _ in self.lists(round_, deal) if did == self.party.did]
        if own:
            return own[0]
        aggregator, before = self.plan.aggregator.did, []
        for claim, statement in self.party.claims(kinds.UPDATE, kinds.COMMITMENTS):
            if statement.kind == kinds.UPDATE:
                before.append(claim)
            elif statement.issuer == aggregator and commitments_of(statement, self.plan_id, round_, deal):
                break
        fit = self.replay.fit(before, round_, deal, self.last, self.seated(deal))
        return self.party.attest(kinds.COMMITMENTS, digest_subject("deal", deal),
                                 CommitmentsClaim(round_, deal, self.by_site(fit)).body(),
                                 refs=[Ref("plan", self.plan_id)])

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
        held = self.held(step.claim.round, deal)
        return self.replay.judge(step, held, self.seated(deal), self._result(aggregate, deal))

    def _without(self, deal: bytes, round_: int) -> tuple[RoundOutput, Result]:
        """The finding on an aggregate that is none: the round as the received updates give it."""
        _, claims = self.replay.counted((), self.held(round_, deal), round_, deal, self.last, self.seated(deal))
        opened = self.replay.gather(claims)
        output = self.replay.run(round_, self.last, opened.updates, opened.rejected)
        return output, self.replay.refuted(output, self.seated(deal))

    def _result(self, aggregate: bytes, deal: bytes) -> Result | None:
        """What the aggregator submitted with this claim; None for another claim or nothing readable."""
        entry = self.submitted(deal)
        try:
            return Result.from_bytes(entry.data) if entry is not None and entry.claim == aggregate else None
        except BadInput:
            return None

    def missing(self, aggregate: bytes) -> tuple[str, ...]:
        """Sites whose update's evidence this verifier does not hold."""
        return self.replay.gather(self.step(aggregate).statement.all_refs("update")).withheld

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
        said = VerdictClaim(deal, 1, round_, result.outcome, output.digest, found_digest(output.to_json()), data)
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


def correct(aggregator: Aggregator, wrong: bytes, verdicts: Mapping[bytes, VerdictClaim],
            result: Result) -> bytes:
    """The aggregate that training goes on from after a refutation: what the agreeing verifiers found.

    Raises Refuted where this aggregator's own re-execution does not give it.
    """
    step, replay = aggregator.step(wrong), aggregator.replay
    deal, round_ = step.claim.deal, step.claim.round
    agreeing = {claim: said for claim, said in verdicts.items() if said.result == result.to_bytes()}
    params = {said.params for said in agreeing.values()}
    named, others = replay.counted(step.statement.all_refs("update"), aggregator.held(round_, deal), round_, deal,
                                   aggregator.last, aggregator.seated(deal))
    accounts = {seat.did: seat.account for seat in aggregator.plan.sites}
    withheld = result.slashed if result.outcome == WITHHELD else frozenset()
    counted = [claim for claim in (*named, *others)
               if accounts[aggregator.party.statement(claim).issuer] not in withheld]
    found = replay.gather(counted)
    output = replay.run(round_, aggregator.last, found.updates, found.rejected)
    if params != {output.digest}:
        raise Refuted("the verifiers found another model", expected=sorted(found.hex() for found in params),
                      actual=output.digest.hex())
    refs = [Ref("corrects", wrong), *(Ref("verdict", claim) for claim in sorted(agreeing))]
    return aggregator.publish(deal, round_, output,
                              [claim for claim in counted
                               if aggregator.party.statement(claim).issuer not in found.withheld], refs)


def publish_model(sponsor: Seat) -> bytes:
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
