"""A claim's body as one JSON object, for whoever reads a log over HTTP: tiles hold hashes only.

The leaf at its position commits to it: the id to the payload, the seal to the signatures or the place in a batch.
"""

from __future__ import annotations

import base64

from troth.core.claims import Membership, Signature, from_base64
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Misuse
from troth.ledger.journal import Entry, check_body

MAX_BODY = 2 * 2**28
_FIELDS = {"payload": str, "signatures": list, "batch": str, "index": int, "path": list}


def body_bytes(entry: Entry, place: Membership | None = None) -> bytes:
    """The body of an entry; ``place``: a batch member's. Raises Misuse for a forgotten one."""
    if entry.payload is None:
        raise Misuse("this body was forgotten", actual=entry.position)
    found: dict[str, object] = {"payload": base64.b64encode(entry.payload).decode()}
    if place is None:
        found["signatures"] = [{"keyid": one.method, "sig": base64.b64encode(one.value).decode()}
                               for one in entry.signatures]
    else:
        found |= {"batch": place.batch.hex(), "index": place.index, "path": [item.hex() for item in place.path]}
    return encode(found)


def entry_of_body(data: bytes, position: int, leaf: bytes) -> Entry:
    """The entry at a position, when the body is the one its leaf commits to. Raises BadInput, Refuted."""
    found = decode_object(data)
    names = ("payload", "signatures") if "signatures" in found else ("batch", "index", "path", "payload")
    values = dict(zip(names, take(found, **{name: _FIELDS[name] for name in names}), strict=True))
    payload = from_base64(values["payload"])
    if "signatures" in values:
        signatures = tuple(Signature(*_signature(item)) for item in values["signatures"])
        entry = Entry(position, leaf[:32], leaf[32:], payload, signatures)
    else:
        path = tuple(from_hex(item, 32) for item in values["path"])
        entry = Entry(position, leaf[:32], leaf[32:], payload, (), from_hex(values["batch"], 32), values["index"], path)
    check_body(entry)
    return entry


def _signature(item: object) -> tuple[str, bytes]:
    if not isinstance(item, dict):
        raise BadInput("not a signature", expected="an object", actual=type(item).__name__)
    keyid, sig = take(item, keyid=str, sig=str)
    return keyid, from_base64(sig)
