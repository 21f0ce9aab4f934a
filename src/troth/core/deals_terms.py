"""What terms a Book opens a deal on (docs/reference/deals.md, sections 1 and 2). Pure: no I/O, no clock.

``check`` refuses with the first code of section 2's order that applies; ``readable`` refuses values that have no ABI
form at all.
"""

from __future__ import annotations

from troth.core.errors import ActRefused, BadInput
from troth.core.terms import (
    CHALLENGER,
    DEPOSITOR,
    KEEP,
    KEEPER,
    SLASHED,
    Account,
    Answered,
    Pot,
    Root,
    Rule,
    Rung,
    Split,
    Terms,
    climber,
    is_role,
    label,
)

MAX_POTS = 32
MAX_RUNGS = 4
MAX_ASKS = 4
MAX_WHO = 32
MAX_SEATS = 64
MAX_SLOTS = 8
MAX_PAYEES = 32
MAX_PAID = 128
MAX_PAYMENTS = 112
MAX_RULES = 8
MAX_VALUES = 64
MAX_SLASHED = 64
MAX_DATA = 4096
MAX_ANSWER = 8192
MAX_LIFE = 63_072_000
MAX_AMOUNT = 2**128 - 1


def fee_rung(pot: Pot, rungs: int) -> int | None:
    """The rung whose fee pot this is (deposited by its climber), or None for a pot deposited with ``join``."""
    for rung in range(1, rungs):
        if pot.depositor == climber(rung):
            return rung
    return None


def benches(terms: Terms) -> frozenset[Account]:
    """Everybody on a bench: the accounts of the last ask of each rung above the first (section 1)."""
    return frozenset(account for rung in terms.rungs[1:] for account in rung.bench)


def readable(terms: Terms) -> None:
    """Refuse terms that have no bytes: BadInput for a wrong width, a negative or too large number, a bad name, more
    than 224 accounts, or more of anything than its count can say.
    """
    check_account(terms.token)
    check_account(terms.wrong_bonds)
    check_number(terms.fund_by, 64)
    for pot in terms.pots:
        _pot(pot)
    for rung in terms.rungs:
        _rung(rung)
    terms.to_bytes()


def check(terms: Terms, now: int) -> None:
    """Refuse terms a deal may not have, in section 2's order from BadShape to BadBench. Raises ActRefused."""
    _shape(terms)
    _times(terms, now)
    _bonds(terms)
    if terms.rungs[0].silent == KEEP:
        raise ActRefused("BadSilent", "rung 0 has no result below it to keep",
                         expected="silent: an outcome of 1 to 255", do="Say what silence at rung 0 means.")
    for pot in terms.pots:
        _check_pot(pot, len(terms.rungs))
    _wrong_bonds(terms)
    _benches(terms)


def check_account(account: Account) -> None:
    """Refuse anything but 20 bytes. Raises BadInput."""
    if type(account) is not bytes or len(account) != 20:
        raise BadInput("not an account", expected="20 bytes", actual=repr(account))


def check_number(number: int, bits: int) -> None:
    """Refuse anything but an integer of 0 to 2^bits - 1. Raises BadInput."""
    if type(number) is not int or not 0 <= number < 1 << bits:
        raise BadInput("not a number the Book can hold", expected=f"an integer of 0 to 2^{bits} - 1",
                       actual=repr(number))


def _pot(pot: Pot) -> None:
    label(pot.name)
    check_account(pot.depositor)
    check_account(pot.residual)
    check_number(pot.amount, 128)
    for outcome, rule in pot.pays.items():
        check_number(outcome, 8)
        if isinstance(rule, Answered):
            check_number(rule.rung, 8)
        elif isinstance(rule, Root):
            check_number(rule.term, 32)
        else:
            if rule.amounts is not None and rule.weights is not None:
                raise BadInput("a split by amounts and by weights", expected="one of them", do="Leave the other None.")
            for payee in rule.payees:
                check_account(payee)
            for number in rule.amounts or rule.weights or ():
                check_number(number, 128)


def _rung(rung: Rung) -> None:
    check_account(rung.policy)
    for what, word in (("a code hash", rung.codehash), ("a policy's parameter", rung.param)):
        if type(word) is not bytes or len(word) != 32:
            raise BadInput(f"not {what}", expected="32 bytes", actual=repr(word))
    check_number(rung.verdict_period, 32)
    check_number(rung.window, 32)
    check_number(rung.bond, 128)
    check_number(rung.silent, 8)
    for ask in rung.asks:
        label(ask.kind)
        check_number(ask.period, 32)
        check_number(ask.slots, 8)
        for account in ask.who or ():
            check_account(account)


