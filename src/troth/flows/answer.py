"""Pay per answer: a buyer pays for an answer of a named model to a named input, and only against a proof of it.

Claims: question, answer. Ladder: Proof alone. The buyer deposits a price, the provider a stake; the provider answers
with scores and a proof that the policy checks, and is paid in the same act. Anything else, silence too, pays the buyer
its price back and the stake. The policy decides by arithmetic, so nobody can dispute, and no rung stands above it.

The question fixes the verifying key, and the publics that say which model and which input: commitments, where they are
not to be seen. What it does not settle: whether the answer is good (it is the committed model's, and no more), whether
the key's setup can be trusted, and how the buyer's input reached the provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from troth.core import encoding
from troth.core.claims import Ref, Subject
from troth.core.encoding import from_hex, keccak256
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted
from troth.core.terms import REFUTED, SUBMISSION, UPHELD, Account, Ask, DealState, Pot, Rung, Split, Terms, deal_id
from troth.core.times import moment
from troth.flows.parts import Party, Pin
from troth.identity.binding import BINDING, accounts_of
from troth.verify import groth16
from troth.verify.answers import (
    ANSWER,
    GROTH16,
    KEY,
    MAX_SCORES,
    PROOF,
    QUESTION,
    Answer,
    InDeal,
    integer_of,
    packed,
    unpacked,
)
from troth.verify.policies.proof import ASK, answer_data, key_name, proof_param, read_answer

PRICE, STAKE = 0, 1
"""Pots."""
VERDICT_PERIOD = 3600
"""Seconds. An answer is judged in its own act; this is the time to have a silent deal judged before it is closed so."""
NO_BONDS = keccak256(b"troth answer: a deal of one rung has no bonds")[12:]


@dataclass(frozen=True, slots=True)
class Question:
    """What both sides agree on. Amounts in the token's smallest unit; fund_by Unix seconds; period: seconds to answer,
    from the stake on. key: the verifying key's name on the chain. bound: the publics between context and answer, which
    this question fixes; says: what each is. ranges: (lowest, highest) of each number that is wanted, by which the
    answer's publics are read; output: what these numbers are. nonce: 32 random bytes, the deal's salt.
    """

    chain_id: int
    book: Account
    proof: Pin
    token: Account
    buyer: Account
    provider: Account
    price: int
    stake: int
    fund_by: int
    period: int
    key: bytes
    bound: tuple[int, ...]
    says: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    output: str
    nonce: bytes

    def terms(self) -> Terms:
        """The deal's terms; both parties make them by themselves."""
        pots = (Pot("price", self.buyer, self.price, {UPHELD: Split((self.provider,), amounts=(self.price,))}),
                Pot("stake", self.provider, self.stake, {REFUTED: Split((self.buyer,), amounts=(self.stake,))}))
        rung = Rung(self.proof.address, self.proof.codehash, (Ask(ASK, (self.provider,), self.period),),
                    VERDICT_PERIOD, silent=REFUTED, param=proof_param(self.key, self.bound))
        return Terms(self.token, pots, (rung,), self.fund_by, NO_BONDS)

    def deal(self) -> bytes:
        """The deal's id, known before it is opened."""
        return deal_id(self.chain_id, self.book, self.buyer, self.nonce, self.terms().hash())

    def place(self) -> InDeal:
        """What the proof must be for."""
        return InDeal(self.chain_id, self.book, self.deal(), 0, self.provider)

    def sound(self) -> None:
        """Refuse numbers that are no question's. Raises Misuse."""
        if self.buyer == self.provider or min(self.price, self.stake, self.period) < 1:
            raise Misuse("a question that moves nothing", actual=self.body(),
                         expected="two accounts; a price, a stake and a period of at least 1")
        if len(self.says) != len(self.bound):
            raise Misuse("publics without a meaning", expected=len(self.bound), actual=self.says)
        if not 1 <= len(self.ranges) <= MAX_SCORES or any(low > high for low, high in self.ranges):
            raise Misuse("an answer that nobody could read", expected=f"1 to {MAX_SCORES} ranges, lowest first",
                         actual=self.ranges[:4])

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"book": self.book.hex(), "bound": [str(value) for value in self.bound], "buyer": self.buyer.hex(),
                "chain": str(self.chain_id), "fund_by": self.fund_by, "key": self.key.hex(), "nonce": self.nonce.hex(),
                "output": self.output, "period": self.period, "price": str(self.price), "proof": self.proof.json(),
                "provider": self.provider.hex(),
                "ranges": [[str(low), str(high)] for low, high in self.ranges], "says": list(self.says),
                "stake": str(self.stake), "token": self.token.hex()}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        (book, bound, buyer, chain, fund_by, key, nonce, output, period, price, proof, provider, ranges, says, stake,
         token) = encoding.take(body, book=str, bound=list, buyer=str, chain=str, fund_by=int, key=str, nonce=str,
                                output=str, period=int, price=str, proof=dict, provider=str, ranges=list, says=list,
                                stake=str, token=str)
        pin = Pin.read(proof)
        if any(type(text) is not str for text in (*bound, *says)):
            raise BadInput("not a question", expected="publics and what they say as texts")
        if any(type(pair) is not list or len(pair) != 2 for pair in ranges):
            raise BadInput("not a question", expected="ranges as pairs")
        return cls(encoding.amount(chain), from_hex(book, 20), pin,
                   from_hex(token, 20), from_hex(buyer, 20), from_hex(provider, 20), encoding.amount(price),
                   encoding.amount(stake), fund_by, period, from_hex(key, 32), tuple(map(integer_of, bound)),
                   tuple(says), tuple((integer_of(low), integer_of(high)) for low, high in ranges), output,
                   from_hex(nonce, 32))


