"""Courts on a chain that are not ours or not honest, and jurors with code of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.court_parts import (
    BAD,
    CHEAT,
    CLIENT,
    GOOD,
    KEEP_ALIVE,
    PAY,
    RESULTS,
    RIVAL,
    STAKE,
    WORKER,
    ask,
    carried,
    closed,
    drawn,
    extra_of,
    fill,
    gained,
    job,
    over,
    refused,
    to_court,
    voted,
)
from ports.books import account
from ports.courts import JURORS, RULES, SEATS, EvmCourts
from ports.evm_world import call_data
from troth.core.jury_state import Case, Rules
from troth.core.seats import involved
from troth.core.terms import REFUTED, UPHELD, Account
from troth.ledger.chains.blocks import Header
from troth.ledger.court import EvmJury, EvmSeat, court_spec, jobs_spec, jury_spec, seat_spec
from troth.ledger.deploy import Contracts, extend
from troth.ledger.sending import call

MINUTES = 180
"""The outside court's appeal window."""
OUTSIDE_FEE = 10**15


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> EvmCourts:
    world = EvmCourts(path=tmp_path_factory.mktemp("courts") / "chain")
    world.close()
    return world


@pytest.fixture
def world(deployed: EvmCourts, tmp_path: Path) -> Iterator[EvmCourts]:
    copy = EvmCourts(path=tmp_path / "chain", origin=deployed)
    yield copy
    copy.close()


def outside(world: EvmCourts, name: str) -> tuple[Account, EvmSeat]:
    """A court of the tests' own, owned by the deployer, and a seat of its on the Book."""
    court = world.make(name)
    return court, world.sit(court, RULES.longest, bytes(32))


def asked(world: EvmCourts, seat: EvmSeat, salt: bytes, **at: object) -> tuple[bytes, object, int]:
    """A deal whose court is that seat's, and the dispute."""
    terms = job(world, seat.address)
    deal, _ = to_court(world, terms=terms, salt=salt)
    return deal, terms, seat.ask(CLIENT, deal, RESULTS, seat.cost(CLIENT, deal))


def test_another_arbitrator_decides_a_rung(world: EvmCourts) -> None:
    """The example court of @kleros/erc-792, as it is: fee, ruling, appeal, final ruling, payment."""
    deployer = world.addresses.owner
    court, seat = outside(world, "OutsideCourt")
    assert seat.cost(CLIENT, to_court(world, terms=job(world, seat.address), salt=b"\x01" * 32)[0]) == OUTSIDE_FEE
    deal, terms, dispute = asked(world, seat, bytes(32))
    assert world.coins(court) == OUTSIDE_FEE
    world.send(deployer, court, "giveRuling(uint256,uint256)", dispute, 1)
    refused("NotRuled", seat.answer, KEEP_ALIVE, deal, RESULTS)
    # Somebody appeals there, and the second ruling is another.
    world.sender(RIVAL).send(court, call_data("appeal(uint256,bytes)", dispute, b""), value=2 * OUTSIDE_FEE)
    world.send(deployer, court, "giveRuling(uint256,uint256)", dispute, 2)
    world.advance(MINUTES + 1)
    world.send(RIVAL, court, "executeRuling(uint256)", dispute)
    seat.answer(KEEP_ALIVE, deal, RESULTS)
    world.book.judge(KEEP_ALIVE, deal)
    assert closed(world, deal, terms).outcome == REFUTED
    assert world.balance(WORKER) == 2 * 10**9 - 2 * STAKE  # the other deal's stake is still there


def test_an_outside_court_that_refuses_is_silence(world: EvmCourts) -> None:
    court, seat = outside(world, "OutsideCourt")
    deal, terms, dispute = asked(world, seat, bytes(32))
    world.send(world.addresses.owner, court, "giveRuling(uint256,uint256)", dispute, 0)
    world.advance(MINUTES + 1)
    world.send(RIVAL, court, "executeRuling(uint256)", dispute)
    refused("NoRuling", seat.answer, KEEP_ALIVE, deal, RESULTS)
    assert closed(world, deal, terms).outcome == UPHELD
    assert gained(world, WORKER) == PAY


