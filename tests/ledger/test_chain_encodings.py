"""RLP and transactions, held against the usual libraries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import coincurve
import pytest
import rlp as reference
from eth_account import Account
from eth_utils import to_checksum_address
from hypothesis import example, given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.ledger.chains import rlpcodec
from troth.ledger.chains.transactions import CURVE_ORDER, Authorization, Transaction, account_of, decode_transaction

ITEMS = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=30)


def tupled(item: Any) -> Any:
    return item if isinstance(item, bytes) else tuple(tupled(part) for part in item)


@settings(deadline=None, max_examples=300)
@given(item=ITEMS)
@example(item=bytes(70_000))
@example(item=tuple([b"x" * 60] * 1_100))
def test_rlp_equals_the_usual_library(item: Any) -> None:
    assert rlpcodec.encode(item) == reference.encode(item)
    assert rlpcodec.decode(reference.encode(item)) == item


@settings(deadline=None, max_examples=1_500)
@given(data=st.one_of(st.binary(max_size=80), ITEMS.map(reference.encode).map(lambda raw: raw[:-1] + b"\xc1")))
@example(data=b"\x81\x05")
@example(data=b"\xb8\x05hello")
@example(data=b"\xb9\x00\x38" + bytes(56))
@example(data=b"\xf8\x01\x05")
@example(data=b"\x85hell")
@example(data=b"\xbf" + b"\xff" * 8)
@example(data=b"\xc1")
@example(data=b"")
@example(data=b"\x05\x05")
def test_rlp_reads_exactly_what_it_writes(data: bytes) -> None:
    try:
        theirs = tupled(reference.decode(data, strict=True))
    except reference.exceptions.DecodingError:
        theirs = None
    try:
        ours = rlpcodec.decode(data)
    except BadInput:
        ours = None
    if ours is not None:
        assert rlpcodec.encode(ours) == data
    if theirs is not None and reference.encode(theirs) != data:
        theirs = None  # the library takes some long lists that it would write shorter
    assert ours == theirs


def test_rlp_refuses_to_nest_for_ever() -> None:
    data = b"\xc0"
    for _ in range(40):
        data = reference.encode([reference.decode(data)])
    with pytest.raises(BadInput, match="deep"):
        rlpcodec.decode(data)


def test_rlp_integers_are_canonical() -> None:
    for value in (0, 1, 127, 128, 1 << 255):
        assert rlpcodec.as_int(rlpcodec.integer(value), "n") == value
    for bad in (b"\0", b"\0\1", bytes(33), ()):
        with pytest.raises(BadInput):
            rlpcodec.as_int(bad, "n")


KEYS = st.integers(1, CURVE_ORDER - 1).map(lambda value: value.to_bytes(32, "big"))
ACCOUNTS = st.binary(min_size=20, max_size=20)
ACCESS = st.lists(st.tuples(ACCOUNTS, st.lists(st.integers(0, 1 << 255), max_size=2)), max_size=2)


@settings(deadline=None, max_examples=60)
@given(
    key=KEYS, kind=st.sampled_from((0, 1, 2, 4)), chain_id=st.integers(1, 1 << 40), nonce=st.integers(0, 1 << 40),
    fees=st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), gas=st.integers(21_000, 30_000_000),
    to=st.one_of(st.just(b""), ACCOUNTS), value=st.integers(0, 1 << 200),
    data=st.binary(max_size=200), access=ACCESS,
    leave=st.lists(
        st.tuples(KEYS, st.integers(0, 1 << 200), ACCOUNTS, st.integers(0, (1 << 64) - 2)), min_size=1, max_size=2
    ),
)  # fmt: skip
def test_transactions_equal_the_usual_librarys(
    key: bytes, kind: int, chain_id: int, nonce: int, fees: tuple[int, int], gas: int, to: bytes, value: int,
    data: bytes, access: list[Any], leave: list[Any],
) -> None:  # fmt: skip
    low, high = sorted(fees)
    to = to or (bytes(20) if kind == 4 else b"")
    fields: dict[str, Any] = {"chainId": chain_id, "nonce": nonce, "gas": gas, "value": value, "data": data}
    if to:
        fields["to"] = _checksum(to)
    if kind:
        fields["accessList"] = [
            {"address": _checksum(address), "storageKeys": [f"0x{slot:064x}" for slot in slots]}
            for address, slots in access
        ]
    has_tip = kind in (2, 4)
    fields |= {"maxFeePerGas": high, "maxPriorityFeePerGas": low, "type": kind} if has_tip else {"gasPrice": high}
    if kind == 1:
        fields["type"] = 1
    given_leave = []
    if kind == 4:
        authorizations = [
            Account.sign_authorization({"chainId": on, "address": _checksum(code), "nonce": at}, owner)
            for owner, on, code, at in leave
        ]
        fields["authorizationList"] = authorizations
        for (owner, on, code, at), theirs in zip(leave, authorizations, strict=True):
            one = Authorization(on, code, at).signed(coincurve.PrivateKey(owner))
            given_leave.append(one)
            assert (one.y_parity, one.r, one.s) == (theirs.y_parity, theirs.r, theirs.s)
            assert one.authority() == bytes.fromhex(Account.from_key(owner).address[2:])
    signed = Account.sign_transaction(fields, key)
    private = coincurve.PrivateKey(key)
    listed = tuple((address, tuple(slots)) for address, slots in access) if kind else ()
    ours = Transaction(
        kind, chain_id, nonce, low if has_tip else high, high, gas, to, value, data, listed,
        authorizations=tuple(given_leave),
    ).signed(private, account_of(private.public_key))  # fmt: skip
    assert ours.encode() == bytes(signed.raw_transaction)
    assert decode_transaction(ours.encode()) == ours
    assert "0x" + ours.sender.hex() == Account.from_key(key).address.lower()


def _checksum(account: bytes) -> str:
    return to_checksum_address(account)


KEY = coincurve.PrivateKey(b"\7" * 32)
SENT = Transaction(2, 1, 0, 1, 1, 30_000, bytes(20), 1, b"").signed(KEY, account_of(KEY.public_key))


def test_malleable_and_broken_signatures_are_refused() -> None:
    assert decode_transaction(SENT.encode()) == SENT
    for change in (
        {"s": CURVE_ORDER - SENT.s, "y_parity": 1 - SENT.y_parity},
        {"r": 0}, {"s": 0}, {"r": CURVE_ORDER}, {"y_parity": 2}, {"r": CURVE_ORDER - 1},
        {"gas": 1 << 64}, {"nonce": (1 << 64) - 1}, {"to": b"\1"},
    ):  # fmt: skip
        with pytest.raises(BadInput):
            decode_transaction(replace(SENT, **change).encode())
    legacy = replace(SENT, type=0)
    fields = [*legacy._fields(), rlpcodec.integer(27), rlpcodec.integer(SENT.r), rlpcodec.integer(SENT.s)]
    with pytest.raises(BadInput, match="EIP-155"):
        decode_transaction(rlpcodec.encode(fields))
    for kind in (3, 5, 0x7F):
        with pytest.raises(BadInput, match="not supported"):
            decode_transaction(bytes((kind,)) + SENT.encode()[1:])


LEAVE = Authorization(1, bytes(20), 0).signed(KEY)
SET = replace(SENT, type=4, authorizations=(LEAVE,)).signed(KEY, SENT.sender)


def test_set_code_transactions_are_read_strictly() -> None:
    assert decode_transaction(SET.encode()) == SET
    for change in (
        {"to": b""}, {"authorizations": ()}, {"authorizations": (replace(LEAVE, nonce=1 << 64),)},
        {"authorizations": (replace(LEAVE, y_parity=256),)}, {"authorizations": (replace(LEAVE, address=b"\1"),)},
    ):  # fmt: skip
        with pytest.raises(BadInput):
            decode_transaction(replace(SET, **change).signed(KEY, SENT.sender).encode())
    for broken in ({"r": 0}, {"y_parity": 2}, {"s": CURVE_ORDER - LEAVE.s, "y_parity": 1 - LEAVE.y_parity}):
        taken = replace(SET, authorizations=(replace(LEAVE, **broken),)).signed(KEY, SENT.sender)
        assert decode_transaction(taken.encode()).authorizations[0].authority() is None  # passed over when it runs


@settings(deadline=None, max_examples=300)
@given(at=st.integers(0, 1_000), new=st.binary(max_size=2), whole=st.sampled_from((SENT, SET)))
def test_no_bytes_make_the_decoder_fail_otherwise(at: int, new: bytes, whole: Transaction) -> None:
    raw = whole.encode()
    at %= len(raw)
    bent = raw[:at] + new + raw[at + 1 :]
    try:
        assert decode_transaction(bent).encode() == bent
    except BadInput:
        return
