"""Pay per answer between workspaces on a chain: a proven answer is paid, anything else costs the provider its stake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from groth16_setups import Setup
from ports.anvil import advance, anvil, mine
from troth.app import Settings, Troth
from troth.app.checking import verify_bundle
from troth.app.proving import check
from troth.core.claims import Ref
from troth.core.errors import ActRefused, Misuse, Pending, Refuted
from troth.core.verdicts import Outcome
from troth.flows import answer as flow
from troth.flows.answer import Offer, Proven, Question
from troth.flows.parts import Pin
from troth.identity.binding import binding_statement, consent_digest
from troth.identity.did import ChainAccount
from troth.identity.keys import Secp256k1KeyPair
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.anvil import AnvilChain
from troth.ledger.erc20 import Erc20
from troth.ledger.kept import publish
from troth.verify.answers import Answer, packed, unpacked
from troth.verify.groth16 import Proof
from troth.verify.policies.proof import answer_data, key_name

SETUP, OTHER = Setup(3), Setup(3, seed=2)
INPUT, SCORES, RANGES = 11, (-3, 40), ((-10, 10), (0, 100))
PRICE, STAKE, HOUR, PURSE = 100, 300, 3600, 100_000


@dataclass
class Place:
    """A buyer and a provider who know each other, on one chain where the key is published."""

    chain: AnvilChain
    buyer: Troth
    provider: Troth
    token: Erc20
    asked: int = 0

    def question(self, **changes: object) -> Question:
        self.asked += 1
        found = self.buyer.contracts
        policy = Pin.of(found["proof"])
        made = Question(self.chain.chain_id, found["book"].address, policy, found["token"].address,
                        self.buyer.account, self.provider.account, PRICE, STAKE,
                        self.chain.now() + HOUR, HOUR, key_name(SETUP.key), (INPUT,), ("input",), RANGES, "scores",
                        self.asked.to_bytes(32, "big"))
        return replace(made, **changes)  # type: ignore[arg-type]

    def offer(self) -> Offer:
        return Offer(SETUP.key, Pin.of(self.provider.contracts["proof"]), self.token.address, PRICE, STAKE, HOUR,
                     ("input",), RANGES, "scores")

    def ask(self, **changes: object) -> bytes:
        claim = flow.ask(self.buyer, self.question(**changes), self.provider.did)
        self.provider.receive()
        return claim

    def balances(self) -> tuple[int, int]:
        return self.token.balance(self.buyer.account), self.token.balance(self.provider.account)

    def wait(self, seconds: int) -> None:
        advance(self.chain, seconds)
        mine(self.chain)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("answers")
    with anvil() as chain:
        buyer, provider = (Troth.init(folder / name, "x", Settings(name, "embedded:", str(folder / "exchange")),
                                      cost=MIN_COST, clock=chain, chain=chain) for name in ("buyer", "provider"))
        with buyer, provider:
            contracts = buyer.deploy(supply=2 * PURSE)
            provider.use_contracts(contracts)
            token = Erc20(chain.web3, contracts["token"].address)
            token.transfer(buyer.sender, provider.account, PURSE)
            for one in (buyer, provider):
                token.approve(one.sender, contracts["book"].address, PURSE)
            buyer.meet(provider.introduction())
            provider.meet(buyer.introduction())
            publish(provider.sender, contracts["keys"].address, SETUP.key.data)
            yield Place(chain, buyer, provider, token)


def forge(context: int, scores: tuple[int, ...] = SCORES, setup: Setup = SETUP, bound: int = INPUT) -> Proven:
    proof = setup.forge((context, bound, *packed(scores, RANGES)))
    return Proven(proof.data, scores, RANGES, "scores", "dev")


@dataclass
class Signed:
    """A provider's answer in the log of a buyer, and what others make of it."""

    buyer: Troth
    answer: bytes
    folder: Path
    anchored: int = 0

    def again(self, *refs: Ref) -> bytes:
        """The buyer signs it as its own, with these references more."""
        said = self.buyer.statement(self.answer)
        question = Ref("question", said.ref("question"))
        return self.buyer.attest(said.kind, said.subjects, said.body, refs=[question, *refs], evidence=said.evidence)

    def judged(self, claim: bytes, **roles: list[str]) -> tuple[Outcome, str]:
        """What a bundle of the buyer's log is worth to who believes these roles: its outcome, and why."""
        if self.anchored < self.buyer.log.size:
            self.buyer.anchor()
            self.anchored = self.buyer.log.size
        self.buyer.bundle(claim, self.folder / "answer.troth")
        reading = Answer.of(self.buyer.statement(self.answer)).reading.hex()
        trust = self.buyer.trust(roles, self.buyer.log_pin(), {"name": "proven-answer", "keys": [reading]})
        report = verify_bundle(self.folder / "answer.troth", trust)
        return report.outcome, next(step.detail for step in report.steps if step.n == 11)


