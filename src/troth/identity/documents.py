"""Hybrid identity documents: two keys that must both sign, commitments to the next keys, and the chain of versions.

An identifier is the short ``did:peer:4`` of its first document (version 0). A later document travels in a *rotation*:
a claim of kind ``identity`` whose body holds it, signed by the keys it reveals. Rules, each a refusal:

1. A document requires exactly the suites of ``SUITES``, in that order. Suites never weaken.
2. Version n + 1 names the SHA-256 of version n.
3. The keys of version n + 1 are those that version n committed to (pre-rotation): whoever steals the keys in use
   cannot rotate.
4. A document does not commit to its own keys: that would be no pre-rotation.
5. A rotation is signed under every suite by the keys it reveals.
6. A version has one document. A second one is a forked history.
7. A later document that commits to nothing ends the identity: its one signature is the rotation that brings it.
8. A document whose keys were not committed to says that guardians made it (``Recovery``). Nothing in it proves that:
   it counts only where the document before names a registry's entry (``place``), this one the same, and somebody
   vouches for it who asked there (docs/reference/identities.md). Whoever stole the keys in use can bind an account and
   begin an entry with guardians of its own; it cannot change what the document before names.

The shape is that of the DID document (W3C DID core, did:peer numalgo 4) plus one member ``troth``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from troth.core.claims import Envelope, Statement, Subject
from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.identity import did as dids
from troth.identity import keys
from troth.identity.multibase import multibase_base64url, multibase_decode

IDENTITY = "identity"
SUITES = (keys.ED25519, keys.ML_DSA_65)
RECIPIENT_TYPE = "urn:troth:hpke:mlkem768-x25519"
MAX_RECIPIENT = 4096
MAX_GUARDIANS = 16
_CONTEXT = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]


def place_of(chain_id: int, registry: bytes, account: bytes) -> bytes:
    """How a document names its entry in a registry of identities: by chain, contract and the account that began it."""
    return sha256(b"troth/registry-entry/v1\n" + chain_id.to_bytes(32, "big") + registry + account)


def commitment(key: keys.PublicKey) -> bytes:
    """What a document says of a key to come: SHA-256 over a domain line and the multicodec-prefixed key."""
    return sha256(b"troth/next-key/v1\n" + key.multikey)


@dataclass(frozen=True, slots=True)
class Recovery:
    """That ``by`` of ``of`` guardians made a document in place of the keys committed to."""

    by: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.by <= self.of <= MAX_GUARDIANS:
            raise BadInput("not a quorum of guardians", expected=f"1 to n of n, at most {MAX_GUARDIANS}",
                           actual=str(self))

    def __str__(self) -> str:
        return f"{self.by} of {self.of} guardians"


@dataclass(frozen=True, slots=True)
class Document:
    """One version of a hybrid identity's document.

    keys: one per suite of ``SUITES``, in that order. next: a commitment for each; none ends the identity. recipient:
    the public bytes to seal to (HPKE, opaque here), None where the party takes nothing sealed. previous: SHA-256 of
    the document before. recovery: by which guardians it says it was made. place: the registry's entry whose
    guardians may make a later one (``place_of``), None where nobody may.
    """

    version: int
    previous: bytes | None
    keys: tuple[keys.PublicKey, ...]
    next: tuple[bytes, ...]
    recipient: bytes | None = None
    recovery: Recovery | None = None
    place: bytes | None = None

    def __post_init__(self) -> None:
        if tuple(key.suite for key in self.keys) != SUITES or len(self.next) not in (0, len(SUITES)):
            raise Refuted("a document that weakens its suites", expected=" and ".join(SUITES) + ", both required",
                          actual=", ".join(key.suite for key in self.keys) or "none")
        if set(self.next) & {commitment(key) for key in self.keys}:
            raise Refuted("a document that commits to its own keys as the next ones", do="Commit to fresh keys.")
        if (self.version == 0) != (self.previous is None) or self.version < 0:
            raise BadInput("version and previous document do not fit", expected="version 0 has no previous document",
                           actual=f"version {self.version}")
        if self.version == 0 and (self.ended or self.recovery):
            raise Refuted("a first document that ends its identity, or that guardians made",
                          expected="commitments to the next keys, and no recovery")
        if self.ended and (self.recovery or self.recipient or self.place):
            raise Refuted("a document that ends its identity, and more",
                          expected="no recovery, no key to seal to, no registry's entry")
        if self.recipient is not None and not 0 < len(self.recipient) <= MAX_RECIPIENT:
            raise BadInput("wrong size of a recipient key", expected=f"1 to {MAX_RECIPIENT} bytes",
                           actual=len(self.recipient))

    @property
    def ended(self) -> bool:
        """Whether the identity ended with this document: nothing is signed under it but the rotation that brings it."""
        return not self.next

    def methods(self) -> tuple[str, ...]:
        """The fragment of each signing key, in order: ``#ed25519-<version>``, ``#ml-dsa-65-<version>``."""
        return tuple(f"#{key.suite}-{self.version}" for key in self.keys)

    def to_bytes(self) -> bytes:
        """The canonical document."""
        names = list(self.methods())
        methods = [{"id": name, "publicKeyMultibase": dids.key_text(key), "type": "Multikey"}
                   for name, key in zip(names, self.keys, strict=True)]
        document: dict[str, Any] = {
            "@context": _CONTEXT,
            "assertionMethod": names,
            "authentication": names,
            "keyAgreement": [],
            "troth": {
                "next": [item.hex() for item in self.next],
                "previous": None if self.previous is None else self.previous.hex(),
                "suites": list(SUITES),
                "version": self.version,
            },
            "verificationMethod": methods,
        }
        if self.recovery is not None:
            document["troth"]["recovery"] = {"by": self.recovery.by, "of": self.recovery.of}
        if self.place is not None:
            document["troth"]["place"] = self.place.hex()
        if self.recipient is not None:
            name = f"#hpke-{self.version}"
            document["keyAgreement"] = [name]
            methods.append({"id": name, "publicKeyMultibase": multibase_base64url(self.recipient),
                            "type": RECIPIENT_TYPE})
        return encode(document)

    @classmethod
    def from_bytes(cls, data: bytes) -> Document:
        """Read a document strictly. Raises BadInput for an unreadable one, Refuted for one that breaks a rule."""
        _, _, _, agreement, own, methods = take(decode_object(data), **{
            "@context": list, "assertionMethod": list, "authentication": list, "keyAgreement": list, "troth": dict,
            "verificationMethod": list})
        following, previous, suites, version, recovery, place = (own.get(name) for name in (
            "next", "previous", "suites", "version", "recovery", "place"))
        if suites != list(SUITES):
            raise Refuted("a document that weakens its suites", expected=list(SUITES), actual=suites)
        if type(version) is not int or type(following) is not list:
            raise BadInput("unreadable identity document", expected="an integer version and a list of commitments")
        material = [multibase_decode(_material(method)) for method in methods]
        recipient = material.pop() if agreement and material else None
        document = cls(version, None if previous is None else from_hex(previous, 32),
                       tuple(keys.from_multikey(item) for item in material),
                       tuple(from_hex(item, 32) for item in following), recipient, _recovery(recovery),
                       None if place is None else from_hex(place, 32))
        # One reading, one writing: whatever the members above do not carry is refused here.
        if document.to_bytes() != data:
            raise BadInput("an identity document with other members than ours", expected="exactly what we write")
        return document

    @property
    def digest(self) -> bytes:
        """SHA-256 of the document, 32 bytes."""
        return sha256(self.to_bytes())

    def check(self, did: str, message: bytes, signatures: Iterable[tuple[str, bytes]]) -> None:
        """Check that ``did`` signed under every suite, in order, and nobody else did. Raises Refuted."""
        check_signatures([(did + name, key) for name, key in zip(self.methods(), self.keys, strict=True)],
                         message, signatures)


