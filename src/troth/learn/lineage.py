"""A trained model's lineage: reading it back from claims, and the policy that judges it.

A model claim names its plan and its last aggregate; every aggregate names the one before it as ``base``, its updates,
and, where it replaces a refuted one, what it corrects and the verdicts that say so. Nothing here executes a round
again: that is ``troth.learn.recheck``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troth.core.claims import Ref, Statement
from troth.core.encoding import amount
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.ports import ClaimView, Finding, Statements
from troth.core.terms import UPHELD, Result
from troth.core.verdicts import Outcome
from troth.learn import claims as kinds
from troth.learn.claims import (
    AggregateClaim,
    CommitmentsClaim,
    Listing,
    ModelClaim,
    Plan,
    UpdateClaim,
    VerdictClaim,
    found_digest,
)

POLICY = "federated-model"
STANDS = (UPHELD, kinds.UNSUMMED)
"""Outcomes with which an aggregate stands as its aggregator said it."""


@dataclass(frozen=True, slots=True)
class RoundStep:
    """One round on a model's path."""

    id: bytes
    statement: Statement
    claim: AggregateClaim


def path(source: Statements, last: bytes) -> tuple[RoundStep, ...]:
    """The aggregates from round 1 to ``last``, through their ``base`` references.

    Raises Refuted where rounds are not consecutive, a base digest is not the digest before it, or plans differ.
    """
    steps: list[RoundStep] = []
    here: bytes | None = last
    while here is not None:
        statement = source.statement(here)
        step = RoundStep(here, statement, AggregateClaim.of(statement))
        if steps:
            _check_follows(step, steps[-1])
        steps.append(step)
        bases = statement.all_refs("base")
        if len(bases) != (0 if step.claim.round == 1 else 1):
            raise Refuted(f"round {step.claim.round} does not say what it started from",
                          expected="no base in round 1, one base later", actual=f"{len(bases)} bases")
        here = bases[0] if bases else None
    return tuple(reversed(steps))


def _check_follows(step: RoundStep, after: RoundStep) -> None:
    if step.claim.round != after.claim.round - 1:
        raise Refuted("rounds that do not follow one another", expected=f"round {after.claim.round - 1}",
                      actual=step.claim.round)
    if after.claim.base != step.claim.params:
        raise Refuted(f"round {after.claim.round} did not start from the round before",
                      expected=step.claim.params.hex(), actual=after.claim.base.hex())
    if step.statement.ref("plan") != after.statement.ref("plan"):
        raise Refuted("rounds of different plans on one path")


#: Why an update may not be counted, by the word that claims use for it.
FAULTS: Mapping[str, str] = {
    "unreadable": "it cannot be read",
    "stranger": "its sender has no seat",
    "unseated": "its sender has no seat in this round",
    "round": "it is of another round",
    "deal": "it is of another deal",
    "base": "it started from another model",
    "refs": "it rests on something else than the plan, its sender's listing and the aggregate before",
    "evidence": "it has other evidence than one sealed update, or behind masks any, besides perhaps a quote",
    "data": "it names other data than its sender's listing",
    "examples": "it claims more records than its sender listed, or none",
    "clip": "it let itself be longer than the plan allows",
    "twice": "its sender sent another",
}


