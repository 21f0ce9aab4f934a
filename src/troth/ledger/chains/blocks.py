"""Ethereum's headers, receipts and logs as bytes, from the frontier to Prague, without an EVM.

Sources: yellow paper sections 4.3-4.4; EIP-2718 (typed receipts), EIP-658 (status), EIP-1559, 4895, 4844, 4788, 7685
(header fields). Fields that later forks append to a header are kept as they are: a block hash is over all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from eth_hash.auto import keccak

from troth.core.errors import BadInput
from troth.ledger.chains import rlpcodec as rlp

HEADER_FIELDS: tuple[tuple[str, bool], ...] = (
    ("parentHash", False),
    ("sha3Uncles", False),
    ("miner", False),
    ("stateRoot", False),
    ("transactionsRoot", False),
    ("receiptsRoot", False),
    ("logsBloom", False),
    ("difficulty", True),
    ("number", True),
    ("gasLimit", True),
    ("gasUsed", True),
    ("timestamp", True),
    ("extraData", False),
    ("mixHash", False),
    ("nonce", False),
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    ("blobGasUsed", True),
    ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False),
    ("requestsHash", False),
)
"""(JSON-RPC name, whether it is an integer) of each header field in RLP order. The first 15 are always there."""

ALWAYS = 15
EMPTY_TRIE_ROOT = keccak(b"\x80")
EMPTY_UNCLES_HASH = keccak(b"\xc0")


@dataclass(frozen=True, slots=True)
class Header:
    """A block header as its RLP fields, integers in shortest big-endian form."""

    fields: tuple[bytes, ...]

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """The header whose RLP is ``data``. Raises BadInput."""
        fields = tuple(rlp.as_bytes(field, "a header field") for field in rlp.decode_list(data))
        if len(fields) < ALWAYS:
            raise BadInput("a header has too few fields", expected=f"at least {ALWAYS}", actual=len(fields))
        for at, size in ((0, 32), (4, 32), (5, 32), (6, 256)):
            rlp.as_bytes(fields[at], f"the header's {HEADER_FIELDS[at][0]}", size)
        for at in (8, 11):
            rlp.as_int(fields[at], f"the header's {HEADER_FIELDS[at][0]}")
        return cls(fields)

    @classmethod
    def from_json(cls, block: Mapping[str, object]) -> Header:
        """The header in a JSON-RPC block. Raises BadInput if a field that every fork has is missing."""
        fields: list[bytes] = []
        for at, (name, is_integer) in enumerate(HEADER_FIELDS):
            value = block.get(name)
            if value is None and at >= ALWAYS:
                break
            fields.append(rlp.integer(quantity(value)) if is_integer else hex_bytes(value))
        return cls(tuple(fields))

    def to_json(self) -> dict[str, str]:
        """The header's fields under their JSON-RPC names."""
        named = zip(HEADER_FIELDS, self.fields, strict=False)
        return {
            name: hex(int.from_bytes(value, "big")) if is_integer else "0x" + value.hex()
            for (name, is_integer), value in named
        }

    def encode(self) -> bytes:
        """The header's RLP."""
        return rlp.encode(self.fields)

    @property
    def parent_hash(self) -> bytes:
        return self.fields[0]

    @property
    def state_root(self) -> bytes:
        return self.fields[3]

    @property
    def receipts_root(self) -> bytes:
        return self.fields[5]

    @property
    def number(self) -> int:
        return int.from_bytes(self.fields[8], "big")

    @property
    def gas_limit(self) -> int:
        return int.from_bytes(self.fields[9], "big")

    @property
    def gas_used(self) -> int:
        return int.from_bytes(self.fields[10], "big")

    @property
    def timestamp(self) -> int:
        """Unix time in seconds: the block producer's word."""
        return int.from_bytes(self.fields[11], "big")

    @property
    def mix_hash(self) -> bytes:
        return self.fields[13]