@dataclass(frozen=True, slots=True)
class Proven:
    """What a prover gives for a context: the scores with their ranges, and the proof. output: scores or label."""

    proof: bytes
    scores: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    output: str
    origin: str


def ask(party: Party, question: Question, provider: str) -> bytes:
    """The buyer asks: a signed question, the price deposited, both handed over to ``provider``. The question's claim.

    Raises Misuse for a question that moves nothing or is another buyer's; ActRefused where the Book refuses it.
    """
    question.sound()
    if question.buyer != party.account:
        raise Misuse("somebody else's question", expected=party.account.hex(), actual=question.buyer.hex())
    party.book.open_and_join(party.account, question.terms(), question.nonce, PRICE)
    claim = party.attest(QUESTION, [Subject("deal", {"keccak256": question.deal().hex()})], question.body())
    party.send([provider], [claim])
    return claim


@dataclass(frozen=True, slots=True)
class Offer:
    """What a provider answers for. proof: the policy it trusts. price: the least it takes. stake: the most it risks.

    period: the least seconds it needs. says, ranges, output: as it will answer, and as `Question` has them.
    """

    key: groth16.VerifyingKey
    proof: Pin
    token: Account
    price: int
    stake: int
    period: int
    says: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    output: str


def accept(party: Party, claim: bytes, offer: Offer) -> Question:
    """The provider deposits the stake, after checking that the question is one that its offer covers.

    The key must be published on the chain before the answer, by anybody. Raises Misuse for a question that the offer
    does not cover; Refuted where no deal is the question's, or the buyer's price is not there.
    """
    question = Question.of(party.statement(claim).body)
    question.sound()
    wanted = {"provider": (party.account, question.provider), "key": (key_name(offer.key), question.key),
              "token": (offer.token, question.token), "policy": (offer.proof.address, question.proof.address),
              "policy's code": (offer.proof.codehash, question.proof.codehash)}
    for what, (mine, asked) in wanted.items():
        if mine != asked:
            raise Misuse(f"a question for another {what}", expected=mine.hex(), actual=asked.hex())
    if question.price < offer.price or question.stake > offer.stake:
        raise Misuse("not the price or the stake that you take", actual=f"{question.price}, {question.stake}",
                     expected=f"at least {offer.price}, at most {offer.stake}")
    if question.period < offer.period:
        raise Misuse("not the time that you take to answer: the stake would be lost", actual=f"{question.period} s",
                     expected=f"at least {offer.period} s")
    if (question.says, question.ranges, question.output) != (offer.says, offer.ranges, offer.output):
        raise Misuse("a question to be read otherwise than you answer: the stake would be lost",
                     expected=f"{offer.output}, {offer.ranges}", actual=f"{question.output}, {question.ranges}")
    if len(question.bound) >= offer.key.publics - 1:
        raise Misuse("a question that leaves nothing to answer", actual=len(question.bound),
                     expected=f"below {offer.key.publics - 1} publics fixed")
    state = _state(party, question)
    if state is None or state.status != "funding" or PRICE not in state.joined:
        raise Refuted("the buyer's price is not there", expected="a deal with its price deposited",
                      actual="no such deal" if state is None else state.status)
    party.book.join(party.account, question.deal(), STAKE)
    return question