def check_signatures(required: list[tuple[str, keys.PublicKey]], message: bytes,
                     signatures: Iterable[tuple[str, bytes]]) -> None:
    """Check one signature for each required (method id, key), in order. Raises Refuted, naming what is wrong."""
    found = list(signatures)
    names, wanted = [name for name, _ in found], [name for name, _ in required]
    if names != wanted:
        missing = [name for name in wanted if name not in names]
        word = "missing" if missing else "surplus or misplaced"
        raise Refuted(f"{word} signature", expected=", ".join(wanted), actual=", ".join(names) or "no signature",
                      do="The issuer's document alone says who must sign; ask the issuer for the whole claim.")
    for (name, key), (_, value) in zip(required, found, strict=True):
        if not key.verify(message, value):
            raise Refuted("wrong signature", expected=f"{key.suite} signature by {name}",
                          actual=f"{len(value)} bytes that do not verify")


Vouching = Callable[[str, Document], None]
"""Asked about a document of an identity (by DID) that says guardians made it. Raises Refuted where they did not, and
Undecidable where that cannot be known."""


def refuse_recovery(did: str, document: Document) -> None:
    """Vouches for nothing: the rule where nobody asked the registry. Raises Undecidable."""
    raise Undecidable("guardians made this document, it says, and nobody here vouches for that",
                      expected="the registry's word, or a trust file that pins this document or a later one",
                      actual=f"version {document.version} of {did}, by {document.recovery}",
                      do="Ask the registry: troth id history.")


