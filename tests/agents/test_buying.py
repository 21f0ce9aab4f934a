"""An agent that buys over x402: addresses and prices of its owner's words, within the budget, once despite crashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from agent_world import PASSPHRASE, Steps
from x402_parts import PRICE, Market, market

from troth.agents.brain import Call
from troth.agents.journal import ACT, journal
from troth.agents.runs import Runs
from troth.agents.x402.budget import Budget, Limits
from troth.app import Settings, Troth
from troth.app.agent import Given, loop_of
from troth.app.payments import budget, hot_key
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain


@dataclass
class World:
    market: Market
    party: Troth
    url: str

    def run(self, n: int, words: str, *calls: Call) -> list[tuple[bool, str]]:
        run = n.to_bytes(16, "big")
        with Runs(self.party.root / "runs.sqlite") as runs:
            loop_of(self.party, Steps(*calls), runs, Given(buys=True)).run(run, words)
            return [(one.seen.done, one.seen.text) for one in runs.steps(run) if one.seen]

    def spent(self) -> int:
        return 1_000 - self.market.token.balance(hot_key(self.party).public.account)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = ManualClock(1_700_000_000)
    with EmbeddedChain(None, clock=clock) as chain, market(chain, tmp_path) as found:
        party = Troth.init(tmp_path / "agent", PASSPHRASE, Settings("agent", "", ""), cost=MIN_COST, clock=clock,
                           chain=chain)
        with party:
            found.token.transfer(found.bank, hot_key(party).public.account, 1_000)
            with budget(party) as spends:
                spends.allow(chain.chain_id, found.token.address, Limits(100, 500, 300))
            yield World(found, party, found.serve().url)


def buy(url: str, most: int = 10) -> Call:
    return Call("buy", {"url": url, "most": str(most)}, "it was asked")


def outcomes(world: World) -> list[tuple[str, str]]:
    return [(one.outcome.outcome, one.outcome.reason) for one in journal(world.party) if one.outcome]


def test_it_buys_what_it_was_told_to(world: World) -> None:
    url = f"{world.url}/a"
    seen = world.run(1, f"Read {url} and pay at most {PRICE}", buy(url), buy(f"{world.url}/b"), buy(url, 100))
    assert seen[0] == (True, f"status 200, paid {PRICE}\n/a for 1")
    assert [done for done, _ in seen] == [True, False, False]
    assert outcomes(world) == [("done", ""), ("refused", "NotOwners"), ("refused", "NotOwners")]
    # Above the budget, though the owner's words would let it.
    seen = world.run(2, f"Read {world.url}/dear at any price up to 5000", buy(f"{world.url}/dear", 5_000))
    assert seen[0][0] is False
    assert outcomes(world)[-1] == ("failed", "OverBudget")
    assert (world.spent(), len(world.market.runs)) == (PRICE, 1)
    assert len(list(world.party.claims("payment"))) == 1


class Killed(BaseException):
    """The process died here."""


@pytest.mark.parametrize("place", ["presented", ACT])
def test_a_purchase_that_was_cut_short_is_paid_once(world: World, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{world.url}/a"
    words, real = f"Read {url} and pay at most {PRICE}", world.party.attest

    def dies(*values: object, **named: object) -> object:
        if place in values:
            raise Killed
        return real(*values, **named)  # type: ignore[arg-type]

    def presented(self: Budget, nonce: bytes, header: str) -> None:
        kept(self, nonce, header)
        raise Killed

    kept = Budget.presented
    with monkeypatch.context() as deadly:
        if place == "presented":
            deadly.setattr(Budget, "presented", presented)
        deadly.setattr(world.party, "attest", dies)
        with pytest.raises(Killed):
            world.run(1, words, buy(url))
    seen = world.run(1, words, buy(url))
    assert seen == [(True, f"status 200, paid {PRICE}\n/a for 1")]
    assert (world.spent(), len(world.market.runs), outcomes(world)) == (PRICE, 1, [("done", "")])
    assert len(list(world.party.claims("payment"))) == 1
