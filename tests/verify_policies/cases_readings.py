"""Cases of Preimage, Quorum and Median, for Python and the contracts alike."""

from __future__ import annotations

from dataclasses import replace

from eth_abi.abi import encode

from ports.books import READINGS, account
from troth.core.deals import Question
from troth.core.terms import REFUTED, UPHELD, Account, Ask, Entry, Result, Rung
from troth.verify.policies.preimage import hash_lock
from troth.verify.policies.readings import Reading
from troth.verify.policies.voices import commit_data, reveal_data
from verify_policies.cases import BENCH, DEAL, FREEZE, SALT, WORKER, Case, asks, question, said

SECRET = bytes(range(32))
AGE, LEAST = READINGS
NOW = 1500
"""When everything in ``said`` is submitted."""
FIVE = tuple(sorted(account(f"reporter {n}") for n in range(5)))


def with_param(rung: Rung, param: bytes) -> Rung:
    return replace(rung, param=param)


def preimage_cases() -> list[Case]:
    rung = with_param(asks(Ask("evidence", (WORKER,), 5), Ask("preimage", (WORKER,), 5)), hash_lock(SECRET))

    def case(name: str, outcome: int, *entries: Entry, of: Rung = rung) -> Case:
        return Case(f"preimage: {name}", "preimage", question(of, *entries, index=0), Result(outcome).to_bytes())

    double = with_param(rung, hash_lock(hash_lock(SECRET)))
    return [
        case("revealed", UPHELD, said(WORKER, 1, SECRET, rung=0)),
        case("silence", REFUTED),
        case("another secret", REFUTED, said(WORKER, 1, SECRET[::-1], rung=0)),
        case("nothing", REFUTED, said(WORKER, 1, b"", rung=0)),
        case("the lock itself", REFUTED, said(WORKER, 1, hash_lock(SECRET), rung=0)),
        case("a secret cut short", REFUTED, said(WORKER, 1, SECRET[:31], rung=0)),
        case("a secret with slack", REFUTED, said(WORKER, 1, SECRET + b"\x00", rung=0)),
        case("in another ask", REFUTED, said(WORKER, 0, SECRET, rung=0)),
        case("in another slot", REFUTED, said(WORKER, 1, SECRET, rung=0, slot=1)),
        case("in another rung", REFUTED, said(WORKER, 1, SECRET, rung=1)),
        case("by somebody else", REFUTED, said(BENCH[0], 1, SECRET, rung=0)),
        case("of another lock", REFUTED, said(WORKER, 1, SECRET, rung=0), of=double),
    ]


def reading(value: int, confidence: int = 900_000, at: int = NOW) -> bytes:
    return Reading(value, confidence, at).data()


def asked(rung: Rung, *entries: Entry, index: int = 1, freeze: int = NOW + AGE) -> Question:
    """Frozen when what was measured at NOW is just not too old."""
    return replace(question(rung, *entries, index=index), frozen_at=freeze)


