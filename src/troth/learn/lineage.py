"""A trained model's lineage: reading it back from claims, and the policy that judges it.

A model claim names its plan and its last aggregate; every aggregate names the one before it as ``base``, its updates,
and, where it replaces a refuted one, what it corrects and the verdicts that say so. Nothing here executes a round
again: that is ``troth.learn.recheck``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from troth.core.claims import Statement
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.ports import ClaimView, Finding
from troth.core.verdicts import Outcome
from troth.learn import claims as kinds
from troth.learn.claims import AggregateClaim, Listing, ModelClaim, Plan, UpdateClaim, VerdictClaim

POLICY = "federated-model"


class Statements(Protocol):
    """Where claims are read from: a bundle's view or a workspace."""

    def statement(self, claim: bytes) -> Statement:
        """What the claim says. Raises Undecidable if it is not here."""
        ...


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


def check_updates(source: Statements, plan_id: bytes, plan: Plan, step: RoundStep) -> int:
    """How many updates the round counts. Raises Refuted for one that is not what the round may count."""
    seen: set[str] = set()
    for claim in step.statement.all_refs("update"):
        statement = source.statement(claim)
        said = UpdateClaim.of(statement)
        wrong = next((what for what, fits in (
            ("its sender has no seat", statement.issuer in plan.keys),
            ("its sender sent another", statement.issuer not in seen),
            ("it is of another plan", statement.ref("plan") == plan_id),
            ("it is of another round", said.round == step.claim.round),
            ("it is of another deal", said.deal == step.claim.deal),
            ("it started from another model", said.base == step.claim.base),
            ("it rests on somebody else's listing",
             source.statement(statement.ref("listing")).issuer == statement.issuer),
        ) if not fits), None)
        if wrong:
            raise Refuted(f"round {step.claim.round} counts an update that it may not: {wrong}", actual=claim.hex())
        seen.add(statement.issuer)
    return len(seen)


def check_correction(source: Statements, plan: Plan, step: RoundStep) -> str | None:
    """What a round that replaces a refuted one rests on; None for a round that replaces nothing.

    Raises Refuted unless more than half of the plan's verifiers found exactly this result against the replaced one.
    """
    wrong = step.statement.all_refs("corrects")
    verdicts = step.statement.all_refs("verdict")
    if not wrong and not verdicts:
        return None
    replaced = AggregateClaim.of(source.statement(step.statement.ref("corrects")))
    if (replaced.round, replaced.deal) != (step.claim.round, step.claim.deal):
        raise Refuted("a correction of another round", expected=step.claim.round, actual=replaced.round)
    voices = set()
    for claim in verdicts:
        statement = source.statement(claim)
        said = VerdictClaim.of(statement)
        if statement.ref("of") == wrong[0] and said.deal == step.claim.deal and said.params == step.claim.params:
            voices.add(statement.issuer)
    needed = len(plan.verifiers) // 2 + 1
    voices &= {seat.did for seat in plan.verifiers}
    if len(voices) < needed:
        raise Refuted(f"round {step.claim.round} replaces a refuted aggregate without enough verdicts",
                      expected=f"{needed} of {len(plan.verifiers)} verifiers for {step.claim.params.hex()[:16]}…",
                      actual=len(voices))
    return (f"round {step.claim.round} was refuted by {len(voices)} of {len(plan.verifiers)} verifiers; "
            "training went on from what they found")


