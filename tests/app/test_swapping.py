"""Swaps for real: two workspaces, an embedded chain and anvil, deposits in tokens, re-organisations and dear gas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ports.anvil import advance, anvil, mine, reorg
from troth.app import Settings, Troth
from troth.app.swapping import Half, Wish
from troth.core.encoding import keccak256
from troth.core.errors import Misuse, OutsideFailed, Pending, Undecidable
from troth.core.typed_data import domain_of
from troth.flows.swap import Maker, Swap, Taker
from troth.identity.keystore import MIN_COST
from troth.ledger.artefacts import artefact, code_hash
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.profiles import PROFILES, Profile
from troth.ledger.chains.rpc import request
from troth.ledger.deploy import Contracts, Deployed, code_at, create
from troth.ledger.erc20 import Erc20
from troth.ledger.sending import call

WEALTH, GIVES, GETS = 10_000, 700, 900
DEPTH = 3
"""Blocks that make a block of anvil final here."""
GWEI = 10**9


class Two:
    """A maker at home on the embedded chain and a taker at home on anvil, each with money on its own."""

    def __init__(self, folder: Path) -> None:
        self.near = EmbeddedChain(folder / "near.sqlite", chain_id=7_001)
        self.maker, self.taker = (
            Troth.init(folder / name, "x", Settings(name, "embedded:", str(folder), finality=str(depth)),
                       cost=MIN_COST, chain=self.near) for name, depth in (("maker", DEPTH), ("taker", DEPTH)))
        wei = {self.maker.account: 10**21, self.taker.account: 10**21}
        self.far = anvil(accounts=wei, chain_id=7_002)
        # Gas has a price from the first transaction on.
        request(self.far.web3, "anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        mine(self.far)
        self.taker._given_chain = self.far
        self.maker.other_chain, self.taker.other_chain = self.far, self.near
        self.here = self.maker.deploy(supply=WEALTH)
        self.there = self.taker.deploy(supply=WEALTH)
        self.swap = self.maker.propose_swap(self.wish(), self.there)

    def wish(self) -> Wish:
        return Wish(Half(self.here["token"].address, GIVES, self.taker.account, 0),
                    Half(self.there["token"].address, GETS, self.taker.account, 60), 120, 600)

    def seats(self, swap: Swap | None = None) -> tuple[Maker, Taker]:
        maker, taker = (party.swap_seat(swap or self.swap) for party in (self.maker, self.taker))
        assert isinstance(maker, Maker)
        assert isinstance(taker, Taker)
        return maker, taker

    def pass_time(self, seconds: int) -> None:
        self.near.advance(seconds)
        advance(self.far, seconds)
        mine(self.far, DEPTH + 1)

    def moved(self) -> tuple[int, int, int, int]:
        """What the maker gave and got, what the taker gave and got."""
        near, far = Erc20(self.near.web3, self.here["token"].address), Erc20(self.far.web3, self.there["token"].address)
        return (WEALTH - near.balance(self.maker.account), far.balance(self.maker.account),
                WEALTH - far.balance(self.taker.account), near.balance(self.taker.account))

    def close(self) -> None:
        for party in (self.maker, self.taker):
            party.__dict__.pop("other_chain")
            party.close()
        self.near.close()
        self.far.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    made = Two(tmp_path)
    yield made
    made.close()


def waits(step: Callable[[], str]) -> bool:
    try:
        step()
    except Pending:
        return True
    return False


def impatient(seat: Maker | Taker) -> None:
    """Waits a second for a block on the second chain, not two minutes."""
    sender = seat.second.side.sender  # type: ignore[attr-defined]
    sender._how = replace(sender._how, wait=1)


def until_deposited(two: Two) -> tuple[Maker, Taker]:
    maker, taker = two.seats()
    assert maker.step() == "deposited"
    mine(two.far, DEPTH + 1)
    two.near.mine(), two.near.mine(), two.near.mine(), two.near.mine()
    assert taker.step() == "deposited"
    return maker, taker


def test_both_are_paid(two: Two) -> None:
    maker, taker = two.seats()
    assert waits(taker.step)
    assert maker.step() == "deposited"
    assert waits(taker.step), "three blocks make it final"
    for _ in range(DEPTH):
        two.near.mine()
    assert taker.step() == "deposited"
    assert waits(maker.step)
    mine(two.far, DEPTH)
    assert [maker.step(), taker.step()] == ["revealed", "revealed"]
    assert (maker.step(), taker.step()) == ("done", "done")
    assert two.moved() == (GIVES, GETS, GETS, GIVES)
    shown = two.taker.swap_standing(two.swap)
    assert [shown[leg]["outcome"] for leg in ("first", "second")] == [1, 1]


def test_silence_gives_both_their_deposits_back(two: Two) -> None:
    maker, taker = until_deposited(two)
    two.pass_time(two.swap.second.period + 2)
    assert taker.step() == "refunded"
    assert waits(maker.step), "too late to reveal, and locked until the first deadline"
    two.pass_time(two.swap.first.period)
    assert maker.step() == "refunded"
    assert two.moved() == (0, 0, 0, 0)


def test_a_reorganisation_after_the_reveal(two: Two) -> None:
    """The maker's reveal is taken back with its block. The secret is out, the taker is paid; so is the maker."""
    maker, taker = until_deposited(two)
    mine(two.far, DEPTH)
    assert maker.step() == "revealed"
    assert taker.step() == "revealed"
    reorg(two.far, 1)
    assert two.maker.swap_standing(two.swap)["second"]["revealed"] is False
    # The outbox has the signed reveal and sends it again; the flow asks for it in any case.
    while maker.step() != "done":
        mine(two.far)
    while taker.step() != "done":
        pass
    assert two.moved() == (GIVES, GETS, GETS, GIVES)


