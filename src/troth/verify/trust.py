"""The trust file (``trust.json``): what a verifier believes beforehand. Everything else has to be shown.

Canonical JSON with exactly these fields; ``null`` where nothing is pinned, which later makes the steps that need it
*undecidable*, never upheld::

    {"chain": {"block": {"hash": 64 hex, "number": n}, "contracts": {name: EIP-55 address}, "genesis": 64 hex, "id": n},
     "documents": {did: 64 hex}, "log": {"account": EIP-55 address, "key": vkey, "origin": text},
     "policy": {"name": text, …}, "roles": {role: [did, …]}, "version": 1,
     "witnesses": {"keys": [vkey, …], "threshold": n}}

``documents`` pins the SHA-256 of the newest document the truster knows of an identity: a history that lacks it is an
old one. ``log.account`` is who anchors the log on chain (null: anchors are not believed). ``chain.block`` is the block
that the truster holds for final; ``chain.genesis`` names the chain to whoever goes online.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from troth.core.encoding import MAX_INT, decode_object, encode, from_hex, take
from troth.core.errors import BadInput
from troth.identity.did import checksum_address
from troth.ledger.checkpoints import LOG_KEY, WITNESS_KEYS, Verifier

VERSION = 1
MAX_BYTES = 1 << 22
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class LogPin:
    """The log to believe: its origin, its key, and the account (20 bytes) that anchors it, None if no anchor counts."""

    origin: str
    key: Verifier
    account: bytes | None = None

    def __post_init__(self) -> None:
        if self.key.kind != LOG_KEY or self.key.name != self.origin:
            raise BadInput("log key of another log", expected=f"a key of type {LOG_KEY} named {self.origin}",
                           actual=self.key.vkey())
        if self.account is not None and len(self.account) != 20:
            raise BadInput("not an account", expected="20 bytes", actual=len(self.account))


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who must have seen a checkpoint: ``threshold`` of these keys."""

    threshold: int = 0
    keys: tuple[Verifier, ...] = ()

    def __post_init__(self) -> None:
        distinct = len({key.public for key in self.keys}) == len(self.keys)
        if not distinct or any(key.kind not in WITNESS_KEYS for key in self.keys):
            raise BadInput("witness keys must be distinct and of type 4 or 6", actual=[key.vkey() for key in self.keys])
        names = [key.name for key in self.keys]
        if len(set(names)) != len(names):
            raise BadInput("two witnesses of one name", expected="distinct names", actual=names)
        if not 0 <= self.threshold <= len(self.keys):
            raise BadInput("witness threshold out of reach", expected=f"0 to {len(self.keys)}", actual=self.threshold)


