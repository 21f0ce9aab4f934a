"""The state machine by itself: what no Book can bring about, because policies' answers and data are bounded before."""

from __future__ import annotations

import pytest

from core.test_deals_terms import B, terms
from troth.core import deals
from troth.core.errors import ActRefused

NOW = 1_000_000


def judged() -> deals.Deal:
    """A deal whose first rung everybody answered."""
    deal = deals.opened(bytes(32), terms())
    for pot in (0, 1):
        deal = deals.join(deal, pot, NOW)
    return deals.submit(deal, B, 0, 0, bytes(32), b"", NOW)


@pytest.mark.parametrize(("size", "code"), [(0, "NoVerdict"), (8192, "BadResult"), (8193, "PolicyFailed")])
def test_answers_of_just_the_limit(size: int, code: str) -> None:
    deal = judged()
    deals.question(deal, NOW)
    with pytest.raises(ActRefused) as error:
        deals.record(deal, B, bytes(size), NOW)
    assert error.value.code == code


def test_acts_leave_the_deal_as_it_was() -> None:
    """Each act gives another deal; the one it was given does not change."""
    deal = deals.opened(bytes(32), terms())
    again = deals.opened(bytes(32), terms())
    joined = deals.join(deal, 0, NOW)
    assert deal == again
    assert joined.joined == {0}
    deals.join(joined, 1, NOW)
    assert joined.status == "funding"
