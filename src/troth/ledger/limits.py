"""The rules of a policy account: what an agent may do with somebody's money, by its owner's word alone.

Pure functions, and the twin of ``contracts/src/agents/PolicyAccount.sol`` (docs/reference/policy-account.md). An act is
a call that the account makes. Amount and payee are read from its bytes, never from what the caller says of them; a call
of the token that cannot be read is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from troth.core.encoding import amount, from_hex, keccak256, take
from troth.core.errors import ActRefused, BadInput
from troth.core.terms import DEPOSITOR, NO_PARAM, Account, Answered, Pot, Root, Terms, is_role
from troth.core.typed_data import act_digest, voice_digest
from troth.identity.keys import Secp256k1KeyPair, recover_account

WHOLE = 10_000
"""Full confidence."""
DAY = 86_400
"""Seconds. A day of the account is a day of the chain's time, from midnight UTC."""
MAX_VERIFIERS, MAX_PAYEES, MAX_CALLS = 16, 64, 64
MAX_AMOUNT = 2**128 - 1

NOT_LISTED, UNREADABLE, NOT_PAYEE, OVER_ACT, OVER_DAY, UNSURE = range(1, 7)
REASONS = ("", "NotListed", "Unreadable", "NotPayee", "OverAct", "OverDay", "Unsure")
"""Why an account refuses an act and records it, by number: the same in the contract's event."""


def selector(signature: str) -> bytes:
    """The four bytes that a call of this signature begins with."""
    return keccak256(signature.encode())[:4]


TRANSFER = selector("transfer(address,uint256)")
APPROVE = selector("approve(address,uint256)")
TRANSFER_FROM = selector("transferFrom(address,address,uint256)")
AUTHORIZED = selector("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,"
                      "bytes32)")
JOIN = selector("join(bytes,uint8)")
OPEN_AND_JOIN = selector("openAndJoin(bytes32,bytes,uint8,(uint8,uint64,bytes)[])")
REFILL = selector("refill()")

