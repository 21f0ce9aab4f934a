"""The ``Recheck`` port for federated models: a bundle's rounds executed again, from updates or from masked sums."""

from __future__ import annotations

from troth.core.claims import Evidence
from troth.core.errors import Undecidable
from troth.core.ports import ClaimView, Finding, KeyHistory
from troth.core.verdicts import Outcome
from troth.learn.claims import MODEL, Plan
from troth.learn.lineage import RoundStep, path
from troth.learn.masked_recheck import recheck_masked
from troth.learn.recheck import Opener, Replay


class RecheckRounds:
    """The ``Recheck`` port for federated models: runs again every round whose updates this party can open."""

    def __init__(self, open_: Opener | None, keys: KeyHistory | None = None) -> None:
        """keys: of those who signed the messages of masked sums; without them such rounds are not executed again."""
        self._open, self._keys = open_, keys

    def recheck(self, view: ClaimView) -> tuple[Finding, ...]:
        """One finding a round: upheld, refuted, or None where the evidence is sealed to others.

        None at all for a target that is no model: nothing of it can be executed.
        """
        target = view.statement(view.target)
        if target.kind != MODEL:
            return ()
        plan, steps = target.ref("plan"), path(view, target.ref("aggregate"))
        if Plan.of(view.statement(plan)).masking is not None:
            return tuple(recheck_masked(view, plan, lambda evidence: self._bytes(view, evidence), self._keys, steps))
        replay = Replay(view, plan, lambda evidence: self._bytes(view, evidence))
        return tuple(self._round(replay, step) for step in steps)

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
        if output.to_json() != dict(step.claim.result):
            return Finding(name, Outcome.REFUTED, f"re-execution gives {output.digest.hex()[:16]}…, "
                           f"the claim says {step.claim.params.hex()[:16]}…")
        return Finding(name, Outcome.UPHELD, f"re-executed from {len(found.updates)} updates: the same bits, "
                       "contributions and payments")