def _within(code: str, what: str, found: int, least: int, most: int) -> None:
    if not least <= found <= most:
        raise ActRefused(code, f"{what} out of range", expected=f"{least} to {most}", actual=found,
                         do="See the limits in docs/reference/deals.md, section 1.")


def _shape(terms: Terms) -> None:
    _within("BadShape", "number of pots", len(terms.pots), 1, MAX_POTS)
    _within("BadShape", "number of rungs", len(terms.rungs), 1, MAX_RUNGS)
    for pot in terms.pots:
        _within("BadShape", f"rules of pot {pot.name!r}", len(pot.pays), 0, MAX_RULES)
        for rule in pot.pays.values():
            if isinstance(rule, Split):
                _within("BadShape", f"payees of pot {pot.name!r}", len(rule.payees), 0, MAX_PAYEES)
    for rung in terms.rungs:
        _within("BadShape", "asks of a rung", len(rung.asks), 1, MAX_ASKS)
        for index, ask in enumerate(rung.asks):
            # An empty `who` repeats the ask before it, so the first cannot be empty.
            _within("BadShape", f"accounts of ask {ask.kind!r}", len(ask.who or ()), 0 if index else 1, MAX_WHO)
            _within("BadShape", f"slots of ask {ask.kind!r}", ask.slots, 1, MAX_SLOTS)
    # The longest history and the widest close must each fit one transaction.
    seats = sum(len(rung.asked(index)) * ask.slots for rung in terms.rungs for index, ask in enumerate(rung.asks))
    _within("BadShape", "accounts × slots over all asks", seats, 1, MAX_SEATS)
    paid = sum(len(rule.payees) for pot in terms.pots for rule in pot.pays.values() if isinstance(rule, Split))
    _within("BadShape", "payees over all rules", paid, 0, MAX_PAID)
    widest = sum(1 + max((_width(rule, terms.rungs) for rule in pot.pays.values()), default=0) for pot in terms.pots)
    _within("BadShape", "payments of one close", widest, 1, MAX_PAYMENTS)
    if all(fee_rung(pot, len(terms.rungs)) is not None for pot in terms.pots):
        raise ActRefused("BadShape", "every pot is a challenger's fee pot, so nobody could ever join",
                         expected="at least one pot with a depositor of its own")
    names = [pot.name for pot in terms.pots]
    if len(set(names)) != len(names):
        raise ActRefused("BadShape", "two pots have one name", expected="distinct names", actual=", ".join(names))


def _width(rule: Rule, rungs: tuple[Rung, ...]) -> int:
    """How many accounts the rule pays at most. A rung that is not there is BadPot, later."""
    if isinstance(rule, Answered):
        return len(rungs[rule.rung].bench) if rule.rung < len(rungs) else 0
    return len(rule.payees) if isinstance(rule, Split) else 0


def _times(terms: Terms, now: int) -> None:
    if terms.fund_by <= now:
        raise ActRefused("BadTimes", "the time to fund is over", expected=f"fund_by after {now}", actual=terms.fund_by)
    top = len(terms.rungs) - 1
    for index, rung in enumerate(terms.rungs):
        for period in (rung.verdict_period, *(ask.period for ask in rung.asks)):
            if period == 0:
                raise ActRefused("BadTimes", f"a period of zero seconds in rung {index}", expected="at least 1")
        if (rung.window == 0) != (index == top):
            raise ActRefused("BadTimes", f"window of rung {index}", actual=rung.window,
                             expected="no window at the top rung, one of at least 1 second below it")
    # Every deal must close by a time known when it is opened (design, rule 6).
    _within("BadTimes", "the deal's whole life in seconds", terms.closes_by - now, 1, MAX_LIFE)


def _bonds(terms: Terms) -> None:
    top = len(terms.rungs) - 1
    least = 1
    for index, rung in enumerate(terms.rungs[:top]):
        if rung.bond < least:
            raise ActRefused("BadBond", f"the bond of rung {index} is too small", expected=f"at least {least}",
                             actual=rung.bond, do="Bonds at least double from rung to rung.")
        least = 2 * rung.bond
    if terms.rungs[top].bond:
        raise ActRefused("BadBond", "a bond at the top rung, which cannot be challenged", expected=0,
                         actual=terms.rungs[top].bond)


def _bad_pot(pot: Pot, what: str, expected: str, actual: object = None) -> ActRefused:
    return ActRefused("BadPot", f"pot {pot.name!r}: {what}", expected=expected, actual=actual,
                      do="See docs/reference/deals.md, section 2, BadPot.")