@dataclass(frozen=True, slots=True)
class UpdateRule:
    """Which updates a plan's rounds may count. listings: each site's own, by DID, and what it says. clip: the plan's.
    masked: nobody is shown an update, so that it has no evidence.

    The same rule serves the aggregator, who must not count another update, the verifiers, and whoever reads the lineage
    later: an update that only one of them minds would let its sender spoil everybody's work.
    """

    plan_id: bytes
    listings: Mapping[str, bytes]
    listed: Mapping[str, Listing]
    clip: int
    masked: bool = False

    @classmethod
    def of(cls, source: Statements, plan_id: bytes) -> UpdateRule:
        """The rule of a plan whose listings are in ``source``. Raises Refuted unless each site has one listing."""
        statement = source.statement(plan_id)
        plan = Plan.of(statement)
        pairs = [(source.statement(claim).issuer, claim) for claim in statement.all_refs("listing")]
        if sorted(did for did, _ in pairs) != list(plan.keys):
            raise Refuted("the plan does not rest on one listing of each site, and no other",
                          expected=f"{len(plan.keys)} listings", actual=len(pairs))
        listed = {did: Listing.of(source.statement(claim)) for did, claim in pairs}
        return cls(plan_id, dict(pairs), listed, plan.clip, plan.masking is not None)

    def fault(self, statement: Statement, round_: int, deal: bytes, base: bytes, after: bytes | None) -> str | None:
        """Why a round may not count this update, as a word of ``FAULTS``; None if it may.

        base: digest of the model that the round starts from. after: the aggregate before, None in round 1.
        """
        try:
            said = UpdateClaim.of(statement)
        except BadInput:
            return "unreadable"
        listing, listed = self.listings.get(statement.issuer), self.listed.get(statement.issuer)
        if listing is None or listed is None:
            return "stranger"
        refs = [Ref("plan", self.plan_id), Ref("listing", listing), *([Ref("base", after)] if after else [])]
        evidence = [(item.name, item.sealed) for item in statement.evidence if item.name != "quote"]
        return next((what for what, fits in (
            ("round", said.round == round_),
            ("deal", said.deal == deal),
            ("base", said.base == base),
            # Anything more would have to be in everybody's log before the model could be bundled.
            ("refs", Counter(statement.refs) == Counter(refs)),
            ("evidence", evidence == ([] if self.masked else [("update", True)]) and len(statement.evidence) <= 2),
            ("data", said.data == listed.commitment),
            ("examples", 1 <= said.examples <= listed.rows),
            ("clip", said.training.clip <= self.clip),
        ) if not fits), None)


def commitments_of(statement: Statement, plan_id: bytes, round_: int, deal: bytes) -> CommitmentsClaim | None:
    """What a claim commits its issuer to for this round of this plan and deal; None if it does not."""
    try:
        said = CommitmentsClaim.of(statement)
    except BadInput:
        return None
    fits = (said.round, said.deal, tuple(statement.refs)) == (round_, deal, (Ref("plan", plan_id),))
    return said if fits and not statement.evidence else None


def fixed_list(source: Statements, plan: Plan, step: RoundStep) -> Mapping[str, bytes]:
    """Each site's update on the list that an aggregate rests on. Raises Refuted unless its aggregator's, of its round.
    """
    claim = step.claim
    statement = source.statement(step.statement.ref("commitments"))
    said = commitments_of(statement, step.statement.ref("plan"), claim.round, claim.deal)
    if said is None or statement.issuer != plan.aggregator.did:
        raise Refuted(f"round {claim.round} does not rest on its aggregator's list of commitments",
                      expected=plan.aggregator.did, actual=statement.issuer)
    return dict(said.sites)


def check_updates(source: Statements, plan: Plan, rule: UpdateRule, step: RoundStep, unseated: frozenset[str]) -> int:
    """How many updates the round counts. Raises Refuted for one that it may not count. unseated: slashed before.

    What a correction counts beyond the list, the verdicts that it rests on vouch for. Behind masks there is no list:
    nobody could copy what nobody sees.
    """
    seen: set[str] = set()
    masked = plan.masking is not None
    fixed: Mapping[str, bytes] = {} if masked else fixed_list(source, plan, step)
    corrects = masked or bool(step.statement.all_refs("corrects"))
    after = step.statement.all_refs("base")
    for claim in step.statement.all_refs("update"):
        statement = source.statement(claim)
        word = rule.fault(statement, step.claim.round, step.claim.deal, step.claim.base, after[0] if after else None)
        wrong = FAULTS[word] if word else None
        if wrong is None and fixed.get(statement.issuer) != claim and not corrects:
            wrong = "it was not committed to before others were revealed"
        if wrong is None and statement.issuer in seen:
            wrong = FAULTS["twice"]
        if wrong is None and statement.issuer in unseated:
            wrong = "its sender lost its seat in an earlier round"
        if wrong:
            raise Refuted(f"round {step.claim.round} counts an update that it may not: {wrong}", actual=claim.hex())
        seen.add(statement.issuer)
    if masked:
        check_summed(plan, step, seen)
    return len(seen)