@dataclass(frozen=True, slots=True)
class ChainPin:
    """The chain to believe: id, genesis hash, a block held for final, and contracts by name (20-byte addresses)."""

    id: int
    genesis: bytes
    block_number: int
    block_hash: bytes
    contracts: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.id <= MAX_INT or not 0 <= self.block_number <= MAX_INT:
            raise BadInput("not a chain", expected="a chain id from 1 and a block number from 0",
                           actual=f"chain {self.id}, block {self.block_number}")
        if len(self.genesis) != 32 or len(self.block_hash) != 32:
            raise BadInput("not block hashes", expected="32 bytes each")
        if any(len(address) != 20 or not _NAME.match(name) for name, address in self.contracts.items()):
            raise BadInput("not contracts by name", expected="names in lower case, 20-byte addresses")


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed beforehand. ``policy``: its ``name`` and that policy's own settings."""

    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    log: LogPin | None = None
    witnesses: Witnesses = Witnesses()
    chain: ChainPin | None = None
    policy: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for role, dids in self.roles.items():
            if not _NAME.match(role) or not dids or len(set(dids)) != len(dids):
                raise BadInput(f"not a role: {role!r}", expected="a name in lower case, distinct issuers, at least one")
        for did, digest in self.documents.items():
            if not did.startswith("did:") or len(digest) != 32:
                raise BadInput("not a pinned document", expected="a DID and 32 bytes", actual=did)
        if self.policy is not None and type(self.policy.get("name")) is not str:
            raise BadInput("policy without a name", expected='{"name": text, …}')

    def to_bytes(self) -> bytes:
        """The trust file."""
        log, chain = self.log, self.chain
        return encode({
            "version": VERSION,
            "roles": {role: list(dids) for role, dids in self.roles.items()},
            "documents": {did: digest.hex() for did, digest in self.documents.items()},
            "log": None if log is None else {
                "origin": log.origin, "key": log.key.vkey(),
                "account": None if log.account is None else checksum_address(log.account)},
            "witnesses": {"threshold": self.witnesses.threshold, "keys": [key.vkey() for key in self.witnesses.keys]},
            "chain": None if chain is None else {
                "id": chain.id, "genesis": chain.genesis.hex(),
                "block": {"number": chain.block_number, "hash": chain.block_hash.hex()},
                "contracts": {name: checksum_address(address) for name, address in chain.contracts.items()}},
            "policy": None if self.policy is None else dict(self.policy),
        })

    @classmethod
    def from_bytes(cls, data: bytes) -> Trust:
        """Read a trust file strictly. A final newline is forgiven, nothing else. Raises BadInput."""
        if len(data) > MAX_BYTES:
            raise BadInput("trust file too long", expected=f"at most {MAX_BYTES} bytes", actual=len(data))
        found = decode_object(data.removesuffix(b"\n"))
        version = found.get("version")
        if type(version) is not int or version != VERSION:
            raise BadInput("trust file of another version", expected=VERSION, actual=version)
        optional = {name: found[name].__class__ for name in ("log", "chain", "policy") if name in found}
        for name, kind in optional.items():
            if kind not in (dict, type(None)):
                raise BadInput(f"wrong type of field {name!r}", expected="an object or null", actual=kind.__name__)
        _, roles, documents, log, witnesses, chain, policy = take(
            found, version=int, roles=dict, documents=dict, log=optional.get("log", dict), witnesses=dict,
            chain=optional.get("chain", dict), policy=optional.get("policy", dict))
        threshold, keys = take(witnesses, threshold=int, keys=list)
        return cls({role: tuple(_texts(dids)) for role, dids in roles.items()},
                   {did: from_hex(digest, 32) for did, digest in documents.items()},
                   None if log is None else _log(log),
                   Witnesses(threshold, tuple(Verifier.from_vkey(key) for key in _texts(keys))),
                   None if chain is None else _chain(chain), policy)


def address_of(text: object) -> bytes:
    """20 bytes from an EIP-55 address. Raises BadInput for another spelling."""
    try:
        account = bytes.fromhex(text[2:]) if type(text) is str and text.startswith("0x") else b""
    except ValueError:
        account = b""
    if len(account) != 20 or checksum_address(account) != text:
        raise BadInput("not an address", expected="0x and 40 hex digits, in EIP-55 spelling", actual=text,
                       do="Copy the address again; the case of its letters is its checksum.")
    return account


def _texts(value: object) -> list[str]:
    if type(value) is not list or any(type(item) is not str for item in value):
        raise BadInput("wrong type", expected="a list of texts", actual=value)
    return value


def _log(value: dict[str, Any]) -> LogPin:
    account = value.get("account")
    _, origin, key = take(value, account=str if account is not None else type(None), origin=str, key=str)
    return LogPin(origin, Verifier.from_vkey(key), None if account is None else address_of(account))


def _chain(value: dict[str, Any]) -> ChainPin:
    block, contracts, genesis, chain_id = take(value, block=dict, contracts=dict, genesis=str, id=int)
    number, digest = take(block, number=int, hash=str)
    return ChainPin(chain_id, from_hex(genesis, 32), number, from_hex(digest, 32),
                    {name: address_of(address) for name, address in contracts.items()})