def _check_pot(pot: Pot, rungs: int) -> None:
    fee = fee_rung(pot, rungs)
    if pot.amount == 0:
        raise _bad_pot(pot, "nothing in it", "an amount of at least 1")
    if is_role(pot.depositor) and fee is None:
        raise _bad_pot(pot, "no account can deposit it", "an account, or climber(r) of a rung above the first")
    if is_role(pot.residual) and pot.residual not in (KEEPER, DEPOSITOR):
        raise _bad_pot(pot, "its rest would go to nobody", "an account, KEEPER or DEPOSITOR", pot.residual.hex())
    if fee is not None and SLASHED in pot.pays:
        raise _bad_pot(pot, "a rule for a slashed depositor in a fee pot", "none: fees are not a stake")
    for rule in pot.pays.values():
        if isinstance(rule, Split):
            _check_split(pot, rule)
        else:
            _check_other(pot, rule, rungs)


def _check_other(pot: Pot, rule: Rule, rungs: int) -> None:
    if isinstance(rule, Answered) and rule.rung >= rungs:
        raise _bad_pot(pot, "seats of a rung that is not there", f"a rung below {rungs}", rule.rung)
    if isinstance(rule, Root):
        if not 1 <= rule.term <= MAX_LIFE:
            raise _bad_pot(pot, "time to collect", f"1 to {MAX_LIFE} seconds", rule.term)
        if pot.residual == KEEPER:
            raise _bad_pot(pot, "a root's rest is swept after the close, when there is no keeper",
                           "an account or DEPOSITOR as residual")


def _check_split(pot: Pot, rule: Split) -> None:
    numbers = rule.amounts if rule.amounts is not None else rule.weights
    if not rule.payees:
        raise _bad_pot(pot, "a rule that pays nobody", "at least one payee")
    for payee in rule.payees:
        if is_role(payee) and payee not in (CHALLENGER, KEEPER, DEPOSITOR):
            raise _bad_pot(pot, "a payee that is no account", "an account or one of the three roles", payee.hex())
    if numbers is None:
        if CHALLENGER in rule.payees:
            raise _bad_pot(pot, "a verdict's value would set the challenger's reward", "amounts or weights")
        return
    if len(numbers) != len(rule.payees):
        raise _bad_pot(pot, "one number a payee", f"{len(rule.payees)} numbers", len(numbers))
    whole = pot.amount
    if rule.weights is not None:
        whole = sum(rule.weights)
        if not 1 <= whole <= MAX_AMOUNT:
            raise _bad_pot(pot, "sum of weights", "1 to 2^128 - 1", whole)
    # At most half of what is forfeited: else a cheat challenges itself first and gets its stake back (design, rule 5).
    share = sum(number for payee, number in zip(rule.payees, numbers, strict=True) if payee == CHALLENGER)
    if share > whole // 2:
        raise _bad_pot(pot, "the challenger gets too much", f"at most half: {whole // 2}", share)


def _wrong_bonds(terms: Terms) -> None:
    account = terms.wrong_bonds
    parties = {pot.depositor for pot in terms.pots} | {pot.residual for pot in terms.pots}
    parties.update(payee for pot in terms.pots for rule in pot.pays.values() if isinstance(rule, Split)
                   for payee in rule.payees)
    parties.update(named for rung in terms.rungs for ask in rung.asks for named in ask.who or ())
    if is_role(account) or account in parties:
        raise ActRefused("BadWrongBonds", "a wrong challenger's bond would go to a party or to nobody",
                         expected="an account that deposits, answers and is paid nothing in this deal",
                         actual=account.hex(), do="Else an appeal costs its own side nothing.")


def _benches(terms: Terms) -> None:
    seats = [rung.bench for rung in terms.rungs[1:]]
    everybody = benches(terms)
    if sum(len(set(bench)) for bench in seats) != len(everybody):
        raise ActRefused("BadBench", "an account sits on two benches", expected="disjoint benches")
    for rung in terms.rungs:
        for ask in rung.asks:
            who = ask.who or ()
            if len(set(who)) != len(who) or any(is_role(account) for account in who):
                raise ActRefused("BadBench", f"ask {ask.kind!r} names an account twice, or no account",
                                 expected="distinct accounts")
            if who not in seats and not everybody.isdisjoint(who):
                raise ActRefused("BadBench", f"ask {ask.kind!r} names part of a bench",
                                 expected="a whole bench in its order, or nobody of any bench")