@dataclass(frozen=True, slots=True)
class DocumentHistory:
    """The documents of one identity, oldest first, and the rotations that brought the later ones."""

    did: str
    documents: tuple[Document, ...]
    rotations: tuple[Envelope, ...] = ()

    @classmethod
    def start(cls, genesis: bytes) -> DocumentHistory:
        """The history that a first document begins; its hash is the identifier. Raises BadInput or Refuted."""
        document = Document.from_bytes(genesis)
        if document.version != 0:
            raise BadInput("not a first document", expected="version 0", actual=f"version {document.version}")
        return cls(dids.peer4(genesis)[0], (document,))

    @property
    def head(self) -> Document:
        """The newest document known."""
        return self.documents[-1]

    def extend(self, rotation: Envelope, vouch: Vouching = refuse_recovery) -> DocumentHistory:
        """This history with one rotation more; the same one for a rotation already known.

        vouch: asked where guardians made the document. Raises Refuted where a rule of this module is broken,
        Undecidable where versions between are missing, and what ``vouch`` raises.
        """
        document = rotation_document(rotation.statement(), self.did)
        if document.version < len(self.documents):
            known = self.documents[document.version]
            if document != known:
                raise Refuted(f"forked history: two documents of version {document.version}",
                              expected=known.digest.hex(), actual=document.digest.hex(),
                              do="Treat the identity as compromised and ask its holder.")
            document.check(self.did, rotation.signed_bytes(), signature_pairs(rotation))
            return self
        if document.version > len(self.documents):
            raise Undecidable("versions of this identity are missing", expected=f"version {len(self.documents)}",
                              actual=f"version {document.version}", do="Learn the earlier rotations first.")
        if self.head.ended:
            raise Refuted("a change of keys after the identity's end", expected="nothing more", actual=self.did)
        if document.previous != self.head.digest:
            raise Refuted("a rotation that does not follow the document before it", expected=self.head.digest.hex(),
                          actual=document.previous.hex() if document.previous else "none")
        revealed = tuple(commitment(key) for key in document.keys)
        if document.recovery is None and revealed != self.head.next:
            raise Refuted("a rotation to keys that were not committed to",
                          expected=", ".join(item.hex() for item in self.head.next),
                          actual=", ".join(item.hex() for item in revealed))
        if document.recovery is not None and (self.head.place is None or document.place != self.head.place):
            raise Refuted("made by guardians of a registry's entry that the document before does not name",
                          expected=self.head.place.hex() if self.head.place else "no guardians",
                          actual=document.place.hex() if document.place else "no entry")
        document.check(self.did, rotation.signed_bytes(), signature_pairs(rotation))
        if document.recovery is not None:
            vouch(self.did, document)
        return DocumentHistory(self.did, (*self.documents, document), (*self.rotations, rotation))

    @property
    def recoveries(self) -> dict[int, Recovery]:
        """By version, the documents that guardians made."""
        return {one.version: one.recovery for one in self.documents if one.recovery is not None}

    def at(self, version: int | None) -> Document:
        """The document of a version, the newest for None. Raises Undecidable for one not known."""
        if version is None:
            return self.head
        if not 0 <= version < len(self.documents):
            raise Undecidable("this version of the identity is not known", expected=f"0 to {len(self.documents) - 1}",
                              actual=version, do="Learn the missing rotations.")
        return self.documents[version]


def rotation_statement(did: str, document: Document, issued_at: int) -> Statement:
    """The ``identity`` claim that brings ``document``."""
    data = document.to_bytes()
    return Statement(IDENTITY, did, issued_at, (Subject(did, {"sha256": sha256(data).hex()}),),
                     {"document": data.decode(), "version": document.version})


def rotation_document(statement: Statement, did: str | None = None) -> Document:
    """The document that a rotation brings, read strictly.

    Raises BadInput for another claim, Refuted for another issuer than ``did`` or a subject that is not the document.
    """
    if (statement.kind, statement.version) != (IDENTITY, 1) or statement.refs or statement.evidence:
        raise BadInput("not a rotation", expected="urn:troth:identity:v1 alone", actual=statement.kind)
    if did is not None and statement.issuer != did:
        raise Refuted("a rotation of another identity", expected=did, actual=statement.issuer)
    text, version = take(dict(statement.body), document=str, version=int)
    data = text.encode()
    document = Document.from_bytes(data)
    if document.version != version or version == 0:
        raise BadInput("a rotation whose version is not its document's", expected=document.version, actual=version)
    if statement.subjects != (Subject(statement.issuer, {"sha256": sha256(data).hex()}),):
        raise Refuted("a rotation whose subject is not its document", expected=sha256(data).hex(),
                      actual=statement.subjects)
    return document


def signature_pairs(envelope: Envelope) -> tuple[tuple[str, bytes], ...]:
    """The envelope's signatures as ``KeyHistory.verify`` takes them."""
    return tuple((item.method, item.value) for item in envelope.signatures)


def _recovery(said: Any) -> Recovery | None:
    if said is None:
        return None
    if type(said) is not dict:
        raise BadInput("unreadable recovery", expected="an object", actual=type(said).__name__)
    by, of = take(said, by=int, of=int)
    return Recovery(by, of)


def _material(method: Any) -> str:
    if type(method) is not dict:
        raise BadInput("unreadable verification method", expected="an object", actual=type(method).__name__)
    # Whatever else than text stands there is no multibase either, and is refused as such.
    return str(method.get("publicKeyMultibase"))