@pytest.fixture
def signed(place: Place, tmp_path: Path) -> Signed:
    if not any(place.provider.claims("binding")):
        place.provider.bind_account()
        place.buyer.bind_account()
    claim = place.ask()
    flow.accept(place.provider, claim, place.offer())
    found = flow.answer(place.provider, claim, SETUP.key, forge)
    place.buyer.receive()
    return Signed(place.buyer, found, tmp_path)


def test_an_answer_signed_again_by_who_is_no_provider_is_refuted(place: Place, signed: Signed) -> None:
    buyer, provider = place.buyer.did, place.provider.did
    paid = place.balances()
    assert signed.judged(signed.answer, buyer=[buyer], provider=[provider])[0] is Outcome.UPHELD
    outcome, why = signed.judged(signed.again(), buyer=[buyer], provider=[provider])
    assert outcome is Outcome.REFUTED
    assert "who is no provider" in why
    # One executed again names no account and no proof: only the role says whose answers count.
    rerun = Answer("rerun", bytes(32), (3,), ((0, 9),), "scores")
    lie = place.buyer.attest("answer", rerun.subjects(), rerun.body())
    assert "who is no provider" in signed.judged(lie, buyer=[buyer], provider=[provider])[1]
    assert place.balances() == paid   # a claim moves nothing: the deal paid the account that it asked


def test_an_answer_signed_again_by_another_provider_is_refuted(place: Place, signed: Signed) -> None:
    """Both are believed as providers; the deal asked one account, and a binding says whose it is."""
    both = [place.buyer.did, place.provider.did]
    bound = {said.issuer: Ref("account", claim) for claim, said in place.buyer.claims("binding")}
    mine, theirs = (bound[did] for did in both)
    assert signed.judged(signed.answer, provider=both)[0] is Outcome.UPHELD
    told, hidden, borrowed = signed.again(mine), signed.again(), signed.again(theirs)
    for roles in ({"provider": both}, {"anybody": both}):
        outcome, why = signed.judged(told, **roles)
        assert outcome is Outcome.REFUTED
        assert "signed again by somebody else" in why
        for claim in (hidden, borrowed):   # it does not say which account is its own
            outcome, why = signed.judged(claim, **roles)
            assert outcome is Outcome.UNDECIDABLE
            assert "holds the account" in why


def test_an_account_that_was_changed_leaves_earlier_answers_as_they_were(place: Place, signed: Signed) -> None:
    later = Secp256k1KeyPair(bytes([7]) * 32)
    named = ChainAccount(place.chain.chain_id, later.public.account)
    said = binding_statement(place.provider.did, named, later.sign_digest(consent_digest(place.provider.did, named)), 1)
    claim = place.provider.attest(said.kind, said.subjects, said.body)
    place.provider.send([place.buyer.did], [claim])
    place.buyer.receive()
    assert place.buyer.account_of(place.provider.did) == later.public.account
    for party in (place.buyer, place.provider):
        assert check(party, signed.answer).outcome is Outcome.UPHELD
    assert check(place.buyer, signed.again()).outcome is Outcome.REFUTED


def test_an_answer_is_asked_proven_and_paid(place: Place) -> None:
    before = place.balances()
    claim = place.ask()
    with pytest.raises(Pending):
        flow.paid_for(place.buyer, claim)
    flow.accept(place.provider, claim, place.offer())
    mine_ = flow.answer(place.provider, claim, SETUP.key, forge)
    assert flow.paid_for(place.buyer, claim) == (SCORES, mine_)
    assert place.buyer.receive() == (mine_,)
    assert check(place.buyer, mine_).outcome is Outcome.UPHELD
    assert place.balances() == (before[0] - PRICE, before[1] + PRICE)


def test_a_buyer_reads_what_was_proven_and_not_what_the_claim_says(place: Place) -> None:
    """Publics are distances from the lowest value, so a claim with other ranges tells other scores of them."""
    claim = place.ask()
    question = flow.accept(place.provider, claim, place.offer())
    moved = tuple((low + 5, high + 5) for low, high in RANGES)
    told = replace(forge(question.place().context), scores=(2, 45), ranges=moved)
    with pytest.raises(Misuse, match="read otherwise"):
        flow.answer(place.provider, claim, SETUP.key, lambda context: told)
    data = answer_data(question.key, Proof(told.proof), (INPUT,), packed(told.scores, moved))
    place.provider.book.submit_and_close(place.provider.account, question.deal(), 0, 0, bytes(32), data)
    assert flow.paid_for(place.buyer, claim)[0] == SCORES


