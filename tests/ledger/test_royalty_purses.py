"""ERC-2981's question answered, and purses that many collect from: conserved, and nobody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import rlp  # type: ignore[import-untyped, unused-ignore]
from hypothesis import given, settings
from hypothesis import strategies as st

from ports.books import Addresses, account
from ports.evm_world import DEPLOYER, EvmWorld, call_data
from troth.core.encoding import keccak256, sha256
from troth.core.errors import ActRefused, BadInput, Misuse
from troth.core.terms import Account
from troth.ledger.chains.rpc import request
from troth.ledger.deploy import create
from troth.ledger.royalties import COIN, Info, Royalties, Shares
from troth.ledger.sending import call

MAKER, MARKET, ANNA, BEN = map(account, ("maker", "market", "anna", "ben"))
CROWD = tuple(sorted(account(f"payee {n}") for n in range(6)))


class Bare(EvmWorld):
    """A chain without the Book and its policies."""

    def _deploy(self) -> Addresses:
        return Addresses(self.chain.chain_id, bytes(20), DEPLOYER, {"token": self.make("HostileToken")}, {})


class Place:
    """A chain with the contract and a token that anybody may mint."""

    def __init__(self) -> None:
        self.world = Bare(accounts={MARKET: 10**21})
        self.royalties = Royalties(self.world.web3, self.world.make("Royalties"), self.world.chain.chain_id)
        self.token = self.world.erc20
        self.count = 0

    def set(self, weights: dict[Account, int], rate: int = 50_000) -> tuple[int, Shares]:
        self.count += 1
        shares = Shares.of(sha256(self.count.to_bytes(4, "big")), rate, weights)
        return self.royalties.set(self.world.sender(MAKER), shares), shares

    def earn(self, number: int, amount: int) -> None:
        self.world.send(DEPLOYER, self.token.address, "mint(address,uint256)", self.royalties.purse(number), amount)

    def release(self, number: int, who: Account, shares: Shares, token: Account | None = None) -> None:
        self.royalties.release(self.world.sender(MARKET), number, token or self.token.address, who, shares)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    found = Place()
    yield found
    found.world.close()


def test_a_market_asks_and_pays_and_everybody_collects(place: Place) -> None:
    number, shares = place.set({ANNA: 3, BEN: 1})
    market = place.royalties.info(number, 10_001)
    assert (market.amount, market.receiver) == (500, place.royalties.purse(number))
    assert place.royalties.info(number + 1, 10_000) == Info(bytes(20), 0)
    # The biggest price there is does not stop a market.
    assert place.royalties.info(number, 2**256 - 1).amount == (2**256 - 1) * 50_000 // 1_000_000
    for interface, known in (("2a55205a", 1), ("01ffc9a7", 1), ("ffffffff", 0)):
        found = call(place.world.web3, place.royalties.address,
                     call_data("supportsInterface(bytes4)", bytes.fromhex(interface)))
        assert int.from_bytes(found, "big") == known
    place.earn(number, market.amount)  # before there is a contract in its place
    assert place.royalties.due(number, place.token.address, ANNA, shares) == 375
    place.release(number, ANNA, shares)
    place.earn(number, 3)
    place.release(number, BEN, shares)
    with pytest.raises(ActRefused, match="Nothing"):
        place.release(number, BEN, shares)
    assert (place.token.balance(ANNA), place.token.balance(BEN)) == (375, 125)
    assert place.royalties.set(place.world.sender(MAKER), shares) == number, "again is a no-op"


@settings(max_examples=int(os.environ.get("TROTH_ROYALTY_EXAMPLES", "4")), deadline=None)
@given(st.lists(st.integers(0, 9), min_size=6, max_size=6).filter(any),
       st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), min_size=1, max_size=8))
def test_what_came_is_what_was_paid_and_what_is_left(place: Place, weights: list[int],
                                                     acts: list[tuple[int, int]]) -> None:
    """Money comes and is collected in any order: each has had the floor of its share of all that came."""
    number, shares = place.set(dict(zip(CROWD, weights, strict=True)))
    before = {who: place.token.balance(who) for who in CROWD}
    came = 0
    for who, amount in acts:
        place.earn(number, amount)
        came += amount
        if weights[who] and came * weights[who] // sum(weights) > place.token.balance(CROWD[who]) - before[CROWD[who]]:
            place.release(number, CROWD[who], shares)
            assert place.token.balance(CROWD[who]) - before[CROWD[who]] == came * weights[who] // sum(weights)
    paid = sum(place.token.balance(who) - before[who] for who in CROWD)
    assert place.token.balance(place.royalties.purse(number)) == came - paid


def test_nobody_collects_anothers_share_or_changes_one(place: Place) -> None:
    number, shares = place.set({ANNA: 3, BEN: 1})
    place.earn(number, 400)
    greedy = Shares.of(shares.thing, shares.rate, {ANNA: 1, BEN: 3})
    with pytest.raises(ActRefused, match="BadProof"):
        place.release(number, BEN, greedy)
    with pytest.raises(ActRefused, match="Unknown"):
        place.release(number + 1, BEN, shares)
    other = place.royalties.set(place.world.sender(MARKET), shares)
    assert other != number, "the same words of another's are another's"
    assert place.royalties.set(place.world.sender(MAKER), greedy) != number, "other shares are another id"
    assert place.royalties.due(number, place.token.address, BEN, shares) == 100
    with pytest.raises(ActRefused, match="NotThat"):
        place.world.send(MAKER, place.royalties.address, "set(bytes32,uint32,uint128,bytes32)", bytes(32), 1_000_001, 1,
                         b"\1" * 32)
    place.release(number, BEN, shares)  # the purse is there now
    with pytest.raises(ActRefused):
        place.world.send(BEN, place.royalties.purse(number), "pay(address,address,uint256)", place.token.address, BEN,
                         300)
    with pytest.raises(Misuse, match="no share"):
        shares.find(MARKET)


@pytest.mark.parametrize("weights", [{}, {ANNA: 0}, {ANNA: 1 << 128}, {bytes(20): 1}, {ANNA: -1, BEN: 2}],
                         ids=["none", "nothing", "too much", "nobody", "negative"])
def test_what_are_no_shares(weights: dict[Account, int]) -> None:
    with pytest.raises(BadInput):
        Shares.of(bytes(32), 1, weights)


def test_a_payee_that_calls_back_gets_its_share_once(place: Place) -> None:
    """The chain's coin runs the payee's code: it calls ``release`` again while it is being paid."""
    world = place.world
    nonce = int(request(world.web3, "eth_getTransactionCount", "0x" + DEPLOYER.hex(), "latest"), 16)
    payee = keccak256(rlp.encode([DEPLOYER, nonce]))[12:]
    shares = Shares.of(bytes(32), 0, {payee: 1, ANNA: 3})
    number = place.royalties.id_of(MAKER, shares)
    share, proof = shares.find(payee)
    again = keccak256(b"release(uint256,address,address,uint128,bytes32[])")[:4] + call_data(
        "f(uint256,address,address,uint128,bytes32[])", number, COIN, payee, share, list(proof))[4:]
    # Copies what stands behind these 43 bytes and calls the contract with it, whatever comes of it.
    size = len(again).to_bytes(2, "big")
    code = (b"\x61" + size + b"\x60\x2b\x5f\x39\x5f\x5f\x61" + size + b"\x5f\x5f\x73" + place.royalties.address
            + b"\x5a\xf1\x50\x00").ljust(43, b"\x00")
    assert len(code) == 43
    runtime = code + again
    made, _ = create(world.sender(DEPLOYER), b"\x61" + len(runtime).to_bytes(2, "big") + b"\x60\x0c\x5f\x39\x61"
                     + len(runtime).to_bytes(2, "big") + b"\x5f\xf3" + runtime)
    assert made == payee
    place.royalties.set(world.sender(MAKER), shares)
    world.sender(MARKET).send(place.royalties.purse(number), b"", value=4_000)
    place.release(number, payee, shares, COIN)
    purse, held = ("0x" + one.hex() for one in (place.royalties.purse(number), payee))
    balances = [int(request(world.web3, "eth_getBalance", one, "latest"), 16) for one in (purse, held)]
    assert balances == [3_000, 1_000]
    with pytest.raises(ActRefused, match="Nothing"):
        place.release(number, payee, shares, COIN)
