"""Commitments to records: openings hold, forgeries do not, and nothing can be guessed without the key."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core import merkle
from troth.core.errors import BadInput, Misuse, Refuted, TrothError
from troth.store.commitments import Commitment, Listing, Opening, commit, leaf, new_listing_key, record_key, verify

KEY = bytes(range(32))
RECORDS = [b"benign", b"malignant", b"benign", b"", b"\0" * 300]


def test_by_hand() -> None:
    """The scheme, spelled out with the standard library alone."""
    leaves = []
    for index, record in enumerate(RECORDS[:3]):
        key = hmac.new(KEY, b"troth/commitment/1/record key" + index.to_bytes(8, "big"), hashlib.sha256).digest()
        leaves.append(hashlib.sha256(b"\0" + hmac.new(key, record, hashlib.sha256).digest()).digest())
    left = hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest()
    assert commit(KEY, RECORDS[:3]) == Commitment(hashlib.sha256(b"\1" + left + leaves[2]).digest(), 3)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20))
def test_every_record_opens(records: list[bytes]) -> None:
    listing = Listing(KEY, records)
    commitment = listing.commitment
    assert commitment == commit(KEY, iter(records))
    assert commitment.root == merkle.root([leaf(record_key(KEY, i), record) for i, record in enumerate(records)])
    for index, record in enumerate(records):
        verify(listing.open(index, record), commitment)


def test_equal_records_have_unlike_leaves_and_other_keys_another_root() -> None:
    leaves = [leaf(record_key(KEY, index), b"benign") for index in range(100)]
    assert len(set(leaves)) == 100
    assert commit(new_listing_key(), RECORDS).root != commit(KEY, RECORDS).root


def test_an_opening_shows_one_record_only() -> None:
    """With it, every guess at a neighbour still needs the neighbour's key."""
    opening = Listing(KEY, RECORDS).open(1, RECORDS[1])
    seen = {opening.record_key, *opening.path}
    assert KEY not in seen
    for index in (0, 2, 3, 4):
        assert record_key(KEY, index) not in seen
        for guess in (b"benign", b"malignant", b""):
            for known in (opening.record_key, bytes(32), commit(KEY, RECORDS).root):
                assert merkle.leaf_hash(leaf(known, guess)) not in seen
    assert repr(opening.record_key) not in repr(opening)
    assert "malignant" not in repr(opening)


def test_forged_openings_are_refuted() -> None:
    listing = Listing(KEY, RECORDS)
    commitment = listing.commitment
    good = listing.open(1, RECORDS[1])
    other = listing.open(3, RECORDS[3])
    forged: dict[str, Opening] = {
        "record": replace(good, record=b"benign"),
        "key": replace(good, record_key=record_key(KEY, 0)),
        "index": replace(good, index=0),
        "another index": replace(good, index=4),
        "path cut": replace(good, path=good.path[:-1]),
        "path longer": replace(good, path=(*good.path, bytes(32))),
        "path turned": replace(good, path=good.path[::-1]),
        "another's path": replace(good, path=other.path),
        "leaf as record": replace(good, record=leaf(good.record_key, good.record)),
    }
    for opening in forged.values():
        with pytest.raises(Refuted, match="not the one committed to"):
            verify(opening, commitment)
    for wrong in (Commitment(commitment.root, 4), Commitment(bytes(32), 5), Commitment(commitment.root, 50)):
        with pytest.raises(Refuted):
            verify(good, wrong)
    for index in (-1, 5, 1 << 60):
        with pytest.raises(BadInput):
            verify(replace(good, index=index), commitment)


def test_hmac_keys_that_mean_the_same_are_refused() -> None:
    """HMAC pads with zeros: a shorter spelling of a key that ends in zero would open the same leaf."""
    key = bytes(31) + b"\0"
    assert hmac.digest(key, b"x", "sha256") == hmac.digest(key[:-1], b"x", "sha256")
    opening = Listing(KEY, RECORDS).open(0, RECORDS[0])
    for bad in (opening.record_key[:-1], opening.record_key + b"\0", b"", opening.record_key * 3):
        with pytest.raises(BadInput, match="record key"):
            verify(replace(opening, record_key=bad), commit(KEY, RECORDS))
        with pytest.raises(Misuse):
            Listing(bad, RECORDS)
        with pytest.raises(Misuse):
            leaf(bad, b"x")


def test_opens_only_what_was_listed() -> None:
    listing = Listing(KEY, RECORDS)
    with pytest.raises(BadInput, match="not record 0"):
        listing.open(0, b"malignant")
    for index in (-1, 5):
        with pytest.raises(BadInput, match="no record at this index"):
            listing.open(index, b"")
    for index in (-1, 1 << 48):
        with pytest.raises(Misuse):
            record_key(KEY, index)


@settings(deadline=None)
@given(st.integers(1, 20), st.data())
def test_random_changes_never_verify(size: int, data: st.DataObject) -> None:
    records = [bytes([index]) for index in range(size)]
    listing = Listing(KEY, records)
    index = data.draw(st.integers(0, size - 1))
    opening = listing.open(index, records[index])
    blob = bytearray(b"".join((opening.record, opening.record_key, *opening.path)))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tuple(bytes(blob[at:at + 32]) for at in range(33, len(blob), 32))
    with pytest.raises(TrothError):
        verify(Opening(index, bytes(blob[:1]), bytes(blob[1:33]), path), listing.commitment)
