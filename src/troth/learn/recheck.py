"""Executing rounds again from claims and opened evidence: what verifiers do, and what a verifier's bundle check does.

The same code serves the aggregator (to make its claim), the verifiers (to judge it) and ``Recheck`` (to check a bundle
long afterwards), so they can only differ in the evidence they hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from troth.core.claims import Evidence, Statement
from troth.core.encoding import amount
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.ports import Statements
from troth.core.terms import REFUTED, UPHELD, Result
from troth.learn import arrays
from troth.learn.aggregate import Update
from troth.learn.arrays import State
from troth.learn.claims import OMITTED, WITHHELD, AggregateClaim, Listing, Plan, UpdateClaim, open_update
from troth.learn.data import Inputs, Part, Schema, scaling
from troth.learn.lineage import RoundStep, UpdateRule, path
from troth.learn.round import Owed, RoundInput, RoundOutput, fault, owed, run_round
from troth.learn.tasks import Task, task_of
from troth.learn.worth import Record

Opener = Callable[[Evidence], bytes]


#: Why an update that is here cannot be read, by the word that claims use for it.
OPENED: Mapping[str, str] = {
    "sealed": "its sealing does not open",
    "digest": "its bytes are not those that were committed to",
    "replay": "it was made by another sender, or for another round",
    "bytes": "its bytes are no arrays",
}


@dataclass(frozen=True, slots=True)
class Gathered:
    """Updates that could be opened; who withheld theirs; (site, reason) of those that are not what was signed.

    Reasons are words of ``OPENED``. Whoever can open the evidence finds the same.
    """

    updates: tuple[Update, ...]
    withheld: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What a party holds of a round when it judges it.

    received: update claims. lists: the aggregator's lists of commitments. fixed: the updates on every one of them, each
    under its own site, so that a second list adds nobody. witnessed: what more than half of the verifiers say they held
    before a list came.
    """

    received: tuple[bytes, ...]
    lists: tuple[bytes, ...]
    fixed: frozenset[bytes]
    witnessed: frozenset[bytes]


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
        self._task: Task | None = None
        self._rule: UpdateRule | None = None

    @property
    def rule(self) -> UpdateRule:
        """Which updates count."""
        if self._rule is None:
            self._rule = UpdateRule.of(self._source, self.plan_id)
        return self._rule

    @property
    def validation(self) -> Part:
        """The sponsor's public validation records."""
        if self._validation is None:
            statement = self._source.statement(self._statement.ref("validation"))
            listing = Listing.of(statement)
            self._validation = Part.from_bytes(self._open(the_evidence(statement, "records")), self.schema)
            if len(self._validation) != listing.rows:
                raise Refuted("the validation records are not the listing's", expected=listing.rows)
        return self._validation

    @property
    def schema(self) -> Schema:
        """What the validation listing says of its columns, and so of every site's."""
        return Schema.of(Listing.of(self._source.statement(self._statement.ref("validation"))).schema)

    @property
    def task(self) -> Task:
        """What the plan trains."""
        if self._task is None:
            self._task = task_of(self.plan.task, self.schema)
        return self._task

    def inputs(self) -> Inputs:
        """The validation records as a model sees them."""
        return scaling(self.validation).inputs(self.validation)

    def gather(self, updates: Iterable[bytes]) -> Gathered:
        """Open these update claims' evidence."""
        opened: list[Update] = []
        withheld: list[str] = []
        rejected: list[tuple[str, str]] = []
        for claim in updates:
            statement = self._source.statement(claim)
            try:
                found = self._opened(statement)
            except Undecidable:
                withheld.append(statement.issuer)
                continue
            if isinstance(found, Update):
                opened.append(found)
            else:
                rejected.append((statement.issuer, found))
        return Gathered(tuple(opened), tuple(sorted(withheld)), tuple(sorted(rejected)))

    def _opened(self, statement: Statement) -> Update | str:
        """What was committed to, or why it is not that. Raises Undecidable where it is not here for this party."""
        said = UpdateClaim.of(statement)
        try:
            data = self._open(the_evidence(statement, "update"))
        except (Refuted, BadInput):  # a sealing made so that it does not open
            return "sealed"
        if hashlib.sha256(data).digest() != said.digest:
            return "digest"
        try:
            inner = open_update(statement.issuer, said.deal, said.round, data)
        except Refuted:
            return "replay"
        try:
            return Update(statement.issuer, said.examples, arrays.decode(inner), said.training.clip)
        except BadInput:
            return "bytes"

    def base(self, last: bytes | None) -> tuple[State, tuple[Record, ...]]:
        """The model after aggregate ``last`` (None: the untrained one), and the records of all rounds so far."""
        if last is None:
            return self.task.start(self.plan.seed), ()
        steps = path(self._source, last)
        data = self._open(the_evidence(steps[-1].statement, "params"))
        if hashlib.sha256(data).digest() != steps[-1].claim.params:
            raise Refuted("the model's bytes are not the aggregate's", expected=steps[-1].claim.params.hex())
        return arrays.decode(data), tuple(record_of(step.claim) for step in steps)

    def misreckoned(self, claim: AggregateClaim, last: bytes | None) -> str | None:
        """What of an aggregate's pay and slashing does not follow from its own record and those before; None if all
        does. It takes the aggregates' claims alone. Raises BadInput for what is no record."""
        due = self.due(claim, () if last is None else path(self._source, last))
        for name, found, said in (
                ("smoothed", due.smoothed, claim.numbers("smoothed")),
                ("payments", due.payments, tuple(map(amount, claim.texts("payments")))),
                ("slashed", due.slashed, claim.numbers("slashed"))):
            if found != said:
                return f"by its own record {name} are {list(found)}, it says {list(said)}"
        return None

    def due(self, claim: AggregateClaim, before: tuple[RoundStep, ...]) -> Owed:
        """What an aggregate's own record comes to, after the rounds before. Raises BadInput for what is no record."""
        return owed((*(record_of(step.claim) for step in before), record_of(claim)), self.plan.reward,
                    self.plan.records)

    def made_nothing(self, claim: AggregateClaim, own: bytes, last: bytes | None) -> bool:
        """Whether an aggregate that names this party's update does not count it, though nothing is wrong with it."""
        site = self._source.statement(own).issuer
        if record_of(claim).counted[self.plan.keys.index(site)]:
            return False
        updates = self.gather([own]).updates
        return bool(updates) and fault(updates[0], arrays.layout(self.base(last)[0]), self.plan.clip) is None

    def run(self, round_: int, last: bytes | None, updates: tuple[Update, ...],
            rejected: tuple[tuple[str, str], ...] = ()) -> RoundOutput:
        """Execute a round that starts from aggregate ``last``. Raises Undecidable where evidence is missing.

        rejected: (site, reason) of updates that were handed over and could not be read.
        """
        state, history = self.base(last)
        seed = hashlib.sha256(self.plan.seed + round_.to_bytes(4, "big")).digest()
        return run_round(RoundInput(self.task, state, self.plan.keys, updates, self.validation, seed,
                                    self.plan.reward, history, self.plan.rule, self.plan.clip, rejected,
                                    self.plan.records))

    def rerun(self, step: RoundStep) -> tuple[RoundOutput, Gathered]:
        """Execute again the round that an aggregate claims, from the updates it names."""
        bases = step.statement.all_refs("base")
        found = self.gather(step.statement.all_refs("update"))
        return self.run(step.claim.round, bases[0] if bases else None, found.updates, found.rejected), found

    def result(self, outcome: int, output: RoundOutput, seated: frozenset[str],
               also: Iterable[bytes] = ()) -> Result:
        """The deal's result: payments per site of the plan, and the accounts of seated sites that are slashed."""
        slashed = {self.plan.sites[index].account for index in output.slashed
                   if self.plan.keys[index] in seated}
        return Result(outcome, output.payments, frozenset(slashed | set(also)))

    def promised(self, claim: AggregateClaim, seated: frozenset[str]) -> Result:
        """What an aggregate's own words come to on chain: all that its aggregator may submit. Raises BadInput."""
        slashed = claim.numbers("slashed")
        if any(not 0 <= seat < len(self.plan.sites) for seat in slashed):
            raise BadInput("an aggregate that slashes no seat of the plan", actual=slashed)
        payments = tuple(map(amount, claim.texts("payments")))
        return Result(self.outcome(claim), payments, frozenset(self.plan.sites[seat].account for seat in slashed
                                                  if self.plan.keys[seat] in seated))

    def outcome(self, claim: AggregateClaim) -> int:
        """The outcome that an aggregate's own words come to. Raises BadInput."""
        return UPHELD

    def sort(self, claims: Iterable[bytes], round_: int, deal: bytes, last: bytes | None,
             seated: frozenset[str]) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, str], ...]]:
        """(update claims that a round may count, one a site, by site; (claim, reason) of the others, by claim).

        Reasons are words of ``lineage.FAULTS``. Of a site that sent several, the one of the smallest id may count: in
        which order they came differs between parties.
        """
        base = arrays.digest(self.base(last)[0])
        found: dict[str, bytes] = {}
        rejected = []
        for claim in sorted(claims):
            statement = self._source.statement(claim)
            wrong = self.rule.fault(statement, round_, deal, base, last)
            if wrong is None and statement.issuer not in seated:
                wrong = "unseated"
            if wrong is None and found.setdefault(statement.issuer, claim) != claim:
                wrong = "twice"
            if wrong is not None:
                rejected.append((claim, wrong))
        return tuple(found[did] for did in sorted(found)), tuple(rejected)

    def fit(self, claims: Iterable[bytes], round_: int, deal: bytes, last: bytes | None,
            seated: frozenset[str]) -> tuple[bytes, ...]:
        """The first of `sort`: what a round may count."""
        return self.sort(claims, round_, deal, last, seated)[0]

    def counted(self, named: Iterable[bytes], held: Held, round_: int, deal: bytes, last: bytes | None,
                seated: frozenset[str]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """(updates that an aggregate names and may, others that could have been counted), one a site.

        Of a site that sent two, the one that the aggregate names counts, if its list holds it: which one the aggregator
        saw first nobody else can tell, and a site must not be able to make an honest aggregator look false.
        """
        here = self.fit((claim for claim in named if claim in held.fixed and self._here(claim)), round_, deal, last,
                        seated)
        sites = {self._source.statement(claim).issuer for claim in here}
        others = self.fit((claim for claim in held.received if claim in held.fixed | held.witnessed), round_, deal,
                          last, seated)
        return here, tuple(claim for claim in others if self._source.statement(claim).issuer not in sites)

    def judge(self, step: RoundStep, held: Held, seated: frozenset[str],
              submitted: Result | None) -> tuple[RoundOutput, Result]:
        """A verifier's finding on an aggregate. submitted: what the aggregator put on chain, None if nothing readable.

        1. Refuted, its account slashed: it signed two lists of commitments or rests on none of its own, names an update
           that the round may not count, that is not on its list or that it handed to nobody, submitted another result
           than its claim's, or re-execution of what it names gives another.
        2. Withheld, the sites slashed: an update that it names cannot be opened; the round stands without it.
        3. Omitted, nobody slashed: the verifiers hold updates that it leaves out; the round stands with them.
        4. Upheld.
        """
        bases = step.statement.all_refs("base")
        last, claim = bases[0] if bases else None, step.claim
        wanted = step.statement.all_refs("update")
        named, others = self.counted(wanted, held, claim.round, claim.deal, last, seated)
        found, more = self.gather(named), self.gather(others)
        output = self.run(claim.round, last, (*found.updates, *more.updates), found.rejected)
        if held.lists != step.statement.all_refs("commitments") or len(held.lists) != 1:
            return output, self.refuted(output, seated)
        if len(named) != len(wanted) or not self._promises(claim, seated, submitted):
            return output, self.refuted(output, seated)
        if found.withheld:
            accounts = {seat.did: seat.account for seat in self.plan.sites}
            return output, self.result(WITHHELD, output, seated, [accounts[did] for did in found.withheld])
        if self.run(claim.round, last, found.updates, found.rejected).to_json() != dict(claim.result):
            return output, self.refuted(output, seated)
        return output, self.result(OMITTED if more.updates else UPHELD, output, seated)

    def withheld(self, output: RoundOutput, result: Result) -> tuple[str, ...]:
        """The sites that a finding of *withheld* slashes for that, ascending, and not for harm.

        None is both: harm takes updates that count, and who did harm before has no seat any more.
        """
        return tuple(seat.did for index, seat in enumerate(self.plan.sites)
                     if seat.account in result.slashed and index not in output.slashed)

    def refuted(self, output: RoundOutput, seated: frozenset[str]) -> Result:
        """Paid by ``output``, the aggregator slashed."""
        return self.result(REFUTED, output, seated, [self.plan.aggregator.account])

    def _promises(self, claim: AggregateClaim, seated: frozenset[str], submitted: Result | None) -> bool:
        try:
            return submitted == self.promised(claim, seated)
        except BadInput:
            return False

    def _here(self, claim: bytes) -> bool:
        try:
            self._source.statement(claim)
        except Undecidable:
            return False
        return True


def record_of(claim: AggregateClaim) -> Record:
    """What a round leaves for later ones, from its claim. Raises BadInput."""
    return Record(claim.numbers("contributions"), claim.numbers("ceilings"), claim.flags("counted"))
