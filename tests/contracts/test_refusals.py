"""Every refusal of docs/reference/deals.md, reached on the contract; those of ``open`` on both Books."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from parts import (
    BENCH,
    BOND,
    CLAIM,
    CLIENT,
    COURT,
    FEE,
    HOUR,
    PAY,
    RIVAL,
    SALT,
    STAKE,
    WORKER,
    begin,
    claims,
    raw,
    refused,
    simple,
    with_pot,
    with_rung,
)

from ports.books import MemoryWorld, account, key
from ports.evm_world import DEPLOYER, EvmWorld
from troth.core.errors import ActRefused, BadInput
from troth.core.payouts import PayoutTree
from troth.core.terms import (
    CHALLENGER,
    DEPOSITOR,
    KEEPER,
    REFUTED,
    SLASHED,
    UPHELD,
    Account,
    Answered,
    Ask,
    Entry,
    Pot,
    Result,
    Root,
    Split,
    Terms,
    climber,
    payout_leaf,
    role,
)
from troth.core.typed_data import join_digest
from troth.ledger.evmcodec import calldata, deal_bytes, long_history, short_history

MANY = tuple(account(f"one of many {n}") for n in range(33))
CROWD = tuple(n.to_bytes(20, "big") for n in range(1 << 20, (1 << 20) + 200))


def asks(terms: Terms, rung: int, *changed: Ask) -> Terms:
    return with_rung(terms, rung, asks=changed)


def pays(terms: Terms, *rules: object, outcome: int = UPHELD) -> Terms:
    return with_pot(terms, 0, pays={outcome: rules[0]})


def seats(*sizes: tuple[int, int]) -> tuple[Ask, ...]:
    return tuple(Ask("result", CROWD[:n], HOUR, slots) for n, slots in sizes)


WORD = Ask("word", BENCH, HOUR, 2)
BAD_TERMS: dict[str, tuple[str, Callable[[Terms], Terms]]] = {
    "no pots": ("BadShape", lambda t: replace(t, pots=())),
    "33 pots": ("BadShape", lambda t: replace(t, pots=tuple(replace(t.pots[0], name=f"p{n}") for n in range(33)))),
    "no rungs": ("BadShape", lambda t: replace(t, rungs=())),
    "5 rungs": ("BadShape", lambda t: replace(t, rungs=(*t.rungs, *t.rungs, t.rungs[0]))),
    "no asks": ("BadShape", lambda t: asks(t, 0)),
    "5 asks": ("BadShape", lambda t: asks(t, 0, *[t.rungs[0].asks[0]] * 5)),
    "empty first ask": ("BadShape", lambda t: asks(t, 0, Ask("result", None, HOUR))),
    "33 accounts": ("BadShape", lambda t: asks(t, 0, Ask("result", MANY, HOUR))),
    "no slots": ("BadShape", lambda t: asks(t, 0, Ask("result", (WORKER,), HOUR, 0))),
    "9 slots": ("BadShape", lambda t: asks(t, 0, Ask("result", (WORKER,), HOUR, 9))),
    "65 seats in all": ("BadShape", lambda t: asks(t, 0, *seats((20, 3), (1, 1)))),
    "seats repeated": ("BadShape", lambda t: asks(t, 0, *seats((21, 1)), Ask("x", None, 1), Ask("y", None, 1))),
    "pot twice": ("BadShape", lambda t: with_pot(t, 1, name="reward")),
    "only fee pots": ("BadShape", lambda t: replace(t, pots=t.pots[2:])),
    "9 rules": ("BadShape", lambda t: with_pot(t, 0, pays={n: Split((WORKER,), (1,)) for n in range(1, 10)})),
    "33 payees": ("BadShape", lambda t: pays(t, Split(MANY, weights=(1,) * 33))),
    "113 payments": ("BadShape", lambda t: replace(t, pots=(*t.pots, *(
        Pot(f"p{n}", CLIENT, 1, {UPHELD: Split(MANY[:width])}) for n, width in enumerate((32, 32, 32, 5)))))),
    "129 payees": ("BadShape", lambda t: replace(t, pots=(*t.pots, *(
        Pot(f"p{n}", CLIENT, 9, {UPHELD: Split(CROWD[:32], weights=(1,) * 32)}) for n in range(4))))),
    "funded in the past": ("BadTimes", lambda t: replace(t, fund_by=t.fund_by - HOUR)),
    "no period": ("BadTimes", lambda t: asks(t, 0, Ask("result", (WORKER,), 0))),
    "no verdict period": ("BadTimes", lambda t: with_rung(t, 1, verdict_period=0)),
    "no window below the top": ("BadTimes", lambda t: with_rung(t, 0, window=0)),
    "a window at the top": ("BadTimes", lambda t: with_rung(t, 1, window=1)),
    "two years and a second": ("BadTimes", lambda t: with_rung(t, 1, verdict_period=63_072_001 - 5 * HOUR)),
    "no bond": ("BadBond", lambda t: with_rung(t, 0, bond=0)),
    "a bond at the top": ("BadBond", lambda t: with_rung(t, 1, bond=1)),
    "a bond less than twice": ("BadBond", lambda t: with_rung(
        replace(t, rungs=(t.rungs[0], *t.rungs)), 1, bond=2 * BOND - 1)),
    "rung 0 keeps": ("BadSilent", lambda t: with_rung(t, 0, silent=0)),
    "no amount": ("BadPot", lambda t: with_pot(t, 0, amount=0)),
    "nobody's pot": ("BadPot", lambda t: with_pot(t, 0, depositor=bytes(20))),
    "a role's pot": ("BadPot", lambda t: with_pot(t, 0, depositor=KEEPER)),
    "a climber of rung 0": ("BadPot", lambda t: with_pot(t, 2, depositor=climber(0))),
    "a climber beyond": ("BadPot", lambda t: with_pot(t, 2, depositor=climber(2))),
    "no residual": ("BadPot", lambda t: with_pot(t, 0, residual=bytes(20))),
    "residual challenger": ("BadPot", lambda t: with_pot(t, 0, residual=CHALLENGER)),
    "no payees": ("BadPot", lambda t: pays(t, Split((), weights=()))),
    "payee zero": ("BadPot", lambda t: pays(t, Split((bytes(20),), (1,)))),
    "payee an unknown role": ("BadPot", lambda t: pays(t, Split((role(4),), (1,)))),
    "numbers missing": ("BadPot", lambda t: pays(t, Split((WORKER, CLIENT), (1,)))),
    "numbers surplus": ("BadPot", lambda t: pays(t, Split((WORKER,), weights=(1, 1)))),
    "weights of nothing": ("BadPot", lambda t: pays(t, Split((WORKER, CLIENT), weights=(0, 0)))),
    "weights too heavy": ("BadPot", lambda t: pays(t, Split((WORKER, CLIENT), weights=(2**128 - 1, 1)))),
    "seats of no rung": ("BadPot", lambda t: pays(t, Answered(2))),
    "no term": ("BadPot", lambda t: pays(t, Root(0))),
    "a term too long": ("BadPot", lambda t: pays(t, Root(63_072_001))),
    "challenger by values": ("BadPot", lambda t: pays(t, Split((CHALLENGER,)))),
    "challenger over half": ("BadPot", lambda t: pays(t, Split((CHALLENGER,), (PAY // 2 + 1,)))),
    "challenger over half in two": ("BadPot", lambda t: pays(t, Split((CHALLENGER,) * 2, (PAY // 2, 1)))),
    "challenger over half by weight": ("BadPot", lambda t: pays(t, Split((CHALLENGER, WORKER), weights=(2, 1)))),
    "a slashed fee pot": ("BadPot", lambda t: with_pot(t, 2, pays={SLASHED: Split((CLIENT,), (1,))})),
    "a root's rest to the keeper": ("BadPot", lambda t: with_pot(t, 0, pays={UPHELD: Root(1)}, residual=KEEPER)),
    "wrong bonds to nobody": ("BadWrongBonds", lambda t: replace(t, wrong_bonds=bytes(20))),
    "wrong bonds to a role": ("BadWrongBonds", lambda t: replace(t, wrong_bonds=KEEPER)),
    "wrong bonds to a depositor": ("BadWrongBonds", lambda t: replace(t, wrong_bonds=CLIENT)),
    "wrong bonds to a judge": ("BadWrongBonds", lambda t: replace(t, wrong_bonds=BENCH[1])),
    "wrong bonds to a payee": ("BadWrongBonds", lambda t: pays(replace(t, wrong_bonds=RIVAL), Split((RIVAL,), (1,)))),
    "wrong bonds to a residual": ("BadWrongBonds", lambda t: with_pot(replace(t, wrong_bonds=RIVAL), 0,
                                                                      residual=RIVAL)),
    "asked twice": ("BadBench", lambda t: asks(t, 0, Ask("result", (WORKER, WORKER), HOUR))),
    "a role asked": ("BadBench", lambda t: asks(t, 0, Ask("result", (KEEPER,), HOUR))),
    "part of a bench": ("BadBench", lambda t: asks(t, 0, Ask("result", BENCH[:1], HOUR))),
    "a bench and one more": ("BadBench", lambda t: asks(t, 0, Ask("result", (*BENCH, WORKER), HOUR))),
    "a bench in another order": ("BadBench", lambda t: asks(t, 0, Ask("result", BENCH[::-1], HOUR))),
    "benches that share": ("BadBench", lambda t: replace(t, rungs=(
        t.rungs[0], replace(t.rungs[0], asks=(Ask("x", (RIVAL, BENCH[0]), 1),), bond=2 * BOND), t.rungs[1]))),
    "one bench twice": ("BadBench", lambda t: replace(t, rungs=(
        t.rungs[0], replace(t.rungs[0], asks=(WORD,), bond=2 * BOND), t.rungs[1]))),
    "no token": ("BadToken", lambda t: replace(t, token=RIVAL)),
    "no policy": ("BadPolicy", lambda t: with_rung(t, 1, policy=RIVAL)),
    "other code": ("BadPolicy", lambda t: with_rung(t, 1, codehash=b"\x01" * 32)),
}


@pytest.fixture(scope="module")
def shared(deployed: EvmWorld, tmp_path_factory: pytest.TempPathFactory) -> EvmWorld:
    """A chain on which nothing is ever opened."""
    return EvmWorld(tmp_path_factory.mktemp("shared") / "chain", origin=deployed)


@pytest.mark.parametrize("case", BAD_TERMS)
def test_terms_that_no_book_opens(shared: EvmWorld, case: str) -> None:
    code, change = BAD_TERMS[case]
    terms = change(simple(shared))
    refused(code, shared.book.open, CLIENT, terms, SALT)
    refused(code, MemoryWorld(shared.addresses).book.open, CLIENT, terms, SALT)


@pytest.mark.parametrize("policy", ["assumed", "rerun2", "signed2"])
def test_rungs_that_a_policy_does_not_accept(shared: EvmWorld, policy: str) -> None:
    pinned = shared.addresses.policies[policy]
    three, fourth = (*BENCH, RIVAL), account("fourth")
    shapes = {
        "assumed": ((Ask("result", (fourth, RIVAL), HOUR),),),
        "rerun2": ((Ask("commit", three, HOUR),), (Ask("commit", three, HOUR), Ask("show", None, HOUR)),
                   (Ask("submit", three, HOUR), Ask("reveal", None, HOUR)),
                   (Ask("commit", three, HOUR, 2), Ask("reveal", None, HOUR)),
                   (Ask("commit", three, HOUR), Ask("reveal", None, HOUR, 2)),
                   (Ask("commit", (fourth, CLIENT), HOUR), Ask("reveal", three[:2], HOUR)),
                   (Ask("commit", (*three, fourth), HOUR), Ask("reveal", None, HOUR)),
                   (Ask("commit", three[:1], HOUR), Ask("reveal", None, HOUR))),
        "signed2": ((Ask("sign", three, HOUR),), (Ask("verdict", three, HOUR, 2),),
                    (Ask("verdict", (*three, fourth), HOUR),), (Ask("verdict", three[:1], HOUR),)),
    }[policy]
    base = simple(shared)
    for shape in shapes:
        terms = replace(base, rungs=(base.rungs[0], replace(base.rungs[1], asks=shape, policy=pinned[0],
                                                            codehash=pinned[1])))
        refused("BadPolicy", shared.book.open, CLIENT, terms, SALT)
        refused("BadPolicy", MemoryWorld(shared.addresses).book.open, CLIENT, terms, SALT)


def test_bytes_that_are_no_terms(world: EvmWorld) -> None:
    """Bytes that Python does not write: two forms of one value, slack, or less than they promise."""
    terms = with_pot(simple(world), 0, pays={1: Split((WORKER,), (5,)), 2: Split((WORKER,), (5,))})
    good = terms.to_bytes()
    rules = good.index(b"reward") + 7  # behind the name: how many, then outcome, kind, 1 payee, 1 number of 1 byte
    assert good[rules - 1] == 2
    second = rules + 7

    def bent(place: int, value: int) -> bytes:
        return good[:place] + bytes((value,)) + good[place + 1 :]

    for outcome in (1, 0):
        refused("BadPot", raw, world, CLIENT, calldata("open", SALT, bent(second, outcome)))
    swapped = good[:1] + good[21:41] + good[1:21] + good[41:]
    unused = bytes((good[0] + 1,)) + good[1 : 1 + 20 * good[0]] + b"\xff" * 20 + good[1 + 20 * good[0] :]
    longer = good[: rules - 8] + b"\x07reward\x00" + good[rules - 1 :]
    for bad in (b"", good[:-1], good + b"\x00", swapped, unused, longer, bent(0, good[0] - 1), bent(rules + 1, 5),
                bent(rules + 3, 0xff), bent(rules + 5, 0), bent(rules + 6, 0), bent(rules + 4, 17)):
        with pytest.raises(ActRefused) as error:
            raw(world, CLIENT, calldata("open", SALT, bad))
        # A limit may be passed before the form is seen to be wrong.
        assert error.value.code in ("BadTerms", "BadShape")
        with pytest.raises(BadInput):
            Terms.from_bytes(bad)
    refused("BadTerms", raw, world, CLIENT, calldata("openAndJoin", SALT, terms.to_bytes(), 3, []))


def test_before_a_deal_runs(world: EvmWorld) -> None:
    book, terms = world.book, simple(world)
    unknown = b"\x09" * 32
    for act in (book.judge, book.challenge, book.close):
        refused("Unknown", act, CLIENT, unknown)
    refused("Unknown", raw, world, CLIENT, calldata("join", deal_bytes(CLIENT, SALT, terms), 0))
    refused("Unknown", raw, world, CLIENT, calldata("close", CLIENT, b""))
    refused("Unknown", book.state, unknown)
    refused("Unknown", book.sweep, CLIENT, unknown, 0)
    refused("Unknown", book.collect, CLIENT, unknown, 0, (0, CLIENT, 1), ())
    refused("NotOwner", book.stop, CLIENT, True)
    book.stop(DEPLOYER, True)
    refused("Stopped", book.open, CLIENT, terms, SALT)
    book.stop(DEPLOYER, False)
    deal = book.open(CLIENT, terms, SALT)
    refused("Exists", book.open, CLIENT, terms, SALT)
    book.stop(DEPLOYER, True)
    refused("Stopped", book.join, CLIENT, deal, 0)
    book.stop(DEPLOYER, False)
    refused("BadTerms", book.join, CLIENT, deal, 3)
    other = replace(terms, fund_by=terms.fund_by + 1)
    for made_of in (deal_bytes(CLIENT, SALT, other), deal_bytes(RIVAL, SALT, terms), deal_bytes(CLIENT, CLAIM, terms),
                    deal_bytes(CLIENT, SALT, terms) + b"\x00"):
        refused("Unknown", raw, world, CLIENT, calldata("join", made_of, 0))
    refused("NotDepositor", book.join, RIVAL, deal, 0)
    refused("NotDepositor", book.join, RIVAL, deal, 2)
    refused("TransferFailed", book.join, CLIENT, deal, 0)
    world.fund(CLIENT, PAY - 1)
    refused("TransferFailed", book.join, CLIENT, deal, 0)
    world.fund(CLIENT)
    book.join(CLIENT, deal, 0)
    refused("Joined", book.join, CLIENT, deal, 0)
    refused("NotRunning", book.submit, WORKER, deal, 0, 0, CLAIM, b"")
    refused("NotRunning", book.judge, WORKER, deal)
    refused("NotRunning", book.challenge, WORKER, deal)
    refused("NotYet", book.close, WORKER, deal)
    world.until(terms.fund_by)
    refused("TooLate", book.join, WORKER, deal, 1)
    extra = short_history((Entry(1, WORKER, 0, 0, 0, 5, CLAIM, b""),))
    refused("BadHistory", raw, world, RIVAL, calldata("close", deal_bytes(CLIENT, SALT, terms), extra))
    before = world.balance(CLIENT)
    book.close(RIVAL, deal)
    assert book.state(deal).status == "void"
    assert world.balance(CLIENT) == before + PAY
    refused("Closed", book.close, RIVAL, deal)
    refused("NotFunding", book.join, WORKER, deal, 1)


def test_consent(world: EvmWorld) -> None:
    book, terms = world.book, simple(world)
    deal = begin_half(world, terms)
    now = world.now()

    def signed(*, by: str = "worker", which: bytes = deal, pot: int = 1, token: Account = terms.token,
               amount: int = STAKE, expiry: int = now + 60, chain: int = book.chain_id) -> bytes:
        return key(by).sign_digest(join_digest(chain, book.address, which, pot, token, amount, expiry))

    good = signed()
    for wrong in (signed(by="rival"), signed(which=b"\x01" * 32), signed(pot=0), signed(token=RIVAL), b"", good[:64],
                  signed(amount=STAKE + 1), signed(expiry=now + 61), signed(chain=1), b"\x00" * 65, good + b"\x00"):
        refused("BadConsent", book.join_with_consent, RIVAL, deal, 1, now + 60, wrong)
    refused("BadConsent", book.join_with_consent, RIVAL, deal, 1, now - 1, signed(expiry=now - 1))
    refused("NotDepositor", book.join_with_consent, RIVAL, deal, 2, now + 60, signed(pot=2))
    other = book.open(CLIENT, terms, b"\x06" * 32)
    refused("BadConsent", book.join_with_consent, RIVAL, other, 1, now + 60, good)
    world.advance(60)
    book.join_with_consent(RIVAL, deal, 1, now + 60, good)
    assert world.balance(WORKER) == 10**9 - STAKE
    assert book.state(deal).status == "running"
    refused("NotFunding", book.join_with_consent, RIVAL, deal, 1, now + 60, good)


def begin_half(world: EvmWorld, terms: Terms) -> bytes:
    """Only the client has joined."""
    world.fund(CLIENT)
    world.fund(WORKER)
    deal = world.book.open(CLIENT, terms, SALT)
    world.book.join(CLIENT, deal, 0)
    return deal


def test_consent_is_used_once(world: EvmWorld) -> None:
    book, terms = world.book, simple(world)
    world.fund(WORKER)
    deal = book.open(CLIENT, terms, SALT)
    expiry = world.now() + 60
    digest = join_digest(book.chain_id, book.address, deal, 1, terms.token, STAKE, expiry)
    consent = key("worker").sign_digest(digest)
    book.join_with_consent(RIVAL, deal, 1, expiry, consent)
    refused("Joined", book.join_with_consent, RIVAL, deal, 1, expiry, consent)


def test_while_a_deal_runs(world: EvmWorld) -> None:
    book, terms = world.book, simple(world)
    deal = begin(world, terms)
    made_of = deal_bytes(CLIENT, SALT, terms)
    refused("NotFunding", book.join, CLIENT, deal, 0)
    other = deal_bytes(CLIENT, SALT, replace(terms, fund_by=terms.fund_by + 1))
    for act in (("submit", other, 0, 0, CLAIM, b""), ("submitAndJudge", other, b"", 0, 0, CLAIM, b""),
                ("submitAndClose", other, b"", 0, 0, CLAIM, b""), ("judge", other, b""), ("judgeAndClose", other, b""),
                ("challenge", other), ("close", other, b"")):
        refused("Unknown", raw, world, WORKER, calldata(*act))
    refused("TooLong", book.submit, WORKER, deal, 0, 0, CLAIM, bytes(4097))
    refused("TooEarly", book.submit, WORKER, deal, 1, 0, CLAIM, b"")
    refused("NotNamed", book.submit, RIVAL, deal, 0, 0, CLAIM, b"")
    refused("BadSlot", book.submit, WORKER, deal, 0, 1, CLAIM, b"")
    refused("TooEarly", book.judge, RIVAL, deal)
    refused("TooEarly", book.challenge, RIVAL, deal)
    refused("NotYet", book.close, RIVAL, deal)
    book.submit(WORKER, deal, 0, 0, CLAIM, b"\x02")
    refused("TooLate", book.submit, WORKER, deal, 0, 0, CLAIM, b"")
    refused("TooLate", book.submit, WORKER, deal, 1, 0, CLAIM, b"")
    refused("NoVerdict", book.judge, RIVAL, deal)
    said = long_history(book.state(deal).history)
    for history in (b"", said[:-1], said + b"\x00", said + said, bytes((2,)) + said[1:], said[:-1] + b"\x03"):
        refused("BadHistory", raw, world, RIVAL, calldata("judge", made_of, history))
        refused("BadHistory", raw, world, RIVAL, calldata("judgeAndClose", made_of, history))
        refused("TooLate", raw, world, WORKER, calldata("submitAndClose", made_of, history, 0, 0, CLAIM, b""))
        refused("TooLate", raw, world, WORKER, calldata("submitAndJudge", made_of, history, 0, 0, CLAIM, b""))
    refused("TooEarly", book.challenge, RIVAL, deal)
    world.advance(HOUR)
    refused("TooLate", book.judge, RIVAL, deal)
    refused("BenchMember", book.challenge, BENCH[0], deal)
    refused("WrongBonds", book.challenge, COURT, deal)
    poor = account("somebody without money")
    refused("TransferFailed", book.challenge, poor, deal)
    refused("NotYet", book.close, RIVAL, deal)
    book.challenge(RIVAL, deal)
    assert world.balance(RIVAL) == 10**9 - BOND - FEE
    refused("TopRung", book.challenge, RIVAL, deal)
    book.submit(BENCH[0], deal, 0, 1, CLAIM, b"")
    refused("Duplicate", book.submit, BENCH[0], deal, 0, 1, CLAIM, b"")
    world.advance(HOUR)
    refused("TooLate", book.submit, BENCH[0], deal, 0, 0, CLAIM, b"")
    refused("NotYet", book.close, RIVAL, deal)
    world.advance(HOUR)
    said = short_history(book.state(deal).history)
    for history in (b"", said[:-1], said + b"\x00", said + said, b"\x02" + said[1:], b"\x03" + said[1:],
                    said[:1] + b"\x05" + said[2:], said[:2] + b"\x09" + said[3:], said[:31] + b"\x00" + said[32:],
                    long_history(book.state(deal).history)):
        refused("BadHistory", raw, world, RIVAL, calldata("close", made_of, history))
    book.close(RIVAL, deal)
    refused("Closed", book.close, RIVAL, deal)
    refused("NotRunning", book.submit, BENCH[0], deal, 0, 0, CLAIM, b"")


def test_window(world: EvmWorld) -> None:
    book = world.book
    deal = begin(world, simple(world))
    claims(world, deal)
    refused("Judged", book.judge, RIVAL, deal)
    refused("NotYet", book.close, RIVAL, deal)
    world.advance(HOUR)
    refused("TooLate", book.challenge, RIVAL, deal)
    book.close(RIVAL, deal)
    assert world.balance(WORKER) == 10**9 + PAY - 10
    refused("NoRoot", book.collect, CLIENT, deal, 0, (0, CLIENT, 1), ())
    refused("NoRoot", book.sweep, CLIENT, deal, 0)
    refused("Nothing", book.withdraw, CLIENT, world.token)


@pytest.mark.parametrize("answer", [
    b"\x01", Result(0).to_bytes(), Result(UPHELD, root=b"\x01" * 32).to_bytes(), Result(UPHELD, total=1).to_bytes(),
    Result(UPHELD, slashed=frozenset({RIVAL})).to_bytes(), Result(UPHELD, values=(1,) * 65).to_bytes(),
    Result(UPHELD).to_bytes() + bytes(32), Result(UPHELD, root=b"\x01" * 32, total=PAY + 1).to_bytes(),
])
def test_answers_that_are_no_result(world: EvmWorld, answer: bytes) -> None:
    deal = begin(world, with_pot(simple(world), 0, pays={UPHELD: Root(HOUR)}))
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"\x00" + answer)
    refused("BadResult", world.book.judge, RIVAL, deal)


def test_submit_and_judge_is_one(world: EvmWorld) -> None:
    book = world.book
    deal = begin(world, simple(world))
    refused("NoVerdict", book.submit_and_judge, WORKER, deal, 0, 0, CLAIM, b"\x02")
    assert book.state(deal).history == ()
    assert book.submit_and_judge(WORKER, deal, 0, 0, CLAIM, b"\x00" + Result(7).to_bytes()) == Result(7)
    assert [entry.kind for entry in book.state(deal).history] == [1, 2]
    refused("TooLate", book.submit_and_judge, WORKER, deal, 0, 0, CLAIM, b"")


def test_submit_and_close_is_one(world: EvmWorld) -> None:
    """Below the top there is a window, so it is refused and nothing is written; at the top it pays at once."""
    book, plain = world.book, simple(world)
    deal = begin(world, plain)
    said = b"\x00" + Result(UPHELD).to_bytes()
    refused("NoVerdict", book.submit_and_close, WORKER, deal, 0, 0, CLAIM, b"\x02")
    refused("NotYet", book.submit_and_close, WORKER, deal, 0, 0, CLAIM, said)
    assert book.state(deal).history == ()
    book.submit(WORKER, deal, 0, 0, CLAIM, said)
    refused("NotYet", book.judge_and_close, RIVAL, deal)
    assert [entry.kind for entry in book.state(deal).history] == [1]
    terms = replace(plain, pots=plain.pots[:2], rungs=(replace(plain.rungs[0], window=0, bond=0),))
    deal = begin(world, terms)
    before = world.balance(WORKER)
    assert book.submit_and_close(WORKER, deal, 0, 0, CLAIM, said) == Result(UPHELD)
    state = book.state(deal)
    assert (state.status, state.final, [entry.kind for entry in state.history]) == ("closed", Result(UPHELD), [1, 2])
    assert world.balance(WORKER) > before
    refused("Closed", book.close, WORKER, deal)
    refused("NotRunning", book.submit_and_close, WORKER, deal, 0, 0, CLAIM, said)


def test_judge_and_close_after_answers_and_a_challenge(world: EvmWorld) -> None:
    """A history of two rungs, in its long form, settles as the short one does."""
    book = world.book
    deal = begin(world, simple(world))
    claims(world, deal)
    book.challenge(RIVAL, deal)
    found = b"\x00" + Result(REFUTED).to_bytes()
    for member in BENCH:
        for slot in range(2):
            book.submit(member, deal, 0, slot, CLAIM, found)
    assert book.judge_and_close(RIVAL, deal) == Result(REFUTED)
    state = book.state(deal)
    assert (state.status, state.rung, state.final) == ("closed", 1, Result(REFUTED))
    assert world.balance(RIVAL) == 10**9 - FEE


def test_roots(world: EvmWorld) -> None:
    """Collected once each, by anybody, for the account in the leaf; the rest is swept once after the term."""
    book = world.book
    deal = begin(world, with_pot(simple(world), 0, pays={UPHELD: Root(HOUR)}, residual=DEPOSITOR))
    payees = (account("payee 0"), account("payee 1"), account("payee 2"))
    amounts = (100, 200, 400)
    leaves = [payout_leaf(book.chain_id, book.address, deal, 0, n, payee, amount)
              for n, (payee, amount) in enumerate(zip(payees, amounts, strict=True))]
    tree = PayoutTree(leaves)
    claims(world, deal, Result(UPHELD, root=tree.root, total=600))
    world.advance(HOUR)
    book.close(RIVAL, deal)
    assert world.balance(CLIENT) == 10**9 - 600
    refused("NoRoot", book.collect, RIVAL, deal, 1, (0, payees[0], 100), tree.proof(0))
    refused("BadProof", book.collect, RIVAL, deal, 0, (0, RIVAL, 100), tree.proof(0))
    refused("BadProof", book.collect, RIVAL, deal, 0, (0, payees[0], 101), tree.proof(0))
    refused("BadProof", book.collect, RIVAL, deal, 0, (1, payees[0], 100), tree.proof(0))
    refused("NotYet", book.sweep, RIVAL, deal, 0)
    for n in (0, 2):
        book.collect(RIVAL, deal, 0, (n, payees[n], amounts[n]), tree.proof(n))
        assert world.balance(payees[n]) == amounts[n]
        refused("Collected", book.collect, RIVAL, deal, 0, (n, payees[n], amounts[n]), tree.proof(n))
    refused("OverTotal", book.collect, RIVAL, deal, 0, (1, payees[1], 200), tree.proof(1))
    world.advance(HOUR)
    refused("TooLate", book.collect, RIVAL, deal, 0, (1, payees[1], 200), tree.proof(1))
    book.sweep(RIVAL, deal, 0)
    assert world.balance(CLIENT) == 10**9 - 500
    refused("Swept", book.sweep, RIVAL, deal, 0)
    assert book.state(deal).status == "closed"
