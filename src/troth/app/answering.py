"""Answers for pay, between two workspaces: an offer as a file, a question with its price, the answer that takes it.

An offer says what a provider answers for: key, modes, what the publics mean, price, stake, time. It is the provider's
word: that the key is of the model you think is not in it (`troth answer key check` says what a key is of). A public
input comes with the question, in the publics that it fixes; a committed one is the provider's own record, and its
commitment stands in the offer.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from troth.app.proving import Proving
from troth.compute.circuits.model import COMMITTED, PUBLIC, Modes
from troth.compute.circuits.packing import Packing
from troth.core.encoding import amount, decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.terms import Account
from troth.fixed.program import Affine, Program
from troth.flows import answer as flow
from troth.flows.answer import STAKE, Offer, Question
from troth.flows.parts import Pin
from troth.verify.answers import integer_of
from troth.verify.policies.proof import key_name

if TYPE_CHECKING:
    from troth.app import Troth

FUND = 86_400
"""Seconds that a provider has to take a question up."""


@dataclass(frozen=True, slots=True)
class Price:
    """token: its account on the chain. price, stake: in its smallest unit. period: seconds to answer."""

    token: Account
    price: int
    stake: int
    period: int


@dataclass(frozen=True, slots=True)
class Offered:
    """What a provider answers for.

    account: the provider's, which is paid. key: the verifying key's name on the chain; model: its SHA-256. bound: the
    publics after the context that do not depend on the question; says: of all that a question fixes, what each is.
    ranges, output: of the answer's numbers. low, high, input_scale, features: of a public input.
    """

    provider: str
    account: Account
    modes: Modes
    key: bytes
    model: str
    bound: tuple[int, ...]
    says: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    input_scale: int
    features: tuple[str, ...]
    price: Price

    @property
    def inputs(self) -> Program:
        """A program of these inputs that gives 0: to read an input by its names, units and ranges."""
        low, high = (np.array(bound, dtype=np.int64) for bound in (self.low, self.high))
        nothing = Affine(0, np.zeros((1, len(low)), dtype=np.int64), np.zeros(1, dtype=np.int64))
        return Program(low, high, (nothing,), "number", self.input_scale, 0, self.features)

    def fixed(self, row: Sequence[int] | None) -> tuple[int, ...]:
        """The publics that a question with this input fixes. Raises Misuse where an input is missing or is the
        provider's own, BadInput for one out of range."""
        if (row is None) != (self.modes.input == COMMITTED):
            raise Misuse("the input is not where this offer has it", expected="an input in the question"
                         if row is None else "the provider's own record, and no other input")
        if row is None:
            return self.bound
        self.inputs.run(np.array([list(row)], dtype=np.int64))
        return (*self.bound, *Packing(self.low, self.high).ints(row))

    def row(self, question: Question) -> list[int]:
        """The public input in a question. Raises BadInput for publics that are none."""
        return Packing(self.low, self.high).unpacked(question.bound[len(self.bound):])

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        price = self.price
        return encode({
            "account": self.account.hex(), "bound": [str(value) for value in self.bound],
            "features": list(self.features),
            "high": [str(value) for value in self.high], "input": self.modes.input, "input_scale": self.input_scale,
            "key": self.key.hex(), "low": [str(value) for value in self.low], "model": self.model,
            "output": self.modes.output, "period": price.period, "price": str(price.price), "provider": self.provider,
            "ranges": [[str(low), str(high)] for low, high in self.ranges], "says": list(self.says),
            "stake": str(price.stake), "token": price.token.hex(), "weights": self.modes.weights})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read strictly. Raises BadInput."""
        (account, bound, features, high, hidden, scale, key, low, model, output, period, price, provider, ranges, says,
         stake, token, weights) = take(
            decode_object(data), account=str, bound=list, features=list, high=list, input=str, input_scale=int,
            key=str, low=list, model=str, output=str, period=int, price=str, provider=str, ranges=list,
            says=list, stake=str, token=str, weights=str)
        if (any(type(pair) is not list or len(pair) != 2 for pair in ranges)
                or any(type(text) is not str for text in (*features, *says))):
            raise BadInput("not an offer of answers", expected="ranges as pairs, names as texts")
        return cls(provider, from_hex(account, 20), Modes(weights, hidden, output), from_hex(key, 32), model,
                   tuple(map(integer_of, bound)), tuple(says),
                   tuple((integer_of(one), integer_of(other)) for one, other in ranges),
                   tuple(map(integer_of, low)), tuple(map(integer_of, high)), scale, tuple(features),
                   Price(from_hex(token, 20), amount(price), amount(stake), period))


def offer(party: Troth, program: Program, modes: Modes, price: Price, row: Sequence[int] | None = None) -> Offered:
    """What this party will answer for, with its verifying key published on the chain and its account bound.

    row: the record that an offer with a committed input is about. Raises Misuse without one, or with one that the
    question is to bring; BadInput for a model that no circuit holds.
    """
    if (row is None) != (modes.input == PUBLIC):
        raise Misuse("not an offer with this input", expected="a record with a committed input, none with a public one")
    from troth.ledger.kept import publish  # web3 takes a second to load

    proving = Proving(party, program, modes)
    publish(party.sender, party.contracts["keys"].address, proving.key.data)
    low, high = program.low.tolist(), program.high.tolist()
    bound = proving.bound(low if row is None else row)
    models = sum(1 for name in proving.says if name == "model")
    return Offered(party.did, party.bound_account(), modes, key_name(proving.key), proving.key.digest,
                   bound[:models] if row is None else bound, proving.says, proving.ranges, tuple(low), tuple(high),
                   program.input_scale, program.features, price)


def ask(party: Troth, offered: Offered, row: Sequence[int] | None = None, fund: int = FUND) -> bytes:
    """Ask for an answer: the price is deposited, the question handed over; its claim.

    fund: seconds for the provider to take it up. Raises Refuted where the provider bound itself to another account than
    the offer names, Misuse and BadInput as `Offered.fixed`, ActRefused where the Book refuses.
    """
    found, price, bound = party.contracts, offered.price, offered.fixed(row)
    try:
        account = party.account_of(offered.provider)
    except Undecidable:   # it has not said; who else could prove what is asked would be paid
        account = offered.account
    if account != offered.account:
        raise Refuted("the offer names another account than its provider has", expected=f"0x{account.hex()}",
                      actual=f"0x{offered.account.hex()}", do="Ask the provider for its offer again.")
    question = Question(
        party.chain.chain_id, found["book"].address, Pin.of(found["proof"]), price.token,
        party.account, account, price.price, price.stake, party.chain.now() + fund,
        price.period, offered.key, bound, offered.says, offered.ranges, offered.modes.output,
        secrets.token_bytes(32))
    question.sound()
    _allow(party, price.token, price.price)
    return flow.ask(party, question, offered.provider)


def give(party: Troth, offered: Offered, claim: bytes, program: Program, row: Sequence[int] | None = None) -> bytes:
    """Take a question up and answer it: the stake is deposited, the proof made, submitted and paid; the answer's claim.

    row: the record of an offer with a committed input. Everything is checked before the stake: that key, input and
    model are this party's, so that it can prove what is asked. Raises Misuse for a question that the offer does not
    cover or that this model and record cannot answer; Refuted where the price is not there.
    """
    question = Question.of(party.statement(claim).body)
    proving = Proving(party, program, offered.modes)
    held = row if row is not None else offered.row(question)
    if key_name(proving.key) != offered.key or proving.bound(held) != question.bound:
        raise Misuse("this model and input are not what the question is about",
                     expected="the program and the record that the offer was made of")
    found, price = party.contracts, offered.price
    state = party.book.state(question.deal())
    if state is None or STAKE not in state.joined:
        _allow(party, price.token, price.stake)
        flow.accept(party, claim, Offer(
            proving.key, Pin.of(found["proof"]), price.token, price.price, price.stake, price.period, offered.says,
            proving.ranges, offered.modes.output))
    return flow.answer(party, claim, proving.key, lambda context: proving.prove(held, context)[0])


def told(party: Troth, claim: bytes) -> tuple[tuple[int, ...], bytes, str]:
    """What a question got: the numbers, the answer's claim, and what the numbers are. Raises as `flow.paid_for`."""
    numbers, answered = flow.paid_for(party, claim)
    return numbers, answered, Question.of(party.statement(claim).body).output


def _allow(party: Troth, token: Account, needed: int) -> None:
    """Let the Book take a deposit of this party's."""
    from troth.ledger.erc20 import Erc20  # web3, as above

    coin, book = Erc20(party.chain.web3, token), party.contracts["book"].address
    if coin.balance(party.account) < needed:
        raise Refuted("the deposit is not there", expected=f"{needed} of 0x{token.hex()}",
                      actual=coin.balance(party.account), do=f"Send it to 0x{party.account.hex()}.")
    if coin.allowance(party.account, book) < needed:
        coin.approve(party.sender, book, needed)
