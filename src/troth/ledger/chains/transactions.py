"""Ethereum transactions as bytes: legacy with replay protection, access list, dynamic fee, and set code.

Sources: EIP-155, EIP-2718, EIP-2930, EIP-1559, EIP-7702; intrinsic gas by EIP-2028, 2930, 3860, 7702 and the calldata
floor of EIP-7623. One definition serves the sender (signing), the embedded chain (checking and running) and JSON-RPC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import coincurve
from eth_hash.auto import keccak

from troth.core.errors import BadInput
from troth.ledger.chains import rlpcodec as rlp

AccessList: TypeAlias = tuple[tuple[bytes, tuple[int, ...]], ...]

LEGACY, ACCESS_LIST, DYNAMIC_FEE, SET_CODE = 0, 1, 2, 4
FIELDS = {ACCESS_LIST: 11, DYNAMIC_FEE: 12, SET_CODE: 13}
"""Of a typed transaction, its signature included."""
AUTHORIZATION_MAGIC = b"\5"
AUTHORIZATION_GAS = 25_000
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
MAX_INITCODE = 49_152


class Rejected(BadInput):
    """A transaction that the chain does not take. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """An account's leave to run the code at ``address`` as its own (EIP-7702), on one chain or, for 0, on any.

    The zero address takes the leave back. nonce: the account's when the authorization is carried out.
    """

    chain_id: int
    address: bytes
    nonce: int
    y_parity: int = 0
    r: int = 0
    s: int = 0

    def signing_hash(self) -> bytes:
        """The 32 bytes that the account signs."""
        fields = (rlp.integer(self.chain_id), self.address, rlp.integer(self.nonce))
        return bytes(keccak(AUTHORIZATION_MAGIC + rlp.encode(fields)))

    def signed(self, key: coincurve.PrivateKey) -> Authorization:
        """This authorization with ``key``'s deterministic (RFC 6979) signature."""
        signature = key.sign_recoverable(self.signing_hash(), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return replace(self, y_parity=signature[64], r=r, s=s)

    def authority(self) -> bytes | None:
        """The account that signed; None if the signature fits no key or is malleable."""
        try:
            return _signer(self.signing_hash(), self.y_parity, self.r, self.s)
        except BadInput:
            return None

    def item(self) -> tuple[bytes, ...]:
        """The authorization in RLP."""
        numbers = (rlp.integer(value) for value in (self.nonce, self.y_parity, self.r, self.s))
        return (rlp.integer(self.chain_id), self.address, *numbers)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction. ``to`` is empty for a deployment; fees are wei per gas; ``sender`` is empty until signed.

    A legacy or access-list transaction has one gas price: both fee fields carry it.
    """

    type: int
    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas: int
    to: bytes
    value: int
    data: bytes
    access_list: AccessList = ()
    y_parity: int = 0
    r: int = 0
    s: int = 0
    sender: bytes = b""
    authorizations: tuple[Authorization, ...] = ()

    @property
    def type_id(self) -> int:
        """The type under the name the EVM's executor reads."""
        return self.type

    @property
    def intrinsic_gas(self) -> int:
        """Gas charged before the first instruction (EIP-2028, 2930, 3860, 7702)."""
        zeros = self.data.count(0)
        gas = 21_000 + 4 * zeros + 16 * (len(self.data) - zeros)
        if not self.to:
            gas += 32_000 + 2 * ((len(self.data) + 31) // 32)
        for _, slots in self.access_list:
            gas += 2_400 + 1_900 * len(slots)
        return gas + AUTHORIZATION_GAS * len(self.authorizations)

    @property
    def floor_gas(self) -> int:
        """The least a transaction pays for its calldata (EIP-7623)."""
        zeros = self.data.count(0)
        return 21_000 + 10 * (zeros + 4 * (len(self.data) - zeros))

    def _fields(self) -> tuple[rlp.Item, ...]:
        """The unsigned fields in RLP order."""
        nonce, gas, value = rlp.integer(self.nonce), rlp.integer(self.gas), rlp.integer(self.value)
        fee = rlp.integer(self.max_fee_per_gas)
        if self.type == LEGACY:
            return (nonce, fee, gas, self.to, value, self.data)
        access = tuple(
            (address, tuple(slot.to_bytes(32, "big") for slot in slots)) for address, slots in self.access_list
        )
        fees = (fee,) if self.type == ACCESS_LIST else (rlp.integer(self.max_priority_fee_per_gas), fee)
        leave = (tuple(one.item() for one in self.authorizations),) if self.type == SET_CODE else ()
        return (rlp.integer(self.chain_id), nonce, *fees, gas, self.to, value, self.data, access, *leave)

    def signing_hash(self) -> bytes:
        """The 32 bytes that the sender signs."""
        if self.type == LEGACY:
            return bytes(keccak(rlp.encode((*self._fields(), rlp.integer(self.chain_id), b"", b""))))
        return bytes(keccak(bytes((self.type,)) + rlp.encode(self._fields())))

    def encode(self) -> bytes:
        """The signed transaction's bytes, as ``eth_sendRawTransaction`` takes them."""
        signature = (rlp.integer(self.v), rlp.integer(self.r), rlp.integer(self.s))
        body = rlp.encode((*self._fields(), *signature))
        return body if self.type == LEGACY else bytes((self.type,)) + body

    @property
    def v(self) -> int:
        """The recovery value: by EIP-155 for a legacy transaction, the parity for a typed one."""
        return 35 + 2 * self.chain_id + self.y_parity if self.type == LEGACY else self.y_parity

    def signed(self, key: coincurve.PrivateKey, sender: bytes) -> Transaction:
        """This transaction with ``key``'s deterministic (RFC 6979) signature; ``sender`` is the key's account."""
        signature = key.sign_recoverable(self.signing_hash(), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return replace(self, r=r, s=s, y_parity=signature[64], sender=sender)


def account_of(public_key: coincurve.PublicKey) -> bytes:
    """The 20-byte account of a secp256k1 public key."""
    return bytes(keccak(public_key.format(compressed=False)[1:])[12:])


def contract_address(sender: bytes, nonce: int) -> bytes:
    """The account of the contract that ``sender``'s transaction ``nonce`` creates (yellow paper, section 7)."""
    return bytes(keccak(rlp.encode((sender, rlp.integer(nonce))))[12:])


def _signer(digest: bytes, y_parity: int, r: int, s: int) -> bytes:
    """The account that signed ``digest``. Raises BadInput for a malleable signature (EIP-2) or one that fits no key."""
    if y_parity > 1 or not 0 < r < CURVE_ORDER or not 0 < s <= CURVE_ORDER // 2:
        raise BadInput("invalid transaction v, r, s values")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
    try:
        return account_of(coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None))
    except ValueError as error:
        raise BadInput("a transaction's signature fits no key") from error


def decode_transaction(raw: bytes, sender: bytes | None = None) -> Transaction:
    """The signed transaction whose bytes are ``raw``, with its sender recovered.

    sender: who is known to have signed it, which saves recovering it again.

    Raises BadInput for anything else: another type, a non-canonical encoding, a signature that is malleable
    (EIP-2) or fits no key, a legacy transaction without replay protection.
    """
    if not raw:
        raise BadInput("an empty transaction")
    if raw[0] >= 0xC0:
        unsigned = _decode_legacy(rlp.decode_list(raw))
    elif raw[0] in FIELDS:
        unsigned = _decode_typed(raw[0], rlp.decode_list(raw[1:]))
    else:
        raise BadInput("transaction type not supported", expected="legacy, 1, 2 or 4", actual=raw[0])
    if unsigned.gas >= 1 << 64 or unsigned.nonce >= (1 << 64) - 1:
        raise BadInput("a transaction's gas or nonce passes 64 bits")
    if unsigned.type == SET_CODE and not (unsigned.to and unsigned.authorizations):
        raise BadInput("a set-code transaction has a target and authorizations", actual="none")
    if sender is None:
        sender = _signer(unsigned.signing_hash(), unsigned.y_parity, unsigned.r, unsigned.s)
    return replace(unsigned, sender=sender)


def _decode_legacy(parts: tuple[rlp.Item, ...]) -> Transaction:
    if len(parts) != 9:
        raise BadInput("a legacy transaction has the wrong number of fields", expected=9, actual=len(parts))
    nonce, fee, gas, value, v, r, s = (rlp.as_int(parts[at], "a transaction field") for at in (0, 1, 2, 4, 6, 7, 8))
    if v < 35:
        raise BadInput("only replay-protected (EIP-155) transactions are taken", expected="v of 35 or more", actual=v)
    chain_id, parity = divmod(v - 35, 2)
    to, data = _target(parts[3]), rlp.as_bytes(parts[5], "a transaction's data")
    return Transaction(LEGACY, chain_id, nonce, fee, fee, gas, to, value, data, (), parity, r, s)


def _decode_typed(kind: int, parts: tuple[rlp.Item, ...]) -> Transaction:
    expected = FIELDS[kind]
    if len(parts) != expected:
        raise BadInput("a typed transaction has the wrong number of fields", expected=expected, actual=len(parts))
    shift = 0 if kind == ACCESS_LIST else 1
    chain_id, nonce, priority = (rlp.as_int(parts[at], "a transaction field") for at in (0, 1, 2))
    fee, gas = (rlp.as_int(parts[at + shift], "a transaction field") for at in (2, 3))
    to, value = _target(parts[4 + shift]), rlp.as_int(parts[5 + shift], "a transaction's value")
    data = rlp.as_bytes(parts[6 + shift], "a transaction's data")
    access = tuple(_access(entry) for entry in rlp.as_list(parts[7 + shift], "an access list"))
    leave = rlp.as_list(parts[9], "an authorization list") if kind == SET_CODE else ()
    parity, r, s = (rlp.as_int(part, "a signature part") for part in parts[-3:])
    return Transaction(kind, chain_id, nonce, priority, fee, gas, to, value, data, access, parity, r, s,
                       authorizations=tuple(_authorization(entry) for entry in leave))


def _authorization(item: rlp.Item) -> Authorization:
    parts = rlp.as_list(item, "an authorization")
    if len(parts) != 6:
        raise BadInput("an authorization has the wrong number of fields", expected=6, actual=len(parts))
    chain_id, nonce, parity, r, s = (rlp.as_int(parts[at], "an authorization's field") for at in (0, 2, 3, 4, 5))
    if nonce >= 1 << 64 or parity >= 1 << 8:
        raise BadInput("an authorization's nonce passes 64 bits, or its parity 8")
    return Authorization(chain_id, rlp.as_bytes(parts[1], "an authorization's address", 20), nonce, parity, r, s)


def _target(item: rlp.Item) -> bytes:
    to = rlp.as_bytes(item, "a transaction's target")
    if len(to) not in (0, 20):
        raise BadInput("a transaction's target has the wrong length", expected="20 bytes, or none", actual=len(to))
    return to


def _access(item: rlp.Item) -> tuple[bytes, tuple[int, ...]]:
    entry = rlp.as_list(item, "an access list entry")
    if len(entry) != 2:
        raise BadInput("an access list entry has the wrong number of fields", expected=2, actual=len(entry))
    slots = rlp.as_list(entry[1], "an access list entry's slots")
    keys = tuple(int.from_bytes(rlp.as_bytes(slot, "a slot", 32), "big") for slot in slots)
    return rlp.as_bytes(entry[0], "an access list address", 20), keys