def quorum_cases() -> list[Case]:
    rung, two = asks(Ask("reading", BENCH, 5)), asks(Ask("commit", BENCH, 5), Ask("reveal", None, 5))
    a, b, c = BENCH
    good = [said(a, 0, reading(7)), said(b, 0, reading(7))]

    def case(name: str, value: int | None, *entries: Entry, of: Rung = rung, freeze: int = NOW + AGE) -> Case:
        answer = None if value is None else Result(UPHELD, (value,)).to_bytes()
        return Case(f"quorum: {name}", "quorum2", asked(of, *entries, freeze=freeze), answer)

    def bad(name: str, data: bytes, *, freeze: int = NOW + AGE) -> Case:
        """With ``data`` for the second voice there is no second voice."""
        return case(name, None, good[0], said(b, 0, data), freeze=freeze)

    def commit(who: Account, data: bytes, *, by: Account | None = None) -> Entry:
        return said(who, 0, commit_data(DEAL, 1, by or who, data, SALT))

    def reveal(who: Account, data: bytes) -> Entry:
        return said(who, 1, reveal_data(data, SALT))

    same = reading(7)
    return [
        case("two agree", 7, *good),
        case("all agree", 7, *good, said(c, 0, reading(7))),
        case("two agree, one says otherwise and is not slashed", 7, *good, said(c, 0, reading(8))),
        case("two agree, the first says otherwise", 8, said(a, 0, reading(7)),
             *(said(who, 0, reading(8)) for who in (b, c))),
        case("the same value of another confidence and time", 7, good[0], said(b, 0, reading(7, LEAST))),
        case("zero is a value", 0, said(a, 0, reading(0)), said(b, 0, reading(0))),
        case("the largest value", 2**128 - 1, *(said(w, 0, reading(2**128 - 1)) for w in (a, b))),
        case("silence", None),
        case("one voice", None, good[0]),
        case("no two agree", None, good[0], said(b, 0, reading(8)), said(c, 0, reading(9))),
        case("one voice twice", None, good[0], said(a, 0, reading(7), slot=1)),
        case("another rung's", None, good[0], said(b, 0, reading(7), rung=0)),
        case("somebody else's", None, good[0], said(WORKER, 0, reading(7))),
        case("just fresh", 7, good[0], said(b, 0, reading(7)), freeze=NOW + AGE),
        bad("a second too old", reading(7, at=NOW - 1)),
        case("all too old", None, *good, freeze=NOW + AGE + 1),
        bad("measured after it was said", reading(7, at=NOW + 1)),
        bad("of no time", reading(7, at=0)),
        case("just confident", 7, good[0], said(b, 0, reading(7, LEAST))),
        bad("not confident enough", reading(7, LEAST - 1)),
        bad("more than certain", encode(("uint128", "uint32", "uint64"), (7, 1_000_001, NOW))),
        bad("nothing", b""),
        bad("cut short", same[:95]),
        bad("slack", same + bytes(32)),
        bad("a value over 2^128", encode(("uint256", "uint32", "uint64"), (2**128, 900_000, NOW))),
        bad("a confidence over 2^32", encode(("uint128", "uint64", "uint64"), (7, 2**32 + 900_000, NOW))),
        bad("a time over 2^64", encode(("uint128", "uint32", "uint256"), (7, 900_000, 2**256 - 1))),
        case("in two steps", 7, commit(a, same), commit(b, same), reveal(a, same), reveal(b, same), of=two),
        case("a copied commit", None, commit(a, same), said(b, 0, commit(a, same).data), reveal(a, same),
             reveal(b, same), of=two),
        case("a reveal without a commit", None, commit(a, same), reveal(a, same), reveal(b, same), of=two),
        case("a reveal of something else", None, commit(a, same), commit(b, reading(8)), reveal(a, same),
             reveal(b, same), of=two),
        case("commits alone", None, commit(a, same), commit(b, same), of=two),
        case("measured after the commit", None, commit(a, same), commit(b, reading(7, at=NOW + 1)), reveal(a, same),
             replace(reveal(b, reading(7, at=NOW + 1)), at=NOW + 9), of=two),
    ]