class FederatedModel:
    """The policy ``federated-model``: the target is a model that came from the rounds, sites and data it names."""

    says: Mapping[str, frozenset[str]] = {
        kinds.PLAN: frozenset({"sponsor"}), kinds.MODEL: frozenset({"sponsor"}),
        kinds.LISTING: frozenset({"hospital", "sponsor"}), kinds.UPDATE: frozenset({"hospital"}),
        kinds.AGGREGATE: frozenset({"aggregator"}), kinds.VERDICT: frozenset({"verifier"}),
    }

    def judge(self, view: ClaimView, roles: Mapping[str, tuple[str, ...]],
              settings: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Findings in order: plan, path, updates, corrections, published model."""
        target = view.statement(view.target)
        model = ModelClaim.of(target)
        plan_id = target.ref("plan")
        plan = Plan.of(view.statement(plan_id))
        findings = [_plan_finding(view, view.statement(plan_id), plan, roles)]
        steps = path(view, target.ref("aggregate"))
        if steps[-1].claim.params != model.params or len(steps) != model.rounds or steps[-1].claim.round != plan.rounds:
            raise Refuted("the model is not the last round of its plan",
                          expected=f"{plan.rounds} rounds ending in {steps[-1].claim.params.hex()[:16]}…",
                          actual=f"{model.rounds} rounds ending in {model.params.hex()[:16]}…")
        if any(step.statement.ref("plan") != plan_id or step.statement.issuer != plan.aggregator.did for step in steps):
            raise Refuted("a round of another plan, or by another aggregator than the plan's")
        findings.append(Finding("path", Outcome.UPHELD, f"{len(steps)} rounds, each from the one before"))
        counted = sum(check_updates(view, plan_id, plan, step) for step in steps)
        findings.append(Finding("updates", Outcome.UPHELD, f"{counted} updates, each by a seated site on its listing"))
        corrections = [found for step in steps if (found := check_correction(view, plan, step))]
        findings.append(Finding("corrections", Outcome.UPHELD, "; ".join(corrections) or "no round was refuted"))
        findings.append(_published(view, target, model, plan_id))
        return tuple(findings)


def _plan_finding(view: ClaimView, statement: Statement, plan: Plan, roles: Mapping[str, tuple[str, ...]]) -> Finding:
    """Every seat of the plan must be one that the truster names."""
    for role, seats in (("hospital", plan.sites), ("aggregator", (plan.aggregator,)), ("verifier", plan.verifiers)):
        strangers = [seat.did for seat in seats if seat.did not in roles.get(role, ())]
        if strangers:
            raise Refuted(f"the plan seats a {role} whom the trust file does not name", actual=strangers[0])
    rows = 0
    for claim in statement.all_refs("listing"):
        listing = view.statement(claim)
        if listing.issuer not in plan.keys:
            raise Refuted("the plan rests on a listing of somebody without a seat", actual=listing.issuer)
        rows += Listing.of(listing).rows
    return Finding("plan", Outcome.UPHELD, f"{len(plan.sites)} sites with {rows} sealed records, "
                   f"{len(plan.verifiers)} verifiers, rule {plan.rule}, privacy {plan.privacy}")


def _published(view: ClaimView, target: Statement, model: ModelClaim, plan_id: bytes) -> Finding:
    """The published parameters have the claimed digest, and the claimed accuracy on the public validation records."""
    # Imported here: numpy costs start-up time, and reading lineage alone does not need it.
    from troth.learn import arrays
    from troth.learn import model as models
    from troth.learn.data import Part, scaling

    listing = Listing.of(view.statement(view.statement(plan_id).ref("validation")))
    blobs = [view.blob(item.cid) for item in target.evidence if item.name == "params"]
    records = view.blob(listing.cid)
    if len(blobs) != 1 or blobs[0] is None or records is None:
        raise Undecidable("the model's parameters or the validation records are not in the bundle",
                          do="Ask for a bundle with its public evidence.")
    try:
        state, part = arrays.decode(blobs[0]), Part.from_bytes(records)
    except BadInput as error:
        raise Refuted("published evidence is not what its claim says", actual=error) from None
    if arrays.digest(state) != model.params or len(part) != listing.rows:
        raise Refuted("published evidence is not what its claim says", expected=model.params.hex(),
                      actual=arrays.digest(state).hex())
    inputs = models.inputs(part, scaling(part))
    found = models.accuracy(state, inputs), models.loss(state, inputs)
    if found != (model.accuracy, model.loss):
        raise Refuted("the model does not score what its claim says",
                      expected=f"accuracy {model.accuracy} ppm, loss {model.loss}",
                      actual=f"accuracy {found[0]} ppm, loss {found[1]}")
    return Finding("published model", Outcome.UPHELD,
                   f"{model.accuracy / 10_000:.2f} % on {len(part)} public records, computed again here")
