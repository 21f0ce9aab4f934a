"""Executing rounds again from claims and opened evidence: what verifiers do, and what a verifier's bundle check does.

The same code serves the aggregator (to make its claim), the verifiers (to judge it) and ``Recheck`` (to check a bundle
long afterwards), so they can only differ in the evidence they hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from troth.core.claims import Evidence, Statement
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.ports import ClaimView, Finding
from troth.core.terms import REFUTED, UPHELD, Result
from troth.core.verdicts import Outcome
from troth.learn import arrays, model
from troth.learn.aggregate import Update
from troth.learn.arrays import State
from troth.learn.claims import MODEL, WITHHELD, AggregateClaim, Listing, Plan, UpdateClaim
from troth.learn.data import Part
from troth.learn.lineage import RoundStep, Statements, path
from troth.learn.round import RoundInput, RoundOutput, run_round
from troth.learn.worth import Record

Opener = Callable[[Evidence], bytes]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Updates that could be opened; who withheld theirs; whose evidence is not what they signed."""

    updates: tuple[Update, ...]
    withheld: tuple[str, ...]
    false: tuple[str, ...]


def the_evidence(statement: Statement, name: str) -> Evidence:
    """The one piece of evidence of this name. Raises Refuted."""
    found = [item for item in statement.evidence if item.name == name]
    if len(found) != 1:
        raise Refuted(f"a {statement.kind} must name one piece of evidence {name!r}", expected=1, actual=len(found))
    return found[0]


class Replay:
    """One plan's rounds, re-executable. ``open``: evidence to bytes, or Undecidable where it is sealed or absent."""

    def __init__(self, source: Statements, plan_id: bytes, open_: Opener) -> None:
        self._source, self._open = source, open_
        self.plan_id = plan_id
        self._statement = source.statement(plan_id)
        self.plan = Plan.of(self._statement)
        self._validation: Part | None = None

    @property
    def validation(self) -> Part:
        """The sponsor's public validation records."""
        if self._validation is None:
            statement = self._source.statement(self._statement.ref("validation"))
            self._validation = Part.from_bytes(self._open(the_evidence(statement, "records")))
            if len(self._validation) != Listing.of(statement).rows:
                raise Refuted("the validation records are not the listing's", expected=Listing.of(statement).rows)
        return self._validation

    def gather(self, updates: Iterable[bytes]) -> Gathered:
        """Open these update claims' evidence."""
        opened, withheld, false = [], [], []
        for claim in updates:
            statement = self._source.statement(claim)
            said = UpdateClaim.of(statement)
            try:
                data = self._open(the_evidence(statement, "update"))
            except Undecidable:
                withheld.append(statement.issuer)
                continue
            if hashlib.sha256(data).digest() != said.digest:
                false.append(statement.issuer)
                continue
            try:
                opened.append(Update(statement.issuer, said.examples, arrays.decode(data)))
            except BadInput:
                false.append(statement.issuer)
        return Gathered(tuple(opened), tuple(sorted(withheld)), tuple(sorted(false)))

    def base(self, last: bytes | None) -> tuple[State, tuple[Record, ...]]:
        """The model after aggregate ``last`` (None: the untrained one), and the records of all rounds so far."""
        if last is None:
            return model.zeros(), ()
        steps = path(self._source, last)
        data = self._open(the_evidence(steps[-1].statement, "params"))
        if hashlib.sha256(data).digest() != steps[-1].claim.params:
            raise Refuted("the model's bytes are not the aggregate's", expected=steps[-1].claim.params.hex())
        return arrays.decode(data), tuple(record_of(step.claim) for step in steps)

    def run(self, round_: int, last: bytes | None, updates: tuple[Update, ...]) -> RoundOutput:
        """Execute a round that starts from aggregate ``last``. Raises Undecidable where evidence is missing."""
        state, history = self.base(last)
        seed = hashlib.sha256(self.plan.seed + round_.to_bytes(4, "big")).digest()
        return run_round(RoundInput(state, self.plan.keys, updates, self.validation, seed, self.plan.reward, history,
                                    self.plan.rule, self.plan.clip))

    def rerun(self, step: RoundStep) -> tuple[RoundOutput, Gathered]:
        """Execute again the round that an aggregate claims, from the updates it names."""
        bases = step.statement.all_refs("base")
        found = self.gather(step.statement.all_refs("update"))
        return self.run(step.claim.round, bases[0] if bases else None, found.updates), found

    def result(self, outcome: int, output: RoundOutput, seated: frozenset[str],
               also: Iterable[bytes] = ()) -> Result:
        """The deal's result: payments per site of the plan, and the accounts of seated sites that are slashed."""
        slashed = {self.plan.sites[index].account for index in output.slashed
                   if self.plan.keys[index] in seated}
        return Result(outcome, output.payments, frozenset(slashed | set(also)))

    def judge(self, step: RoundStep, updates: Iterable[bytes], seated: frozenset[str]) -> tuple[RoundOutput, Result]:
        """A verifier's finding on an aggregate, from the update claims the verifier itself received.

        Upheld: re-execution gives the claimed result. Withheld: some update's evidence could not be opened, so the
        round stands without it. Refuted: the aggregator claimed something else; its account is slashed.
        """
        found = self.gather(updates)
        bases = step.statement.all_refs("base")
        output = self.run(step.claim.round, bases[0] if bases else None, found.updates)
        accounts = {seat.did: seat.account for seat in self.plan.sites}
        if found.withheld:
            return output, self.result(WITHHELD, output, seated, [accounts[did] for did in found.withheld])
        if output.to_json() == step.claim.result:
            return output, self.result(UPHELD, output, seated)
        return output, self.result(REFUTED, output, seated, [self.plan.aggregator.account])