LIMITS = "(address,address,uint128,uint128,uint64,uint16,uint8,uint8,address,uint128,bytes32,address[],address[]," \
          "(address,bytes4)[])"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the owner of a policy account lets its agent do, until it says otherwise.

    agent: the session key's account. token: the one token that the account pays in; amounts are in its smallest unit.
    per_act, per_day: the most that one act, and all acts of a day (UTC), may move. expiry: the last second.
    confidence: in ten-thousandths, what ``agree`` of ``verifiers`` must each say of an act (0: nobody is asked).
    strikes: so many acts without it trip the breaker. payees: who may be paid; naming a Book lets any of its deals be
    joined. calls: (target, selector) of what may be called. hot, fill: an account that ``refill`` tops up to so much
    (zeros: none). mandate: the digest of the mandate that these limits carry out (zeros: none).
    """

    agent: Account
    token: Account
    per_act: int
    per_day: int
    expiry: int
    payees: tuple[Account, ...] = ()
    calls: tuple[tuple[Account, bytes], ...] = ()
    confidence: int = 0
    agree: int = 0
    strikes: int = 0
    verifiers: tuple[Account, ...] = ()
    hot: Account = bytes(20)
    fill: int = 0
    mandate: bytes = NO_PARAM

    def abi(self) -> tuple[Any, ...]:
        """As the contract's struct."""
        return (self.agent, self.token, self.per_act, self.per_day, self.expiry, self.confidence, self.agree,
                self.strikes, self.hot, self.fill, self.mandate, self.verifiers, self.payees, self.calls)

    def to_bytes(self) -> bytes:
        """ABI form: what the account's hash is over. Raises BadInput for values that have none."""
        # Imported here: eth_abi takes 0.2 s to load, and most commands never touch an account.
        from eth_abi.abi import encode
        from eth_abi.exceptions import EncodingError

        try:
            return encode([LIMITS], [self.abi()])
        except (EncodingError, OverflowError, TypeError) as error:
            raise BadInput("not limits", actual=error) from None

    @classmethod
    def from_bytes(cls, data: bytes) -> Limits:
        """Read exactly what ``to_bytes`` writes. Raises BadInput."""
        # Imported here for the same reason.
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        try:
            (agent, token, per_act, per_day, expiry, confidence, agree, strikes, hot, fill, mandate, verifiers, payees,
             calls), = decode([LIMITS], data)
            found = cls(_account(agent), _account(token), per_act, per_day, expiry, tuple(map(_account, payees)),
                        tuple((_account(target), bytes(one)) for target, one in calls), confidence, agree, strikes,
                        tuple(map(_account, verifiers)), _account(hot), fill, bytes(mandate))
        except (DecodingError, OverflowError, ValueError) as error:
            raise BadInput("not limits", expected=LIMITS, actual=error) from None
        if found.to_bytes() != data:
            raise BadInput("limits in another than their one form")
        return found

    def json(self) -> dict[str, Any]:
        """As an object in a file or a credential; accounts and bytes in hex, amounts as text."""
        return {"agent": self.agent.hex(), "agree": self.agree,
                "calls": [{"selector": one.hex(), "target": target.hex()} for target, one in self.calls],
                "confidence": self.confidence, "expiry": self.expiry, "fill": str(self.fill), "hot": self.hot.hex(),
                "mandate": self.mandate.hex(), "payees": [one.hex() for one in self.payees],
                "per_act": str(self.per_act), "per_day": str(self.per_day), "strikes": self.strikes,
                "token": self.token.hex(), "verifiers": [one.hex() for one in self.verifiers]}

    @classmethod
    def from_json(cls, value: Any) -> Limits:
        """Read exactly what ``json`` writes. Raises BadInput."""
        kinds = {"agent": str, "agree": int, "calls": list, "confidence": int, "expiry": int, "fill": str, "hot": str,
                 "mandate": str, "payees": list, "per_act": str, "per_day": str, "strikes": int, "token": str,
                 "verifiers": list}
        agent, agree, calls, confidence, expiry, fill, hot, mandate, payees, per_act, per_day, strikes, token, \
            verifiers = take(value, **kinds)
        listed = [take(one, selector=str, target=str) for one in calls]
        return cls(from_hex(agent, 20), from_hex(token, 20), amount(per_act), amount(per_day), expiry,
                   tuple(from_hex(one, 20) for one in payees),
                   tuple((from_hex(target, 20), from_hex(one, 4)) for one, target in listed), confidence, agree,
                   strikes, tuple(from_hex(one, 20) for one in verifiers), from_hex(hot, 20), amount(fill),
                   from_hex(mandate, 32))

    @property
    def hash(self) -> bytes:
        """What the account commits to, 32 bytes."""
        return keccak256(self.to_bytes())

    def check(self, account: Account) -> None:
        """Refuse limits that no account takes. Raises ActRefused BadLimits, as the contract does."""
        asked = self.confidence > 0
        wrong = {
            "an agent and a token": not any(self.agent) or not any(self.token),
            "another account than the agent": self.agent == account,
            "per_act at most per_day": self.per_act > self.per_day,
            f"at most {WHOLE}": self.confidence > WHOLE,
            "verifiers, strikes and confidence together": (self.agree > 0, self.strikes > 0) != (asked, asked),
            "as many verifiers as must agree": self.agree > len(self.verifiers),
            "verifiers ascending, none twice, none of them nobody, the account or its agent":
                list(self.verifiers) != sorted(set(self.verifiers)) or not set(self.verifiers).isdisjoint(
                    {bytes(20), account, self.agent}),
            "a hot account other than the account and its verifiers": self.hot == account or self.hot in self.verifiers,
            "something to fill the hot account to, and nothing without one": any(self.hot) != (self.fill > 0),
            f"at most {MAX_VERIFIERS} verifiers, {MAX_PAYEES} payees, {MAX_CALLS} calls":
                len(self.verifiers) > MAX_VERIFIERS or len(self.payees) > MAX_PAYEES or len(self.calls) > MAX_CALLS,
        }
        for expected, bad in wrong.items():
            if bad:
                raise ActRefused("BadLimits", "no account takes these limits", expected=expected)


@dataclass(frozen=True, slots=True)
class Asked:
    """An act in its place: what an agent signs, and what verifiers speak about. nonce: how many the account had."""

    chain_id: int
    account: Account
    nonce: int
    target: Account
    data: bytes

    @property
    def hash(self) -> bytes:
        """How the account's events name the call: by target and data, 32 bytes."""
        return keccak256(self.target + self.data)


