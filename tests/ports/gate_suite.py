"""What every gate must do: the abstract suite of ``troth.agents.gate.Gate`` and ``GateOwner``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import pytest

from ports.books import account, key
from troth.agents.gate import NOBODY, Act, Confidence, Done, Gate, GateOwner, Refused
from troth.core.errors import ActRefused
from troth.core.terms import CHALLENGER, REFUTED, UPHELD, Account, Ask, Pot, Root, Rung, Split, Terms
from troth.ledger.limits import APPROVE, JOIN, OPEN_AND_JOIN, TRANSFER, TRANSFER_FROM, Limits, Voice, selector

OWNER, AGENT, SHOP, STRANGER, HOT, SELLER, NOBODYS = (
    account(name) for name in ("gate owner", "gate agent", "shop", "stranger", "hot key", "seller", "wrong bonds"))
VERIFIERS = tuple(sorted(account(f"voice {n}") for n in range(3)))
NAMES = {account(f"voice {n}"): f"voice {n}" for n in range(3)}
PER_ACT, PER_DAY, FUNDS, SURE, FILL = 100, 250, 1_000, 8_000, 60
DAY = 86_400
POKE = selector("poke(uint256)")
"""Of the bell: a contract that counts how often it is poked, and refuses 13."""
SALT = b"\x07" * 32


def word(value: int | bytes) -> bytes:
    """One argument of a call."""
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")


def poke(bell: Account, value: int = 1) -> Act:
    """An act that moves nothing."""
    return Act(bell, POKE + word(value), 0, bell, "ring")


def join_call(opener: Account, terms: Terms, pot: int = 0) -> bytes:
    """The call data of ``Book.join``."""
    deal = opener + SALT + terms.to_bytes()
    return JOIN + word(64) + word(pot) + word(len(deal)) + deal.ljust(-(-len(deal) // 32) * 32, b"\0")


def open_call(terms: Terms, pot: int = 0) -> bytes:
    """The call data of ``Book.openAndJoin`` without others' consents."""
    data = terms.to_bytes()
    body = word(len(data)) + data.ljust(-(-len(data) // 32) * 32, b"\0")
    return OPEN_AND_JOIN + SALT + word(128) + word(pot) + word(128 + len(body)) + body + word(0)


class GateWorld(ABC):
    """A gate with its money and time. token: what it pays in. bell: a contract that may be called. book: the Book."""

    token: Account
    bell: Account
    book: Account
    gate: Gate
    owner: GateOwner

    @abstractmethod
    def limits(self) -> Limits:
        """Those that the account has now."""

    @abstractmethod
    def now(self) -> int:
        """The chain's time."""

    @abstractmethod
    def advance(self, seconds: int) -> None:
        """Let time pass."""

    @abstractmethod
    def balance(self, who: Account) -> int:
        """What an account holds of the token."""

    @abstractmethod
    def allowance(self, spender: Account) -> int:
        """What an account may take from the gate's."""

    @abstractmethod
    def fund(self, amount: int) -> None:
        """Give the gate's account more of the token."""

    @abstractmethod
    def pokes(self) -> int:
        """How often the bell rang."""

    @abstractmethod
    def policy(self) -> tuple[Account, bytes]:
        """A policy for deals: its address and code hash."""

    @abstractmethod
    def take(self, spender: Account, amount: int) -> None:
        """An account takes what it may from the gate's."""

    def terms(self, price: int, payee: Account, **other: object) -> Terms:
        """A deal in which the gate's account pays."""
        rung = Rung(*self.policy(), (Ask("result", (payee,), 60),), 60, silent=UPHELD)
        pays = {UPHELD: Split((payee,), amounts=(price,))}
        pot = replace(Pot("price", self.gate.account, price, pays), **other)  # type: ignore[arg-type]
        return Terms(self.token, (pot,), (rung,), self.now() + DAY, NOBODYS)

    def pay(self, payee: Account, amount: int) -> Act:
        """A payment."""
        return Act.pay(self.token, payee, amount, "pay")

    def sure(self, act: Act, levels: tuple[int, ...] = (9_000, 9_000), by: tuple[Account, ...] = VERIFIERS,
             life: int = 60) -> Confidence:
        """What verifiers say about an act."""
        asked, end = self.gate.asked(act), self.now() + life
        return Confidence(tuple(Voice.sign(key(NAMES[who]), asked, level, end)
                                for who, level in zip(by, levels, strict=False)))

    def snapshot(self) -> tuple[object, ...]:
        """Everything that an act could change, but the count of acts and strikes."""
        standing = self.gate.state().standing
        return (standing.spent, standing.day, standing.stopped, self.balance(self.gate.account), self.balance(SHOP),
                self.balance(STRANGER), self.balance(HOT), self.balance(self.book), self.pokes(),
                self.allowance(SHOP), self.allowance(STRANGER), self.allowance(self.book))


def base_limits(world: GateWorld, **other: object) -> Limits:
    """Limits without verifiers."""
    calls = ((world.token, TRANSFER), (world.token, APPROVE), (world.bell, POKE), (world.book, JOIN),
             (world.book, OPEN_AND_JOIN), (world.token, selector("burn(uint256)")), (world.bell, TRANSFER))
    limits = Limits(AGENT, world.token, PER_ACT, PER_DAY, world.now() + 30 * DAY, (SHOP, SELLER, NOBODYS), calls,
                    hot=HOT, fill=FILL)
    return replace(limits, **other)  # type: ignore[arg-type]


def asking(world: GateWorld) -> Limits:
    """Limits that want two of three verifiers, with a breaker after three acts without."""
    return base_limits(world, confidence=SURE, agree=2, strikes=3, verifiers=VERIFIERS)


class GateSuite:
    """Inherited by the test class of every gate, which has a fixture ``world`` with ``base_limits``."""

    def refused(self, world: GateWorld, act: Act, reason: str, confidence: Confidence = NOBODY, *,
                recorded: bool = True) -> None:
        """The act is refused beforehand and when it is done, by the same name, and nothing moves."""
        before, standing = world.snapshot(), world.gate.state().standing
        ahead = world.gate.allowed(act, confidence)
        found = world.gate.do(act, confidence)
        assert isinstance(found, Refused), found
        assert (found.reason, found.recorded) == (reason, recorded), found
        if reason != "Failed":
            assert ahead is not None
            assert (ahead.reason, ahead.recorded) == (reason, recorded)
        assert world.snapshot() == before
        assert world.gate.state().standing.nonce == standing.nonce + recorded

    def done(self, world: GateWorld, act: Act, moved: int, confidence: Confidence = NOBODY) -> None:
        """The act is allowed, and done, and counts as so much."""
        spent = world.gate.state().spent_today
        assert world.gate.allowed(act, confidence) is None
        found = world.gate.do(act, confidence)
        assert isinstance(found, Done), found
        assert found.moved == moved
        assert world.gate.state().spent_today == spent + moved

    # -- amounts and payees ----------------------------------------------------------------------------------------

    def test_pays_a_named_payee_within_the_caps(self, world: GateWorld) -> None:
        self.done(world, world.pay(SHOP, PER_ACT), PER_ACT)
        assert (world.balance(SHOP), world.balance(world.gate.account)) == (PER_ACT, FUNDS - PER_ACT)
        assert world.gate.state().left_today == PER_DAY - PER_ACT

    def test_caps_of_an_act_and_of_a_day(self, world: GateWorld) -> None:
        self.refused(world, world.pay(SHOP, PER_ACT + 1), "OverAct")
        self.done(world, world.pay(SHOP, PER_ACT), PER_ACT)
        self.done(world, world.pay(SHOP, PER_ACT), PER_ACT)
        self.refused(world, world.pay(SHOP, PER_DAY - 2 * PER_ACT + 1), "OverDay")
        self.done(world, world.pay(SHOP, PER_DAY - 2 * PER_ACT), PER_DAY - 2 * PER_ACT)
        self.refused(world, world.pay(SHOP, 1), "OverDay")
        world.advance(world.gate.state().next_day - world.now())
        self.done(world, world.pay(SHOP, PER_ACT), PER_ACT)

    def test_a_stranger_is_paid_nothing(self, world: GateWorld) -> None:
        for act in (world.pay(STRANGER, 1), world.pay(AGENT, 1), world.pay(HOT, 1), world.pay(world.book, 1),
                    Act(world.token, APPROVE + word(STRANGER) + word(1), 1, STRANGER, "approve")):
            self.refused(world, act, "NotPayee")

    def test_the_largest_amount_does_not_wrap(self, world: GateWorld) -> None:
        self.done(world, world.pay(SHOP, 1), 1)
        self.refused(world, world.pay(SHOP, 2**256 - 1), "OverAct")

    def test_an_approval_counts_as_a_payment(self, world: GateWorld) -> None:
        self.done(world, Act(world.token, APPROVE + word(SHOP) + word(80), 80, SHOP, "approve"), 80)
        assert world.allowance(SHOP) == 80
        world.take(SHOP, 80)
        assert world.balance(SHOP) == 80

    def test_words_that_say_less_than_the_call(self, world: GateWorld) -> None:
        self.refused(world, replace(world.pay(SHOP, 50), amount=5), "Misstated", recorded=False)
        self.refused(world, replace(world.pay(SHOP, 50), payee=SELLER), "Misstated", recorded=False)

    # -- calls -----------------------------------------------------------------------------------------------------

    def test_calls_that_are_named_and_no_others(self, world: GateWorld) -> None:
        self.done(world, poke(world.bell), 0)
        assert world.pokes() == 1
        self.refused(world, replace(poke(world.bell), data=selector("poke2(uint256)") + word(1)), "NotListed")
        self.refused(world, replace(poke(world.bell), target=STRANGER), "NotListed")
        self.refused(world, replace(poke(world.bell), data=POKE[:3]), "NotListed")
        self.refused(world, replace(poke(world.bell), data=b""), "NotListed")

    def test_calls_of_the_token_that_cannot_be_read(self, world: GateWorld) -> None:
        plain = TRANSFER + word(SHOP) + word(1)
        dirty = TRANSFER + b"\x01" + word(SHOP)[1:] + word(1)
        for data in (plain + b"\0", plain[:-1], dirty, TRANSFER, selector("burn(uint256)") + word(1)):
            self.refused(world, Act(world.token, data, 1, SHOP, "pay"), "Unreadable")
        self.refused(world, Act(world.token, TRANSFER_FROM + word(SHOP) + word(SHOP) + word(1), 1, SHOP, "take"),
                     "NotListed")

    def test_another_token(self, world: GateWorld) -> None:
        self.refused(world, Act(world.bell, TRANSFER + word(SHOP) + word(1), 1, world.bell, "pay"), "Unreadable")

    def test_an_act_that_fails_leaves_nothing(self, world: GateWorld) -> None:
        self.refused(world, poke(world.bell, 13), "Failed", recorded=False)
        failed = world.gate.do(poke(world.bell, 13))
        assert isinstance(failed, Refused)
        assert "thirteen" in failed.said
        world.owner.withdraw(OWNER, world.token, OWNER, FUNDS)
        self.refused(world, world.pay(SHOP, 1), "Failed", recorded=False)

    def test_the_account_does_not_call_itself(self, world: GateWorld) -> None:
        target = world.gate.account
        self.refused(world, Act(target, selector("resume()"), FILL, HOT, "resume"), "NotListed")

    # -- deals -----------------------------------------------------------------------------------------------------

    def test_joins_a_deal_that_pays_those_who_are_named(self, world: GateWorld) -> None:
        terms = world.terms(90, SELLER)
        self.done(world, Act(world.book, open_call(terms), 90, SELLER, "buy"), 90)
        assert world.balance(world.book) == 90
        assert world.allowance(world.book) == 0

    def test_a_deal_over_the_cap(self, world: GateWorld) -> None:
        self.refused(world, Act(world.book, open_call(world.terms(101, SELLER)), 101, SELLER, "buy"), "OverAct")

    def test_deals_that_pay_others(self, world: GateWorld) -> None:
        for terms in (world.terms(9, STRANGER), world.terms(9, SELLER, residual=STRANGER),
                      world.terms(9, SELLER, pays={UPHELD: Split((SELLER,), amounts=(9,)),
                                                   REFUTED: Split((CHALLENGER,), amounts=(9,))}),
                      world.terms(9, SELLER, pays={UPHELD: Root(60)})):
            self.refused(world, Act(world.book, open_call(terms), 9, world.book, "buy"), "NotPayee")
        self.refused(world, Act(world.book, join_call(STRANGER, terms), 9, world.book, "buy"), "NotPayee")

    def test_a_pot_that_is_anothers_or_not_there(self, world: GateWorld) -> None:
        terms = world.terms(9, SELLER, depositor=SHOP)
        self.refused(world, Act(world.book, open_call(terms), 9, world.book, "buy"), "Unreadable")
        self.refused(world, Act(world.book, open_call(world.terms(9, SELLER), 1), 9, world.book, "buy"), "Unreadable")
        other = replace(world.terms(9, SELLER), token=STRANGER)
        self.refused(world, Act(world.book, open_call(other), 9, world.book, "buy"), "Unreadable")

    def test_bytes_that_are_no_deal(self, world: GateWorld) -> None:
        for data in (open_call(world.terms(9, SELLER))[:-120], JOIN, JOIN + word(64) + word(0) + word(51) + bytes(51)):
            self.refused(world, Act(world.book, data, 9, world.book, "buy"), "Unreadable")
        bad = OPEN_AND_JOIN + SALT + word(128) + word(0) + word(192) + word(2) + word(0) + word(0)
        self.refused(world, Act(world.book, bad, 9, world.book, "buy"), "BadTerms", recorded=False)

    def test_a_book_that_may_be_paid_itself(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, replace(world.limits(), payees=(world.book,)))
        self.done(world, Act(world.book, open_call(world.terms(9, STRANGER)), 9, world.book, "buy"), 9)

    # -- a hot account ---------------------------------------------------------------------------------------------

    def test_refills_the_hot_account_and_not_above(self, world: GateWorld) -> None:
        self.done(world, Act.refill(world.gate.account, world.limits()), FILL)
        assert world.balance(HOT) == FILL
        self.done(world, Act.refill(world.gate.account, world.limits()), 0)
        assert world.balance(HOT) == FILL
        world.owner.limit(OWNER, replace(world.limits(), hot=bytes(20), fill=0))
        self.refused(world, Act.refill(world.gate.account, world.limits()), "NotListed")

    def test_a_refill_is_within_the_caps(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, replace(world.limits(), fill=PER_ACT + 1))
        self.refused(world, Act.refill(world.gate.account, world.limits()), "OverAct")

    # -- confidence and the breaker --------------------------------------------------------------------------------

    def test_two_who_are_sure_let_an_act_pass(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        act = world.pay(SHOP, 10)
        self.done(world, act, 10, world.sure(act, (SURE, 10_000)))

    def test_too_little_confidence_is_recorded(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        act = world.pay(SHOP, 10)
        self.refused(world, act, "Unsure", world.sure(act, (9_000, SURE - 1)))
        assert world.gate.state().standing.strikes == 1

    def test_one_voice_is_not_two(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        act = world.pay(SHOP, 10)
        one = world.sure(act, (9_000,)).voices[0]
        self.refused(world, act, "Unsure", Confidence((one, one)))

    def test_the_agents_own_word_is_none(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        act = world.pay(SHOP, 10)
        asked, end = world.gate.asked(act), world.now() + 60
        own = Voice.sign(key("gate agent"), asked, 10_000, end)
        forged = replace(own, verifier=VERIFIERS[1])
        self.refused(world, act, "Unsure", Confidence((*world.sure(act, (9_000,)).voices, own, forged)))
        with pytest.raises(ActRefused, match="BadLimits"):
            world.owner.limit(OWNER, replace(asking(world), verifiers=tuple(sorted((*VERIFIERS, AGENT)))))

    def test_a_word_about_another_act_is_none(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        other, act = world.sure(world.pay(SHOP, 9)), world.pay(SHOP, 10)
        self.refused(world, act, "Unsure", other)
        used = world.sure(act)
        self.done(world, act, 10, used)
        self.refused(world, act, "Unsure", used)

    def test_a_word_that_is_over_is_none(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        act = world.pay(SHOP, 10)
        late = world.sure(act, life=5)
        world.advance(60)
        self.refused(world, act, "Unsure", late)

    def test_strikes_trip_the_breaker_until_the_owner_resets(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        act = world.pay(SHOP, 10)
        for strike in (1, 2, 3):
            self.refused(world, act, "Unsure")
            assert world.gate.state().standing.strikes == strike
        assert world.gate.state().standing.tripped
        self.refused(world, act, "Tripped", world.sure(act), recorded=False)
        with pytest.raises(ActRefused, match="NotOwner"):
            world.owner.reset(STRANGER)
        world.owner.reset(OWNER)
        self.done(world, act, 10, world.sure(act))
        assert world.gate.state().standing.strikes == 0

    def test_what_the_limits_do_not_cover_is_no_strike(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        for _ in range(4):
            self.refused(world, world.pay(STRANGER, 1), "NotPayee")
        assert world.gate.state().standing.strikes == 0

    def test_caps_hold_however_sure_they_are(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        act = world.pay(SHOP, PER_ACT + 1)
        self.refused(world, act, "OverAct", world.sure(act, (10_000, 10_000)))

    # -- time and the owner ----------------------------------------------------------------------------------------

    def test_nothing_after_the_end(self, world: GateWorld) -> None:
        world.owner.limit(OWNER, replace(world.limits(), expiry=world.now() + 60))
        self.done(world, world.pay(SHOP, 1), 1)
        world.advance(120)
        self.refused(world, world.pay(SHOP, 1), "Expired", recorded=False)

    def test_the_stop_button(self, world: GateWorld) -> None:
        for by in (AGENT, STRANGER):
            with pytest.raises(ActRefused, match="NotOwner"):
                world.owner.stop(by)
        world.owner.stop(OWNER)
        self.refused(world, world.pay(SHOP, 1), "Stopped", recorded=False)
        with pytest.raises(ActRefused, match="NotOwner"):
            world.owner.resume(AGENT)
        world.owner.resume(OWNER)
        self.done(world, world.pay(SHOP, 1), 1)

    def test_the_owner_withdraws_whatever_stands(self, world: GateWorld) -> None:
        world.owner.stop(OWNER)
        for by in (AGENT, STRANGER):
            with pytest.raises(ActRefused, match="NotOwner"):
                world.owner.withdraw(by, world.token, by, 1)
        before = world.balance(OWNER)
        world.owner.withdraw(OWNER, world.token, OWNER, FUNDS)
        assert (world.balance(OWNER), world.balance(world.gate.account)) == (before + FUNDS, 0)

    def test_the_owner_approves_what_the_limits_do_not_cover(self, world: GateWorld) -> None:
        act = world.pay(STRANGER, PER_DAY + 1)
        self.refused(world, act, "NotPayee")
        with pytest.raises(ActRefused, match="NotOwner"):
            world.owner.approve(AGENT, act)
        world.owner.approve(OWNER, act)
        assert world.balance(STRANGER) == PER_DAY + 1
        assert world.gate.state().spent_today == 0

    def test_limits_that_no_account_takes(self, world: GateWorld) -> None:
        good = asking(world)
        for bad in ({"agent": bytes(20)}, {"token": bytes(20)}, {"agent": world.gate.account}, {"per_act": PER_DAY + 1},
                    {"confidence": 10_001}, {"confidence": 0}, {"agree": 0}, {"agree": 4}, {"strikes": 0},
                    {"verifiers": VERIFIERS[::-1]}, {"verifiers": (VERIFIERS[0], *VERIFIERS)}, {"agree": 1,
                     "verifiers": (bytes(20),)}, {"verifiers": tuple(sorted((*VERIFIERS, world.gate.account)))},
                    {"hot": VERIFIERS[0]}, {"hot": world.gate.account}, {"hot": bytes(20)}, {"fill": 0},
                    {"payees": (SHOP,) * 65}):
            with pytest.raises(ActRefused, match="BadLimits"):
                world.owner.limit(OWNER, replace(good, **bad))  # type: ignore[arg-type]
        with pytest.raises(ActRefused, match="NotOwner"):
            world.owner.limit(AGENT, replace(good, per_act=PER_DAY))
        world.owner.limit(OWNER, good)
        assert world.limits() == good
        assert Limits.from_bytes(good.to_bytes()) == good

    def test_new_limits_do_not_forget_what_was_spent(self, world: GateWorld) -> None:
        self.done(world, world.pay(SHOP, PER_ACT), PER_ACT)
        world.owner.limit(OWNER, replace(world.limits(), per_day=PER_ACT))
        self.refused(world, world.pay(SHOP, 1), "OverDay")
