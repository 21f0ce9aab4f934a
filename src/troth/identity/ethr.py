"""``did:ethr``: the identifier, the changes that ERC-1056's registry tells of it, and the document they fold into.

What it proves: what the registry on that chain recorded for an account, in the order of the chain, as far as the node
that was asked is honest (``troth.ledger.ethr`` compares what can be compared). What it does not: who holds the account,
and that the chain will not reorganise. An account that never asked the registry has a document all the same.

Sources: ERC-1056, and the ethr DID method's specification (DIF). Stricter in one thing: a key or delegate is in the
document while its end is later than the moment asked for, as the registry's own ``validDelegate`` has it; the
specification's text would let one revoked in this very second stand.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from troth.core.encoding import read_foreign
from troth.core.errors import BadInput, OutsideFailed
from troth.identity.did import checksum_address
from troth.identity.keys import Secp256k1PublicKey
from troth.identity.multibase import base58_encode
from troth.identity.resolution import MOST_DOCUMENT, parts

OWNER, DELEGATE, ATTRIBUTE = "owner", "delegate", "attribute"
NOBODY = bytes(20)
_RECOVERY = "EcdsaSecp256k1RecoveryMethod2020"
_CONTEXT = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/secp256k1recovery-2020/v2",
            "https://w3id.org/security/v3-unstable"]
_ATTRIBUTE = re.compile(r"did/(pub|svc)/(\w+)(?:/(\w+))?(?:/(\w+))?\Z", re.ASCII)
_PURPOSES = {"sigAuth": "SignatureAuthentication2018", "veriKey": "VerificationKey2018", "enc": "KeyAgreementKey2019"}
_TYPES = {
    "Secp256k1VerificationKey2018": "EcdsaSecp256k1VerificationKey2019",
    "Secp256k1SignatureAuthentication2018": "EcdsaSecp256k1VerificationKey2019",
    "Ed25519SignatureAuthentication2018": "Ed25519VerificationKey2018",
    "Ed25519VerificationKey2018": "Ed25519VerificationKey2018",
    "RSAVerificationKey2018": "RSAVerificationKey2018",
    "X25519KeyAgreementKey2019": "X25519KeyAgreementKey2019",
}
_ENCODINGS: dict[str, tuple[str, Callable[[bytes], str]]] = {
    "hex": ("publicKeyHex", bytes.hex),
    "base64": ("publicKeyBase64", lambda value: base64.b64encode(value).decode()),
    "base58": ("publicKeyBase58", base58_encode),
    "pem": ("publicKeyPem", bytes.decode),
}


@dataclass(frozen=True, slots=True)
class EthrDid:
    """A ``did:ethr``. network: its name or ``0x`` chain id, ``mainnet`` where none is said. key: where it is one."""

    did: str
    network: str
    account: bytes
    key: Secp256k1PublicKey | None = None

    @classmethod
    def read(cls, did: str) -> EthrDid:
        """Raises BadInput for what is no ``did:ethr``, or a mixed-case address with a wrong checksum."""
        method, rest = parts(did)
        network, _, identity = rest.rpartition(":")
        if method != "ethr" or not re.fullmatch(r"0x(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{66})", identity):
            raise BadInput("not a did:ethr", expected="did:ethr:[NETWORK:]0x with 40 or 66 hex digits",
                           actual=did[:120])
        raw = bytes.fromhex(identity[2:])
        if len(raw) == 33:
            key = Secp256k1PublicKey(raw)
            return cls(did, network or "mainnet", key.account, key)
        if identity[2:] not in (raw.hex(), raw.hex().upper()) and identity != checksum_address(raw):
            raise BadInput("did:ethr with a wrong checksum", expected=checksum_address(raw), actual=identity,
                           do="Copy the address again; a letter's case is its checksum (EIP-55).")
        return cls(did, network or "mainnet", raw)


@dataclass(frozen=True, slots=True)
class Change:
    """One event of the registry about one identity, and where the chain has it.

    name: the delegate's type or the attribute's name, 32 bytes; value: the new owner, the delegate, or the attribute's
    bytes. valid_to: Unix seconds. previous: the block of the change before, 0 for none.
    """

    block: int
    index: int
    kind: str
    name: bytes
    value: bytes
    valid_to: int
    previous: int


def check_links(changes: Sequence[Change], newest: int) -> None:
    """Check that the changes are all of them, in order: each names the block of the one before, to the registry's last.

    newest: the block that the registry itself says the last change was in. Raises OutsideFailed.
    """
    told, place = 0, (0, -1)
    for change in changes:
        if (change.block, change.index) <= place or change.previous != told:
            raise OutsideFailed("the node tells an identity's changes out of order, or not all of them",
                                expected=f"one whose previous change is in block {told}",
                                actual=f"block {change.block}, previous {change.previous}", do="Ask another node.")
        told, place = change.block, (change.block, change.index)
    if told != newest:
        raise OutsideFailed("the node tells an identity's changes, but not the newest", expected=f"block {newest}",
                            actual=f"block {told}", do="Ask another node.")


@dataclass(slots=True)
class _Fold:
    """What is gathered of an identity's changes, in the order that the methods' names are numbered by."""

    did: str
    chain_id: int
    now: int
    owner: bytes
    keys: int = 0
    services: int = 0
    methods: dict[tuple[str, bytes, bytes], dict[str, Any]] = field(default_factory=dict)
    uses: dict[tuple[str, bytes, bytes], tuple[str, ...]] = field(default_factory=dict)
    endpoints: dict[tuple[str, bytes, bytes], dict[str, Any]] = field(default_factory=dict)

    def take(self, change: Change) -> None:
        """One change more. A change that is over, or whose name says nothing here, only counts."""
        name = _text(change.name)
        if change.kind == OWNER:
            self.owner = change.value
        elif name is not None:
            place, good = (change.kind, change.name, change.value), change.valid_to > self.now
            for gathered in (self.methods, self.uses, self.endpoints):
                if not good:
                    gathered.pop(place, None)
            if change.kind == DELEGATE:
                self.keys += 1
                if good and name in ("veriKey", "sigAuth"):
                    self._key(place, {"type": _RECOVERY, "blockchainAccountId": self.account_id(change.value)}, name)
            elif name.startswith("did/pub/"):
                self._public_key(place, name, good)
            elif name.startswith("did/svc/"):
                self._service(place, name, good)

    def account_id(self, account: bytes) -> str:
        """CAIP-10 name of an account on this chain."""
        return f"eip155:{self.chain_id}:{checksum_address(account)}"

    def _public_key(self, place: tuple[str, bytes, bytes], name: str, good: bool) -> None:
        found = _ATTRIBUTE.match(name)
        if not good or found is None:
            self.keys += not good or found is not None
            return
        self.keys += 1
        algorithm, purpose = found[2], found[3] or ""
        member, write = _ENCODINGS.get(found[4] or "hex", ("", bytes.hex))
        try:
            text = write(place[2])
        except UnicodeDecodeError:
            return
        if member:
            kind = _TYPES.get(algorithm + _PURPOSES.get(purpose, purpose), algorithm)
            self._key(place, {"type": kind, member: text}, purpose)

    def _key(self, place: tuple[str, bytes, bytes], method: dict[str, Any], purpose: str) -> None:
        self.methods[place] = {"id": f"{self.did}#delegate-{self.keys}", "controller": self.did, **method}
        self.uses[place] = {"sigAuth": ("authentication", "assertionMethod"), "enc": ("keyAgreement",)}.get(
            purpose, ("assertionMethod",))

    def _service(self, place: tuple[str, bytes, bytes], name: str, good: bool) -> None:
        found = _ATTRIBUTE.match(name)
        if not good or found is None:
            self.services += not good or found is not None
            return
        self.services += 1
        try:
            endpoint: Any = place[2].decode()
        except UnicodeDecodeError:
            return
        if endpoint[:1] in ("{", "["):
            with suppress(BadInput):  # else it is a text that only begins like JSON
                endpoint = read_foreign(place[2], MOST_DOCUMENT)
        self.endpoints[place] = {"id": f"{self.did}#service-{self.services}", "type": found[2],
                                 "serviceEndpoint": endpoint}


def fold(identity: EthrDid, chain_id: int, changes: Sequence[Change], now: int) -> tuple[dict[str, Any], bool]:
    """(document, whether it was deactivated) after these changes, at the moment ``now``, Unix seconds.

    A deactivated identity's document has no keys and no services.
    """
    did = identity.did
    gathered = _Fold(did, chain_id, now, identity.account)
    for change in changes:
        gathered.take(change)
        if change.kind == OWNER and change.value == NOBODY:
            return {"@context": _CONTEXT, "id": did, "verificationMethod": [], "authentication": [],
                    "assertionMethod": []}, True
    methods = [{"id": f"{did}#controller", "type": _RECOVERY, "controller": did,
                "blockchainAccountId": gathered.account_id(gathered.owner)}]
    if identity.key is not None and gathered.owner == identity.account:
        methods.append({"id": f"{did}#controllerKey", "type": "EcdsaSecp256k1VerificationKey2019", "controller": did,
                        "publicKeyHex": identity.key.raw.hex()})
    own = [method["id"] for method in methods]
    document: dict[str, Any] = {"@context": _CONTEXT, "id": did,
                                "verificationMethod": [*methods, *gathered.methods.values()]}
    for relation in ("authentication", "assertionMethod", "keyAgreement"):
        of = [gathered.methods[place]["id"] for place, uses in gathered.uses.items() if relation in uses]
        if relation != "keyAgreement" or of:
            document[relation] = [*(own if relation != "keyAgreement" else ()), *of]
    if gathered.endpoints:
        document["service"] = list(gathered.endpoints.values())
    return document, False


def _text(name: bytes) -> str | None:
    """A bytes32 as text; None for what is none, which the registry also takes."""
    try:
        return name.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return None
