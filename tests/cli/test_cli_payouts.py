"""Payouts by hand: a list from a file, its root answered for by request, checked, collected; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from troth.app import Settings, Troth
from troth.cli.payouts import payees_of
from troth.core.errors import BadInput
from troth.core.terms import REFUTED, UPHELD, Ask, Pot, Root, Rung, Terms
from troth.identity.keystore import MIN_COST
from troth.ledger.erc20 import Erc20

PASSPHRASE = "correct horse"
Run = Callable[..., dict[str, object]]


@pytest.fixture
def deal(tmp_path: Path) -> tuple[str, str, str]:
    """A running deal of alice's that pays by a root what her answer says; the deal, bob's DID and his account."""
    chain, exchange = f"embedded:{tmp_path / 'chain'}", str(tmp_path / "exchange")
    alice, bob = (Troth.init(tmp_path / name, PASSPHRASE, Settings(name, chain, exchange), cost=MIN_COST)
                  for name in ("alice", "bob"))
    with alice, bob:
        contracts = alice.deploy(supply=1_000)
        bob.use_contracts(contracts)
        bob.meet(alice.introduction())
        alice.meet(bob.introduction())
        token = Erc20(alice.chain.web3, contracts["token"].address)
        token.approve(alice.sender, contracts["book"].address, 1_000)
        policy = contracts["assumed"]
        rung = Rung(policy.address, policy.codehash, (Ask("list", (alice.account,), 3600),), 3600, silent=REFUTED)
        pot = Pot("reward", alice.account, 100, {UPHELD: Root(3600)}, alice.account)
        terms = Terms(token.address, (pot,), (rung,), alice.chain.now() + 3600, b"\x55" * 20)
        deal = alice.book.open_and_join(alice.account, terms, bytes(32), 0)
        return deal.hex(), bob.did, "0x" + bob.account.hex()


def test_from_a_file_to_money(run: Run, deal: tuple[str, str, str], tmp_path: Path) -> None:
    id_, did, account = deal
    (tmp_path / "due.csv").write_text(f"account,amount\n{account},60\n0x{'77' * 20},30\n")
    (tmp_path / "other.json").write_text(json.dumps([{"account": account, "amount": "90"}]))
    run("bob", "deal", "payouts", "check", id_, status=4)
    made = run("alice", "deal", "payouts", "publish", id_, "0", "../due.csv")
    assert (made["total"], made["payees"]) == ("90", 2)
    run("alice", "deal", "request", "submit", id_, "0", "0", str(made["claim"]), str(made["result"]), "-o", "a.request")
    run("alice", "deal", "relay", "a.request")
    # Answered for, and not handed over: not to be upheld.
    assert "not here" in str(run("bob", "deal", "payouts", "check", id_, status=3)["said"])
    run("alice", "push", did, str(made["claim"]))
    run("bob", "pull")
    checked = run("bob", "deal", "payouts", "check", id_, "--expect", "../due.csv")
    assert checked.pop("outcome") == "upheld"
    assert checked == {name: made[name] for name in ("claim", "list", "root", "total", "payees")}
    assert "somebody else" in str(run("bob", "deal", "payouts", "check", id_, "--expect", "../other.json",
                                      status=1)["said"])
    run("bob", "deal", "payouts", "check", id_, "--list", str(made["list"]))
    run("bob", "deal", "payouts", "collect", id_, status=4)
    for act in ("judge", "close"):
        run("alice", "deal", "request", act, id_, "-o", "a.request")
        run("alice", "deal", "relay", "a.request")
    assert run("bob", "deal", "payouts", "collect", id_)["amount"] == "60"
    assert run("bob", "deal", "payouts", "collect", id_, "--everybody")["amount"] == "90"
    acts = run("bob", "chain", "acts")["acts"]
    assert isinstance(acts, list)
    assert len(acts) == 2, "through the outbox"
    with Troth.open(tmp_path / "bob", PASSPHRASE) as bob:
        token = Erc20(bob.chain.web3, bob.contracts["token"].address)
        assert [token.balance(bytes.fromhex(one[2:])) for one in (account, "0x" + "77" * 20)] == [60, 30]


@pytest.mark.parametrize("text", ["", "a,b,c\n", "0x12,5\n", f"{'11' * 20},05\n", f"{'11' * 20},-5\n", f"{'11' * 20}\n",
                                  f"{'11' * 20},5,6\n", "[1]", "[", '[{"account": "x"}]', '"', "\xff",
                                  f'[{{"account": "{"11" * 20}", "amount": 5}}]', f"{'11' * 20},5\naccount,amount\n"])
def test_files_that_are_no_payees(text: str) -> None:
    if not text:
        assert payees_of(b"") == []  # which ``publish`` refuses
        return
    with pytest.raises(BadInput):
        payees_of(text.encode("latin-1"))


def test_both_forms_say_the_same() -> None:
    one, other = "11" * 20, "aB" * 20
    rows = [(bytes.fromhex(one), 5), (bytes.fromhex(other), 6)]
    assert payees_of(f"{one}, 5\n\n0x{other},6\n".encode()) == rows
    assert payees_of(f"\ufeffaccount,amount\r\n0x{one},5\r\n{other},6\r\n".encode()) == rows
    assert payees_of(json.dumps([{"account": "0x" + one, "amount": "5"}, {"account": other, "amount": "6"}]).encode()
                     ) == rows
