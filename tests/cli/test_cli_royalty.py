"""Royalties by hand: said, paid wrongly, challenged, judged, collected; the face for markets; was it used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from troth.app import Settings, Troth
from troth.app.royalties import check
from troth.core.claims import Ref, Subject
from troth.core.terms import UPHELD, Result
from troth.core.verdicts import Outcome
from troth.flows import royalties as flow
from troth.identity.keystore import MIN_COST
from troth.ledger.erc20 import Erc20

PASSPHRASE = "correct horse"
Run = Callable[..., dict[str, object]]
TERMS = ("--stake", "3000", "--bond", "100", "--fee", "40", "--verifier-stake", "100", "--keeper", "6")


def thing(number: int) -> Subject:
    return Subject("it", {"sha256": hashlib.sha256(bytes([number])).hexdigest()})


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, str, str]:
    """Alice's model on Bob's listing; Vera may be called. The listing, the model, Vera's DID."""
    chain, exchange = f"embedded:{tmp_path / 'chain'}", str(tmp_path / "exchange")
    alice, bob, vera = (Troth.init(tmp_path / name, PASSPHRASE, Settings(name, chain, exchange), cost=MIN_COST)
                        for name in ("alice", "bob", "vera"))
    with alice, bob, vera:
        contracts = alice.deploy(quorum=1, supply=30_000)
        token = Erc20(alice.chain.web3, contracts["token"].address)
        for party in (alice, bob, vera):
            party.use_contracts(contracts)
            party.bind_account()
            if party is not alice:
                token.transfer(alice.sender, party.account, 10_000)
        for party in (alice, bob, vera):
            for other in (alice, bob, vera):
                if other is not party:
                    other.meet(party.introduction())
        listing = bob.attest("listing", [thing(1)], {"cid": "words"})
        bob.send([alice.did], [listing])
        alice.receive()
        model = alice.attest("run", [thing(2)], {}, refs=[Ref("data", listing)])
        alice.send([bob.did], [model])  # a verifier is told by who pays
        return listing.hex(), model.hex(), vera.did


@pytest.mark.slow
def test_by_hand(run: Run, place: tuple[str, str, str], tmp_path: Path) -> None:
    listing, model, vera = place
    for name in ("bob", "vera"):
        run(name, "pull")
    run("alice", "royalty", "contribute", model, "--passes", "400000", status=2)
    said = run("alice", "royalty", "contribute", model, "--passes", "400000", "--weight", f"{listing}=7")
    assert (said["method"], said["weights"]) == ("declared", {listing: "7"})
    run("alice", "royalty", "contribute", model, "--passes", "1", "--weight", f"{listing}=7", status=2)
    run("bob", "royalty", "contribute", model, "--passes", "1", "--weight", f"{listing}=7", status=2)
    run("bob", "royalty", "due", model, "1000", status=3)  # nobody told Bob yet
    made = run("alice", "royalty", "pay", model, "1000", "--verifier", vera, *TERMS)
    deal = str(made["deal"])
    for name in ("bob", "vera"):
        run(name, "pull")
    parts = run("bob", "royalty", "due", model, "1000")["parts"]
    assert isinstance(parts, list)
    assert {one["claim"]: one["amount"] for one in parts} == {listing: "400", model: "600"}
    assert run("vera", "royalty", "join", deal)["deposited"] == "100"
    with Troth.open(tmp_path / "alice", PASSPHRASE) as alice:
        assert check(alice, bytes.fromhex(deal)).outcome is Outcome.PENDING
        flow.answer(alice, bytes.fromhex(str(made["claim"])), Result(UPHELD))
    with Troth.open(tmp_path / "bob", PASSPHRASE) as bob:
        report = check(bob, bytes.fromhex(deal))
        assert (report.outcome, report.steps[-1].detail) == (Outcome.REFUTED, "the payer answered with another root")
    assert run("bob", "royalty", "challenge", deal)["deposited"] == "140"
    run("alice", "royalty", "answer", deal)
    run("vera", "pull")
    assert [run("vera", "royalty", "judge", deal)["done"] for _ in range(2)] == ["committed", "revealed"]
    for _ in range(2):
        run("vera", "deal", "keep", "--once", "--at-a-loss")
    run("bob", "pull")
    assert run("bob", "royalty", "collect", deal)["amount"] == "400"
    (one,) = run("bob", "royalty", "list")["runs"]  # type: ignore[misc]
    assert (one["status"], one["mine"]) == ("closed", "400")
    with Troth.open(tmp_path / "bob", PASSPHRASE) as bob:
        assert Erc20(bob.chain.web3, bob.contracts["token"].address).balance(bob.account) == 10_000 + 400 + 1_500 - 40


def test_used_erased_and_the_face_for_markets(run: Run, place: tuple[str, str, str], tmp_path: Path) -> None:
    listing, model, _ = place
    run("bob", "pull")
    assert run("bob", "royalty", "used", listing, model)["outcome"] == "upheld"
    found = run("bob", "royalty", "erased", listing)
    assert (found["erased"], found["stale"]) == (False, [{"claim": model, "kind": "run"}])
    run("bob", "royalty", "used", model, model, status=2)
    made = run("alice", "royalty", "contribute", model, "--passes", "400000", "--weight", f"{listing}=7")
    with Troth.open(tmp_path / "alice", PASSPHRASE) as alice, Troth.open(tmp_path / "bob", PASSPHRASE) as bob:
        alice.send([bob.did], [bytes.fromhex(str(made["claim"]))])
        bob.receive()
        did, account = alice.did, bob.account
    shown = run("bob", "reputation", "show", "0x" + account.hex()[:-2] + "00", "--from", "0x" + "11" * 20)
    (one,) = shown["standings"]  # type: ignore[misc]
    assert (one["score"], one["deals"], shown["together"]) == ("0", 0, "0")
    run("bob", "reputation", "show", "0x" + account.hex(), status=2)  # one's own
    face = run("alice", "royalty", "face", model, "--rate", "50000", "--publish")
    assert set(face["shares"]) >= {"0x" + account.hex()}  # type: ignore[call-overload]
    with Troth.open(tmp_path / "alice", PASSPHRASE) as alice, Troth.open(tmp_path / "bob", PASSPHRASE) as bob:
        bob.use_contracts(alice.contracts)
        token = Erc20(alice.chain.web3, alice.contracts["token"].address)
        token.transfer(alice.sender, bytes.fromhex(str(face["purse"])[2:]), 500)  # a market that asked
    release = ("royalty", "release", model, "--rate", "50000", "--maker", did)
    assert run("bob", *release)["amount"] == "200"
    assert run("bob", *release)["amount"] == "0"
    assert run("alice", *release)["amount"] == "300"