@dataclass(frozen=True, slots=True)
class Voice:
    """A verifier's word that one act is right. confidence: in ten-thousandths. expiry: the last second it counts."""

    verifier: Account
    confidence: int
    expiry: int
    signature: bytes

    @classmethod
    def sign(cls, key: Secp256k1KeyPair, asked: Asked, confidence: int, expiry: int) -> Voice:
        """The word of whoever holds this key. Raises BadInput for a confidence that is none."""
        if not 0 <= confidence <= WHOLE:
            raise BadInput("not a confidence", expected=f"0 to {WHOLE}", actual=confidence)
        return cls(key.public.account, confidence, expiry, key.sign_digest(_said(asked, confidence, expiry)))

    def speaks(self, asked: Asked) -> bool:
        """Whether the verifier signed this, about this act."""
        return recover_account(_said(asked, self.confidence, self.expiry), self.signature) == self.verifier


def _said(asked: Asked, confidence: int, expiry: int) -> bytes:
    return voice_digest(asked.chain_id, asked.account, asked.nonce, asked.target, asked.data, confidence, expiry)


def placed(limits: Limits, voices: Iterable[Voice]) -> tuple[tuple[int, int, int, bytes], ...]:
    """Voices as the contract takes them, by the verifier's place. Those of nobody who is named are left out."""
    places = {account: place for place, account in enumerate(limits.verifiers)}
    return tuple((places[one.verifier], one.confidence, one.expiry, one.signature) for one in voices
                 if one.verifier in places)


def voices_hash(voices: Sequence[tuple[int, int, int, bytes]]) -> bytes:
    """What the agent's signature fixes, so that nobody who carries an act can leave voices out."""
    # Imported here: eth_abi takes 0.2 s to load.
    from eth_abi.abi import encode

    return keccak256(encode(["(uint8,uint16,uint64,bytes)[]"], [voices]))


def asked_digest(asked: Asked, voices: Sequence[tuple[int, int, int, bytes]], deadline: int) -> bytes:
    """What the agent signs. deadline: the last second in which the act may be brought."""
    return act_digest(asked.chain_id, asked.account, asked.nonce, asked.target, asked.data, voices_hash(voices),
                      deadline)


def agreeing(limits: Limits, asked: Asked, voices: Iterable[Voice], now: int) -> int:
    """How many verifiers, each counted once, are as sure of this act as the limits ask.

    What is late, unsure, signed by another or about another act is not counted. The agent is never a verifier.
    """
    return len({one.verifier for one in voices if one.verifier in limits.verifiers
                and limits.confidence <= one.confidence <= WHOLE and now <= one.expiry and one.speaks(asked)})


@dataclass(frozen=True, slots=True)
class Money:
    """What an act can move, read from its bytes. payees: everybody it can reach. anyone: it pays whoever comes."""

    amount: int = 0
    payees: tuple[Account, ...] = ()
    anyone: bool = False


class Unreadable(BadInput):
    """A call that moves money in a way that the account cannot read."""


def read_money(limits: Limits, account: Account, target: Account, data: bytes,
               balance: Callable[[Account], int]) -> Money:
    """What a call can move. balance: what an account holds of the token; asked for the hot account alone.

    Raises Unreadable for a call of the token that is none of those known, or that is not in its one form, and for a
    deal that is in another token or not the account's to join; BadInput for bytes that are no terms.
    """
    kind, rest = data[:4], data[4:]
    if target == account:
        return Money(max(0, limits.fill - balance(limits.hot)), (limits.hot,))
    if target == limits.token:
        return _of_token(kind, rest)
    if kind == JOIN:
        deal = _tail(rest, 0)
        if len(deal) < 52:
            raise Unreadable("a deal that ends too early", actual=deal.hex())
        return _of_deal(limits, account, target, deal[52:], _small(rest, 1))
    if kind == OPEN_AND_JOIN:
        return _of_deal(limits, account, target, _tail(rest, 1), _small(rest, 2))
    if kind in (TRANSFER, APPROVE, TRANSFER_FROM, AUTHORIZED):
        raise Unreadable("money in another token than the account's", expected=limits.token.hex(), actual=target.hex())
    return Money()


def _of_token(kind: bytes, rest: bytes) -> Money:
    words = {TRANSFER: (2, 0, 1), APPROVE: (2, 0, 1), TRANSFER_FROM: (3, 1, 2), AUTHORIZED: (9, 1, 2)}
    if kind not in words:
        raise Unreadable("a call of the token that the account does not know", actual=kind.hex())
    size, to, units = words[kind]
    if len(rest) != 32 * size or any(rest[32 * to : 32 * to + 12]):
        raise Unreadable("a call of the token in another than its one form", actual=rest.hex())
    return Money(int.from_bytes(rest[32 * units : 32 * units + 32], "big"), (rest[32 * to + 12 : 32 * to + 32],))


