"""Paying and being served, by our client: what a payment opens, once, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from x402_parts import PRICE, Market, market

from troth.agents.x402 import wire
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000)


@pytest.fixture
def place(tmp_path: Path, clock: ManualClock) -> Iterator[Market]:
    with EmbeddedChain(None, clock=clock) as chain, market(chain, tmp_path) as found:
        yield found


def test_a_payment_is_carried_out_and_served_once(place: Market) -> None:
    server, payer = place.serve(), place.payer()
    bought = payer.get(f"{server.url}/a", most=PRICE)
    assert (bought.status, bought.body, bought.settled) == (200, b"/a for 1", True)
    assert (place.held("payer"), place.held("merchant")) == (1_000 - PRICE, PRICE)
    assert bought.spending is not None
    assert bought.spending.header is not None
    again = httpx.get(f"{server.url}/a", headers={wire.PAYMENT: bought.spending.header})
    assert (again.status_code, again.content, len(place.runs)) == (200, b"/a for 1", 1)
    elsewhere = httpx.get(f"{server.url}/b", headers={wire.PAYMENT: bought.spending.header})
    assert elsewhere.status_code == 402
    assert "another resource" in elsewhere.json()["error"]
    assert place.held("merchant") == PRICE