def median_cases() -> list[Case]:
    rung = asks(Ask("reading", BENCH, 5))
    wide = asks(Ask("reading", FIVE, 5))

    def case(name: str, value: int | None, *values: int | None, of: Rung = rung, slashed: tuple[Account, ...] = (),
             index: int = 1) -> Case:
        entries = [said(who, 0, reading(one), rung=index)
                   for who, one in zip(of.bench, values, strict=False) if one is not None]
        answer = None if value is None else Result(UPHELD, (value,), frozenset(slashed)).to_bytes()
        return Case(f"median: {name}", "median2", asked(of, *entries, index=index), answer)

    stale = [said(w, 0, reading(v, at=t)) for w, v, t in zip(BENCH, (10, 10, 99), (NOW, NOW, NOW - 1), strict=True)]
    two = asks(Ask("commit", BENCH, 5), Ask("reveal", None, 5))
    shown = [entry for who, v in zip(BENCH, (10, 11, 10), strict=True) for entry in (
        said(who, 0, commit_data(DEAL, 1, who, reading(v), SALT)), said(who, 1, reveal_data(reading(v), SALT)))]
    return [
        case("of three", 10, 11, 10, 10),
        case("in any order", 20, 21, 20, 19),
        case("of two, the lower", 20, 21, 20),
        case("of two, the lower, the other way round", 20, 20, None, 21),
        case("of one", None, 20),
        case("of none", None),
        case("of five", 30, 31, 29, 32, 30, 28, of=wide),
        case("of four, the lower", 29, 31, 29, 30, 28, of=wide),
        case("just within the spread", 100, 100, 110, 90),
        case("a liar above", 100, 100, 111, 100, slashed=(BENCH[1],)),
        case("a liar below", 100, 89, 100, 101, slashed=(BENCH[0],)),
        case("two liars on either side, ascending", 100, 1, 100, 999, 100, of=wide, slashed=(FIVE[0], FIVE[2])),
        case("nobody is slashed unless k are near", 50, 100, 50, 1),
        case("at rung 0 nobody is slashed", 100, 100, 999, 100, index=0),
        case("a median of zero", 0, 0, 0, 1, slashed=(BENCH[2],)),
        case("the largest values", 2**128 - 1, 2**128 - 1, 2**128 - 1, 2**128 - 2),
        case("the largest distance", 0, 0, 2**128 - 1, 0, slashed=(BENCH[1],)),
        Case("median: who is too old is neither counted nor slashed", "median2", asked(rung, *stale),
             Result(UPHELD, (10,)).to_bytes()),
        Case("median: a malformed reading is no reading", "median2", asked(rung, *stale[:2], said(BENCH[2], 0, b"?")),
             Result(UPHELD, (10,)).to_bytes()),
        Case("median: in two steps", "median2", asked(two, *shown), Result(UPHELD, (10,)).to_bytes()),
        Case("median: all too old", "median2", asked(rung, *stale, freeze=FREEZE), None),
    ]


def reading_shapes() -> list[tuple[str, str, Rung, bool]]:
    """(name, policy, rung, whether the policy accepts it)."""
    lock = hash_lock(SECRET)
    one = with_param(asks(Ask("preimage", (WORKER,), 5)), lock)
    plain, commit, reveal = Ask("reading", BENCH, AGE), Ask("commit", BENCH, AGE - 9), Ask("reveal", None, 9)
    found = [
        ("a hash lock", "preimage", one, True),
        ("a hash lock after evidence", "preimage", replace(one, asks=(plain, *one.asks)), True),
        ("no hash lock", "preimage", with_param(one, bytes(32)), False),
        ("two who could reveal", "preimage", replace(one, asks=(Ask("preimage", BENCH[:2], 5),)), False),
        ("two slots to reveal in", "preimage", replace(one, asks=(Ask("preimage", (WORKER,), 5, 2),)), False),
        ("a preimage of another kind", "preimage", replace(one, asks=(Ask("result", (WORKER,), 5),)), False),
        ("a preimage not last", "preimage", replace(one, asks=(*one.asks, plain)), False),
    ]
    for policy in ("quorum2", "median2"):
        found += [
            ("readings", policy, asks(plain), True),
            ("readings of a named feed", policy, with_param(asks(plain), lock), True),
            ("readings after evidence", policy, asks(Ask("evidence", (WORKER,), 5), plain), True),
            ("readings in two steps", policy, asks(commit, reveal), True),
            ("readings that may be too old", policy, asks(replace(plain, period=AGE + 1)), False),
            ("two steps that may be too old", policy, asks(commit, replace(reveal, period=10)), False),
            ("two of four reporters", policy, asks(replace(plain, who=(*BENCH, WORKER))), False),
            ("two of one reporter", policy, asks(replace(plain, who=BENCH[:1])), False),
            ("two readings each", policy, asks(replace(plain, slots=2)), False),
            ("two commits each", policy, asks(replace(commit, slots=2), reveal), False),
            ("readings of another kind", policy, asks(replace(plain, kind="result")), False),
            ("readings not last", policy, asks(plain, Ask("evidence", (WORKER,), 5)), False),
            ("a reveal alone", policy, asks(replace(reveal, who=BENCH)), False),
        ]
    return found
