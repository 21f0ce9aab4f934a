"""Cases of Quote and Mandated, for Python and the contracts alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eth_abi.abi import encode

from ports.books import Addresses, account, key
from troth.core.terms import REFUTED, UPHELD, Account, Ask, Entry, Result, Rung, label
from troth.core.typed_data import mandate_digest, quote_digest
from troth.verify.policies.mandated import ACT, Mandate, act_data
from troth.verify.policies.quote import quote_data, report_data
from verify_policies.cases import BENCH, DEAL, FREEZE, GOOD, NAMES, WORKER, Case, asks, question, said

MEASURED = b"\x4d" * 32
OTHER = b"\x4e" * 32
SEEN = b"\x51" * 32
AGENT, PRINCIPAL = WORKER, account("principal")
NOW = 1500
"""When everything in ``said`` is submitted."""
WHAT = Mandate(PRINCIPAL, AGENT, "purchase", 500, NOW, b"\x0a" * 32)
AFTER = Result(UPHELD, (7,))
MOST = 2**128 - 1


def quote_cases(at: Addresses) -> list[Case]:
    rung = replace(asks(Ask("evidence", (WORKER,), 5), Ask("quote", BENCH, 5)), param=MEASURED)
    a, b, c = BENCH
    good, bad = GOOD.to_bytes(), Result(REFUTED).to_bytes()

    def sign(who: Account, result: bytes = good, **changes: Any) -> Entry:
        """A verifier's word; ``changes`` in what it signed over, against what it must have."""
        over = {"chain_id": at.chain_id, "book": at.book, "deal": DEAL, "rung": 1, "measurement": MEASURED,
                "report": report_data(DEAL, 1, result), "quote": SEEN, "expiry": FREEZE, "by": who, **changes}
        digest = quote_digest(over["chain_id"], over["book"], (over["deal"], over["rung"]), over["measurement"],
                              over["report"], over["quote"], over["expiry"])
        return said(who, 1, quote_data(result, SEEN, over["expiry"], key(NAMES[over["by"]]).sign_digest(digest)))

    def case(name: str, answer: Result | None, *entries: Entry, of: Rung = rung) -> Case:
        return Case(f"quote: {name}", "quote2", question(of, *entries), answer.to_bytes() if answer else None)

    def bad_voice(name: str, entry: Entry) -> Case:
        """With this for the second voice there is none."""
        return case(name, None, sign(a), entry)

    second = sign(b).data
    return [
        case("two agree", GOOD, sign(a), sign(b)),
        case("all agree", GOOD, sign(a), sign(b), sign(c)),
        case("two agree, one says otherwise and is not slashed", GOOD, sign(a, bad), sign(b), sign(c)),
        case("two agree, the first is malformed", GOOD, said(a, 1, b"rubbish"), sign(b), sign(c)),
        case("two agree, the first had expired", GOOD, sign(a, expiry=FREEZE - 1), sign(b), sign(c)),
        case("silence", None),
        case("one voice", None, sign(a)),
        case("no two agree", None, sign(a), sign(b, bad)),
        case("another measurement is expected", None, sign(a), sign(b), of=replace(rung, param=OTHER)),
        bad_voice("another measurement was found", sign(b, measurement=OTHER)),
        bad_voice("a quote of another deal", sign(b, report=report_data(OTHER, 1, good))),
        bad_voice("a quote of another rung", sign(b, report=report_data(DEAL, 2, good))),
        bad_voice("a quote of another result", sign(b, report=report_data(DEAL, 1, bad))),
        bad_voice("a word about another quote", sign(b, quote=OTHER)),
        bad_voice("a word on another deal", sign(b, deal=OTHER)),
        bad_voice("a word on another rung", sign(b, rung=2)),
        bad_voice("a word on another chain", sign(b, chain_id=1)),
        bad_voice("a word on another book", sign(b, book=WORKER)),
        bad_voice("another's word", sign(b, by=c)),
        bad_voice("expired just before the freeze", sign(b, expiry=FREEZE - 1)),
        bad_voice("malformed", said(b, 1, b"rubbish")),
        bad_voice("nothing", said(b, 1, b"")),
        bad_voice("slack", said(b, 1, second + bytes(32))),
        bad_voice("cut short", said(b, 1, second[:-32])),
        bad_voice("no signature", said(b, 1, quote_data(good, SEEN, FREEZE, b""))),
        bad_voice("in another ask", replace(sign(b), ask=0)),
        case("agreed rubbish", None, sign(a, b"rubbish"), sign(b, b"rubbish")),
    ]