@dataclass(frozen=True, slots=True)
class Log:
    """An event: the contract that emitted it (20 bytes), up to four 32-byte topics, and its data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes

    @classmethod
    def from_rlp(cls, item: rlp.Item) -> Log:
        """Raises BadInput unless ``item`` is [address, [topics], data]."""
        parts = rlp.as_list(item, "a log")
        if len(parts) != 3:
            raise BadInput("a log has the wrong number of fields", expected=3, actual=len(parts))
        topics = tuple(rlp.as_bytes(topic, "a topic", 32) for topic in rlp.as_list(parts[1], "a log's topics"))
        if len(topics) > 4:
            raise BadInput("a log has too many topics", expected="at most 4", actual=len(topics))
        return cls(rlp.as_bytes(parts[0], "a log's address", 20), topics, rlp.as_bytes(parts[2], "a log's data"))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did: its type, whether it succeeded, gas used in the block so far, and its events."""

    type: int
    status: bool
    cumulative_gas: int
    logs: tuple[Log, ...]

    def encode(self) -> bytes:
        """The receipt as the receipts trie holds it (EIP-2718)."""
        logs = [(log.address, log.topics, log.data) for log in self.logs]
        body = rlp.encode(
            (b"\1" if self.status else b"", rlp.integer(self.cumulative_gas), logs_bloom(self.logs), logs)
        )
        return bytes((self.type,)) + body if self.type else body

    @classmethod
    def decode(cls, data: bytes) -> Receipt:
        """The receipt whose encoding is ``data``. Raises BadInput, also for a bloom that is not the logs' own."""
        kind = data[0] if data and data[0] < 0x80 else 0
        parts = rlp.decode_list(data[1:] if kind else data)
        if len(parts) != 4:
            raise BadInput("a receipt has the wrong number of fields", expected=4, actual=len(parts))
        status = rlp.as_int(parts[0], "a receipt's status")
        if status > 1:
            raise BadInput("a receipt's status is neither 0 nor 1", expected="a receipt since Byzantium (EIP-658)")
        logs = tuple(Log.from_rlp(log) for log in rlp.as_list(parts[3], "a receipt's logs"))
        receipt = cls(kind, status == 1, rlp.as_int(parts[1], "a receipt's gas"), logs)
        if receipt.encode() != data:
            raise BadInput("a receipt does not equal its own encoding", expected="a bloom of its logs, a known type")
        return receipt


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """The 2048-bit filter over the logs' addresses and topics (yellow paper, section 4.3.1)."""
    bits = 0
    for log in logs:
        for value in (log.address, *log.topics):
            bits |= _bloom_bits(value)
    return bits.to_bytes(256, "big")


@lru_cache(1 << 12)
def _bloom_bits(value: bytes) -> int:
    """The three bits of one value; contracts and topics come again and again."""
    digest = keccak(value)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits


def single_root(value: bytes) -> bytes:
    """The root of a transactions or receipts trie that holds ``value`` at index 0 alone.

    Its only node is the leaf for key 0x80 (the RLP of 0); 0x20 marks a leaf with an even path (yellow paper,
    appendix C and D).
    """
    return bytes(keccak(rlp.encode((b"\x20\x80", value))))


def quantity(value: object) -> int:
    """A JSON-RPC integer (hex string, or already decoded). Raises BadInput."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        if isinstance(value, str) and value.startswith("0x") and value[2:].isalnum():  # int() takes spaces and "_", too
            return int(value, 16)
    except ValueError:
        pass
    raise BadInput("not a JSON-RPC integer", expected="0x and hex digits", actual=repr(value)[:80])


def hex_bytes(value: object, size: int | None = None) -> bytes:
    """JSON-RPC data (0x hex string, or already bytes), of ``size`` bytes where given. Raises BadInput."""
    if isinstance(value, bytes):
        data = bytes(value)
    else:
        try:
            data = bytes.fromhex(value[2:] if isinstance(value, str) and value.startswith("0x") else "?")
        except ValueError:
            raise BadInput("not JSON-RPC data", expected="0x and hex digits", actual=repr(value)[:80]) from None
    if size is not None and len(data) != size:
        raise BadInput("JSON-RPC data of the wrong length", expected=f"{size} bytes", actual=f"{len(data)} bytes")
    return data


def hex_all(values: Sequence[bytes]) -> list[str]:
    """Each value as 0x and hex."""
    return ["0x" + value.hex() for value in values]
