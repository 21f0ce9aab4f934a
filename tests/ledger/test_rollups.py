"""A node with OP Mainnet's chain id: no deal whose periods an outage could outlast, and what one does to others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ports.anvil import advance, anvil, mine
from troth.app import Settings, Troth
from troth.core.errors import ActRefused, Misuse
from troth.core.terms import REFUTED, SLASHED, UPHELD, Ask, Pot, Result, Rung, Split, Terms
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.profiles import PROFILES, UNKNOWN, outlives, profile_of
from troth.ledger.erc20 import Erc20

OP, HOUR, STAKE = 10, 3_600, 500
COMMONS = b"\x77" * 20


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troth]:
    folder = tmp_path_factory.mktemp("rollup")
    made = Troth.init(folder, "x", Settings("worker", "anvil:", str(folder)), cost=MIN_COST)
    made._given_chain = chain = anvil(accounts={made.account: 10**21}, chain_id=OP)
    made.deploy(supply=10_000)
    Erc20(chain.web3, made.contracts["token"].address).approve(made.sender, made.contracts["book"].address, 10_000)
    yield made
    made.close()
    chain.close()


def stake(worker: Troth, period: int, *, seats: int = 1) -> Terms:
    """An honest worker's stake, lost if it does not answer in time."""
    assumed, mates = worker.contracts["assumed"], tuple(bytes([n]) * 20 for n in range(0x91, 0x90 + seats))
    asks = (Ask("evidence", (worker.account, *mates), period),) if mates else ()
    rung = Rung(assumed.address, assumed.codehash, (*asks, Ask("result", (worker.account,), period)), HOUR,
                silent=REFUTED)
    pot = Pot("stake", worker.account, STAKE, {SLASHED: Split((b"\x66" * 20,), amounts=(STAKE,))})
    return Terms(worker.contracts["token"].address, (pot,), (rung,), worker.chain.now() + 30 * HOUR, COMMONS)


def outage(worker: Troth, seconds: int) -> None:
    """Nobody can send; then the blocks that were missed come all at once, with the times that passed."""
    advance(worker.chain, seconds)  # type: ignore[arg-type]
    mine(worker.chain)


def test_short_periods_are_refused_at_open_and_at_join(worker: Troth) -> None:
    book = worker.book
    for period in (HOUR, 12 * HOUR):
        with pytest.raises(Misuse, match="an outage of the chain could outlast the ask 'result' of rung 0"):
            book.open(worker.account, stake(worker, period), bytes(32))
    careless = Troth.open(worker.root.parent, "x", chain=worker.chain)
    object.__setattr__(careless, "settings", Settings(outage="0"))
    terms = stake(worker, HOUR)
    deal = careless.book.open(worker.account, terms, b"\x01" * 32)
    careless.close()
    with pytest.raises(Misuse, match="outage"):
        book.join(worker.account, deal, 0)


def test_an_outage_passes_over_a_deal_that_outlives_it(worker: Troth) -> None:
    deal = worker.book.open_and_join(worker.account, stake(worker, 13 * HOUR), b"\x02" * 32, 0)
    outage(worker, 11 * HOUR)
    worker.book.submit_and_judge(worker.account, deal, 0, 0, bytes(32), Result(UPHELD).to_bytes())
    token = Erc20(worker.chain.web3, worker.contracts["token"].address)
    before = token.balance(worker.account)
    worker.book.close(worker.account, deal)
    assert token.balance(worker.account) == before + STAKE


def test_the_same_outage_takes_an_honest_stake_from_a_deal_of_an_hour(worker: Troth) -> None:
    """What the floor is for: the worker could not send, and the contract cannot know."""
    careless = Troth.open(worker.root.parent, "x", chain=worker.chain)
    object.__setattr__(careless, "settings", Settings(outage="0"))
    deal = careless.book.open_and_join(worker.account, stake(worker, HOUR), b"\x03" * 32, 0)
    outage(worker, 11 * HOUR)
    with pytest.raises(ActRefused, match="TooLate"):
        careless.book.submit_and_judge(worker.account, deal, 0, 0, bytes(32), Result(UPHELD).to_bytes())
    token = Erc20(worker.chain.web3, worker.contracts["token"].address)
    before = token.balance(worker.account)
    careless.book.close(worker.account, deal)
    assert token.balance(worker.account) == before
    careless.close()


def test_what_is_looked_at(worker: Troth) -> None:
    with pytest.raises(Misuse, match="verdict period"):
        outlives(two_seats(stake(worker, 13 * HOUR)), 12 * HOUR)
    outlives(stake(worker, 13 * HOUR), 12 * HOUR)  # one seat: judged in the same act
    outlives(stake(worker, 1), 0)


def two_seats(terms: Terms) -> Terms:
    rung = terms.rungs[0]
    asks = (Ask("result", (*(rung.asks[0].who or ()), b"\x91" * 20), rung.asks[0].period),)
    return Terms(terms.token, terms.pots, (Rung(rung.policy, rung.codehash, asks, HOUR, silent=REFUTED),),
                 terms.fund_by, terms.wrong_bonds)


def test_profiles() -> None:
    assert profile_of(OP).outage == 12 * HOUR
    assert profile_of(7_407) is UNKNOWN
    assert all(one.below is None or one.below in PROFILES for one in PROFILES.values())
    assert all(one.outage > 0 for one in PROFILES.values() if one.below)


def test_the_page_says_what_the_code_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "rollups.md").read_text("utf-8")
    for name in ("OP Mainnet", "Base", "Arbitrum One"):
        line = next(line for line in page.splitlines() if line.startswith("| ") and name in line and " min |" in line)
        profile = next(one for one in PROFILES.values() if one.name == name)
        assert [cell.strip() for cell in line.strip("|").split("|")][1:] == [
            f"{profile.finality // 60} min", f"{profile.outage // HOUR} h"]