def signed_act(at: Addresses, *, kind: str = "purchase", amount: int = 500, by: str = "principal",
               chain_id: int | None = None, book: Account | None = None, **changes: Any) -> bytes:
    """An act under the mandate, with ``changes`` in it, signed by ``by``."""
    what = replace(WHAT, **changes)
    digest = what.digest(at.chain_id if chain_id is None else chain_id, book or at.book)
    return act_data(kind, amount, what, key(by).sign_digest(digest))


def mandated_cases(at: Addresses) -> list[Case]:
    good = AFTER.to_bytes()
    no = Result(REFUTED, slashed=frozenset({AGENT})).to_bytes()
    asked = (Ask("act", (AGENT,), 5), Ask("result", (AGENT,), 5))
    rung = replace(asks(*asked), param=WHAT.digest(at.chain_id, at.book))
    claims = said(AGENT, 1, good)

    def case(name: str, answer: bytes | None, act: bytes | None, *entries: Entry, of: Rung = rung,
             policy: str = "mandated", time: int = NOW) -> Case:
        acts = [] if act is None else [replace(said(AGENT, 0, act), at=time)]
        return Case(f"mandated: {name}", policy, question(of, *acts, *(entries or (claims,))), answer)

    def named(**changes: Any) -> Rung:
        """A rung that names the mandate with ``changes``."""
        return replace(rung, param=replace(WHAT, **changes).digest(at.chain_id, at.book))

    act = signed_act(at)
    digest = mandate_digest(at.chain_id, at.book, PRINCIPAL, AGENT, label("purchase"), MOST, NOW, WHAT.salt)
    whole = (label("purchase"), 1, PRINCIPAL, label("purchase"), MOST, NOW, WHAT.salt,
             key("principal").sign_digest(digest))
    wide = [*ACT]
    wide[1] = wide[4] = "uint256"
    puppets = said(AGENT, 1, b"\x00" + good)
    return [
        case("covered", good, act),
        case("covered, for nothing", good, signed_act(at, amount=0)),
        case("covered, and the inner policy has nothing", None, act, said(AGENT, 1, b"rubbish")),
        case("no act", no, None),
        case("an act in another ask", no, None, said(AGENT, 1, act)),
        case("an act by somebody else", no, None, said(BENCH[0], 0, act), claims),
        case("an act of another rung", no, None, said(AGENT, 0, act, rung=0), claims),
        case("too much", no, signed_act(at, amount=501)),
        case("another kind", no, signed_act(at, kind="refund")),
        case("at the last second", good, act, time=NOW),
        case("a second late", no, act, time=NOW + 1),
        case("another mandate of the same principal", no, signed_act(at, most=501)),
        case("a mandate for another agent", no, signed_act(at, agent=BENCH[0]), of=named(agent=BENCH[0])),
        case("a mandate by somebody else", no, signed_act(at, principal=BENCH[0]), of=named(principal=BENCH[0])),
        case("a mandate the agent gave itself", no, signed_act(at, by="worker")),
        case("a mandate for another chain", no, signed_act(at, chain_id=1)),
        case("a mandate for another book", no, signed_act(at, book=WORKER)),
        case("a mandate of another scope, as the deal names", good, signed_act(at, scope="gift", kind="gift"),
             of=named(scope="gift")),
        case("a mandate that may be spent over and over has another salt", no, signed_act(at, salt=bytes(32))),
        case("no signature", no, act_data("purchase", 1, WHAT, b"")),
        case("malformed", no, b"rubbish"),
        case("nothing said", no, b""),
        case("slack", no, act + bytes(32)),
        case("cut short", no, act[:-32]),
        case("the largest mandate", good, encode(ACT, whole), of=replace(rung, param=digest)),
        case("a most over 2^128", no, encode(wide, (*whole[:4], MOST + 1, *whole[5:])),
             of=replace(rung, param=mandate_digest(at.chain_id, at.book, PRINCIPAL, AGENT, label("purchase"), MOST + 1,
                                                   NOW, WHAT.salt))),
        case("the puppet answers", good, act, puppets, policy="mandatedp"),
        case("not covered, and nobody slashed", Result(REFUTED).to_bytes(), signed_act(at, amount=501), puppets,
             policy="mandatedp"),
        case("the inner policy fails", None, act, said(AGENT, 1, b"\x01"), policy="mandatedp"),
        case("the inner policy answers nothing", None, act, said(AGENT, 1, b"\x02"), policy="mandatedp"),
        case("the inner policy burns all gas", None, act, said(AGENT, 1, b"\x03"), policy="mandatedp"),
        case("the inner policy answers too much", None, act, said(AGENT, 1, b"\x04"), policy="mandatedp"),
        case("the inner policy gives the longest answer", b"\x09" * 8192, act, said(AGENT, 1, b"\x09" * 8192),
             policy="mandatedp"),
        case("the inner policy answers rubbish, for the Book to refuse", b"junk", act, said(AGENT, 1, b"junk"),
             policy="mandatedp"),
    ]