def check_summed(plan: Plan, step: RoundStep, said: set[str]) -> None:
    """Behind masks: who is in a sum said so beforehand, and is counted. Raises Refuted, BadInput."""
    counted = {did for did, one in zip(plan.keys, step.claim.flags("counted"), strict=False) if one}
    if step.claim.transcripts is None or said != counted:
        raise Refuted(f"round {step.claim.round} counts others than those who said that they take part",
                      expected=sorted(said), actual=sorted(counted))


def check_correction(source: Statements, plan: Plan, step: RoundStep) -> str | None:
    """What a round that replaces a refuted one rests on; None for a round that replaces nothing.

    Raises Refuted unless more than half of the plan's verifiers found, against the replaced one, exactly this result:
    the same model, payments, slashed sites, and what later rounds are paid and slashed by.
    """
    verdicts = step.statement.all_refs("verdict")
    if not step.statement.all_refs("corrects") and not verdicts:
        return None
    wrong = step.statement.ref("corrects")
    statement = source.statement(wrong)
    replaced = AggregateClaim.of(statement)
    if (replaced.round, replaced.deal, replaced.base) != (step.claim.round, step.claim.deal, step.claim.base) or (
            statement.issuer, statement.all_refs("plan")) != (plan.aggregator.did, step.statement.all_refs("plan")):
        raise Refuted("a correction of another round", expected=step.claim.round, actual=replaced.round)
    seated = {seat.did for seat in plan.verifiers}
    voices = {found.issuer for found in map(source.statement, verdicts)
              if found.issuer in seated and _finds(found, wrong, step)}
    needed = len(plan.verifiers) // 2 + 1
    if len(voices) < needed:
        raise Refuted(f"round {step.claim.round} replaces a refuted aggregate without enough verdicts",
                      expected=f"{needed} of {len(plan.verifiers)} verifiers for {step.claim.params.hex()[:16]}…",
                      actual=len(voices))
    return (f"round {step.claim.round} was refuted by {len(voices)} of {len(plan.verifiers)} verifiers; "
            "training went on from what they found")


def _finds(verdict: Statement, wrong: bytes, step: RoundStep) -> bool:
    """Whether a verdict finds, of ``wrong``, that ``step`` is the right result."""
    try:
        said = VerdictClaim.of(verdict)
        result = Result.from_bytes(said.result)
        payments = tuple(map(amount, step.claim.texts("payments")))
    except BadInput:
        return False
    return (verdict.all_refs("of") == (wrong,) and said.deal == step.claim.deal and said.round == step.claim.round
            and (said.params, said.found) == (step.claim.params, found_digest(step.claim.result))
            and said.outcome == result.outcome and result.outcome not in STANDS
            and result.values == payments)


