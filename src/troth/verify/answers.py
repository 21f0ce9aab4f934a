"""Claims of an answer: a model gave these scores, with a proof in zero knowledge or with what executes it again.

A *proven* answer carries a Groth16 proof and its verifying key as public evidence. Which key stands for which model and
setup is not in the proof: whoever checks says beforehand which keys it believes, and how their publics
are read (the policy's setting ``keys``). A
*rerun* answer carries the program and the input instead: whoever can read both executes it again and gets the same
integers, or refutes it.

Scores stand in the publics packed, above each other in elements of at most 253 bits, each by its distance from the
lowest that its range allows. The claim says the ranges, and the scores must give exactly these publics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from troth.core.claims import Evidence, Statement, Subject
from troth.core.encoding import decode_object, encode, from_hex, keccak256, sha256, take
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.ports import ClaimView, Finding
from troth.core.terms import Account
from troth.core.verdicts import Outcome, Report, Step
from troth.identity.binding import BINDING, accounts_of
from troth.verify import groth16
from troth.verify.policies.proof import answer_context

QUESTION, ANSWER = "question", "answer"
PROOF, KEY, PROGRAM, INPUT = "proof", "verifying-key", "program", "input"
"""Names of evidence."""
GROTH16, RERUN = "groth16", "rerun"
POLICY = "proven-answer"
ELEMENT_BITS = 253
MAX_SCORES = 4_096
_CONTEXT = keccak256(b"Troth proven answer in a claim, version 1")

Read = Callable[[Evidence], bytes | None]
"""Evidence -> its bytes, or None where it is not here or sealed to others."""


Holder = Callable[[str, int], tuple[Account, ...]]
"""An issuer and a chain's id -> every account that it bound itself to there; none where that is not known here."""


def claim_context(issuer: str, question: bytes) -> int:
    """The first public of a proof in a claim that answers a question (a claim's id; 32 zeros for none): 248 bits.

    The issuer is in it, so that nobody signs another's proof as its own answer.
    """
    return int.from_bytes(keccak256(_CONTEXT + keccak256(issuer.encode()) + question)[:31], "big")