def agent_shapes(at: Addresses) -> list[tuple[str, str, Rung, bool]]:
    """(name, policy, rung, whether the policy accepts it)."""
    ask = Ask("quote", BENCH, 5)
    quotes = replace(asks(ask), param=MEASURED)
    act, result = Ask("act", (AGENT,), 5), Ask("result", (AGENT,), 5)
    one = replace(asks(act, result), param=WHAT.digest(at.chain_id, at.book))
    return [
        ("a quote of three", "quote2", quotes, True),
        ("a quote after evidence", "quote2", replace(quotes, asks=(act, ask)), True),
        ("no measurement", "quote2", replace(quotes, param=bytes(32)), False),
        ("a quote of four", "quote2", replace(quotes, asks=(replace(ask, who=(*BENCH, WORKER)),)), False),
        ("two quotes each", "quote2", replace(quotes, asks=(replace(ask, slots=2),)), False),
        ("a quote of another kind", "quote2", replace(quotes, asks=(replace(ask, kind="verdict"),)), False),
        ("a quote not last", "quote2", replace(quotes, asks=(ask, act)), False),
        ("an act", "mandated", one, True),
        ("an act, evidence, a result", "mandated", replace(one, asks=(act, Ask("evidence", BENCH, 5), result)), True),
        ("a result by who acted", "mandated", replace(one, asks=(act, replace(result, who=None))), True),
        ("no mandate", "mandated", replace(one, param=bytes(32)), False),
        ("an act alone", "mandated", replace(one, asks=(act,)), False),
        ("an act of two", "mandated", replace(one, asks=(replace(act, who=(AGENT, PRINCIPAL)), result)), False),
        ("two acts", "mandated", replace(one, asks=(replace(act, slots=2), result)), False),
        ("an act of another kind", "mandated", replace(one, asks=(replace(act, kind="deed"), result)), False),
        ("an act that is not first", "mandated", replace(one, asks=(result, act)), False),
        ("what the inner policy refuses", "mandated", replace(one, asks=(act, replace(result, who=BENCH))), False),
    ]
