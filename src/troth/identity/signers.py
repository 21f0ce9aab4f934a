"""Signers by scheme, and ``attest``: the one place where a statement gets its signatures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from troth.core.claims import PAYLOAD_TYPE, Envelope, Signature, Statement, pae
from troth.core.errors import Misuse
from troth.core.ports import Signer
from troth.identity import did as dids
from troth.identity import keys
from troth.identity.documents import Document


class KeySigner:
    """Signs as the ``did:key`` of one key pair (Ed25519 or secp256k1)."""

    __slots__ = ("_method", "_pair", "did")

    def __init__(self, pair: keys.KeyPair) -> None:
        self.did = dids.key_did(pair.public)
        self._method, self._pair = dids.key_method(self.did), pair

    def sign(self, message: bytes) -> tuple[tuple[str, bytes], ...]:
        """One signature: (method id, bytes)."""
        return ((self._method, self._pair.sign(message)),)


class Ed25519Signer(KeySigner):
    """Signs as an Ed25519 ``did:key``, from a 32-byte seed."""

    __slots__ = ()

    def __init__(self, seed: bytes) -> None:
        super().__init__(keys.Ed25519KeyPair(seed))


class Secp256k1Signer(KeySigner):
    """Signs as a secp256k1 ``did:key``, from a 32-byte private scalar."""

    __slots__ = ()

    def __init__(self, seed: bytes) -> None:
        super().__init__(keys.Secp256k1KeyPair(seed))


class HybridSigner:
    """Signs as a hybrid ``did:peer:4``: one signature a suite, in its document's order."""

    __slots__ = ("_named", "did")

    def __init__(self, did: str, document: Document, pairs: tuple[keys.KeyPair, ...]) -> None:
        if tuple(pair.public for pair in pairs) != document.keys:
            raise Misuse("these keys are not the document's", expected=f"the keys of version {document.version}",
                         do="Load the identity again; its document and keys belong together.")
        self.did = did
        self._named = tuple((did + name, pair) for name, pair in zip(document.methods(), pairs, strict=True))

    def sign(self, message: bytes) -> tuple[tuple[str, bytes], ...]:
        """(method id, signature) for each suite."""
        return tuple((name, pair.sign(message)) for name, pair in self._named)


def attest(statement: Statement, signer: Signer) -> Envelope:
    """The statement, signed. Raises Misuse where its issuer is not the signer, BadInput where it cannot be said."""
    if statement.issuer != signer.did:
        raise Misuse("a statement is signed by its issuer", expected=statement.issuer, actual=signer.did,
                     do="Sign with the issuer's identity, or name this one as issuer.")
    payload = statement.to_bytes()
    signatures = signer.sign(pae(PAYLOAD_TYPE, payload))
    return Envelope(payload, tuple(Signature(name, value) for name, value in signatures))


@dataclass(frozen=True, slots=True)
class Scheme:
    """Where a scheme's signer lives, and what to install for it. ``path`` is ``module:name``."""

    path: str
    install: str

    def load(self) -> Callable[..., Signer]:
        """The signer's class. Raises Misuse with the install hint if its library is not there."""
        module, name = self.path.split(":")
        try:
            found: Callable[..., Signer] = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise Misuse(f"this signature scheme needs {error.name}", do=self.install) from None
        return found


SCHEMES = {
    "ed25519": Scheme("troth.identity.signers:Ed25519Signer", "Run: pip install cryptography"),
    "hybrid": Scheme("troth.identity.signers:HybridSigner", "Run: pip install cryptography"),
    "pkcs11": Scheme("troth.identity.hardware:TokenSigner", "Run: pip install 'troth[pkcs11]'"),
    "secp256k1": Scheme("troth.identity.signers:Secp256k1Signer", "Run: pip install coincurve"),
}


def signer_of(scheme: str) -> Callable[..., Signer]:
    """The signer class of a scheme by name. Raises Misuse for an unknown one."""
    found = SCHEMES.get(scheme)
    if found is None:
        raise Misuse("unknown signature scheme", expected=", ".join(SCHEMES), actual=scheme)
    return found.load()