def packed(values: Sequence[int], ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers as publics. Raises BadInput for one beyond its range, or another count of them."""
    if len(values) != len(ranges):
        raise BadInput("other numbers than ranges", expected=len(ranges), actual=len(values))
    found: list[int] = []
    used = ELEMENT_BITS + 1
    for value, (low, high) in zip(values, ranges, strict=True):
        if not low <= value <= high or (width := (high - low).bit_length()) > ELEMENT_BITS:
            raise BadInput("a number beyond its range", expected=f"{low} to {high}", actual=value)
        if used + width > ELEMENT_BITS:
            found.append(0)
            used = 0
        found[-1] += (value - low) << used
        used += width
    return found


def unpacked(publics: Sequence[int], ranges: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The numbers that these publics are, read by these ranges. Raises Refuted where ``packed`` would not give them."""
    found: list[int] = []
    element, used = -1, ELEMENT_BITS + 1
    for low, high in ranges:
        width = (high - low).bit_length()
        if used + width > ELEMENT_BITS:
            element, used = element + 1, 0
        held = publics[element] if element < len(publics) else 0
        found.append(low + (held >> used & (1 << width) - 1))
        used += width
    inside = all(low <= value <= high for value, (low, high) in zip(found, ranges, strict=True))
    if not inside or packed(found, ranges) != list(publics):
        raise Refuted("what was proven are no numbers in these ranges", expected=f"{len(ranges)} numbers",
                      actual=[hex(value) for value in publics])
    return tuple(found)


@dataclass(frozen=True, slots=True)
class InDeal:
    """The rung of a deal that an answer is for, and the account that was asked there."""

    chain_id: int
    book: Account
    deal: bytes
    rung: int
    account: Account

    @property
    def context(self) -> int:
        """The first public of its proof, as the policy Proof computes it."""
        return answer_context(self.chain_id, self.book, self.deal, self.rung, self.account)

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"account": self.account.hex(), "book": self.book.hex(), "chain": str(self.chain_id),
                "deal": self.deal.hex(), "rung": self.rung}

    @classmethod
    def of(cls, body: Any) -> InDeal:
        """Read it again. Raises BadInput."""
        account, book, chain, deal, rung = take(body, account=str, book=str, chain=str, deal=str, rung=int)
        if not 0 <= rung < 256 or not 0 <= integer_of(chain) < 1 << 256:
            raise BadInput("not a rung of a deal", actual=f"rung {rung}, chain {chain}")
        return cls(integer_of(chain), from_hex(book, 20), from_hex(deal, 32), rung, from_hex(account, 20))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer's claim says.

    method: `GROTH16` or `RERUN`. scores: or the label alone where only that is told, of range 0 to the classes less 1
    (``output`` says which). ranges: (lowest, highest) of each. context: the first public, 0 for a rerun. question: the
    claim that is answered, or 32 zeros. model: a proven answer's verifying key by SHA-256, or a program's digest.
    bound: the publics between context and answer (commitments of model and input, or a packed public input). says: what
    these are, by name. origin: of the key's setup, ``dev`` or a ceremony; empty for a rerun. place: the deal it was
    given in, if any.
    """

    method: str
    model: bytes
    scores: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    output: str
    question: bytes = bytes(32)
    context: int = 0
    bound: tuple[int, ...] = ()
    says: tuple[str, ...] = ()
    origin: str = ""
    place: InDeal | None = None

    @property
    def publics(self) -> tuple[int, ...]:
        """All publics of the proof."""
        return (self.context, *self.bound, *packed(self.scores, self.ranges))

    @property
    def reading(self) -> bytes:
        """What must be believed beforehand: of a rerun the program's digest; of a proof SHA-256 of its key with what
        its publics mean (output, ranges, says). A key alone is not enough: publics are distances from the lowest value,
        so a claim that says other ranges gives the same publics with other scores."""
        if self.method == RERUN:
            return self.model
        return sha256(b"troth/reading/1\n" + encode({
            "model": self.model.hex(), "output": self.output, "says": list(self.says),
            "ranges": [[str(low), str(high)] for low, high in self.ranges]}))

    def subjects(self) -> tuple[Subject, ...]:
        """What the claim is about: the model."""
        return (Subject("verifying-key" if self.method == GROTH16 else "program", {"sha256": self.model.hex()}),)

    def body(self) -> dict[str, Any]:
        """As a claim says it; numbers that may be large as text."""
        return {"bound": [str(value) for value in self.bound], "context": str(self.context),
                "deal": {} if self.place is None else self.place.body(), "method": self.method,
                "model": self.model.hex(), "origin": self.origin, "output": self.output,
                "question": self.question.hex(), "ranges": [[str(low), str(high)] for low, high in self.ranges],
                "says": list(self.says), "scores": [str(value) for value in self.scores]}

    @classmethod
    def of(cls, statement: Statement) -> Answer:
        """Read exactly what ``body`` writes. Raises BadInput."""
        if statement.kind != ANSWER:
            raise BadInput("not an answer", expected=ANSWER, actual=statement.kind)
        bound, context, deal, method, model, origin, output, question, ranges, says, scores = take(
            statement.body, bound=list, context=str, deal=dict, method=str, model=str, origin=str, output=str,
            question=str, ranges=list, says=list, scores=list)
        if any(type(pair) is not list or len(pair) != 2 for pair in ranges) or any(type(it) is not str for it in says):
            raise BadInput("not an answer", expected="ranges as pairs, names as texts")
        found = cls(method, from_hex(model, 32), tuple(map(integer_of, scores)),
                    tuple((integer_of(low), integer_of(high)) for low, high in ranges), output, from_hex(question, 32),
                    integer_of(context), tuple(map(integer_of, bound)), tuple(says), origin,
                    InDeal.of(deal) if deal else None)
        if (found.method not in (GROTH16, RERUN) or found.body() != statement.body or len(says) != len(bound)
                or not 1 <= len(found.scores) == len(found.ranges) <= MAX_SCORES
                or found.subjects() != tuple(statement.subjects)):
            raise BadInput("not an answer", expected="a method, scores with their ranges, the model as its subject")
        return found


def integer_of(text: object) -> int:
    """The integer that a claim says as text, of at most 90 digits, in its one spelling. Raises BadInput."""
    if type(text) is not str or len(text) > 90 or not text.removeprefix("-").isdecimal() or str(int(text)) != text:
        raise BadInput("not an integer as text", actual=str(text)[:90])
    return int(text)


def check_answer(statement: Statement, read: Read, keys: frozenset[bytes] | None = None,
                 holder: Holder | None = None) -> Iterator[Finding]:
    """What is found about an answer, thing by thing. keys: readings that are believed
    (`Answer.reading`), or None for any. holder: whose accounts are whose, where that is known.

    Raises BadInput for a claim that is none, Undecidable for what is not here, Refuted for what does not fit, such as
    an answer given in a deal that somebody else than the account asked there has signed again.
    """
    answer = Answer.of(statement)
    if answer.method == RERUN:
        yield _rerun(answer, statement, read)
        _believe(answer, keys)
        return
    place = answer.place
    expected = claim_context(statement.issuer, answer.question) if place is None else place.context
    if answer.context != expected:
        raise Refuted("the proof was made for another question or deal, or for somebody else's answer",
                      expected=f"context {expected:062x}", actual=f"{answer.context:062x}")
    asked = "no question" if not any(answer.question) else f"question {answer.question.hex()}"
    # A deal knows accounts: whether this issuer holds the one that was asked there, the proof does not say.
    held = () if place is None or holder is None else holder(statement.issuer, place.chain_id)
    if place is not None and held and place.account not in held:
        raise Refuted("an answer given in a deal, signed again by somebody else", expected=f"0x{place.account.hex()}",
                      actual=f"{statement.issuer}, of {', '.join(f'0x{one.hex()}' for one in held)}")
    where = f"{statement.issuer}, {asked}" if place is None else (
        f"deal {place.deal.hex()}, rung {place.rung}, account 0x{place.account.hex()}")
    yield Finding("what it is for", Outcome.UPHELD, where)
    data, made = _evidence(statement, KEY, read), _evidence(statement, PROOF, read)
    try:
        key, proof, publics = groth16.VerifyingKey(data), groth16.Proof(made), answer.publics
        if key.digest != answer.model.hex():
            raise Refuted("the key is not the one that the claim names", expected=answer.model.hex(), actual=key.digest)
        groth16.verify(key, proof, publics)
    except BadInput as error:  # evidence of a claim that was signed: what cannot be read contradicts what was said
        raise Refuted(f"the proof does not hold: {error.message}", expected=error.expected,
                      actual=error.actual) from None
    yield Finding("the proof", Outcome.UPHELD, f"{len(publics)} publics under key {key.digest}, setup {answer.origin}")
    _believe(answer, keys)


def _believe(answer: Answer, keys: frozenset[bytes] | None) -> None:
    if keys is not None and answer.reading not in keys:
        raise Undecidable("nobody you believe vouches for this model, read so: it may be of any circuit or setup, "
                          "or its scores counted from elsewhere", actual=answer.reading.hex(),
                          do="Name this reading in the policy's keys once you know what it is of.")


def _rerun(answer: Answer, statement: Statement, read: Read) -> Finding:
    # Imported here: NumPy takes a tenth of a second, and proven answers need none.
    import numpy as np

    from troth.fixed.program import Program

    program = Program.from_bytes(_evidence(statement, PROGRAM, read))
    if program.digest != answer.model:
        raise Refuted("the program is not the one that the claim names", expected=answer.model.hex(),
                      actual=program.digest.hex())
    row = read_row(_evidence(statement, INPUT, read))
    scores = tuple(int(value) for value in program.run(np.array([row], dtype=np.int64))[0])
    if scores != answer.scores:
        raise Refuted("the program gives other scores for this input", expected=scores, actual=answer.scores)
    return Finding("executed again", Outcome.UPHELD, f"program {program.digest.hex()} gives these scores")


def row_bytes(row: Sequence[int]) -> bytes:
    """An input as evidence of a rerun."""
    return encode({"row": [str(value) for value in row]})


def read_row(data: bytes) -> list[int]:
    """The input again. Raises BadInput."""
    (row,) = take(decode_object(data), row=list)
    values = [integer_of(value) for value in row]
    if any(abs(value) > 1 << 62 for value in values):
        raise BadInput("an input out of range", expected="magnitudes up to 2**62")
    return values


def _evidence(statement: Statement, name: str, read: Read) -> bytes:
    held = [one for one in statement.evidence if one.name == name]
    if len(held) != 1:
        raise Refuted("an answer without its evidence", expected=f"one {name}", actual=len(held))
    data = read(held[0])
    if data is None:
        raise Undecidable(f"the answer's {name} is not here, or sealed to others", actual=held[0].cid,
                          do="Ask for a bundle with it, or check as somebody it was sealed to.")
    return data


class Answered:
    """Policy of a bundle: the target is an answer, by a key that you believe, and its proof holds. Where the trust file
    names who has the role ``provider``, an answer of anybody else is refuted. One given in a deal can be signed again,
    by another provider too: a binding in the bundle must say that its issuer holds the account that was asked.

    Settings: ``keys``, in hexadecimal: `Answer.reading` of what is believed, so a key with what its publics mean, or a
    program's digest.
    """

    says: Mapping[str, frozenset[str]] = {}

    def judge(self, view: ClaimView, roles: Mapping[str, tuple[str, ...]],
              settings: Mapping[str, Any]) -> tuple[Finding, ...]:
        """What `check_answer` finds. Raises BadInput for other settings, Undecidable where nothing in the bundle says
        that its issuer holds the account asked in the deal, and as that does."""
        keys = settings.get("keys")
        if type(keys) is not list or settings.keys() - {"name", "keys"}:
            raise BadInput(f"not a policy {POLICY}", expected="keys, a list of digests", actual=sorted(settings))
        believed = frozenset(from_hex(key, 32) for key in keys)
        statement, providers = view.statement(view.target), roles.get("provider")
        place = Answer.of(statement).place
        if providers is not None and statement.issuer not in providers:
            raise Refuted("an answer of somebody who is no provider", expected=", ".join(providers) or "nobody",
                          actual=statement.issuer)

        def holder(did: str, chain: int) -> tuple[Account, ...]:
            return accounts_of((one for _, one in view.statements(BINDING)), did, chain)

        found = tuple(check_answer(statement, lambda one: None if one.sealed else view.blob(one.cid), believed, holder))
        if place is not None and not holder(statement.issuer, place.chain_id):
            raise Undecidable("nothing in the bundle says that the issuer holds the account that was asked",
                              expected=f"a binding of {statement.issuer} to 0x{place.account.hex()}",
                              do="Ask the provider to bind its account, and to sign its answer with that binding.")
        return found


def report(statement: Statement, read: Read, holder: Holder | None = None) -> Report:
    """An answer's check as numbered steps, for a claim whose signature was checked already. holder: as `check_answer`
    takes it."""
    steps: list[Step] = []
    try:
        for finding in check_answer(statement, read, None, holder):
            assert finding.outcome is not None
            steps.append(Step(len(steps) + 1, finding.name, finding.outcome, finding.detail))
        outcome = Outcome.UPHELD
    except (Refuted, Undecidable) as error:
        outcome = Outcome.REFUTED if isinstance(error, Refuted) else Outcome.UNDECIDABLE
        steps.append(Step(len(steps) + 1, "the answer", outcome, error.diagnostics()))
    return Report(outcome, None, tuple(steps))