def test_a_lying_court_harms_only_who_named_it(world: EvmCourts) -> None:
    """It chooses among the results that the terms fixed, once, and no other deal hears it."""
    fill(world)
    liar, seat = outside(world, "LyingCourt")
    honest, _ = to_court(world)
    mine = ask(world, honest)
    deal, terms, dispute = asked(world, seat, b"\x01" * 32)
    # It gives every dispute one number: the second case is refused, and with it the fee.
    other, _ = to_court(world, terms=job(world, seat.address), salt=b"\x02" * 32)
    before = world.coins(CLIENT)
    refused("BadDispute", seat.ask, CLIENT, other, RESULTS, 5)
    assert world.coins(CLIENT) == before

    def tells(whom: Account, number: int, ruling: int) -> None:
        data = call_data("tell(address,uint256,uint256)", whom, number, ruling)
        call(world.web3, liar, data, sender=CHEAT, errors=seat._errors)
        world.sender(CHEAT).send(liar, data)

    refused("NotArbitrator", tells, world.seat.address, mine, 1)
    refused("Unknown", tells, seat.address, dispute + 1, 1)
    tells(seat.address, dispute, 99)
    refused("Ruled", tells, seat.address, dispute, 1)
    # A ruling that is no choice is none.
    refused("NoRuling", seat.answer, CHEAT, deal, RESULTS)
    drawn(world, mine, extra_of(world, honest))
    voted(world, mine, 2)
    over(world, mine)
    assert carried(world, honest, world.book.state(honest).terms).outcome == REFUTED
    assert closed(world, deal, terms).outcome == UPHELD


def test_a_carrier_changes_nothing(world: EvmCourts) -> None:
    """Whoever carries the ruling can bring neither other results nor another deal's rung."""
    fill(world)
    deal, terms = to_court(world)
    dispute = ask(world, deal)
    drawn(world, dispute, extra_of(world, deal))
    voted(world, dispute, 2)
    over(world, dispute)
    refused("BadResults", world.seat.answer, CHEAT, deal, RESULTS[::-1])
    refused("NotRuled", world.seat.answer, CHEAT, to_court(world, salt=b"\x03" * 32)[0], RESULTS)
    assert carried(world, deal, terms).outcome == REFUTED
    assert world.book.state(deal).history[-2].by == world.seat.address


def test_seat_and_specification_name_the_same_accounts(world: EvmCourts) -> None:
    deal, terms = to_court(world, BAD, GOOD, climbs=RIVAL)
    case = Case.decode(world.seat.extra_data(CHEAT, deal))
    assert (case.size, case.payer) == (SEATS, CHEAT)
    assert case.excluded == involved(terms, world.book.state(deal).history)
    assert case.excluded[-2:] == (CLIENT, RIVAL)


def test_a_juror_that_calls_back_gets_its_own_once(world: EvmCourts) -> None:
    greedy = world.make("GreedyJuror", ("address", world.court_address))
    sender = world.sender(JURORS[0])
    fill(world)
    data = call_data("stake(uint256)", 2 * RULES.unit)
    # Its stake comes from its own balance; being paid, it tries to withdraw what it has not.
    sender.send(greedy, b"", value=2 * RULES.unit, gas=200_000)
    first = world.coins(greedy)
    sender.send(greedy, data)
    place = len(world.court().tickets) - 1
    sender.send(greedy, call_data("unstake(uint256[])", [place - 1, place]))
    world.advance(RULES.draw)
    sender.send(greedy, call_data("take(uint256[])", [place - 1, place]))
    held = world.coins(world.court_address)
    sender.send(greedy, call_data("withdraw()"), gas=500_000)
    assert world.coins(greedy) == first
    assert world.coins(world.court_address) == held - 2 * RULES.unit
    assert int.from_bytes(call(world.web3, greedy, call_data("refused()")), "big") >= 1


