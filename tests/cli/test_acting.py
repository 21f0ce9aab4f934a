"""Acting on the chain from the command line: a request by a party that pays nothing, carried, and the deal kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from troth.app import Settings, Troth
from troth.core.terms import KEEPER, REFUTED, UPHELD, Ask, Pot, Result, Rung, Split, Terms
from troth.identity.keystore import MIN_COST
from troth.ledger.erc20 import Erc20

PASSPHRASE = "correct horse"
Run = Callable[..., dict[str, object]]
CLAIM = "11" * 32


@pytest.fixture
def deal(tmp_path: Path) -> str:
    """A job by hand between alice and bob on one chain file: alice pays, bob works for it with a stake."""
    chain = f"embedded:{tmp_path / 'chain'}"
    names = ("alice", "bob", "carrier")
    alice, bob, carrier = (Troth.init(tmp_path / name, PASSPHRASE, Settings(name, chain), cost=MIN_COST)
                           for name in names)
    with alice, bob, carrier:
        contracts = alice.deploy(supply=10_000)
        token, book = Erc20(alice.chain.web3, contracts["token"].address), contracts["book"].address
        for party in (bob, carrier):
            party.use_contracts(contracts)
        token.transfer(alice.sender, bob.account, 500)
        for party in (alice, bob):
            token.approve(party.sender, book, 1_000)
        policy = contracts["assumed"]
        rung = Rung(policy.address, policy.codehash, (Ask("result", (bob.account,), 3600),), 3600, 0, 0, REFUTED)
        pots = (Pot("pay", alice.account, 100, {UPHELD: Split((bob.account, KEEPER), amounts=(90, 10))}),
                Pot("stake", bob.account, 500, {UPHELD: Split((bob.account,), weights=(1,))}))
        terms = Terms(token.address, pots, (rung,), alice.chain.now() + 3600, b"\x55" * 20)
        deal = alice.book.open(alice.account, terms, bytes(32))
        alice.book.join(alice.account, deal, 0)
    return deal.hex()


def test_by_request_and_by_a_keeper(run: Run, deal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = run("bob", "deal", "request", "join", deal, "1", "-o", "join.request")
    assert asked["act"] == "join"
    assert run("carrier", "deal", "keep", "--once") == {"due": []}
    with monkeypatch.context() as poor:
        for gas, status, said in (("50000", 1, "more gas than this relayer"), ("much", 2, "[relay] gas is no number")):
            poor.setenv("TROTH_RELAY_GAS", gas)
            assert said in str(run("carrier", "deal", "relay", "../bob/join.request", status=status)["said"])
    carried = run("carrier", "deal", "relay", "../bob/join.request")["carried"]
    assert isinstance(carried, list)
    assert "done" in carried[0]["outcome"]
    assert run("carrier", "deal", "relay", "../bob/join.request")["carried"] == carried  # once
    assert "carried already" in str(run("alice", "deal", "relay", "../bob/join.request", status=1)["said"])
    assert "NotFunding" in str(run("bob", "deal", "request", "join", deal, "1", "-o", "x", status=1)["said"])

    run("bob", "deal", "request", "submit", deal, "0", "0", CLAIM, Result(UPHELD).to_bytes().hex(), "-o",
        "submit.request")
    run("carrier", "deal", "relay", "../bob/submit.request")
    (due,) = list(run("carrier", "deal", "keep", "--dry")["due"])  # type: ignore[call-overload]
    assert (due["act"], due["earns"], due["outcome"]) == ("judge", "5", "left")
    with monkeypatch.context() as dear:
        dear.setattr("troth.ledger.keeper.gas_price", lambda web3: 1)
        # Anybody can make a token and promise plenty of it: a price is one token's alone.
        for token, outcome in (("0x" + "11" * 20, "left"), (due["token"], "done")):
            (done,) = list(run("carrier", "deal", "keep", "--once", "--worth", f"{token}=1e9")  # type: ignore[call-overload]
                           ["due"])
            assert done["outcome"] == outcome
    (closed,) = list(run("carrier", "deal", "keep", "--once")["due"])  # type: ignore[call-overload]
    assert (closed["act"], closed["outcome"], closed["earns"]) == ("close", "done", "5")

    acts = run("carrier", "chain", "acts", "--wait", "finalized")["acts"]
    assert isinstance(acts, list)
    assert [one["state"] for one in acts] == ["finalized"] * 4
    shown = run("bob", "chain", "acts")["acts"]
    assert isinstance(shown, list)
    assert len(shown) == 1  # its approval: it has sent nothing else


def test_what_it_refuses(run: Run, deal: str) -> None:
    for words, status, said in (
        (("deal", "request", "open", deal, "-o", "x"), 2, "no act that can be requested"),
        (("deal", "request", "join", deal, "-o", "x"), 2, "takes 2 values"),
        (("deal", "request", "join", deal, "one", "-o", "x"), 2, "not a number"),
        (("deal", "request", "join", "12", "1", "-o", "x"), 2, "no id of a deal"),
        (("deal", "request", "judge", deal, "-o", "x"), 1, "NotRunning"),
        (("deal", "relay", "missing"), 2, "cannot read"),
        (("deal", "keep", "--once", "--worth", "much"), 2, "not a price"),
        (("deal", "keep", "--once", "--worth", "0x12=1"), 2, "canonical hex"),
    ):
        assert said in str(run("bob", *words, status=status)["said"])
