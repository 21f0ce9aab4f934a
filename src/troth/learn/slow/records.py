"""What workers sign: a greeting when a group forms, a commitment before values are shown, a seal on the result.

Each is canonical JSON under DSSE's pre-authentication encoding with a payload type of its own, so that none of them can
be read as a claim. Each names session, attempt (the group that it was said in), sync and worker.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from troth.core.claims import pae
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.core.ports import KeyHistory, Signer

PAYLOAD = "application/vnd.troth.slow-link+json"
MOST = 1 << 17
"""Largest record, in bytes: 64 workers named in a seal, under two suites."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A record and its signatures (method id, bytes)."""

    record: Mapping[str, Any]
    signatures: tuple[tuple[str, bytes], ...]

    @classmethod
    def by(cls, signer: Signer, record: Mapping[str, Any]) -> Self:
        """Signed by this worker, who is named in it."""
        whole = dict(record) | {"worker": signer.did}
        return cls(whole, signer.sign(pae(PAYLOAD, encode(whole))))

    @property
    def worker(self) -> str:
        """Who says it."""
        return str(self.record["worker"])

    @property
    def digest(self) -> bytes:
        """SHA-256 of the record, without its signatures."""
        return hashlib.sha256(encode(dict(self.record))).digest()

    def check(self, keys: KeyHistory, worker: str, **wanted: object) -> None:
        """Raises Refuted unless it is this worker's, under the suites that its document asks for, and says what is
        wanted; Undecidable where the document is not known."""
        if self.worker != worker:
            raise Refuted("signed by another worker", expected=worker, actual=self.worker)
        keys.verify(worker, pae(PAYLOAD, encode(dict(self.record))), self.signatures)
        for name, value in wanted.items():
            if self.record.get(name) != value:
                raise Refuted(f"a record says another {name}", expected=value, actual=self.record.get(name))

    def json(self) -> dict[str, Any]:
        """As JSON."""
        return {"record": dict(self.record),
                "signatures": [[method, base64.b64encode(value).decode()] for method, value in self.signatures]}

    def to_bytes(self) -> bytes:
        """Canonical."""
        return encode(self.json())

    @classmethod
    def read(cls, value: Any) -> Self:
        """From JSON. Raises BadInput."""
        if type(value) is not dict:
            raise BadInput("unexpected JSON", expected="an object", actual=type(value).__name__)
        record, signatures = take(value, record=dict, signatures=list)
        if type(record.get("worker")) is not str:
            raise BadInput("a record names its worker")
        found = []
        for item in signatures:
            if type(item) is not list or len(item) != 2 or any(type(part) is not str for part in item):
                raise BadInput("a signature is a method and base64", actual=item)
            try:
                found.append((item[0], base64.b64decode(item[1], validate=True)))
            except binascii.Error:
                raise BadInput("a signature is a method and base64", actual=item) from None
        return cls(record, tuple(found))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """From bytes. Raises BadInput."""
        return cls.read(decode_object(data))


def place(session: bytes, attempt: int, sync: int) -> dict[str, Any]:
    """What every record begins with. sync: the exchange that is being made, from 1."""
    return {"attempt": attempt, "session": session.hex(), "sync": sync}


@dataclass(frozen=True, slots=True)
class Commitment:
    """A worker's word before values are shown. values: SHA-256 of the packed difference. size: its bytes. regroup:
    whether it saw somebody wait to come in."""

    base: bytes
    values: bytes
    size: int
    regroup: bool

    def json(self) -> dict[str, Any]:
        """The record's own part."""
        return {"base": self.base.hex(), "regroup": self.regroup, "size": self.size, "values": self.values.hex()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Read strictly. Raises BadInput."""
        base, regroup, size, values, *_ = take(dict(record), base=str, regroup=bool, size=int, values=str,
                                               attempt=int, session=str, sync=int, worker=str)
        if size < 0:
            raise BadInput("a size is not negative", actual=size)
        return cls(from_hex(base, 32), from_hex(values, 32), size, regroup)


def seal(counted: Mapping[str, bytes], left_out: Mapping[str, str], result: bytes) -> dict[str, Any]:
    """The own part of a worker's word on a sync: whose commitments count, who is left out and why, what results."""
    return {"counted": {worker: digest.hex() for worker, digest in counted.items()}, "left_out": dict(left_out),
            "result": result.hex()}