def _of_deal(limits: Limits, account: Account, book: Account, data: bytes, index: int) -> Money:
    terms = Terms.from_bytes(data)
    if terms.token != limits.token or index >= len(terms.pots) or terms.pots[index].depositor != account:
        raise Unreadable("a deal in another token, or a pot that is another's")
    pot = terms.pots[index]
    if book in limits.payees:
        return Money(pot.amount, (book,))
    reached, anyone = _reached(terms, pot)
    return Money(pot.amount, tuple(dict.fromkeys(one for one in reached if one != account)), anyone)


def _reached(terms: Terms, pot: Pot) -> tuple[list[Account], bool]:
    """Whom a pot can pay, in the order of its bytes, and whether it can pay somebody who is not named.

    What would be the account's own goes where wrong bonds go, once a policy slashes the account or an ask names it that
    it does not answer.
    """
    found, anyone = [pot.residual, terms.wrong_bonds], False
    for outcome in sorted(pot.pays):
        rule = pot.pays[outcome]
        if isinstance(rule, Root):
            anyone = True
        elif isinstance(rule, Answered):
            if rule.rung >= len(terms.rungs):
                raise Unreadable("a pot that pays a rung which is not there")
            found.extend(terms.rungs[rule.rung].bench)
        else:
            found.extend(rule.payees)
    return [one for one in found if not is_role(one)], anyone or any(is_role(one) and one != DEPOSITOR for one in found)


def _tail(rest: bytes, place: int) -> bytes:
    """The bytes that a call's argument at this place leads to, as the contract's decoder reads them."""
    start = _word(rest, place)
    size = _word(rest[start:], 0) if start + 32 <= len(rest) else len(rest)
    if start + 32 + size > len(rest):
        raise Unreadable("a call that ends too early")
    return rest[start + 32 : start + 32 + size]


def _small(rest: bytes, place: int) -> int:
    found = _word(rest, place)
    if found > 255:
        raise Unreadable("not the number of a pot", actual=found)
    return found


def _word(rest: bytes, place: int) -> int:
    if len(rest) < 32 * place + 32:
        raise Unreadable("a call that ends too early")
    return int.from_bytes(rest[32 * place : 32 * place + 32], "big")


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account remembers. spent: on ``day`` (days since 1970). strikes: since the owner last reset it."""

    nonce: int = 0
    day: int = 0
    spent: int = 0
    strikes: int = 0
    stopped: bool = False
    tripped: bool = False

    def spent_on(self, now: int) -> int:
        """What acts have moved on the day of this second."""
        return self.spent if self.day == now // DAY else 0


def hindrance(limits: Limits, standing: Standing, now: int) -> str:
    """Why the account does nothing at all now: an error's name; empty if it does. Nothing of it is recorded."""
    if standing.stopped:
        return "Stopped"
    if standing.tripped:
        return "Tripped"
    return "Expired" if now > limits.expiry else ""


def judged(limits: Limits, standing: Standing, account: Account, call: tuple[Account, bytes], sure: int, now: int,
           balance: Callable[[Account], int]) -> tuple[int, Money]:
    """Whether the limits cover a call: 0 or one of the reasons, in their order, and what it can move.

    sure: how many verifiers agree. Raises BadInput for a deal whose bytes are no terms: then nothing is recorded.
    """
    target, data = call
    if not _listed(limits, account, target, data):
        return NOT_LISTED, Money()
    try:
        money = read_money(limits, account, target, data, balance)
    except Unreadable:
        return UNREADABLE, Money()
    known = limits.payees if target != account else (limits.hot,)
    if money.anyone or not set(money.payees) <= set(known):
        return NOT_PAYEE, money
    if money.amount > limits.per_act:
        return OVER_ACT, money
    if standing.spent_on(now) + money.amount > limits.per_day:
        return OVER_DAY, money
    if sure < limits.agree:
        return UNSURE, money
    return 0, money


def _listed(limits: Limits, account: Account, target: Account, data: bytes) -> bool:
    if target == account:
        return data == REFILL and any(limits.hot)
    return (target, data[:4]) in limits.calls and len(data) >= 4


def _account(text: str) -> Account:
    return bytes.fromhex(text[2:])
