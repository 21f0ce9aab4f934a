"""The gate: the one way in which an agent moves money or changes anything that others see.

An agent proposes an ``Act``; the gate does it or refuses it by the limits of the account behind it
(``troth.ledger.limits``). What the agent read, was told or believes cannot lift them: they are its owner's, and only
the owner's account changes them, stops the gate and starts it again. ``MemoryGate`` is the executable specification;
``troth.agents.account_gate`` does the same through the contract ``PolicyAccount``. One suite holds for both.

What a gate does not do: it does not know whether an act within its limits is wise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from troth.core.errors import ActRefused, BadInput, Misuse
from troth.core.ports import Clock
from troth.core.terms import Account
from troth.ledger.limits import (
    APPROVE,
    DAY,
    JOIN,
    OPEN_AND_JOIN,
    REASONS,
    REFILL,
    TRANSFER,
    TRANSFER_FROM,
    UNSURE,
    Asked,
    Limits,
    Money,
    Standing,
    Voice,
    agreeing,
    hindrance,
    judged,
    read_money,
)
from troth.ledger.memory_token import MemoryToken


@dataclass(frozen=True, slots=True)
class Act:
    """A call that an agent wants its account to make. what: in words, for whoever looks.

    amount: what it moves, in the token's smallest unit, 0 for nothing. payee: who gets it; the target where nothing
    moves. Both only say what the caller means: the gate reads them from ``data`` too, and refuses an act that says less
    or names another.
    """

    target: Account
    data: bytes
    amount: int
    payee: Account
    what: str

    @classmethod
    def pay(cls, token: Account, payee: Account, amount: int, what: str) -> Act:
        """A transfer of the account's token. Raises BadInput for what is no amount."""
        if not 0 <= amount < 1 << 256:
            raise BadInput("not an amount", expected="0 to 2**256 - 1", actual=amount)
        return cls(token, TRANSFER + payee.rjust(32, b"\0") + amount.to_bytes(32, "big"), amount, payee, what)

    @classmethod
    def refill(cls, account: Account, limits: Limits, what: str = "fill the hot account") -> Act:
        """Top the hot account up to what the limits say, and not above."""
        return cls(account, REFILL, limits.fill, limits.hot, what)


@dataclass(frozen=True, slots=True)
class Confidence:
    """What others than the agent say of one act. An agent's word about itself is no confidence."""

    voices: tuple[Voice, ...] = ()

    @property
    def level(self) -> int:
        """What the least sure of them says, in ten-thousandths; 0 where nobody says anything."""
        return min((voice.confidence for voice in self.voices), default=0)

    @property
    def said_by(self) -> tuple[Account, ...]:
        """Whose word it is."""
        return tuple(voice.verifier for voice in self.voices)


NOBODY = Confidence()


@dataclass(frozen=True, slots=True)
class Refused:
    """An act that was not done. reason: the rule's name, the same in memory and in the contract.

    recorded: whether the account remembers that it was asked. It does where the limits do not cover the act; not where
    the account does nothing at all (stopped, tripped, expired), and not where the act failed.
    """

    reason: str
    said: str = ""
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """An act that was done. moved: what counted against the limits. tx: the transaction's hash, empty in memory."""

    act: Act
    nonce: int
    moved: int
    tx: bytes = b""


