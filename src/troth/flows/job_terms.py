"""A job's order in its own words, and the deals that follow from it: one for each milestone.

Work for pay is one thing here, whatever the work: an order says what is wanted, a result says that it is done, reviews
say what they found. What differs is who may look, and when:

============ ======================================= =============================================================
review       rung 0                                  above it
============ ======================================= =============================================================
``first``    Signed: result, then k of n verdicts    (the end)
``asked``    Assumed: the result stands, unless the   Signed: the provider shows its result again, then k of n
             client asks within the window            verdicts
``rerun``    Assumed, as above; for computing         Rerun: shown again, then k of n execute it again, commit, reveal
============ ======================================= =============================================================

Above the reviewers an order may name a **court** (`parts.Above`): then what they found, or that they found nothing, can
be appealed within the window, with twice the bond, and the court chooses between paid and refused.

**A milestone is a deal of its own**, with terms that the order fixes beforehand: so each is paid when it is done, and
neither side ever has more at stake than one of them. Its deal's id follows from the order, so nothing has to be agreed
on twice. The client funds the next one, or leaves it; who has not been paid has not begun.

**A model's verdict is one voice.** Reviewers are people or models. Above ``models_alone`` (an amount of the order) the
models among them can never be as many as a verdict needs: at most half of all seats, where more than half must agree.

**Stakes.** A provider's stake is more than twice the price, so that what it could gain by cheating is less than what
it loses; half of it goes to whoever was right to ask, the rest to the client. A reviewer's is more than twice its fee.
Where reviewers who must look first all stay silent, the price is halved between client and provider, and the stakes of
the silent are forfeited: neither side gains by keeping them from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from troth.compute.runners import FORMS, PROGRAM, WASM, Limits
from troth.core import encoding
from troth.core.encoding import from_hex, keccak256
from troth.core.errors import Misuse
from troth.core.seats import court_rung
from troth.core.terms import (
    CHALLENGER,
    KEEP,
    REFUTED,
    SLASHED,
    UPHELD,
    Account,
    Answered,
    Ask,
    Pot,
    Result,
    Rung,
    Split,
    Terms,
    climber,
    deal_id,
)
from troth.flows.parts import Above, Pin

JOB = "job"
FIRST, ASKED, RERUN = "first", "asked", "rerun"
UNSEEN = 3
"""Deal outcome beyond upheld (1) and refuted (2): those who must look first did not."""
RESULT_ASK, EVIDENCE_ASK, VERDICT_ASK, COMMIT_ASK, REVEAL_ASK = "result", "evidence", "verdict", "commit", "reveal"
PRICE_POT, FEE_POT, STAKE_POT = "price", "fee", "stake"
MOST_MILESTONES, MOST_REVIEWERS = 16, 9
NO_COMMONS = keccak256(b"troth job: bonds of wrong challengers go to nobody")[12:]


@dataclass(frozen=True, slots=True)
class Seat:
    """Who takes part. model: of a reviewer that is no person, what it is; empty for people and for machines that only
    execute again."""

    did: str
    account: Account
    model: str = ""

    def json(self) -> dict[str, str]:
        """As a claim says it."""
        return {"account": self.account.hex(), "did": self.did, "model": self.model}

    @classmethod
    def read(cls, value: Any) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        account, did, model = encoding.take(value, account=str, did=str, model=str)
        return cls(did, from_hex(account, 20), model)


@dataclass(frozen=True, slots=True)
class Milestone:
    """A part that is paid by itself. price, stake: in the token's smallest unit; the stake is the provider's."""

    name: str
    price: int
    stake: int

    def json(self) -> dict[str, str]:
        """As a claim says it."""
        return {"name": self.name, "price": str(self.price), "stake": str(self.stake)}

    @classmethod
    def read(cls, value: Any) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        name, price, stake = encoding.take(value, name=str, price=str, stake=str)
        return cls(name, encoding.amount(price), encoding.amount(stake))


@dataclass(frozen=True, slots=True)
class Money:
    """What reviews cost, in the token's smallest unit, the same for each milestone. fee: of all reviewers together,
    paid by the client who has them look, or has asked for it. reviewer_stake: of each. bond: of whoever asks; 0 where
    reviewers look first. models_alone: the price up to which models may be enough for a verdict."""

    fee: int
    reviewer_stake: int
    bond: int = 0
    models_alone: int = 0
    least: int = 8_000


@dataclass(frozen=True, slots=True)
class Periods:
    """Seconds: to deposit, to deliver, to show it again or review it, until a verdict, and to ask for a review."""

    fund: int = 86_400
    work: int = 7 * 86_400
    review: int = 86_400
    verdict: int = 3_600
    window: int = 86_400


@dataclass(frozen=True, slots=True)
class Order:
    """What both sides agree on. what: for people to read. form: of computing, what the job is (`compute.runners`), and
    empty for other work. limits: of computing. result, review_by: the policies of the two rungs; of ``first`` one
    and the same. fund_by: Unix seconds, of the first milestone. nonce: 32 random bytes."""

    chain_id: int
    book: Account
    token: Account
    client: Seat
    provider: Seat
    reviewers: tuple[Seat, ...]
    what: str
    milestones: tuple[Milestone, ...]
    money: Money
    review: str
    result_policy: Pin
    review_policy: Pin
    fund_by: int
    nonce: bytes
    form: str = ""
    limits: Limits = field(default_factory=Limits)
    periods: Periods = field(default_factory=Periods)
    court: Above | None = None

    @property
    def bench(self) -> tuple[Account, ...]:
        """The reviewers' accounts."""
        return tuple(seat.account for seat in self.reviewers)

    def others(self, did: str) -> tuple[str, ...]:
        """Everybody named but one."""
        return tuple(seat.did for seat in (self.client, self.provider, *self.reviewers) if seat.did != did)

    def terms(self, milestone: int) -> Terms:
        """The terms of one milestone's deal; every party makes them by itself."""
        part, money, client, provider = self._part(milestone), self.money, self.client.account, self.provider.account
        lost = Split((CHALLENGER, client), amounts=(part.stake // 2, part.stake))
        pots = [
            Pot(PRICE_POT, client, part.price, {UPHELD: Split((provider,), amounts=(part.price,)),
                                                UNSEEN: Split((provider,), amounts=(part.price // 2,))}
                if self.review == FIRST else {UPHELD: Split((provider,), amounts=(part.price,))}),
            # A slashed depositor gets nothing back: a right challenger half, the client the rest.
            Pot(STAKE_POT, provider, part.stake, {SLASHED: lost}),
            *(Pot(seat_pot(account), account, money.reviewer_stake,
                  {SLASHED: Split((CHALLENGER,), amounts=(money.reviewer_stake // 2,))}) for account in self.bench),
        ]
        outcomes = (UPHELD, REFUTED, *((UNSEEN,) if self.review == FIRST else ()))
        if money.fee:
            level = 0 if self.review == FIRST else 1
            pots.append(Pot(FEE_POT, climber(1) if level else client, money.fee,
                            dict.fromkeys(outcomes, Answered(level))))
        return Terms(self.token, tuple(pots), self._rungs(), self.fund_by + milestone * self._span, NO_COMMONS)

    @property
    def _span(self) -> int:
        """How far apart the milestones' last times to deposit are: the longest that one takes."""
        return self.periods.fund + sum(rung.life for rung in self._rungs())

    def _rungs(self) -> tuple[Rung, ...]:
        periods, provider, first = self.periods, self.provider.account, self.review == FIRST
        # Below a court reviewers are not the last word: their rung has a window and a bond too.
        window, bond = (periods.window, self.money.bond) if self.court else (0, 0)
        if first:
            asks = [Ask(RESULT_ASK, (provider,), periods.work), Ask(VERDICT_ASK, self.bench, periods.review)]
        else:
            asks = [Ask(EVIDENCE_ASK, (provider,), periods.review)]
            asks += ([Ask(COMMIT_ASK, self.bench, periods.review), Ask(REVEAL_ASK, None, periods.review)]
                     if self.review == RERUN else [Ask(VERDICT_ASK, self.bench, periods.review)])
        below = () if first else (Rung(
            self.result_policy.address, self.result_policy.codehash, (Ask(RESULT_ASK, (provider,), periods.work),),
            periods.verdict, periods.window, self.money.bond, silent=REFUTED),)
        reviewed = Rung(self.review_policy.address, self.review_policy.codehash, tuple(asks), periods.verdict, window,
                        bond if first else 2 * bond, silent=UNSEEN if first else KEEP)
        return (*below, reviewed, *self._above())

    def _above(self) -> tuple[Rung, ...]:
        if self.court is None:
            return ()
        pin = self.court.policy
        return (court_rung((pin.address, pin.codehash), self.court.seat, (Result(UPHELD), self.refusal()),
                           self.court.period, self.periods.verdict),)

    def salt(self, milestone: int) -> bytes:
        """The salt of one milestone's deal."""
        return keccak256(self.nonce + bytes([milestone]))

    def deal(self, milestone: int) -> bytes:
        """The id of one milestone's deal, known before it is opened."""
        return deal_id(self.chain_id, self.book, self.client.account, self.salt(milestone),
                       self.terms(milestone).hash())

    def refusal(self) -> Result:
        """The finding that a result is not what was ordered: the provider's stake is lost."""
        return Result(REFUTED, slashed=frozenset({self.provider.account}))

    def check(self) -> None:
        """Refuse an order that one of the sides should not agree to, whatever the work. Raises Misuse."""
        if self.review not in (FIRST, ASKED, RERUN):
            raise Misuse("an unknown kind of review", expected=f"{FIRST}, {ASKED} or {RERUN}", actual=self.review)
        if self.form not in ("", *FORMS):
            raise Misuse("an unknown form of job", expected=", ".join(FORMS), actual=self.form)
        if (self.review == RERUN) != (self.form in (WASM, PROGRAM)):
            raise Misuse("only what gives the same bits everywhere is judged by executing it again",
                         expected=f"review {RERUN} with {WASM} or {PROGRAM}, and with nothing else",
                         actual=f"{self.review} with {self.form or 'work'}",
                         do="Native code that depends on clock or machine would cost an honest provider its stake.")
        if not 1 <= len(self.milestones) <= MOST_MILESTONES or not 1 <= len(self.reviewers) <= MOST_REVIEWERS:
            raise Misuse("too few or too many parts", actual=f"{len(self.milestones)}, {len(self.reviewers)}",
                         expected=f"1 to {MOST_MILESTONES} milestones, 1 to {MOST_REVIEWERS} reviewers")
        seats = (self.client, self.provider, *self.reviewers)
        if len({one.account for one in seats}) < len(seats) or len({one.did for one in seats}) < len(seats):
            raise Misuse("somebody has two seats", expected="client, provider and reviewers apart")
        if self.client.model or self.provider.model or (self.form and any(one.model for one in self.reviewers)):
            raise Misuse("a model that is no reviewer of work", expected="models among the reviewers of work alone")
        self._deters()
        self._heard()

    def _deters(self) -> None:
        """Every stake is more than twice what its owner could gain, and asking for a review costs the wrong alone."""
        money, share = self.money, self.money.fee // len(self.reviewers)
        for part in self.milestones:
            if part.price < 1 or part.stake <= 2 * part.price:
                raise Misuse("the provider's stake does not deter", expected=f"more than {2 * part.price}",
                             actual=part.stake, do="Raise the stake or split the work into smaller milestones.")
            if self.review != FIRST and part.stake // 2 <= money.fee:
                raise Misuse("a right challenger would lose by asking for a review", actual=part.stake,
                             expected=f"a stake of more than {2 * money.fee + 1}")
        if money.reviewer_stake <= max(2 * share, 0):
            raise Misuse("a reviewer's stake does not deter", expected=f"more than {2 * share}",
                         actual=money.reviewer_stake)
        if self.review == FIRST and self.court is None and money.bond:
            raise Misuse("nobody can appeal from reviewers who look first, without a court", expected="no bond",
                         actual=money.bond)
        if (self.review != FIRST or self.court) and money.bond <= money.fee:
            raise Misuse("the bond does not deter idle refusals", expected=f"more than {money.fee}", actual=money.bond)

    def _heard(self) -> None:
        """Above the set amount models alone can make no verdict: more than half of all seats must agree."""
        models = sum(bool(one.model) for one in self.reviewers)
        dearest = max(part.price for part in self.milestones)
        if dearest > self.money.models_alone and models > len(self.reviewers) // 2:
            raise Misuse("models alone could judge more than the set amount", actual=f"{models} models of "
                         f"{len(self.reviewers)} reviewers, for {dearest}", do="Name people beside them.",
                         expected=f"at most {len(self.reviewers) // 2}, or a price up to {self.money.models_alone}")

    def _part(self, milestone: int) -> Milestone:
        if not 0 <= milestone < len(self.milestones):
            raise Misuse("no such milestone", expected=f"0 to {len(self.milestones) - 1}", actual=milestone)
        return self.milestones[milestone]

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        money, periods = self.money, self.periods
        return {
            "book": self.book.hex(), "chain": str(self.chain_id), "client": self.client.json(),
            "court": self.court.json() if self.court else {}, "form": self.form, "fund_by": self.fund_by,
            "limits": self.limits.json(),
            "milestones": [part.json() for part in self.milestones],
            "money": {"bond": str(money.bond), "fee": str(money.fee), "least": str(money.least),
                      "models_alone": str(money.models_alone), "reviewer_stake": str(money.reviewer_stake)},
            "nonce": self.nonce.hex(),
            "periods": {"fund": periods.fund, "review": periods.review, "verdict": periods.verdict,
                        "window": periods.window, "work": periods.work},
            "policies": {"result": self.result_policy.json(), "review": self.review_policy.json()},
            "provider": self.provider.json(), "review": self.review,
            "reviewers": [seat.json() for seat in self.reviewers], "token": self.token.hex(), "what": self.what}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        (book, chain, client, court, form, fund_by, limits, milestones, money, nonce, periods, policies, provider,
         review, reviewers, token, what) = encoding.take(
            body, book=str, chain=str, client=dict, court=dict, form=str, fund_by=int, limits=dict, milestones=list,
            money=dict, nonce=str, periods=dict, policies=dict, provider=dict, review=str, reviewers=list, token=str,
            what=str)
        bond, fee, least, models_alone, reviewer_stake = map(encoding.amount, encoding.take(
            money, bond=str, fee=str, least=str, models_alone=str, reviewer_stake=str))
        fund, reviewing, verdict, window, work = encoding.take(periods, fund=int, review=int, verdict=int, window=int,
                                                               work=int)
        result_policy, review_policy = encoding.take(policies, result=dict, review=dict)
        return cls(encoding.amount(chain), from_hex(book, 20), from_hex(token, 20), Seat.read(client),
                   Seat.read(provider), tuple(map(Seat.read, reviewers)), what, tuple(map(Milestone.read, milestones)),
                   Money(fee, reviewer_stake, bond, models_alone, least), review, Pin.read(result_policy),
                   Pin.read(review_policy), fund_by, from_hex(nonce, 32), form, Limits.of(limits),
                   Periods(fund, work, reviewing, verdict, window), Above.read(court) if court else None)


def seat_pot(account: Account) -> str:
    """The name of a reviewer's stake pot."""
    return f"seat:{account.hex()[:12]}"
