"""A keeper on the real Book: what is due, what it earns, what it leaves, and two of them at once."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from contracts.parts import CLIENT, HOUR, RIVAL, SALT, STAKE, WORKER, begin, simple, with_pot, with_rung
from ports.books import KEYS, account
from ports.evm_world import EvmWorld
from troth.core.terms import KEEPER, REFUTED, UPHELD, Account, DealState, Result, Split
from troth.ledger import keeper as keeping
from troth.ledger.artefacts import code_hash
from troth.ledger.deploy import code_at
from troth.ledger.keeper import Due, Keeper
from troth.ledger.outbox import Outbox
from troth.ledger.sending import Sender

KEEPERS = tuple(account(f"keeper {n}") for n in range(2))
FEE = 10


def keeper(world: EvmWorld, who: Account = KEEPERS[0], worth: int | None = None) -> Keeper:
    return Keeper(world.book, who, now=world.now, worth=lambda token: None if worth is None else Fraction(worth))


def states(world: EvmWorld) -> list[tuple[bytes, DealState]]:
    return [(deal, world.book.state(deal)) for deal in world.book.opened()]


def submitted(world: EvmWorld, result: Result | None = None) -> bytes:
    """A deal whose evidence is frozen and not judged."""
    deal = begin(world, simple(world))
    world.book.submit(WORKER, deal, 0, 0, b"\x11" * 32, b"\x00" + (result or Result(UPHELD)).to_bytes())
    return deal


def sent(world: EvmWorld, who: Account) -> int:
    return int(world.web3.eth.get_transaction_count(world.web3.to_checksum_address(who)))


def test_a_deal_kept_from_frozen_to_paid(world: EvmWorld) -> None:
    """What was said it would earn is what it is paid, half for the verdict and half for the close."""
    deal = submitted(world)
    one = keeper(world)
    (verdict,) = one.look(states(world))
    assert (verdict.deal, verdict.act, verdict.earns, verdict.token) == (deal, "judge", FEE // 2, world.token)
    assert [done.outcome for done in one.keep([verdict])] == ["done"]
    assert one.look(states(world)) == ()  # the window is open
    world.advance(HOUR)
    (closing,) = one.look(states(world))
    assert (closing.act, closing.earns) == ("close", FEE - FEE // 2)
    before = world.balance(KEEPERS[0])
    assert [done.outcome for done in one.keep([closing])] == ["done"]
    assert world.balance(KEEPERS[0]) - before == verdict.earns + closing.earns
    assert one.look([pair for pair in states(world) if pair[1].status in ("funding", "running")]) == ()


def test_what_is_not_due(world: EvmWorld) -> None:
    one = keeper(world)
    assert one.look([]) == ()
    deal = begin(world, simple(world))
    assert one.look(states(world)) == ()  # nobody answered yet
    world.advance(HOUR)
    assert [due.act for due in one.look(states(world))] in ([], ["judge"])
    world.advance(3 * HOUR)
    (closing,) = one.look(states(world))
    assert (closing.deal, closing.act, closing.earns) == (deal, "close", 0)  # silence pays no keeper here


def test_a_deal_that_was_never_funded_is_refunded(world: EvmWorld) -> None:
    for who in (CLIENT, WORKER):
        world.fund(who)
    deal = world.book.open(CLIENT, simple(world), SALT)
    world.book.join(WORKER, deal, 1)
    one = keeper(world)
    assert one.look(states(world)) == ()
    world.advance(HOUR)
    held = world.balance(WORKER)
    (due,) = one.look(states(world))
    assert (due.act, due.earns) == ("close", 0)
    one.keep([due])
    assert world.balance(WORKER) == held + STAKE
    assert world.book.state(deal).status == "void"


def test_a_policy_that_says_nothing_is_no_work(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    world.book.submit(WORKER, deal, 0, 0, b"\x11" * 32, b"\x00")  # the puppet repeats: nothing
    assert keeper(world).look(states(world)) == ()


def test_policies_that_fail_keep_nobody_waiting(world: EvmWorld) -> None:
    """Anybody opens deals with a policy of theirs: one that panics, burns all gas or answers no encoding is no verdict,
    and the deals of others are kept all the same.
    """
    for mode in range(4):
        made = world.make("Garbler", ("uint256", mode))
        deal = begin(world, with_rung(simple(world), 0, policy=made, codehash=code_hash(code_at(world.web3, made))))
        world.book.submit(WORKER, deal, 0, 0, b"\x11" * 32, b"")
    for first in (b"\x01", b"\x03"):
        deal = begin(world, replace(simple(world), fund_by=world.now() + HOUR + first[0]))
        world.book.submit(WORKER, deal, 0, 0, b"\x11" * 32, first)
    honest = submitted(world)
    assert [due.deal for due in keeper(world).look(states(world)) if due.act == "judge"] == [honest]


def test_a_loss_is_left_unless_told(world: EvmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(world)
    assert not keeper(world).look(states(world))[0].loss  # free gas
    monkeypatch.setattr(keeping, "gas_price", lambda web3: 10**9)
    for worth, loss in ((None, True), (1, True), (10**18, False)):
        one = keeper(world, worth=worth)
        (due,) = one.look(states(world))
        assert due.cost == due.gas * 10**9
        assert due.gain == (None if worth is None else due.earns * worth - due.cost)
        assert due.loss == loss
        if loss:
            assert [done.outcome for done in one.keep([due])] == ["left"]
    assert [done.outcome for done in keeper(world).keep([due], at_a_loss=True)] == ["done"]


def test_the_loss_is_exact_at_the_edge() -> None:
    for gain, loss in ((Fraction(0), False), (Fraction(-1, 3), True), (Fraction(1, 3), False)):
        assert Due(b"", "close", b"", 1, 1, 1, gain).loss == loss
    assert not Due(b"", "close", b"", 0, 1, 0, None).loss


def test_two_keepers_at_once_and_the_later_one_pays_nothing(world: EvmWorld) -> None:
    submitted(world)
    first, second = (keeper(world, who) for who in KEEPERS)
    mine, theirs = first.look(states(world)), second.look(states(world))
    assert mine[0].act == theirs[0].act == "judge"
    assert [done.outcome for done in first.keep(mine)] == ["done"]
    (late,) = second.keep(theirs)
    assert (late.outcome, "Judged" in late.note) == ("refused", True)
    assert sent(world, KEEPERS[1]) == 0
    world.advance(HOUR)
    mine, theirs = first.look(states(world)), second.look(states(world))
    assert [done.outcome for done in second.keep(theirs)] == ["done"]
    assert [done.outcome for done in first.keep(mine)] == ["refused"]
    assert (world.balance(KEEPERS[0]), world.balance(KEEPERS[1])) == (FEE // 2, FEE - FEE // 2)


def test_one_that_fails_does_not_stop_the_others(world: EvmWorld) -> None:
    submitted(world)
    (due,) = keeper(world).look(states(world))
    stranger = Due(b"\x77" * 32, "close", world.token, 0, 1, 0, None)
    assert [done.outcome for done in keeper(world).keep([stranger, due])] == ["refused", "done"]


def test_a_keeper_that_died_goes_on(world: EvmWorld, tmp_path: Any) -> None:
    """Killed after the broadcast, before it heard: the verdict is there once, and the next run finds nothing due."""
    submitted(world)
    outbox = tmp_path / "outbox"

    class Dying:
        """The node, for one that dies once it has sent."""

        def __init__(self) -> None:
            self.provider = self

        def make_request(self, method: str, params: Any) -> Any:
            answer = world.web3.provider.make_request(method, params)
            if method == "eth_sendRawTransaction":
                raise SystemExit
            return answer

    seed = KEYS[KEEPERS[0]].reveal_seed()
    dying: Any = Dying()
    world.book._senders = lambda _: Sender(dying, seed, outbox=Outbox(outbox))
    one = keeper(world)
    with pytest.raises(SystemExit):
        one.keep(one.look(states(world)))
    alive = Sender(world.web3, seed, outbox=Outbox(outbox))
    world.book._senders = lambda _: alive
    alive.tend()
    assert one.look(states(world)) == ()
    assert [entry.by for entry in states(world)[0][1].history] == [WORKER, KEEPERS[0]]
    assert sent(world, KEEPERS[0]) == 1
    assert [act.state for act in alive.acts()] == ["finalized"]


def test_the_fee_of_a_slashed_or_refuted_deal(world: EvmWorld) -> None:
    """The keeper is paid where the terms say so, whatever the outcome is."""
    terms = with_pot(simple(world), 0, pays={UPHELD: Split((WORKER, KEEPER), amounts=(990, 10)),
                                             REFUTED: Split((KEEPER, CLIENT), amounts=(33, 900))})
    deal = begin(world, terms)
    world.book.submit(WORKER, deal, 0, 0, b"\x11" * 32, b"\x00" + Result(REFUTED).to_bytes())
    (verdict,) = keeper(world, RIVAL).look(states(world))
    assert verdict.earns == 33 // 2
    world.book.judge(CLIENT, deal)
    world.advance(HOUR)
    (closing,) = keeper(world, RIVAL).look(states(world))
    assert closing.earns == 33 - 33 // 2
