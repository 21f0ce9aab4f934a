"""The methods whose documents follow from the identifier alone: ``did:key``, ``did:pkh``, long ``did:peer:4``.

They prove that the document is the identifier's, and nothing about who holds it. Nothing is asked of anybody, there is
no history, and no key can be changed or revoked.

Sources: the did:key method (W3C CCG) and its vectors, did:pkh (W3C CCG draft), the peer DID method's numalgo 4 (DIF).
"""

from __future__ import annotations

import re
from typing import Any

from troth.core.errors import BadInput
from troth.identity import did as dids
from troth.identity import keys
from troth.identity.keytypes import BLS, X25519, AnyKey, any_key
from troth.identity.multibase import base58_encode, multibase_base58, multibase_base64url, multibase_decode
from troth.identity.resolution import NEWEST, MethodNotSupported, Resolution, When, check_document, only_now

_V1 = "https://www.w3.org/ns/did/v1"
_SUITES = "https://w3id.org/security/suites/"
_CONTEXTS = {"Multikey": "https://w3id.org/security/multikey/v1", "2018": _SUITES, "jwk": f"{_SUITES}jws-2020/v1"}
# The forms before Multikey, of the types that the vectors have them for: verification method, contexts.
_OLD = {
    keys.ED25519: ("Ed25519VerificationKey2018", ("ed25519-2018/v1", "x25519-2019/v1")),
    X25519: ("X25519KeyAgreementKey2019", ("x25519-2019/v1",)),
    keys.SECP256K1: ("EcdsaSecp256k1VerificationKey2019", ("secp256k1-2019/v1",)),
    "p-256": ("P256Key2021", ("multikey-2021/v1",)),
    BLS: ("Bls12381G2Key2020", ("bls12381-2020/v1",)),
}
_SIGNING = ("assertionMethod", "authentication", "capabilityInvocation", "capabilityDelegation")
_PKH = re.compile(r"did:pkh:eip155:([1-9][0-9]{0,31}):(0x[0-9a-f]{40})\Z")
_PKH_CONTEXT = {
    "blockchainAccountId": "https://w3id.org/security#blockchainAccountId",
    "EcdsaSecp256k1RecoveryMethod2020":
        "https://identity.foundation/EcdsaSecp256k1RecoverySignature2020#EcdsaSecp256k1RecoveryMethod2020",
}


class KeyMethod:
    """``Resolver`` of ``did:key``, of every key type in ``keytypes``."""

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The key's document with Multikeys. Raises BadInput for another type or spelling, or no key."""
        only_now(when, "did:key")
        return Resolution(did, key_document(did))


class PkhMethod:
    """``Resolver`` of ``did:pkh`` for accounts on chains of the Ethereum family."""

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The account's document. Raises BadInput for a wrong checksum, MethodNotSupported for other families."""
        only_now(when, "did:pkh")
        return Resolution(did, pkh_document(did))


class LongPeerMethod:
    """``Resolver`` of long ``did:peer:4`` identifiers, which carry their first document."""

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The document inside. Raises Refuted where it is not the one hashed, MethodNotSupported for other numalgos."""
        only_now(when, "a long did:peer:4")
        if not did.startswith(dids.PEER4):
            raise MethodNotSupported("another kind of did:peer", expected=dids.PEER4 + "…", actual=did[:16])
        document = check_document(dids.peer4_document(did), did)
        return Resolution(did, document, {"equivalentId": [document["alsoKnownAs"][-1]]})


def read_any_key(did: str) -> AnyKey:
    """The key that a ``did:key`` is, of any type. Raises BadInput for an unknown type, another spelling, or no key.

    The spelling is base58btc; keys of ML-DSA, which have thousands of bytes, may be in base64url as well.
    """
    text = did.removeprefix(dids.KEY)
    if text == did or text[:1] not in ("z", "u"):
        raise BadInput("not a did:key", expected="did:key:z… or did:key:u…", actual=did[:40])
    key = any_key(multibase_decode(text))
    spelled = multibase_base64url(key.multikey) if text[0] == "u" else multibase_base58(key.multikey)
    if spelled != text or (text[0] == "u" and not key.kind.wide):
        raise BadInput("did:key in another spelling", expected=dids.KEY + multibase_base58(key.multikey), actual=did)
    return key


def key_document(did: str, form: str = "Multikey") -> dict[str, Any]:
    """The DID document of a ``did:key``.

    form: ``Multikey`` (today's), ``2018`` (the families with base58 keys that came before) or ``jwk``
    (JsonWebKey2020). An Ed25519 identifier also names its derived X25519 key for key agreement.
    Raises BadInput for an unreadable identifier or a form that the key's type does not have.
    """
    key = read_any_key(did)
    name = key.kind.name
    if form not in _CONTEXTS or (form == "2018" and name not in _OLD) or (form == "jwk" and key.kind.jwk is None):
        raise BadInput("no such did:key document", expected=" or ".join(_CONTEXTS), actual=f"{form} of {name}")
    own = f"{did}#{did.removeprefix(dids.KEY)}"
    methods, agreement = [_method(own, key, form)], [own] if key.kind.agrees else []
    if name == keys.ED25519:
        derived = any_key(b"\xec\x01" + keys.x25519_of_ed25519(key.raw))
        agreement = [f"{did}#{multibase_base58(derived.multikey)}"]
        methods.append(_method(agreement[0], derived, form))
    contexts = [_CONTEXTS[form] + one for one in _OLD[name][1]] if form == "2018" else [_CONTEXTS[form]]
    document: dict[str, Any] = {"@context": [_V1, *contexts], "id": did, "verificationMethod": methods}
    if key.kind.signs:
        document |= {relation: [own] for relation in _SIGNING}
    return document | ({"keyAgreement": agreement} if agreement else {})


def pkh_document(did: str) -> dict[str, Any]:
    """The DID document of a ``did:pkh`` of the Ethereum family.

    An address in mixed case is its checksum (EIP-55); one in lower case carries none. Raises BadInput for a wrong
    checksum, MethodNotSupported for other families of chains.
    """
    if not did.startswith(dids.PKH):
        raise MethodNotSupported("a did:pkh of another family of chains", expected=dids.PKH + "…", actual=did[:40])
    lower = _PKH.match(did)
    account = f"eip155:{lower[1]}:{lower[2]}" if lower else dids.read_pkh(did).did.removeprefix("did:pkh:")
    own = f"{did}#blockchainAccountId"
    return {"@context": [_V1, _PKH_CONTEXT], "id": did,
            "verificationMethod": [{"id": own, "type": "EcdsaSecp256k1RecoveryMethod2020", "controller": did,
                                    "blockchainAccountId": account}],
            **{relation: [own] for relation in _SIGNING}}


def _method(name: str, key: AnyKey, form: str) -> dict[str, Any]:
    did, _, text = name.partition("#")
    head = {"id": name, "controller": did}
    if form == "2018":
        return head | {"type": _OLD[key.kind.name][0], "publicKeyBase58": base58_encode(key.raw)}
    if form == "jwk" and key.kind.jwk is not None:
        return head | {"type": "JsonWebKey2020", "publicKeyJwk": key.kind.jwk(key.raw)}
    return head | {"type": "Multikey", "publicKeyMultibase": text}