class FederatedModel:
    """The policy ``federated-model``: the target is a model that came from the rounds, sites and data it names."""

    says: Mapping[str, frozenset[str]] = {
        kinds.PLAN: frozenset({"sponsor"}), kinds.MODEL: frozenset({"sponsor"}),
        kinds.LISTING: frozenset({"hospital", "sponsor"}), kinds.UPDATE: frozenset({"hospital"}),
        kinds.AGGREGATE: frozenset({"aggregator"}), kinds.COMMITMENTS: frozenset({"aggregator"}),
        kinds.VERDICT: frozenset({"verifier"}),
    }

    def judge(self, view: ClaimView, roles: Mapping[str, tuple[str, ...]],
              settings: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Findings in order: plan, path, updates, corrections, published model."""
        target = view.statement(view.target)
        model = ModelClaim.of(target)
        plan_id = target.ref("plan")
        statement = view.statement(plan_id)
        plan, rule = Plan.of(statement), UpdateRule.of(view, plan_id)
        if target.issuer != statement.issuer:
            raise Refuted("the model is published by another than who called the plan", expected=statement.issuer,
                          actual=target.issuer)
        findings = [_plan_finding(view, plan, rule, roles)]
        steps = path(view, target.ref("aggregate"))
        if steps[-1].claim.params != model.params or len(steps) != model.rounds or steps[-1].claim.round != plan.rounds:
            raise Refuted("the model is not the last round of its plan",
                          expected=f"{plan.rounds} rounds ending in {steps[-1].claim.params.hex()[:16]}…",
                          actual=f"{model.rounds} rounds ending in {model.params.hex()[:16]}…")
        if any(step.statement.ref("plan") != plan_id or step.statement.issuer != plan.aggregator.did for step in steps):
            raise Refuted("a round of another plan, or by another aggregator than the plan's")
        findings.append(Finding("path", Outcome.UPHELD, f"{len(steps)} rounds, each from the one before"))
        counted, unseated = 0, frozenset[str]()
        for step in steps:
            counted += check_updates(view, plan, rule, step, unseated)
            unseated |= {plan.keys[seat] for seat in step.claim.numbers("slashed") if 0 <= seat < len(plan.keys)}
        how = ("in a masked sum that it said it takes part in" if plan.masking
               else "committed to before any was revealed")
        findings.append(Finding("updates", Outcome.UPHELD, f"{counted} updates, each by a seated site on "
                                f"its listing, {how}"))
        corrections = [found for step in steps if (found := check_correction(view, plan, step))]
        findings.append(Finding("corrections", Outcome.UPHELD, "; ".join(corrections) or "no round was refuted"))
        findings.append(_published(view, target, model, statement, steps[0]))
        return tuple(findings)


def _plan_finding(view: ClaimView, plan: Plan, rule: UpdateRule, roles: Mapping[str, tuple[str, ...]]) -> Finding:
    """Every seat of the plan must be one that the truster names."""
    for role, seats in (("hospital", plan.sites), ("aggregator", (plan.aggregator,)), ("verifier", plan.verifiers)):
        strangers = [seat.did for seat in seats if seat.did not in roles.get(role, ())]
        if strangers:
            raise Refuted(f"the plan seats a {role} whom the trust file does not name", actual=strangers[0])
    rows = sum(Listing.of(view.statement(claim)).rows for claim in rule.listings.values())
    return Finding("plan", Outcome.UPHELD, f"{len(plan.sites)} sites with {rows} sealed records, "
                   f"{len(plan.verifiers)} verifiers, rule {plan.rule}, privacy {plan.privacy}")


def _published(view: ClaimView, target: Statement, model: ModelClaim, plan: Statement, first: RoundStep) -> Finding:
    """The published parameters have the claimed digest, and the claimed score on the public validation records.

    And round 1 started from the untrained model.
    """
    # Imported here: numpy costs start-up time, and reading lineage alone does not need it.
    from troth.learn import arrays
    from troth.learn.data import Part, Schema, scaling
    from troth.learn.tasks import task_of

    validation = view.statement(plan.ref("validation"))
    listing, called = Listing.of(validation), Plan.of(plan)
    schema = Schema.of(listing.schema)
    task = task_of(called.task, schema)
    untrained = arrays.digest(task.start(called.seed))
    if first.claim.base != untrained:
        raise Refuted("round 1 did not start from the untrained model", expected=untrained.hex(),
                      actual=first.claim.base.hex())
    if validation.issuer != plan.issuer or [item.cid for item in validation.evidence] != [listing.cid]:
        raise Refuted("the validation records are not the sponsor's own listing", expected=plan.issuer,
                      actual=validation.issuer)
    blobs = [view.blob(item.cid) for item in target.evidence if item.name == "params"]
    records = view.blob(listing.cid)
    if len(blobs) != 1 or blobs[0] is None or records is None:
        raise Undecidable("the model's parameters or the validation records are not in the bundle",
                          do="Ask for a bundle with its public evidence.")
    try:
        state, part = arrays.decode(blobs[0]), Part.from_bytes(records, schema)
    except BadInput as error:
        raise Refuted("published evidence is not what its claim says", actual=error) from None
    if arrays.digest(state) != model.params or len(part) != listing.rows:
        raise Refuted("published evidence is not what its claim says", expected=model.params.hex(),
                      actual=arrays.digest(state).hex())
    inputs = scaling(part).inputs(part)
    found = task.score(state, inputs), task.loss(state, inputs)
    if found != (model.score, model.loss):
        raise Refuted("the model does not score what its claim says",
                      expected=f"score {model.score} ppm, loss {model.loss}",
                      actual=f"score {found[0]} ppm, loss {found[1]}")
    measure = f"{model.score / 10_000:.2f} % right" if schema.classes else f"R² {model.score / 1_000_000:.4f}"
    return Finding("published model", Outcome.UPHELD,
                   f"{measure} on {len(part)} public records, computed again here")
