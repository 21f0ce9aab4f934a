"""Decentralised identifiers: ``did:key``, ``did:peer:4`` and ``did:pkh``.

Sources: the did:key method (W3C CCG), the peer DID method's numalgo 4 (DIF), did:pkh with CAIP-2 ``eip155`` chains
and EIP-55 checksums. Each reader accepts exactly the text its writer makes. Their documents are built in ``keydids``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Refuted
from troth.identity import keys
from troth.identity.multibase import multibase_base58, multibase_base64url, multibase_decode, varint

KEY = "did:key:"
PEER4 = "did:peer:4"
PKH = "did:pkh:eip155:"
KEPT = 8192
"""Letters of an identifier, or bytes of a document, up to which what was read of it is remembered."""
_JSON = varint(0x0200)
_SHA256 = bytes([0x12, 0x20])
_PKH = re.compile(r"did:pkh:eip155:([1-9][0-9]{0,31}):(0x[0-9a-fA-F]{40})\Z")


def key_did(key: keys.PublicKey) -> str:
    """``did:key`` of a verification key."""
    return KEY + key_text(key)


def key_text(key: keys.PublicKey) -> str:
    """A verification key as multibase text: base58btc, and base64url for lattice keys, as others write those."""
    # base58 of two thousand bytes is slow and unreadable.
    return multibase_base58(key.multikey) if len(key.raw) < 64 else multibase_base64url(key.multikey)


@lru_cache(maxsize=4096)
def read_key_did(did: str) -> keys.PublicKey:
    """The key that a ``did:key`` is. Raises BadInput for another method, key type or spelling.

    Results are kept: loading a key costs more than a look-up, and an identifier's key never changes.
    """
    if not did.startswith((KEY + "z", KEY + "u")):
        raise BadInput("not a did:key", expected="did:key:z…, or did:key:u… for a lattice key", actual=did[:40])
    key = keys.from_multikey(multibase_decode(did.removeprefix(KEY)))
    if key_did(key) != did:
        raise BadInput("did:key in another spelling", expected=key_did(key), actual=did)
    return key


def key_method(did: str) -> str:
    """The id of a did:key's one verification method: the key again, as fragment."""
    return f"{did}#{did.removeprefix(KEY)}"


def peer4(document: bytes) -> tuple[str, str]:
    """Short and long ``did:peer:4`` of an input document: JSON bytes without ``id``, identifiers relative.

    Results are kept, as those of ``read_peer4`` are: the document of an identity is read with each command.
    """
    return _peer4_of(document) if len(document) <= KEPT else _peer4_of.__wrapped__(document)


@lru_cache(maxsize=512)
def _peer4_of(document: bytes) -> tuple[str, str]:
    encoded = multibase_base58(_JSON + document)
    digest = multibase_base58(_SHA256 + hashlib.sha256(encoded.encode()).digest())
    short = PEER4 + digest
    return short, f"{short}:{encoded}"


def read_peer4(long: str) -> tuple[str, bytes]:
    """Short form and input document of a long ``did:peer:4``.

    Raises BadInput for another shape, Refuted where the hash is not the document's. Results are kept, as above, but for
    identifiers beyond ``KEPT`` letters: a stranger's must not fill the memory.
    """
    return _peer4(long) if len(long) <= KEPT else _peer4.__wrapped__(long)


@lru_cache(maxsize=512)
def _peer4(long: str) -> tuple[str, bytes]:
    short, colon, encoded = long.partition(":z")
    if not colon or not is_peer4(short):
        raise BadInput("not a long did:peer:4", expected="did:peer:4zQm…:z…", actual=long[:40])
    data = multibase_decode("z" + encoded)
    if not data.startswith(_JSON) or multibase_base58(data) != "z" + encoded:
        raise BadInput("not a did:peer:4 document", expected="base58btc of multicodec json (0x0200)",
                       actual=data[:2].hex())
    document = data[len(_JSON):]
    if peer4(document)[0] != short:
        raise Refuted("this document is not the one that the identifier hashes", expected=short,
                      actual=peer4(document)[0])
    return short, document


def is_peer4(did: str) -> bool:
    """Whether ``did`` has the shape of a short did:peer:4: a SHA2-256 multihash in base58btc."""
    if not did.startswith(PEER4 + "zQm") or len(did) != len(PEER4) + 47:
        return False
    try:
        data = multibase_decode(did.removeprefix(PEER4))
    except BadInput:
        return False
    return data.startswith(_SHA256) and len(data) == 34


def short_form(did: str) -> str:
    """The short form of a long ``did:peer:4``, whose document was checked to hash to it; any other DID as it is.

    Raises BadInput or Refuted as ``read_peer4`` does.
    """
    return read_peer4(did)[0] if did.startswith(PEER4) and ":z" in did.removeprefix(PEER4) else did


def peer4_document(did: str) -> dict[str, Any]:
    """The resolved document of a long ``did:peer:4``: the input document with ``id``, ``alsoKnownAs``, controllers.

    Raises BadInput or Refuted as ``read_peer4`` does.
    """
    short, data = read_peer4(did)
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise BadInput("did:peer:4 that holds no JSON", expected="a JSON object") from None
    if type(document) is not dict or "id" in document or type(document.get("verificationMethod", [])) is not list:
        raise BadInput("not a did:peer:4 input document", expected="an object without id")
    methods = document.get("verificationMethod", [])
    if not all(type(method) is dict for method in methods):
        raise BadInput("not a did:peer:4 input document", expected="verification methods that are objects")
    known = document.get("alsoKnownAs", [])
    resolved = document | {"id": did, "alsoKnownAs": [*known, short]}
    if methods:
        resolved["verificationMethod"] = [{"controller": did, **method} for method in methods]
    return resolved


@dataclass(frozen=True, slots=True)
class ChainAccount:
    """An account on a chain of the Ethereum family: chain id (EIP-155) and 20 bytes."""

    chain: int
    account: bytes

    @property
    def did(self) -> str:
        """``did:pkh:eip155:<chain>:<EIP-55 address>``."""
        return f"{PKH}{self.chain}:{checksum_address(self.account)}"


def read_pkh(did: str) -> ChainAccount:
    """The account that a ``did:pkh`` names. Raises BadInput for other chains' forms and for a wrong checksum."""
    found = _PKH.match(did)
    if not found:
        raise BadInput("not a did:pkh of an Ethereum chain", expected="did:pkh:eip155:<chain>:0x<40 hex>",
                       actual=did[:80])
    account = ChainAccount(int(found[1]), bytes.fromhex(found[2][2:]))
    if account.did != did:
        raise BadInput("did:pkh with a wrong checksum", expected=account.did, actual=did,
                       do="Copy the address again; a letter's case is its checksum (EIP-55).")
    return account


def checksum_address(account: bytes) -> str:
    """EIP-55 text of a 20-byte account."""
    if len(account) != 20:
        raise BadInput("wrong size of an account", expected=20, actual=len(account))
    text = account.hex()
    digest = keccak256(text.encode()).hex()
    return "0x" + "".join(letter.upper() if int(digest[at], 16) > 7 else letter for at, letter in enumerate(text))
