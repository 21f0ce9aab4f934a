"""The deal of one federated round: its pots, its ladder, what each outcome pays."""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.errors import Misuse
from troth.core.terms import (
    CHALLENGER,
    KEEPER,
    REFUTED,
    SLASHED,
    UPHELD,
    Account,
    Answered,
    Ask,
    Pot,
    Rule,
    Rung,
    Split,
    Terms,
    climber,
)
from troth.flows.parts import Pin
from troth.learn.claims import OMITTED, UNSUMMED, WITHHELD, Plan

AGGREGATE_ASK, EVIDENCE_ASK, COMMIT_ASK, REVEAL_ASK = "aggregate", "evidence", "commit", "reveal"
OUTCOMES = (UPHELD, REFUTED, WITHHELD, OMITTED)
BEHIND_MASKS = (UPHELD, REFUTED, UNSUMMED)


@dataclass(frozen=True, slots=True)
class Money:
    """Amounts of one round, in the token's smallest unit. ``check`` says what keeps cheating from paying."""

    reward: int
    fee: int
    keeper: int
    site_stake: int
    aggregator_stake: int
    verifier_stake: int
    verifier_fee: int
    bond: int

    def check(self, sites: int, verifiers: int) -> None:
        """Raises Misuse unless every stake exceeds twice what its owner could gain by cheating.

        sites: how many are still seated: the fewer, the larger the share that one could take. An aggregator can at
        most redirect the round's reward; a site can at most be paid its fair share for harm; a verifier can at most
        take the seat's fee for no work. The bond must exceed the verifiers' fees, or calling them would be cheaper
        than being wrong; and what a right challenger gets of the smallest stake must exceed them too, or nobody would
        call. What is forfeited goes to a right challenger and the commons, so that nobody gains by seeing others
        slashed.
        """
        for who, stake, gain in (("aggregator", self.aggregator_stake, self.reward + self.fee),
                                 ("site", self.site_stake, self.reward // sites),
                                 ("verifier", self.verifier_stake, self.verifier_fee // verifiers)):
            if stake <= 2 * gain:
                raise Misuse(f"the {who}'s stake does not deter", expected=f"more than {2 * gain}", actual=stake,
                             do="Raise the stake or lower what cheating could win.")
        if min(self.aggregator_stake, self.site_stake) // 2 <= self.verifier_fee:
            raise Misuse("a right challenger would lose by calling the verifiers",
                         expected=f"stakes of more than {2 * self.verifier_fee}",
                         actual=min(self.aggregator_stake, self.site_stake))
        if self.bond <= self.verifier_fee:
            raise Misuse("the bond does not deter idle challenges", expected=f"more than {self.verifier_fee}",
                         actual=self.bond)


@dataclass(frozen=True, slots=True)
class Periods:
    """Seconds for each part of a round's deal."""

    fund: int = 3_600
    answer: int = 3_600
    verdict: int = 3_600
    window: int = 7_200


@dataclass(frozen=True, slots=True)
class Words:
    """A round's deal in its own words. ``commons`` gets the bonds of wrong challengers and is nobody's account."""

    token: Account
    sponsor: Account
    commons: Account
    assumed: Pin
    rerun: Pin
    money: Money
    periods: Periods = Periods()


def stake_pot(account: Account) -> str:
    """The name of an account's stake pot."""
    return f"stake:{account.hex()[:12]}"


def round_terms(words: Words, plan: Plan, seated: frozenset[str], now: int) -> Terms:
    """The terms of one round among the sites still seated. Raises Misuse where a stake would not deter."""
    money, periods = words.money, words.periods
    sites = tuple(seat for seat in plan.sites if seat.did in seated)
    least = 2 if plan.masking is None else plan.masking.least
    if len(sites) < least:
        raise Misuse("a round needs sites to compare", expected=f"at least {least} seated", actual=len(sites))
    money.check(len(sites), len(plan.verifiers))
    weights = dict.fromkeys(plan.keys, 1)
    if plan.masking is not None and plan.masking.stakes:
        weights = dict(zip(plan.keys, plan.masking.stakes, strict=True))
    bench = tuple(seat.account for seat in plan.verifiers)
    shares = Split(tuple(seat.account for seat in plan.sites))

    def half(amount: int) -> Split:
        return Split((CHALLENGER,), amounts=(amount // 2,))

    def stake(account: Account, amount: int) -> Pot:
        # A slashed depositor gets nothing back: what no challenger earned goes to the commons.
        return Pot(stake_pot(account), account, amount, {SLASHED: half(amount)}, residual=account)

    fee = Split((plan.aggregator.account,), amounts=(money.fee,))
    outcomes = OUTCOMES if plan.masking is None else BEHIND_MASKS
    by_outcome: dict[int, Rule] = dict.fromkeys(outcomes, shares)
    pots = (
        Pot("reward", words.sponsor, money.reward, by_outcome, residual=words.sponsor),
        # Whoever has an omitted update counted gets half of the fee that the aggregator does not: with a share of the
        # reward at stake a site left out gains by calling, and nobody gains by sending to the verifiers alone.
        Pot("fee", words.sponsor, money.fee, {UPHELD: fee, WITHHELD: fee, OMITTED: half(money.fee)}
            if plan.masking is None else {UPHELD: fee}, residual=words.sponsor),
        Pot("keeper", words.sponsor, money.keeper,
            dict.fromkeys(outcomes, Split((KEEPER,), weights=(1,))), residual=words.sponsor),
        stake(plan.aggregator.account, money.aggregator_stake),
        *(stake(seat.account, money.site_stake * weights[seat.did]) for seat in sites),
        *(stake(account, money.verifier_stake) for account in bench),
        Pot("verifiers", climber(1), money.verifier_fee, dict.fromkeys(outcomes, Answered(1))),
    )
    evidence = (plan.aggregator.account, *(seat.account for seat in sites))
    rungs = (
        Rung(words.assumed.address, words.assumed.codehash,
             (Ask(AGGREGATE_ASK, (plan.aggregator.account,), periods.answer),), periods.verdict, periods.window,
             money.bond, silent=REFUTED),
        Rung(words.rerun.address, words.rerun.codehash,
             (Ask(EVIDENCE_ASK, evidence, periods.answer), Ask(COMMIT_ASK, bench, periods.answer),
              Ask(REVEAL_ASK, None, periods.answer)), periods.verdict),
    )
    return Terms(words.token, pots, rungs, now + periods.fund, words.commons)
