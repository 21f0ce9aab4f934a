"""What reporters measured, and which readings count: shared by ``Quorum`` and ``Median`` (section 11, "Readings")."""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.errors import BadInput
from troth.core.terms import Account, Rung
from troth.verify.policies.voices import majority, opened, read, submissions, two_steps

WHOLE = 1_000_000
"""Confidence and spread are parts of a million."""
READING = ("uint128", "uint32", "uint64")
MAX_VALUE = 2**128 - 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement. value: an integer, in the unit and with the decimals that the feed states. confidence: parts of
    a million. measured_at: Unix seconds.
    """

    value: int
    confidence: int
    measured_at: int

    def data(self) -> bytes:
        """What a reporter submits to *reading*, or commits to. Raises BadInput for numbers out of range."""
        # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
        from eth_abi.abi import encode

        if not (0 <= self.value <= MAX_VALUE and 0 <= self.confidence <= WHOLE and 0 <= self.measured_at < 2**64):
            raise BadInput("not a reading", expected=f"a value up to 2^128 - 1, a confidence up to {WHOLE}",
                           actual=f"{self.value}, {self.confidence}, at {self.measured_at}")
        return encode(READING, (self.value, self.confidence, self.measured_at))

    @classmethod
    def of(cls, data: bytes) -> Reading | None:
        """What these bytes say, or None if they are not exactly what ``data`` gives."""
        found = read(READING, data)
        if found is None:
            return None
        value, confidence, measured_at = found
        assert isinstance(value, int)
        assert isinstance(confidence, int)
        assert isinstance(measured_at, int)
        return cls(value, confidence, measured_at) if confidence <= WHOLE else None


def asks_readings(rung: Rung, k: int, max_age: int) -> bool:
    """Whether the rung asks a bench for readings in one step or two and ``k`` is a majority of it.

    The asks must be over within ``max_age`` seconds, so that nobody makes an honest reading too old by answering last.
    """
    if not majority(rung, k):
        return False
    if rung.asks[-1].kind == "reading":
        return rung.asks[-1].period <= max_age
    return two_steps(rung) and rung.asks[-1].period + rung.asks[-2].period <= max_age


def counted(question: Question, max_age: int, least: int) -> dict[Account, int]:
    """The values that count, in the bench's order.

    A reading counts if it is well formed, was measured before its reporter was bound to it, is at most ``max_age``
    seconds old at the freeze, and has a confidence of at least ``least``.
    """
    last = len(question.terms.asks) - 1
    plain = question.terms.asks[last].kind == "reading"
    said = submissions(question, last)
    bound = said if plain else submissions(question, last - 1)
    found: dict[Account, int] = {}
    for account in question.terms.bench:
        if account not in said or account not in bound:
            continue
        data = said[account].data
        shown = data if plain else opened(question, account, bound[account].data, data)
        reading = Reading.of(shown) if shown is not None else None
        if reading is None or reading.confidence < least or reading.measured_at > bound[account].at:
            continue
        if reading.measured_at + max_age >= question.frozen_at:
            found[account] = reading.value
    return found