def test_publics_that_are_no_numbers_in_the_ranges_are_refuted() -> None:
    assert unpacked(packed(SCORES, RANGES), RANGES) == SCORES
    for publics in ([21], [101 << 5], [1 << 12], [], [0, 0]):  # beyond a range, beyond all of them, too few, too many
        with pytest.raises(Refuted, match="no numbers"):
            unpacked(publics, RANGES)


def test_a_wrong_proof_is_not_even_sent(place: Place) -> None:
    """The provider checks its own proof first, so that a mistake costs nothing while there is time."""
    claim = place.ask()
    flow.accept(place.provider, claim, place.offer())
    before = place.balances()
    with pytest.raises(Refuted):
        flow.answer(place.provider, claim, SETUP.key, lambda context: replace(forge(context), scores=(9, 9)))
    with pytest.raises(Refuted):
        flow.answer(place.provider, claim, SETUP.key, lambda context: forge(context + 1))
    assert place.balances() == before
    flow.answer(place.provider, claim, SETUP.key, forge)


def test_a_provider_that_answers_with_another_model_loses_its_stake(place: Place) -> None:
    claim = place.ask()
    question = flow.accept(place.provider, claim, place.offer())
    before = place.balances()
    data = answer_data(question.key, OTHER.forge((question.place().context, INPUT, 5)), (INPUT,), (5,))
    place.provider.book.submit_and_close(place.provider.account, question.deal(), 0, 0, bytes(32), data)
    assert place.balances() == (before[0] + PRICE + STAKE, before[1])
    with pytest.raises(Refuted, match="no proven answer"):
        flow.paid_for(place.buyer, claim)


def test_silence_pays_the_buyer(place: Place) -> None:
    before = place.balances()
    claim = place.ask()
    flow.accept(place.provider, claim, place.offer())
    with pytest.raises(Pending, match=r"still has time; nothing changed; expected .* UTC or later; found running"):
        flow.take_back(place.buyer, claim)
    place.wait(HOUR + 1)
    flow.take_back(place.buyer, claim)
    with pytest.raises(ActRefused, match="Closed"):
        flow.take_back(place.buyer, claim)
    assert place.balances() == (before[0] + STAKE, before[1] - STAKE)


def test_a_question_that_nobody_takes_gives_the_price_back(place: Place) -> None:
    before = place.balances()
    claim = place.ask()
    assert place.balances()[0] == before[0] - PRICE
    with pytest.raises(Pending, match="found funding"):
        flow.take_back(place.buyer, claim)
    place.wait(HOUR + 1)
    flow.take_back(place.buyer, claim)
    assert place.balances() == before


def test_what_the_provider_did_not_offer_it_does_not_take(place: Place) -> None:
    before = place.balances()[1]
    pinned = place.provider.contracts["assumed"]
    for name, changes in {
        "key": {"key": key_name(OTHER.key)}, "provider": {"provider": b"\5" * 20},
        "price or the stake": {"price": PRICE - 1}, "price or": {"stake": STAKE + 1},
        "the time that you take": {"period": 1},
        "otherwise than you answer": {"ranges": ((0, 1), *RANGES[1:])}, "to be read otherwise": {"output": "label"},
        "read otherwise": {"says": ("somebody else's model",)},
    }.items():
        with pytest.raises(Misuse, match=name):
            flow.accept(place.provider, place.ask(**changes), place.offer())
    with pytest.raises(Misuse, match="nothing to answer"):
        flow.accept(place.provider, place.ask(bound=(INPUT, 5), says=("input", "scores 0")),
                    replace(place.offer(), says=("input", "scores 0")))
    with pytest.raises(Misuse, match="policy"):
        flow.accept(place.provider, place.ask(), replace(place.offer(), proof=Pin.of(pinned)))
    with pytest.raises(Misuse, match="moves nothing"):
        place.ask(price=0)
    with pytest.raises(Misuse, match="somebody else's question"):
        place.ask(buyer=place.provider.account, provider=place.buyer.account)
    assert place.balances()[1] == before


def test_a_question_reads_as_it_was_written(place: Place) -> None:
    made = place.question(bound=(INPUT, 2**250), says=("model", "input"))
    assert Question.of(made.body()) == made
    unopened = replace(made, bound=(INPUT,), says=("input",))
    claim = place.provider.attest("question", [flow.Subject("deal", {"keccak256": "00"})], unopened.body())
    with pytest.raises(Refuted, match="price is not there"):
        flow.accept(place.provider, claim, place.offer())
