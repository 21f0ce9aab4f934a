"""Ten thousand payees under one root: published, checked before upholding, collected; and what a cheat tries."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from ports.books import MemoryWorld, account
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD, Ask, Pot, Result, Root, Rung, Terms
from troth.ledger.payouts import Payouts, checked, fetch, pay_out, publish
from troth.store.cid import Cid
from troth.store.memory import MemoryBlobs
from troth.store.unixfs import cids

MANY, HOUR = 10_000, 3600
SPONSOR, COURT, REST = account("sponsor"), account("court"), account("rest")
PAYEES = tuple((hashlib.sha256(n.to_bytes(4, "big")).digest()[:20], 1 + n % 7) for n in range(MANY))
TOTAL = sum(amount for _, amount in PAYEES)


def opened(world: MemoryWorld, pot: int = TOTAL + 500) -> bytes:
    """A deal that pays by a root, running; the sponsor's word decides it."""
    rung = Rung(*world.addresses.policies["assumed"], (Ask("result", (SPONSOR,), HOUR),), HOUR, silent=REFUTED)
    terms = Terms(world.token, (Pot("reward", SPONSOR, pot, {UPHELD: Root(HOUR)}, REST),), (rung,), world.now() + HOUR,
                  COURT)
    world.fund(SPONSOR)
    return world.book.open_and_join(SPONSOR, terms, bytes(32), 0)


def listed(world: MemoryWorld, deal: bytes) -> Payouts:
    return Payouts(world.book.chain_id, world.book.address, deal, 0, PAYEES)


@pytest.fixture(scope="module")
def whole() -> tuple[MemoryWorld, Payouts, MemoryBlobs, Cid]:
    world, blobs = MemoryWorld(), MemoryBlobs()
    payouts = listed(world, opened(world))
    return world, payouts, blobs, publish(payouts, blobs)


def check(whole: tuple[MemoryWorld, Payouts, MemoryBlobs, Cid], result: Result, *, cid: Cid | None = None,
          blobs: MemoryBlobs | None = None, deal: bytes | None = None, amount: int = TOTAL + 500) -> Payouts:
    world, payouts, store, published = whole
    return checked(cid or published, blobs or store, result, chain_id=world.book.chain_id, book=world.book.address,
                   deal=deal or payouts.deal, pot=0, amount=amount)


def test_published_found_and_paid(whole: tuple[MemoryWorld, Payouts, MemoryBlobs, Cid]) -> None:
    """The verdict names root and total; everybody finds its own; the rest is swept."""
    world, payouts, blobs, cid = whole
    result = Result(UPHELD, root=payouts.tree.root, total=TOTAL)
    assert check(whole, result) == fetch(cid, blobs) == payouts
    world.book.submit_and_judge(SPONSOR, payouts.deal, 0, 0, bytes(32), result.to_bytes())
    world.book.close(SPONSOR, payouts.deal)
    (mine,) = fetch(cid, blobs).of(PAYEES[4321][0])
    world.book.collect(COURT, payouts.deal, 0, *mine)
    assert world.balance(PAYEES[4321][0]) == PAYEES[4321][1]
    assert payouts.of(COURT) == ()
    first, second = list(payouts.batches())[:2]
    world.book.collect_many(COURT, payouts.deal, 0, first)
    with pytest.raises(ActRefused) as error:
        world.book.collect(COURT, payouts.deal, 0, *first[7])
    assert error.value.code == "Collected"
    # Somebody collected one of a batch meanwhile: the others are paid all the same.
    world.book.collect(COURT, payouts.deal, 0, *second[0])
    assert pay_out(payouts, world.book, COURT, size=500) == 20
    assert [world.balance(payee) for payee, _ in PAYEES] == [amount for _, amount in PAYEES]
    world.advance(HOUR)
    world.book.sweep(COURT, payouts.deal, 0)
    assert world.balance(world.book.address) == 0


def test_withheld(whole: tuple[MemoryWorld, Payouts, MemoryBlobs, Cid]) -> None:
    """Any block that is not there, be it one of many, leaves the result undecided."""
    blobs = MemoryBlobs()
    cid = publish(replace(whole[1], payees=PAYEES * 3), blobs)
    result = Result(UPHELD, root=keccak256(b""), total=3 * TOTAL)
    names = [str(one) for one in cids(cid, blobs)]
    assert len(names) > 1
    for name in names:
        part = MemoryBlobs()
        for other in names:
            if other != name:
                part.put(other, blobs.get(other))
        with pytest.raises(Undecidable):
            check(whole, result, cid=cid, blobs=part)


def test_wrong_lists(whole: tuple[MemoryWorld, Payouts, MemoryBlobs, Cid]) -> None:
    _, payouts, _, _ = whole
    good = Result(UPHELD, root=payouts.tree.root, total=TOTAL)
    for result, amount in ((replace(good, total=TOTAL + 1), TOTAL + 500), (replace(good, root=keccak256(b"")), TOTAL),
                           (good, TOTAL - 1)):
        with pytest.raises(Refuted):
            check(whole, result, amount=amount)
    with pytest.raises(Refuted):
        check(whole, good, deal=keccak256(b"another"))
    swapped = (PAYEES[1], PAYEES[0], *PAYEES[2:])
    for payees in (swapped, PAYEES[:-1], ((COURT, PAYEES[0][1]), *PAYEES[1:])):
        blobs = MemoryBlobs()
        with pytest.raises(Refuted):
            check(whole, good, cid=publish(replace(payouts, payees=payees), blobs), blobs=blobs)


@pytest.mark.parametrize("bend", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"x" + data[1:],
                                  lambda data: data[:101], lambda data: data[:-16] + bytes(16)])
def test_files_that_are_no_list(bend: object) -> None:
    world = MemoryWorld()
    payouts = replace(listed(world, bytes(32)), payees=PAYEES[:3])
    assert Payouts.from_bytes(payouts.to_bytes()) == payouts
    with pytest.raises(BadInput):
        Payouts.from_bytes(bend(payouts.to_bytes()))  # type: ignore[operator]


def test_a_node_is_no_leaf(whole: tuple[MemoryWorld, Payouts, MemoryBlobs, Cid]) -> None:
    """A leaf is hashed twice: no account and amount make an inner node, and a shorter proof leads nowhere."""
    world = MemoryWorld()
    deal = opened(world)
    payouts = listed(world, deal)
    world.book.submit_and_judge(SPONSOR, deal, 0, 0, bytes(32), Result(UPHELD, root=payouts.tree.root,
                                                                       total=TOTAL).to_bytes())
    world.book.close(SPONSOR, deal)
    leaf, proof = payouts.leaf(5)
    for wrong in ((leaf, proof[1:]), (leaf, ()), ((6, *leaf[1:]), proof), ((leaf[0], COURT, leaf[2]), proof),
                  ((leaf[0], leaf[1], leaf[2] + 1), proof)):
        with pytest.raises(ActRefused) as error:
            world.book.collect_many(COURT, deal, 0, (payouts.leaf(1), wrong))
        assert error.value.code == "BadProof"
    # All or nothing.
    assert world.balance(PAYEES[1][0]) == 0
