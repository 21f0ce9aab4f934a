"""What a court's seat may say, and whom its jury leaves out: docs/reference/court.md, section 5. Pure.

A seat is the one account on the bench of a rung that a court decides. Its answers are fixed in the terms: the rung's
``param`` is the hash of the results by choice.
"""

from __future__ import annotations

from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput
from troth.core.terms import CHALLENGE, VERDICT, Account, Ask, Entry, Result, Rung, Split, Terms, is_role

RULING = "ruling"
"""The kind of the seat's ask."""
MOST_CHOICES = 16

Choice = Result | None
"""A result that the terms fix; None: the verdict of rung 0, of rung 1, … in the order of the Nones."""


def encoded(choices: tuple[Choice, ...]) -> tuple[bytes, ...]:
    """The choices as the contract takes them, from ruling 1. Raises BadInput for none or too many."""
    if not 1 <= len(choices) <= MOST_CHOICES:
        raise BadInput("not a number of choices", expected=f"1 to {MOST_CHOICES}", actual=len(choices))
    return tuple(b"" if choice is None else choice.to_bytes() for choice in choices)


def choices_hash(results: tuple[bytes, ...]) -> bytes:
    """The hash of encoded choices, which is the rung's ``param``."""
    from eth_abi.abi import encode  # takes 0.2 s to load

    return keccak256(encode(["bytes[]"], [results]))


def court_rung(policy: tuple[Account, bytes], seat: Account, choices: tuple[Choice, ...], period: int,
               verdict_period: int, before: tuple[Ask, ...] = ()) -> Rung:
    """A top rung that a court decides. policy: ``Court``, pinned; period: more than the court's longest case.

    before: what the rung asks first, such as evidence. What ``period`` has more than the longest case is the time in
    which anybody may bring the case to the court.
    """
    ask = Ask(RULING, (seat,), period)
    return Rung(*policy, (*before, ask), verdict_period, param=choices_hash(encoded(choices)))


def resolved(results: tuple[bytes, ...], history: tuple[Entry, ...]) -> tuple[bytes, ...]:
    """The results with each empty one replaced by the verdict of rung 0, 1, … in order; one not there stays empty."""
    verdicts = {entry.rung: entry.data for entry in history if entry.kind == VERDICT}
    found, rung = [], 0
    for result in results:
        found.append(result or verdicts.get(rung, b""))
        rung += not result
    return tuple(found)


def involved(terms: Terms, history: tuple[Entry, ...]) -> tuple[Account, ...]:
    """Every account that may not judge: all that the terms name, and every challenger; in the contract's order."""
    found = [terms.wrong_bonds]
    for pot in terms.pots:
        found += [one for one in (pot.depositor, pot.residual) if not is_role(one)]
        for outcome in sorted(pot.pays):
            rule = pot.pays[outcome]
            if isinstance(rule, Split):
                found += [payee for payee in rule.payees if not is_role(payee)]
    for rung in terms.rungs:
        for ask in rung.asks:
            found += ask.who or ()
    return (*found, *(entry.by for entry in history if entry.kind == CHALLENGE))


def claim_of(chain_id: int, arbitrator: Account, dispute: int, ruling: int) -> bytes:
    """What the seat's submission names as its claim: the ruling itself."""
    from eth_abi.abi import encode  # takes 0.2 s to load

    return keccak256(encode(["uint256", "address", "uint256", "uint8"], [chain_id, arbitrator, dispute, ruling]))


def check_time(rung: Rung, ask: int, start: int, longest: int, now: int) -> None:
    """Refuse a case for which the court has not time enough before the ruling's ask is over. Raises ActRefused."""
    last = len(rung.asks) - 1
    while ask < last and now >= start + rung.asks[ask].period:
        start += rung.asks[ask].period
        ask += 1
    if ask < last:
        raise ActRefused("TooEarly", "the rung asks others first", expected=f"ask {last}", actual=f"ask {ask}")
    if ask > last or now + longest > start + rung.asks[last].period:
        raise ActRefused("TooLate", "the ruling could come too late to be carried", actual=now,
                         expected=f"asked by {start + rung.asks[last].period - longest}")