def answer(party: Party, claim: bytes, key: groth16.VerifyingKey, prove: Callable[[int], Proven]) -> bytes:
    """The provider proves, submits and is paid, in one act; the answer's claim, which the buyer is sent.

    It refers to the binding of the account that was asked, where there is one: by that, others know whose answer it is.

    prove: from the context, which must be the proof's first public. The proof is verified here first: one that does not
    hold is not submitted, and nothing is lost yet. Raises Refuted then; Misuse for an answer that is to be read
    otherwise than the question says; ActRefused where the Book refuses.
    """
    statement = party.statement(claim)
    question = Question.of(statement.body)
    place = question.place()
    found = prove(place.context)
    if (found.ranges, found.output) != (question.ranges, question.output):
        raise Misuse("an answer to be read otherwise than the question says", actual=f"{found.output}, {found.ranges}",
                     expected=f"{question.output}, {question.ranges}")
    said = Answer(GROTH16, from_hex(key.digest, 32), found.scores, found.ranges, found.output, claim, place.context,
                  question.bound, question.says, found.origin, place)
    proof = groth16.Proof(found.proof)
    groth16.verify(key, proof, said.publics)
    evidence = [party.add(PROOF, found.proof), party.add(KEY, key.data)]
    bindings = [one for one, found_ in party.claims(BINDING)
                if question.provider in accounts_of([found_], party.did, question.chain_id)][-1:]
    refs = [Ref("question", claim), *(Ref("account", one) for one in bindings)]
    mine = party.attest(ANSWER, said.subjects(), said.body(), refs=refs, evidence=evidence)
    data = answer_data(question.key, proof, question.bound, packed(found.scores, found.ranges))
    party.book.submit_and_close(party.account, question.deal(), 0, 0, mine, data)
    party.send([statement.issuer], [*bindings, mine], evidence)
    return mine


def paid_for(party: Party, claim: bytes) -> tuple[tuple[int, ...], bytes]:
    """What the buyer got: the numbers that it asked for, and the id of the answer's claim.

    They are read from the chain by the question's own ranges, whatever the claim says. Raises Pending while the
    provider may answer, Refuted where it did not, or not rightly (its stake is then the buyer's, once closed), and
    where what was proven are no numbers in these ranges: then the question's ranges are not its circuit's.
    """
    question = Question.of(party.statement(claim).body)
    state = _state(party, question)
    if state is None or state.final is None:
        raise Pending("not answered yet", actual="no deal" if state is None else state.status)
    said = [entry for entry in state.history if entry.kind == SUBMISSION]
    publics = read_answer(said[0].data) if said else None
    if state.final.outcome != UPHELD or publics is None:
        raise Refuted("no proven answer came", expected="a proof that fits",
                      actual="a false one" if said else "silence")
    return unpacked(publics, question.ranges), said[0].claim


def take_back(party: Party, claim: bytes) -> None:
    """After the time to answer: price and stake to the buyer. Anybody may. Raises Pending before, and ActRefused where
    the deal is closed already."""
    deal = Question.of(party.statement(claim).body).deal()
    state = party.book.state(deal)
    try:
        if state.status == "running" and not any(entry.kind == SUBMISSION for entry in state.history):
            party.book.judge_and_close(party.account, deal)
        else:
            party.book.close(party.account, deal)
    except ActRefused as refusal:
        if refusal.code not in ("NotYet", "TooEarly"):
            raise
        until = (state.terms.fund_by if state.status == "funding" else
                 state.ask_start + state.terms.rungs[0].asks[0].period)
        raise Pending("the provider still has time; nothing changed", expected=f"{moment(until)} or later",
                      actual=state.status, do="Do it again then.") from None


def _state(party: Party, question: Question) -> DealState | None:
    """The question's deal as the chain has it, or None."""
    try:
        return party.book.state(question.deal())
    except ActRefused as refusal:
        if refusal.code == "Unknown":
            return None
        raise


