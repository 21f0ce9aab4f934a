"""Cases of Vote, for Python and the contract alike: what a tally comes to."""

from __future__ import annotations

from dataclasses import replace

from eth_abi.abi import encode

from ports.books import TELLER, account
from troth.core.terms import REFUTED, UPHELD, Ask, Entry, Result, Rung, role
from troth.verify.policies.vote import TALLY, token_param
from verify_policies.cases import WORKER, Case, asks, question, said

TOKEN = account("token with votes")
SUPPLY = 1000


def tally(yes: int, against: int = 0, abstain: int = 0, supply: int = SUPPLY) -> bytes:
    return encode(TALLY, (against, yes, abstain, supply, 77))


def vote_cases() -> list[Case]:
    rung = replace(asks(Ask("evidence", (WORKER,), 5), Ask("vote", (TELLER,), 80)), param=token_param(TOKEN))

    def case(name: str, outcome: int | None, *entries: Entry) -> Case:
        answer = None if outcome is None else Result(outcome).to_bytes()
        return Case(f"vote: {name}", "vote", question(rung, *entries), answer)

    def of(name: str, outcome: int | None, data: bytes) -> Case:
        return case(name, outcome, said(TELLER, 1, data))

    wide = ("uint256",) * 5
    return [
        of("all for", UPHELD, tally(SUPPLY)),
        of("all against, which is no quorum", None, tally(0, SUPPLY)),
        of("the quorum, just", UPHELD, tally(200)),
        of("one short of the quorum", None, tally(199)),
        of("abstaining helps the quorum", UPHELD, tally(1, 0, 199)),
        of("against does not help the quorum", None, tally(199, 1)),
        of("more against", REFUTED, tally(300, 301)),
        of("as many", REFUTED, tally(300, 300)),
        of("one more for", UPHELD, tally(301, 300)),
        of("all abstain", REFUTED, tally(0, 0, SUPPLY)),
        of("the quorum of an odd supply is not rounded down", None, tally(200, supply=1001)),
        of("the largest numbers", REFUTED, tally(2**128 - 1, 2**128 - 1, 2**128 - 1, 2**128 - 1)),
        of("no supply", None, tally(0, 0, 0, 0)),
        case("no tally", None),
        case("somebody else's tally", None, said(WORKER, 1, tally(SUPPLY))),
        case("in another ask", None, said(TELLER, 0, tally(SUPPLY))),
        case("in another slot", None, said(TELLER, 1, tally(SUPPLY), slot=1)),
        case("of another rung", None, said(TELLER, 1, tally(SUPPLY), rung=0)),
        of("cut short", None, tally(SUPPLY)[:159]),
        of("slack", None, tally(SUPPLY) + bytes(32)),
        of("nothing", None, b""),
        of("too many against", None, encode(wide, (2**128, SUPPLY, 0, SUPPLY, 77))),
        of("too many for", None, encode(wide, (0, 2**128 + SUPPLY, 0, SUPPLY, 77))),
        of("too many abstaining", None, encode(wide, (0, SUPPLY, 2**128, SUPPLY, 77))),
        of("too large a supply", None, encode(wide, (0, SUPPLY, 0, 2**128 + SUPPLY, 77))),
        of("too late a snapshot", None, encode(wide, (0, SUPPLY, 0, SUPPLY, 2**48))),
    ]


def vote_shapes() -> list[tuple[str, str, Rung, bool]]:
    """(name, policy, rung, whether the policy accepts it)."""
    ask = Ask("vote", (TELLER,), 8)
    good = replace(asks(ask), param=token_param(TOKEN))

    def last(**changes: object) -> Rung:
        return replace(good, asks=(replace(ask, **changes),))  # type: ignore[arg-type]

    return [
        ("a vote", "vote", good, True),
        ("a vote after evidence", "vote", replace(good, asks=(Ask("evidence", (WORKER,), 5), ask)), True),
        ("a vote without a token", "vote", replace(good, param=bytes(32)), False),
        ("a role for a token", "vote", replace(good, param=token_param(role(255))), False),
        ("the first address that is no role", "vote", replace(good, param=token_param(bytes(18) + b"\x01\x00")), True),
        ("more than an address", "vote", replace(good, param=b"\x01" + good.param[1:]), False),
        ("ballots elsewhere", "vote", last(who=(WORKER,)), False),
        ("ballots in two places", "vote", last(who=(TELLER, WORKER)), False),
        ("two tallies", "vote", last(slots=2), False),
        ("no time to count", "vote", last(period=7), False),
        ("a vote of another kind", "vote", last(kind="result"), False),
        ("a vote not last", "vote", replace(good, asks=(ask, Ask("evidence", (WORKER,), 5))), False),
    ]