def record_of(claim: AggregateClaim) -> Record:
    """What a round leaves for later ones, from its claim. Raises BadInput."""
    lists = [claim.result.get(name) for name in ("contributions", "ceilings", "counted")]
    if not all(type(found) is list for found in lists):
        raise BadInput("an aggregate without its contributions", actual=sorted(claim.result))
    values, ceilings, counted = lists
    return Record(tuple(values or ()), tuple(ceilings or ()), tuple(bool(one) for one in counted or ()))


class RecheckRounds:
    """The ``Recheck`` port for federated models: runs again every round whose updates this party can open."""

    def __init__(self, open_: Opener | None) -> None:
        self._open = open_

    def recheck(self, view: ClaimView) -> tuple[Finding, ...]:
        """One finding a round: upheld, refuted, or None where the evidence is sealed to others.

        None at all for a target that is no model: nothing of it can be executed.
        """
        target = view.statement(view.target)
        if target.kind != MODEL:
            return ()
        replay = Replay(view, target.ref("plan"), lambda evidence: self._bytes(view, evidence))
        return tuple(self._round(replay, step) for step in path(view, target.ref("aggregate")))

    def _bytes(self, view: ClaimView, evidence: Evidence) -> bytes:
        if not evidence.sealed:
            data = view.blob(evidence.cid)
            if data is not None:
                return data
        if self._open is None:
            raise Undecidable("sealed to the aggregator and the verifiers")
        return self._open(evidence)

    def _round(self, replay: Replay, step: RoundStep) -> Finding:
        name = f"round {step.claim.round}"
        try:
            output, found = replay.rerun(step)
        except Undecidable as error:
            return Finding(name, None, f"not re-executed: {error.message}")
        if found.withheld:
            return Finding(name, None, "not re-executed: sealed to the aggregator and the verifiers")
        if found.false or output.to_json() != dict(step.claim.result):
            return Finding(name, Outcome.REFUTED, f"re-execution gives {output.digest.hex()[:16]}…, "
                           f"the claim says {step.claim.params.hex()[:16]}…")
        return Finding(name, Outcome.UPHELD, f"re-executed from {len(found.updates)} updates: the same bits, "
                       "contributions and payments")
