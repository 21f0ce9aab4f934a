"""Executing a job again: the whole of it, or the one step that somebody showed to be wrong.

Of a stepped job the provider hands over, with its output, the digests of all states that it went through, and its
result says their root. Whoever executes the job as well sees at once which state is the first that differs
(`first_wrong_step`), and refuses with the state before it. Reviewers then need one step (`shown_wrong`): the state has
the digest that the provider committed to, and the step from it does not. A wrong accusation costs its maker the bond
and the reviewers an execution of the whole job, no more.

Where the traces are too large to hand over, `troth.verify.bisect.dispute` asks both sides for log2(n) places instead.
"""

from __future__ import annotations

from itertools import zip_longest

from troth.compute.bisect import machine_of
from troth.compute.runners import Runner
from troth.core.claims import Statement
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD
from troth.flows.job import OUTPUT, STATE, TRACE, WrongStep, job_of, order_of, output_of, result_of
from troth.flows.job_claims import RESULT, REVIEW, Opinion, ReviewClaim
from troth.flows.job_terms import Order
from troth.flows.parts import Party
from troth.verify.bisect import Committed, committed, digest_of

DIGEST = 32


def execute_again(party: Party, claim: bytes, milestone: int, runner: Runner) -> Opinion:
    """A reviewer's finding on a result whose bits are the same everywhere.

    Withheld or unreadable: refuted. A step that somebody showed to be wrong: refuted, with nothing else executed. What
    this machine cannot tell (`Ran.same`): the result stands. Raises Undecidable where the order's own code and input
    are not here, so that nothing can be found.
    """
    order = order_of(party, claim)
    shown = shown_wrong(party, claim, order, milestone)
    if shown is not None:
        return shown
    ran = runner.run(job_of(party, claim))
    found = sha256(ran.output) if ran.ending == "done" else bytes(32)
    try:
        output = output_of(party, order, milestone)
    except (Refuted, Undecidable) as error:
        return Opinion(REFUTED, f"no {OUTPUT} to be seen: {error.message}", output=found)
    if ran.ending == "done" and output == ran.output:
        return Opinion(UPHELD, "executed again: the same bytes", output=found)
    if not ran.same:
        return Opinion(UPHELD, f"this machine cannot tell ({ran.why}): the result stands", 0, found)
    why = "executed again: other bytes" if ran.ending == "done" else f"executed again: {ran.ending}, {ran.why}"
    return Opinion(REFUTED, why, output=found)


def trace_said(party: Party, order: Order, milestone: int) -> list[bytes]:
    """The digests of all states that the provider committed to; none where it committed to no trace.

    Raises Refuted where what it handed over is not what its result committed to, Undecidable where it is not here.
    """
    mine, said = result_of(party, order, milestone)
    if not said.states:
        return []
    items = [item for item in party.statement(mine).evidence if item.name == TRACE]
    data = party.read(items[0]) if len(items) == 1 else b""
    digests = [data[at : at + DIGEST] for at in range(0, len(data), DIGEST)]
    if len(data) % DIGEST or committed(digests) != Committed(said.trace, said.states):
        raise Refuted("the trace is not the one that the result committed to", expected=said.trace.hex())
    return digests


def first_wrong_step(party: Party, claim: bytes, milestone: int = 0) -> WrongStep | None:
    """The first step of the provider's trace that is wrong, found by executing the job; None where none is, or the job
    has no steps, or its trace is not to be had: then a refusal is judged by executing the whole job."""
    order = order_of(party, claim)
    before = b""
    try:
        machine, digests = machine_of(job_of(party, claim)), trace_said(party, order, milestone)
        for index, (state, said) in enumerate(zip_longest(machine.states(), digests)):
            if state is None or said is None or digest_of(state) != said:
                return WrongStep(index, before) if index and digests else None
            before = state
    except (Misuse, Refuted, Undecidable):
        return None
    return None


def shown_wrong(party: Party, claim: bytes, order: Order, milestone: int) -> Opinion | None:
    """The finding on a step that somebody showed to be wrong, if it is; None where nothing of the kind was shown."""
    for _, said in party.claims(REVIEW):
        try:
            step = ReviewClaim.of(said).opinion.step
            if not step or said.body["deal"] != order.deal(milestone).hex() or not said.all_refs(RESULT):
                continue
            if _wrong(party, claim, order, milestone, (step, said)):
                return Opinion(REFUTED, f"step {step} does not follow from the state before it", step=step)
        except (BadInput, Refuted, Undecidable):
            continue  # one that shows nothing: the job is executed
    return None


def _wrong(party: Party, claim: bytes, order: Order, milestone: int, shown: tuple[int, Statement]) -> bool:
    """Whether this step of the provider's trace is none: from the state that it committed to, another one follows."""
    (step, said), digests = shown, trace_said(party, order, milestone)
    states = [party.read(item) for item in said.evidence if item.name == STATE]
    if len(states) != 1 or not 1 <= step <= len(digests) or digest_of(states[0]) != digests[step - 1]:
        return False
    try:
        after = machine_of(job_of(party, claim)).step(states[0])
    except Refuted:
        return step < len(digests)  # no step is possible, and yet the provider took one
    if step == len(digests):
        return after != states[0]  # the provider stopped, and the work was not done
    return digest_of(after) != digests[step]