def test_whoever_asked_may_be_deaf_and_jurors_are_paid(world: EvmCourts) -> None:
    """A ruling that nobody hears holds no stake up; it can be told later, once."""
    fill(world)
    deaf = world.make("Asker", ("address", world.court_address))
    extra = Case(SEATS).encode()
    world.sender(CHEAT).send(deaf, call_data("ask(uint256,bytes)", 2, extra), value=SEATS * RULES.fee)
    world.send(CHEAT, deaf, "setDeaf(bool)", True)
    drawn(world, 0, extra)
    voted(world, 0, 2)
    world.advance(RULES.appeal)
    refused("Reverted", world.jury.execute_ruling, KEEP_ALIVE, 0)
    world.jury.settle(KEEP_ALIVE, 0, 0)
    assert not any(one.serving for one in world.court().tickets)
    world.send(CHEAT, deaf, "setDeaf(bool)", False)
    world.jury.execute_ruling(KEEP_ALIVE, 0)
    assert int.from_bytes(call(world.web3, deaf, call_data("told()")), "big") == 3
    refused("Executed", world.jury.execute_ruling, KEEP_ALIVE, 0)


def test_another_header_is_no_seed(world: EvmCourts) -> None:
    """Only the header of the block that was fixed beforehand, byte by byte."""
    fill(world)
    dispute = world.jury.create_dispute(CHEAT, 2, Case(SEATS).encode(), SEATS * RULES.fee)
    world.mine(RULES.delay + 2)
    block = world.jury.seed_block(dispute)
    right = Header.from_json(dict(world.web3.provider.make_request("eth_getBlockByNumber", [hex(block), False])[
        "result"])).encode()
    wrong = Header.from_json(dict(world.web3.provider.make_request("eth_getBlockByNumber", [hex(block + 1), False])[
        "result"])).encode()
    forged = right.replace(Header.decode(right).mix_hash, bytes(32))
    for header in (wrong, forged, b"", right + b"\x00"):
        refused("BadHeader", world.jury.send, CHEAT, "seed", ("uint256", "bytes"), (dispute, header))
    world.jury.send(CHEAT, "seed", ("uint256", "bytes"), (dispute, right))
    assert world.court().disputes[dispute].rounds[0].seed


def test_courts_are_deployed_beside_a_book(world: EvmCourts) -> None:
    """``extend`` adds policy, jury, seat and jobs to a Book's contracts, and they are what they should be."""
    deployer = world.sender(world.addresses.owner)
    mine = Contracts(world.chain.chain_id, 0, {})
    mine = extend(deployer, mine, court_spec(), jury_spec(RULES), jobs_spec(world.addresses.book))
    court = mine["jury"].address
    mine = extend(deployer, mine, seat_spec(world.addresses.book, court, RULES.longest, SEATS.to_bytes(32, "big")))
    mine.check(world.web3)
    assert Contracts.decode(mine.encode()) == mine
    assert sorted(mine.named) == ["court", "jobs", "jury", "seat"]
    assert EvmJury(world.web3, court, world.sender, chain_id=world.chain.chain_id).rules == RULES
    seat = EvmSeat(world.book, mine["seat"].address, world.sender)
    assert (seat.court, seat.longest) == (court, RULES.longest)


def test_rules_that_no_court_has(world: EvmCourts) -> None:
    """Python and the contract refuse the same."""
    good = RULES
    for changes in ({"unit": 0}, {"penalty": 0}, {"penalty": 1001}, {"fee": 0}, {"draw": 0}, {"commit": 0},
                    {"reveal": 0}, {"appeal": 0}, {"delay": 0}, {"delay": 201}, {"rounds": 0}, {"rounds": 5},
                    {"sink": bytes(20)}):
        with pytest.raises(Exception, match=r"range|account"):
            replace(good, **changes)  # type: ignore[arg-type]
        bad = object.__new__(Rules)
        for name in Rules.__slots__:
            object.__setattr__(bad, name, changes.get(name, getattr(good, name)))
        refused("BadRules", lambda rules=bad: world.make("Jury", *jury_spec(rules).arguments))
    assert account("sink") == good.sink