@dataclass(frozen=True, slots=True)
class GateState:
    """A gate as it stands at ``now`` (the chain's time, Unix seconds)."""

    account: Account
    owner: Account
    limits: Limits
    standing: Standing
    balance: int
    now: int

    @property
    def spent_today(self) -> int:
        """What acts have moved since midnight UTC."""
        return self.standing.spent_on(self.now)

    @property
    def left_today(self) -> int:
        """What acts may still move until midnight UTC."""
        return max(0, self.limits.per_day - self.spent_today)

    @property
    def next_day(self) -> int:
        """When the day's sum begins anew, Unix seconds."""
        return (self.now // DAY + 1) * DAY


class Gate(Protocol):
    """What an agent has of its account."""

    @property
    def account(self) -> Account:
        """The account that acts."""
        ...

    def asked(self, act: Act) -> Asked:
        """The act in its place: what verifiers speak about (``Voice.sign``)."""
        ...

    def allowed(self, act: Act, confidence: Confidence = NOBODY) -> Refused | None:
        """What would refuse the act now, or None. Changes nothing. An act may still fail when it is done."""
        ...

    def do(self, act: Act, confidence: Confidence = NOBODY) -> Done | Refused:
        """Do it, or refuse it; where the limits do not cover it, the account remembers that it was asked."""
        ...

    def state(self) -> GateState:
        """As it stands."""
        ...


class GateOwner(Protocol):
    """What the owner has of the account, whatever the agent does. ``by``: who asks; ActRefused NotOwner for another."""

    def stop(self, by: Account) -> None:
        """The stop button: no act from now on."""
        ...

    def resume(self, by: Account) -> None:
        """Acts again, within the limits."""
        ...

    def reset(self, by: Account) -> None:
        """Forget the strikes, and close the breaker again."""
        ...

    def limit(self, by: Account, limits: Limits) -> None:
        """Other limits from now on. What was spent today and the strikes stay. Raises ActRefused BadLimits."""
        ...

    def withdraw(self, by: Account, token: Account, to: Account, amount: int) -> None:
        """Take money out, at any time. Raises ActRefused."""
        ...

    def approve(self, by: Account, act: Act) -> None:
        """Do an act by the owner's own word: no limit holds, nothing is counted. Raises ActRefused."""
        ...


def misstated(limits: Limits, account: Account, act: Act, balance: Callable[[Account], int]) -> str:
    """How an act says less than its call does; empty where it does not, or where the call cannot be read.

    The contract reads the call alone. This is for the person, who is shown the act's own words.
    """
    try:
        money = read_money(limits, account, act.target, act.data, balance)
    except BadInput:
        return ""
    if act.amount < money.amount:
        return f"it says {act.amount} and moves {money.amount}"
    known = {*money.payees, act.target} if act.data[:4] in (JOIN, OPEN_AND_JOIN) else set(money.payees)
    if money.amount and act.payee not in known:
        return f"it says that it pays 0x{act.payee.hex()}"
    return ""


def explained(reason: str, limits: Limits, standing: Standing, money: Money, now: int) -> str:
    """A refusal in words: expected, actual."""
    left = max(0, limits.per_day - standing.spent_on(now))
    unknown = [one for one in money.payees if one not in limits.payees]
    return {
        "NotListed": "no call that the limits name",
        "Unreadable": "moves money in a way that the account cannot read",
        "NotPayee": "pays " + (", ".join("0x" + one.hex() for one in unknown) or "whoever comes"),
        "OverAct": f"moves {money.amount}, at most {limits.per_act} in one act",
        "OverDay": f"moves {money.amount}, at most {left} more today",
        "Unsure": f"needs the word of {limits.agree} verifiers who are sure by {limits.confidence} of 10000",
        "Stopped": "the owner stopped the account", "Tripped": "the breaker tripped; the owner resets it",
        "Expired": f"the limits ended at {limits.expiry}, it is {now}",
    }[reason]


def consider(asked: Asked, act: Act, confidence: Confidence, limits: Limits, standing: Standing, now: int,
             balance: Callable[[Account], int]) -> tuple[Refused | None, Money]:
    """Whether an account would do an act: why not, or None, and what it can move. balance: as in ``read_money``."""
    wrong = misstated(limits, asked.account, act, balance)
    if wrong:
        return Refused("Misstated", wrong), Money()
    hindered = hindrance(limits, standing, now)
    if hindered:
        return Refused(hindered, explained(hindered, limits, standing, Money(), now)), Money()
    sure = agreeing(limits, asked, confidence.voices, now)
    try:
        reason, money = judged(limits, standing, asked.account, (act.target, act.data), sure, now, balance)
    except BadInput as error:
        return Refused("BadTerms", error.diagnostics()), Money()
    if not reason:
        return None, money
    name = REASONS[reason]
    return Refused(name, explained(name, limits, standing, money, now), recorded=True), money


class MemoryGate:
    """The gate's rules, without a chain: ``Gate`` and ``GateOwner`` over one ``MemoryToken``.

    targets: what a call of an account other than the token does, given (who calls, data); it may raise ActRefused, and
    then nothing happened. record: every act that was done or refused, in order.
    """

    def __init__(self, account: Account, owner: Account, limits: Limits, token: MemoryToken, clock: Clock, *,
                 targets: Mapping[Account, Callable[[Account, bytes], None]] | None = None, chain_id: int = 1) -> None:
        limits.check(account)
        self.account, self.owner, self.limits, self.token = account, owner, limits, token
        self.record: list[Done | Refused] = []
        self._clock, self._targets, self._chain_id = clock, targets or {}, chain_id
        self._standing = Standing()

    # -- the agent's -----------------------------------------------------------------------------------------------

    def asked(self, act: Act) -> Asked:
        return Asked(self._chain_id, self.account, self._standing.nonce, act.target, act.data)

    def allowed(self, act: Act, confidence: Confidence = NOBODY) -> Refused | None:
        return self._judge(act, confidence)[0]

    def do(self, act: Act, confidence: Confidence = NOBODY) -> Done | Refused:
        """Judge an act and, if it may be done, do it and record it; what became of it.

        A refusal that counts is recorded and takes a nonce, others leave everything as it was.
        """
        refused, money = self._judge(act, confidence)
        before, now = self._standing, self._clock.now()
        if refused is not None and not refused.recorded:
            return refused
        if refused is not None:
            strikes = before.strikes + (refused.reason == REASONS[UNSURE])
            self._standing = replace(before, nonce=before.nonce + 1, strikes=strikes,
                                     tripped=strikes > before.strikes and strikes >= self.limits.strikes)
            self.record.append(refused)
            return refused
        self._standing = replace(before, nonce=before.nonce + 1, day=now // DAY,
                                 spent=before.spent_on(now) + money.amount)
        try:
            with self.token.whole():
                self._call(act.target, act.data, money)
        except ActRefused as error:
            self._standing = before
            return Refused("Failed", error.diagnostics())
        done = Done(act, before.nonce, money.amount)
        self.record.append(done)
        return done

    def state(self) -> GateState:
        return GateState(self.account, self.owner, self.limits, self._standing, self.token.balance_of(self.account),
                         self._clock.now())

    # -- the owner's -----------------------------------------------------------------------------------------------

    def stop(self, by: Account) -> None:
        self._owned(by)
        self._standing = replace(self._standing, stopped=True)

    def resume(self, by: Account) -> None:
        self._owned(by)
        self._standing = replace(self._standing, stopped=False)

    def reset(self, by: Account) -> None:
        self._owned(by)
        self._standing = replace(self._standing, strikes=0, tripped=False)

    def limit(self, by: Account, limits: Limits) -> None:
        self._owned(by)
        limits.check(self.account)
        self.limits = limits

    def withdraw(self, by: Account, token: Account, to: Account, amount: int) -> None:
        self._owned(by)
        if token != self.limits.token:
            raise Misuse("this gate holds one token", expected=self.limits.token.hex(), actual=token.hex())
        self.token.transfer(self.account, to, amount)

    def approve(self, by: Account, act: Act) -> None:
        self._owned(by)
        with self.token.whole():
            self._execute(act.target, act.data)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _owned(self, by: Account) -> None:
        if by != self.owner:
            raise ActRefused("NotOwner", "only the owner does this", expected=self.owner.hex(), actual=by.hex())

    def _judge(self, act: Act, confidence: Confidence) -> tuple[Refused | None, Money]:
        return consider(self.asked(act), act, confidence, self.limits, self._standing, self._clock.now(),
                        self.token.balance_of)

    def _call(self, target: Account, data: bytes, money: Money) -> None:
        if target == self.account:
            self.token.transfer(self.account, self.limits.hot, money.amount)
        elif target != self.limits.token and data[:4] in (JOIN, OPEN_AND_JOIN):
            self.token.approve(self.account, target, money.amount)
            self._execute(target, data)
            self.token.approve(self.account, target, 0)
        else:
            self._execute(target, data)

    def _execute(self, target: Account, data: bytes) -> None:
        if target != self.limits.token:
            if target not in self._targets:
                raise ActRefused("Failed", "nothing is there to be called", actual=target.hex())
            self._targets[target](self.account, data)
            return
        words = [data[at : at + 32] for at in range(4, len(data), 32)]
        if data[:4] == TRANSFER:
            self.token.transfer(self.account, words[0][12:], int.from_bytes(words[1], "big"))
        elif data[:4] == APPROVE:
            self.token.approve(self.account, words[0][12:], int.from_bytes(words[1], "big"))
        elif data[:4] == TRANSFER_FROM:
            self.token.transfer_from(self.account, words[0][12:], words[1][12:], int.from_bytes(words[2], "big"))
        else:  # AUTHORIZED: this token takes no such authorization
            raise ActRefused("Failed", "the token refuses", actual=data[:4].hex())