def test_gas_too_dear_for_the_reveal_loses_nothing(two: Two) -> None:
    """Over the maker's ceiling its reveal is not broadcast, so the secret stays one; both have their own back."""
    maker, taker = until_deposited(two)
    mine(two.far, DEPTH)
    request(two.far.web3, "anvil_setNextBlockBaseFeePerGas", hex(2_000 * GWEI))
    mine(two.far)
    for seat in (maker, taker):
        impatient(seat)
    assert waits(maker.step)
    assert two.taker.swap_standing(two.swap)["second"]["revealed"] is False
    assert waits(taker.step)
    two.pass_time(two.swap.second.period + 2)
    request(two.far.web3, "anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    mine(two.far)
    # Any other act there looks after the outbox. The reveal must not go out with it: the taker could still use it.
    maker.second.side.sender.tend()  # type: ignore[attr-defined]
    mine(two.far)
    blocks = [request(two.far.web3, "eth_getBlockByNumber", tag, True)
              for tag in ("pending", *map(hex, range(two.far.web3.eth.block_number + 1)))]
    assert not any(maker._secret.hex() in entry["input"] for block in blocks for entry in block["transactions"])
    assert taker.step() == "refunded"
    two.pass_time(two.swap.first.period)
    assert maker.step() == "refunded"
    assert two.moved() == (0, 0, 0, 0)


def test_a_reveal_that_was_too_dear_is_made_once_gas_falls_in_time(two: Two) -> None:
    maker, taker = until_deposited(two)
    mine(two.far, DEPTH)
    request(two.far.web3, "anvil_setNextBlockBaseFeePerGas", hex(2_000 * GWEI))
    mine(two.far)
    impatient(maker)
    assert waits(maker.step)
    request(two.far.web3, "anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    mine(two.far)
    assert [maker.step(), taker.step(), maker.step(), taker.step()] == ["revealed", "revealed", "done", "done"]


def test_a_maker_cannot_hide_the_taker_s_own_deposit(two: Two) -> None:
    """The file says from which block on to look for each deal. One to come would hide the secret from the taker."""
    maker, _ = two.seats()
    hiding = replace(two.swap, second=replace(two.swap.second, since=10_000))
    _, taker = two.seats(hiding)
    assert maker.step() == "deposited"
    for _ in range(DEPTH + 1):
        two.near.mine()
    assert taker.step() == "deposited"
    mine(two.far, DEPTH + 1)
    assert [maker.step(), taker.step()] == ["revealed", "revealed"]
    assert taker.step() == "done"
    before = replace(two.swap, first=replace(two.swap.first, since=-5))
    assert two.taker.swap_standing(before) == two.taker.swap_standing(two.swap)


def test_blocks_of_a_public_chain_are_not_final_sooner_for_a_taker(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A maker that writes a short finality leaves the taker no time between the deadlines."""
    monkeypatch.setitem(PROFILES, 7_002, Profile("a chain of these tests", 61, 0))
    with pytest.raises(Misuse, match="final too soon"):
        two.taker.swap_seat(two.swap)
    assert isinstance(two.maker.swap_seat(two.swap), Maker), "it wrote that itself"


def test_an_outage_must_not_outlast_the_time_to_reveal(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The taker's time is the gap between the deadlines: 180 s here; the maker's finality and margin: 180 s."""
    first, second = (Profile("a chain of these tests", 0, 0), Profile("another", 60, 0))
    for chain_id, profile, party in ((7_001, first, two.taker), (7_002, second, two.maker)):
        for outage, refused in ((180, True), (179, False)):
            monkeypatch.setitem(PROFILES, chain_id, replace(profile, outage=outage))
            if refused:
                with pytest.raises(Misuse, match="could outlast"):
                    party.swap_seat(two.swap)
                with pytest.raises(Misuse, match="could outlast"):
                    two.maker.propose_swap(two.wish(), two.there)
                monkeypatch.setattr(party, "settings", replace(party.settings, outage="0"))  # known and accepted
                party.swap_seat(two.swap)
                monkeypatch.setattr(party, "settings", replace(party.settings, outage=""))
            else:
                party.swap_seat(two.swap)
        monkeypatch.setitem(PROFILES, chain_id, profile)
    # Once its money is in the deal, nothing keeps a party from stepping.
    maker, taker = until_deposited(two)
    for chain_id in (7_001, 7_002):
        monkeypatch.setitem(PROFILES, chain_id, Profile("a chain of these tests", 10_000, 10_000))
    assert [type(seat) for seat in two.seats()] == [type(maker), type(taker)]


def test_a_book_with_other_immutables_is_refused(two: Two) -> None:
    """The same code, but what its constructor would have written there is another's: code to run as the Book, say."""
    sender, evil = two.taker.sender, two.there["token"].address
    genuine = code_at(two.far.web3, two.there["book"].address)
    words = artefact("Book").words(genuine)
    shape = call(two.far.web3, two.there["book"].address, keccak256(b"shape()")[:4])
    separator = domain_of(7_002, two.there["book"].address)
    assert {shape, separator} <= set(words)
    for old, new, match in ((shape, evil.rjust(32, b"\x00"), "not Troth's Shape"),
                            (separator, keccak256(b"another Book's"), "other signatures"),
                            (shape, shape, "other signatures")):  # one Book's words at another address
        runtime = genuine.replace(old, new)
        copying = b"\x61" + len(runtime).to_bytes(2, "big") + bytes.fromhex("80600c6000396000f3")
        place, _ = create(sender, copying + runtime)
        assert artefact("Book").same_code(code_at(two.far.web3, place))
        with pytest.raises(OutsideFailed, match=match):
            two.maker.swap_seat(replace(two.swap, second=replace(two.swap.second, book=place)))
        rigged = dict(two.there.named) | {"book": Deployed("Book", place, code_hash(runtime))}
        with pytest.raises(OutsideFailed, match=match):
            two.taker.use_contracts(Contracts(7_002, two.there.block, rigged))
    assert two.taker.contracts == two.there


def test_contracts_that_are_not_troths_are_refused(two: Two) -> None:
    """A Book whose forwarder is its maker's own could be emptied; a policy may say anything."""
    sender, evil = two.taker.sender, two.there["token"].address
    rigged, _ = create(sender, artefact("Book").bytecode, ("address", sender.account), ("address", evil))
    leg = two.swap.second
    for swap, match in (
        (replace(two.swap, second=replace(leg, book=rigged)), "not Troth's Forwarder"),
        (replace(two.swap, second=replace(leg, book=two.there["anchor"].address)), "not Troth's Book"),
        (replace(two.swap, second=replace(leg, preimage=replace(leg.preimage, address=evil))), "not Troth's Preimage"),
        (replace(two.swap, second=replace(leg, preimage=replace(leg.preimage, codehash=bytes(32)))), "Preimage"),
    ):
        with pytest.raises(OutsideFailed, match=match):
            two.maker.swap_seat(swap)
    with pytest.raises(Misuse, match="neither chain"):
        two.maker.swap_seat(replace(two.swap, second=replace(leg, genesis=bytes(32))))
    with pytest.raises(Undecidable, match="not this party's"):
        two.maker.swap_seat(replace(two.swap, first=replace(two.swap.first, giver=keccak256(b"x")[:20])))
