"""What policies answer on given evidence: the same cases for Python and for the contracts.

A case is a policy, a question and the answer. ``CASES`` is all of them; each is built for given addresses, since
commits and signatures name the deal, and the deal's id the Book.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ports.books import Addresses, account, key
from troth.core.deals import Question
from troth.core.terms import (
    CHALLENGE,
    REFUTED,
    SUBMISSION,
    UPHELD,
    VERDICT,
    Account,
    Ask,
    Entry,
    Result,
    Rung,
    history_hash,
)
from troth.core.typed_data import verdict_digest
from troth.verify.policies.voices import commit_data, reveal_data, verdict_data

WORKER = account("worker")
BENCH = tuple(account(f"verifier {n}") for n in range(3))
NAMES = {account(f"verifier {n}"): f"verifier {n}" for n in range(3)}
DEAL = b"\x44" * 32
FREEZE = 2000
GOOD = Result(UPHELD, (3, 4), frozenset({WORKER}))
BAD = Result(REFUTED)
SALT = b"\x07" * 32


@dataclass(frozen=True, slots=True)
class Case:
    """policy: its name in ``Addresses.policies``. answer: the bytes, or None for nothing."""

    name: str
    policy: str
    question: Question
    answer: bytes | None


def said(by: Account, ask: int, data: bytes, *, rung: int = 1, slot: int = 0) -> Entry:
    return Entry(SUBMISSION, by, rung, ask, slot, 1500, bytes(32), data)


def asks(*found: Ask) -> Rung:
    return Rung(bytes(20), bytes(32), found, 10)


BEFORE = (said(WORKER, 0, GOOD.to_bytes(), rung=0), Entry(VERDICT, WORKER, 0, 0, 0, 1400, bytes(32), GOOD.to_bytes()),
          Entry(CHALLENGE, account("client"), 0, 0, 0, 1450, bytes(32), b""))


def question(rung: Rung, *entries: Entry, index: int = 1) -> Question:
    return Question(DEAL, index, rung, FREEZE, (*(BEFORE if index else ()), *entries))


def assumed_cases() -> list[Case]:
    rung = asks(Ask("evidence", (WORKER,), 5), Ask("result", (WORKER,), 5, 2))

    def case(name: str, answer: bytes | None, *entries: Entry) -> Case:
        return Case(f"assumed: {name}", "assumed", question(rung, *entries, index=0), answer)

    good = GOOD.to_bytes()
    return [
        case("the claim decides", good, said(WORKER, 1, good, rung=0)),
        case("silence", None),
        case("evidence is no claim", None, said(WORKER, 0, good, rung=0)),
        case("another slot is no claim", None, said(WORKER, 1, good, rung=0, slot=1)),
        case("slot 0 it is", good, said(WORKER, 1, BAD.to_bytes(), rung=0, slot=1), said(WORKER, 1, good, rung=0)),
        case("rubbish", None, said(WORKER, 1, b"rubbish", rung=0)),
        case("nothing", None, said(WORKER, 1, b"", rung=0)),
        case("slack", None, said(WORKER, 1, good + bytes(32), rung=0)),
        case("cut short", None, said(WORKER, 1, good[:-32], rung=0)),
        case("another rung's", None, said(WORKER, 1, good, rung=2)),
    ]


def commits(results: dict[Account, Result], ask: int = 0) -> list[Entry]:
    return [said(who, ask, commit_data(DEAL, 1, who, result.to_bytes(), SALT)) for who, result in results.items()]


def reveals(results: dict[Account, Result], ask: int = 1) -> list[Entry]:
    return [said(who, ask, reveal_data(result.to_bytes(), SALT)) for who, result in results.items()]


def rerun_cases() -> list[Case]:
    rung = asks(Ask("commit", BENCH, 5), Ask("reveal", None, 5))
    a, b, c = BENCH
    same = dict.fromkeys(BENCH, GOOD)

    def case(name: str, answer: Result | None, *entries: Entry, of: Rung = rung) -> Case:
        return Case(f"rerun: {name}", "rerun2", question(of, *entries), answer.to_bytes() if answer else None)

    def slashing(*more: Account) -> Result:
        return replace(GOOD, slashed=GOOD.slashed | set(more))

    other = commit_data(DEAL, 1, a, GOOD.to_bytes(), bytes(32))
    evidence = asks(Ask("evidence", (WORKER,), 5), Ask("commit", BENCH, 5), Ask("reveal", BENCH, 5))
    wrong_deal = commit_data(bytes(32), 1, a, GOOD.to_bytes(), SALT)
    wrong_rung = commit_data(DEAL, 2, a, GOOD.to_bytes(), SALT)
    two = {b: GOOD, c: GOOD}
    return [
        case("all agree", GOOD, *commits(same), *reveals(same)),
        case("two agree, one is silent", GOOD, *commits(two), *reveals(two)),
        case("two agree, one says otherwise", slashing(c), *commits({a: GOOD, b: GOOD, c: BAD}),
             *reveals({a: GOOD, b: GOOD, c: BAD})),
        case("two agree, one never reveals", GOOD, *commits(same), *reveals({a: GOOD, b: GOOD})),
        case("one voice", None, *commits({a: GOOD}), *reveals({a: GOOD})),
        case("no two agree", None, *commits({a: GOOD, b: BAD, c: slashing(b)}),
             *reveals({a: GOOD, b: BAD, c: slashing(b)})),
        case("silence", None),
        case("commits alone", None, *commits(same)),
        case("reveals alone", None, *reveals(same)),
        case("a copied commit", slashing(a), *commits(two), said(a, 0, commits({b: GOOD})[0].data), *reveals(same)),
        case("another salt", slashing(a), *commits(two), said(a, 0, other), *reveals(same)),
        case("a commit to another deal", slashing(a), *commits(two), said(a, 0, wrong_deal), *reveals(same)),
        case("a commit to another rung", slashing(a), *commits(two), said(a, 0, wrong_rung), *reveals(same)),
        case("a commit with slack", slashing(a), *commits(two), said(a, 0, commits(same)[0].data + b"\x00"),
             *reveals(same)),
        case("a malformed reveal", slashing(a), *commits(same), said(a, 1, b"\xff" * 70), *reveals(two)),
        case("an empty reveal", slashing(a), *commits(same), said(a, 1, b""), *reveals(two)),
        case("a reveal with slack", slashing(a), *commits(same), said(a, 1, reveals(same)[0].data + bytes(32)),
             *reveals(two)),
        case("a reveal of nothing", slashing(a), *commits(same), said(a, 1, reveal_data(b"", SALT)), *reveals(two)),
        case("evidence first", GOOD, said(WORKER, 0, b"evidence"), *commits(same, 1), *reveals(same, 2), of=evidence),
        case("agreed rubbish", None,
             *(said(who, 0, commit_data(DEAL, 1, who, b"rubbish", SALT)) for who in BENCH),
             *(said(who, 1, reveal_data(b"rubbish", SALT)) for who in BENCH)),
        case("the order of reveals does not matter", slashing(a), *commits({a: BAD, **two}), *reveals({a: BAD, **two})),
    ]


def signed_cases(at: Addresses) -> list[Case]:
    rung = asks(Ask("evidence", (WORKER,), 5), Ask("verdict", BENCH, 5))
    a, b, c = BENCH
    evidence = said(WORKER, 0, b"evidence")
    root = DEAL
    for entry in (*BEFORE, evidence):
        root = history_hash(root, entry)

    def case(name: str, answer: Result | None, *entries: Entry) -> Case:
        return Case(f"signed: {name}", "signed2", question(rung, *entries), answer.to_bytes() if answer else None)

    def sign(who: Account, result: bytes, *, on: bytes = root, expiry: int = FREEZE, index: int = 1,
             by: Account | None = None, book: bytes = at.book, chain_id: int = at.chain_id,
             deal: bytes = DEAL) -> Entry:
        digest = verdict_digest(chain_id, book, deal, index, on, result, expiry)
        return said(who, 1, verdict_data(result, expiry, key(NAMES[by or who]).sign_digest(digest)))

    good, bad = GOOD.to_bytes(), BAD.to_bytes()
    first = sign(b, good)
    broken = replace(sign(a, good), data=sign(a, good).data + bytes(32))
    whole = sign(a, good).data[-96:][:65]  # the last dynamic part: r, s, v and padding
    return [
        case("all agree", GOOD, evidence, sign(a, good), sign(b, good), sign(c, good)),
        case("two agree", GOOD, evidence, sign(a, bad), sign(b, good), sign(c, good)),
        case("no evidence changes the root", None, sign(a, good), sign(b, good)),
        case("one voice", None, evidence, first),
        case("no two agree", None, evidence, sign(a, bad), first),
        case("silence", None),
        case("expired just before the freeze", None, evidence, first, sign(a, good, expiry=FREEZE - 1)),
        case("good until the freeze", GOOD, evidence, first, sign(a, good, expiry=FREEZE)),
        case("another rung", None, evidence, first, sign(a, good, index=2)),
        case("another deal", None, evidence, first, sign(a, good, deal=bytes(32))),
        case("another chain", None, evidence, first, sign(a, good, chain_id=1)),
        case("another book", None, evidence, first, sign(a, good, book=WORKER)),
        case("other evidence", None, evidence, first, sign(a, good, on=DEAL)),
        case("another's signature", None, evidence, first, sign(a, good, by=b)),
        case("malformed", None, evidence, first, said(a, 1, b"rubbish")),
        case("slack", None, evidence, first, broken),
        case("no signature", None, evidence, first, said(a, 1, verdict_data(good, FREEZE, b""))),
        case("a signature cut short", None, evidence, first, said(a, 1, verdict_data(good, FREEZE, whole[:64]))),
        case("agreed rubbish", None, evidence, sign(a, b"rubbish"), sign(b, b"rubbish")),
    ]


def cases(at: Addresses) -> list[Case]:
    """Every case, for a Book at these addresses."""
    return [*assumed_cases(), *rerun_cases(), *signed_cases(at)]


def shapes() -> list[tuple[str, str, Rung, bool]]:
    """(name, policy, rung, whether the policy accepts it)."""
    commit, reveal, verdict = Ask("commit", BENCH, 5), Ask("reveal", None, 5), Ask("verdict", BENCH, 5)
    evidence = Ask("evidence", (WORKER,), 5)
    return [
        ("one claimant", "assumed", asks(Ask("result", (WORKER,), 5)), True),
        ("after evidence", "assumed", asks(verdict, Ask("result", (WORKER,), 5)), True),
        ("one claimant, repeated", "assumed", asks(evidence, Ask("result", None, 5)), True),
        ("a parameter", "assumed", replace(asks(Ask("result", (WORKER,), 5)), param=SALT), False),
        ("a parameter", "rerun2", replace(asks(commit, reveal), param=SALT), False),
        ("a parameter", "signed2", replace(asks(verdict), param=SALT), False),
        ("two claimants", "assumed", asks(Ask("result", BENCH[:2], 5)), False),
        ("commit and reveal", "rerun2", asks(commit, reveal), True),
        ("evidence first", "rerun2", asks(evidence, commit, replace(reveal, who=BENCH)), True),
        ("two of two", "rerun2", asks(replace(commit, who=BENCH[:2]), reveal), True),
        ("two of four", "rerun2", asks(replace(commit, who=(*BENCH, WORKER)), reveal), False),
        ("two of one", "rerun2", asks(replace(commit, who=BENCH[:1]), reveal), False),
        ("one of one", "rerun1", asks(replace(commit, who=BENCH[:1]), reveal), True),
        ("one of two", "rerun1", asks(replace(commit, who=BENCH[:2]), reveal), False),
        ("no commit", "rerun2", asks(replace(reveal, who=BENCH)), False),
        ("other kinds", "rerun2", asks(replace(commit, kind="commot"), reveal), False),
        ("the other way round", "rerun2", asks(replace(reveal, who=BENCH), replace(commit, who=None)), False),
        ("two slots to commit", "rerun2", asks(replace(commit, slots=2), reveal), False),
        ("two slots to reveal", "rerun2", asks(commit, replace(reveal, slots=2)), False),
        ("another bench reveals", "rerun2", asks(commit, replace(reveal, who=BENCH[:2])), False),
        ("the bench in another order", "rerun2", asks(commit, replace(reveal, who=BENCH[::-1])), False),
        ("a verdict of three", "signed2", asks(verdict), True),
        ("after evidence, signed", "signed2", asks(evidence, verdict), True),
        ("a verdict of four", "signed2", asks(replace(verdict, who=(*BENCH, WORKER))), False),
        ("a verdict of one", "signed2", asks(replace(verdict, who=BENCH[:1])), False),
        ("two slots", "signed2", asks(replace(verdict, slots=2)), False),
        ("another kind", "signed2", asks(replace(verdict, kind="result")), False),
        ("the verdict not last", "signed2", asks(verdict, evidence), False),
    ]
