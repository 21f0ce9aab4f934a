"""Key pairs by suite behind one small interface, and their multicodec prefixes.

================  ==============  ======  =========  ==================================================
suite             multicodec      public  signature  what is signed
================  ==============  ======  =========  ==================================================
``ed25519``       0xed            32      64         the message (RFC 8032)
``secp256k1``     0xe7            33      64         SHA-256 of the message; r ‖ s with s in the low half
``ml-dsa-65``     0x1211 (draft)  1952    3309       the message, context ``troth/v1`` (FIPS 204, 5.2)
``ml-dsa-44``     0x1210 (draft)  1312    2420       the message, no context: for credentials alone
``p-256``         0x1200          33      64         SHA-256 of the message; checked, never signed here
``p-384``         0x1201          49      96         SHA-384 of the message; checked, never signed here
================  ==============  ======  =========  ==================================================

Domain separation: what we sign as a claim is always a DSSE pre-authentication encoding, which names its payload type;
the payload names its issuer. The ML-DSA context keeps our signatures apart from any other use of the same key. A
secp256k1 key that is also a chain account signs Keccak-256 digests there and SHA-256 digests here, so no transaction
can be read as a claim.

Secrets never show: no ``repr``, no pickle, no copy, no exception of this module contains them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NoReturn, TypeVar

from troth.core.errors import BadInput, Misuse
from troth.identity.multibase import varint

ED25519 = "ed25519"
SECP256K1 = "secp256k1"
ML_DSA_44 = "ml-dsa-44"
ML_DSA_65 = "ml-dsa-65"
P256 = "p-256"
P384 = "p-384"
CLAIMS = (ED25519, SECP256K1, ML_DSA_65)
"""The suites that sign claims; the others are for documents and credentials."""
ML_DSA_CONTEXT = b"troth/v1"
SEED_SIZE = 32

_T = TypeVar("_T")
_P = 2**255 - 19
_ORDER8_Y = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _ORDER8_Y, _P - _ORDER8_Y})


class PublicKey(ABC):
    """A verification key of one suite. Equal when suite and bytes are. Raises BadInput for bytes that are no key."""

    __slots__ = ("raw",)
    suite: ClassVar[str]
    codec: ClassVar[int]
    size: ClassVar[int]
    signature_size: ClassVar[int]
    raw: bytes

    def __init__(self, raw: bytes) -> None:
        if len(raw) != self.size:
            raise BadInput(f"wrong size of a {self.suite} public key", expected=self.size, actual=len(raw))
        self.raw = raw
        self._load()

    @abstractmethod
    def _load(self) -> None:
        """Build the library's key. Raises BadInput if ``raw`` is not a key."""

    @abstractmethod
    def _check(self, message: bytes, signature: bytes) -> bool:
        """Whether a signature of the right size verifies."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over ``message``."""
        return len(signature) == self.signature_size and self._check(message, signature)

    @property
    def multikey(self) -> bytes:
        """Multicodec prefix and key bytes."""
        return varint(self.codec) + self.raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.multikey == other.multikey

    def __hash__(self) -> int:
        return hash(self.multikey)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.raw[:8].hex()}…)"


class Ed25519PublicKey(PublicKey):
    """Ed25519. Non-canonical and small-order points are refused: under them one signature fits every message."""

    __slots__ = ("_key",)
    suite = ED25519
    codec = 0xED
    size = 32
    signature_size = 64

    def _load(self) -> None:
        # Imported here: OpenSSL's bindings are needed by those who sign or verify, not by `troth --help`.
        from cryptography.hazmat.primitives.asymmetric import ed25519

        y = ed25519_y(self.raw)
        if y >= _P or y in _SMALL_ORDER_Y or not _on_curve(y):
            raise BadInput("weak or malformed Ed25519 public key", expected="a canonical point of large order",
                           actual=self.raw.hex())
        self._key = ed25519.Ed25519PublicKey.from_public_bytes(self.raw)

    def _check(self, message: bytes, signature: bytes) -> bool:
        # Imported here for the same reason as above.
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class MlDsaPublicKey(PublicKey):
    """ML-DSA (FIPS 204), pure. ``library``: the library's class; ``context``: what keeps uses of a key apart."""

    __slots__ = ("_key",)
    library: ClassVar[str]
    context: ClassVar[bytes]

    def _load(self) -> None:
        # Imported here for start-up time, as above.
        from cryptography.hazmat.primitives.asymmetric import mldsa

        self._key = getattr(mldsa, self.library + "PublicKey").from_public_bytes(self.raw)

    def _check(self, message: bytes, signature: bytes) -> bool:
        # Imported here for start-up time, as above.
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message, self.context)
        except InvalidSignature:
            return False
        return True


class MlDsa65PublicKey(MlDsaPublicKey):
    """ML-DSA-65 with the context ``troth/v1``."""

    __slots__ = ()
    suite = ML_DSA_65
    codec = 0x1211
    size = 1952
    signature_size = 3309
    library = "MLDSA65"
    context = ML_DSA_CONTEXT


class MlDsa44PublicKey(MlDsaPublicKey):
    """ML-DSA-44 without a context, as the cryptosuite ``mldsa44-jcs-2024`` uses it."""

    __slots__ = ()
    suite = ML_DSA_44
    codec = 0x1210
    size = 1312
    signature_size = 2420
    library = "MLDSA44"
    context = b""


class NistPublicKey(PublicKey):
    """ECDSA over a NIST curve (FIPS 186-5), compressed point; r ‖ s of fixed size (IEEE P1363).

    Both halves of s are accepted: others' signers do not choose.
    """

    __slots__ = ("_key",)
    curve: ClassVar[str]
    digest: ClassVar[str]

    def _load(self) -> None:
        # Imported here for start-up time, as above.
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(getattr(ec, self.curve)(), self.raw)
        except ValueError:
            raise BadInput(f"malformed {self.suite} public key", expected="a compressed point of the curve",
                           actual=self.raw.hex()) from None

    def _check(self, message: bytes, signature: bytes) -> bool:
        # Imported here for start-up time, as above.
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        half = len(signature) // 2
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        der = utils.encode_dss_signature(r, s)
        try:
            self._key.verify(der, message, ec.ECDSA(getattr(hashes, self.digest)()))
        except InvalidSignature:
            return False
        return True


class P256PublicKey(NistPublicKey):
    """P-256 with SHA-256."""

    __slots__ = ()
    suite = P256
    codec = 0x1200
    size = 33
    signature_size = 64
    curve = "SECP256R1"
    digest = "SHA256"


class P384PublicKey(NistPublicKey):
    """P-384 with SHA-384."""

    __slots__ = ()
    suite = P384
    codec = 0x1201
    size = 49
    signature_size = 96
    curve = "SECP384R1"
    digest = "SHA384"


class Secp256k1PublicKey(PublicKey):
    """secp256k1 ECDSA, compressed point; 64-byte r ‖ s; the high half of s is refused (malleability)."""

    __slots__ = ("_key",)
    suite = SECP256K1
    codec = 0xE7
    size = 33
    signature_size = 64

    def _load(self) -> None:
        # Imported here for start-up time, as above.
        import coincurve

        try:
            self._key = coincurve.PublicKey(self.raw)
        except ValueError:
            raise BadInput("malformed secp256k1 public key", expected="a compressed point of the curve",
                           actual=self.raw.hex()) from None

    def _check(self, message: bytes, signature: bytes) -> bool:
        # Imported here for start-up time, as above.
        from coincurve import ecdsa

        try:
            der = ecdsa.cdata_to_der(ecdsa.deserialize_compact(signature))
        except ValueError:
            return False
        return bool(self._key.verify(der, message))

    @property
    def account(self) -> bytes:
        """The Ethereum account of this key: the last 20 bytes of Keccak-256 of the uncompressed point."""
        # Imported here: only accounts need Keccak.
        from troth.core.encoding import keccak256

        return keccak256(self.point[1:])[-20:]

    @property
    def point(self) -> bytes:
        """The uncompressed point: 0x04, x, y; 65 bytes."""
        return bytes(self._key.format(compressed=False))


class KeyPair(ABC):
    """A signing key of one suite, made from a 32-byte seed."""

    __slots__ = ("_seed", "public")
    suite: ClassVar[str]
    public: PublicKey

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_SIZE:
            raise BadInput("wrong size of a key seed", expected=SEED_SIZE, actual=len(seed))
        self._seed = seed
        self._load(seed)

    @abstractmethod
    def _load(self, seed: bytes) -> None:
        """Build the library's key and ``public``. Raises BadInput if the seed is no key."""

    @abstractmethod
    def sign(self, message: bytes) -> bytes:
        """Signature over ``message``, of the suite's fixed size."""

    def reveal_seed(self) -> bytes:
        """The secret itself, for the keystore alone."""
        return self._seed

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.public!r})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise Misuse("a key pair is never pickled or copied", do="Keep secrets in a keystore file.")


class Ed25519KeyPair(KeyPair):
    """Ed25519 (RFC 8032); the seed is the private key."""

    __slots__ = ("_key",)
    suite = ED25519

    def _load(self, seed: bytes) -> None:
        # Imported here for start-up time, as above.
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.public = Ed25519PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class MlDsaKeyPair(KeyPair):
    """ML-DSA; the seed is FIPS 204's xi. Signing is hedged, so two signatures over one message differ."""

    __slots__ = ("_key",)
    kind: ClassVar[type[MlDsaPublicKey]]

    def _load(self, seed: bytes) -> None:
        # Imported here for start-up time, as above.
        from cryptography.hazmat.primitives.asymmetric import mldsa

        self._key = getattr(mldsa, self.kind.library + "PrivateKey").from_seed_bytes(seed)
        self.public = self.kind(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        signature: bytes = self._key.sign(message, self.kind.context)
        return signature


class MlDsa65KeyPair(MlDsaKeyPair):
    """ML-DSA-65."""

    __slots__ = ()
    suite = ML_DSA_65
    kind = MlDsa65PublicKey


class MlDsa44KeyPair(MlDsaKeyPair):
    """ML-DSA-44."""

    __slots__ = ()
    suite = ML_DSA_44
    kind = MlDsa44PublicKey


class Secp256k1KeyPair(KeyPair):
    """secp256k1; the seed is the private scalar. Nonces are deterministic (RFC 6979)."""

    __slots__ = ("_key",)
    suite = SECP256K1
    public: Secp256k1PublicKey

    def _load(self, seed: bytes) -> None:
        # Imported here for start-up time, as above.
        import coincurve

        try:
            self._key = coincurve.PrivateKey(seed)
        except ValueError:
            raise BadInput("not a secp256k1 private key", expected="a scalar between 1 and the group's order",
                           do="Draw another seed.") from None
        self.public = Secp256k1PublicKey(self._key.public_key.format())

    def sign(self, message: bytes) -> bytes:
        return self._key.sign_recoverable(message)[:64]

    def sign_digest(self, digest: bytes) -> bytes:
        """Recoverable signature r ‖ s ‖ v over a 32-byte digest, v 27 or 28, as Ethereum writes it."""
        if len(digest) != 32:
            raise BadInput("wrong size of a digest", expected=32, actual=len(digest))
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([signature[64] + 27])


_PUBLIC: dict[str, type[PublicKey]] = {
    kind.suite: kind for kind in (Ed25519PublicKey, Secp256k1PublicKey, MlDsa65PublicKey, MlDsa44PublicKey,
                                  P256PublicKey, P384PublicKey)}
_PAIRS: dict[str, type[KeyPair]] = {
    kind.suite: kind for kind in (Ed25519KeyPair, Secp256k1KeyPair, MlDsa65KeyPair, MlDsa44KeyPair)}
_PREFIXES = {varint(kind.codec): kind for kind in _PUBLIC.values()}


def key_pair(suite: str, seed: bytes) -> KeyPair:
    """The key pair of ``suite`` from a 32-byte seed. Raises Misuse for an unknown suite."""
    return _of_suite(_PAIRS, suite)(seed)


def public_key(suite: str, raw: bytes) -> PublicKey:
    """The verification key of ``suite`` from its bytes. Raises Misuse for an unknown suite, BadInput for no key."""
    return _of_suite(_PUBLIC, suite)(raw)


def from_multikey(data: bytes) -> PublicKey:
    """The verification key of a multicodec-prefixed key. Raises BadInput for a codec that is not ours."""
    for prefix, kind in _PREFIXES.items():
        if data.startswith(prefix):
            return kind(data[len(prefix):])
    raise BadInput("unknown key type", expected="the multicodec of " + ", ".join(_PUBLIC), actual=data[:4].hex())


def recover_account(digest: bytes, signature: bytes) -> bytes | None:
    """The Ethereum account (20 bytes) that made this 65-byte signature over a 32-byte digest, or None.

    None too for s in the high half (EIP-2) and for v other than 27 or 28: one signature has one form.
    """
    # Imported here for start-up time, as above.
    import coincurve

    half = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
    if len(signature) != 65 or signature[64] not in (27, 28) or int.from_bytes(signature[32:64], "big") > half:
        return None
    compact = signature[:64] + bytes([signature[64] - 27])
    try:
        found = coincurve.PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except ValueError:
        return None
    return Secp256k1PublicKey(found.format()).account


def ed25519_y(raw: bytes) -> int:
    """The y coordinate that an Ed25519 public key encodes (RFC 8032 section 5.1.2), without its sign bit."""
    return int.from_bytes(raw, "little") & (2**255 - 1)


def x25519_of_ed25519(raw: bytes) -> bytes:
    """The X25519 public key of an Ed25519 public key: u = (1 + y) / (1 - y) (RFC 7748 section 4.1)."""
    y = ed25519_y(Ed25519PublicKey(raw).raw)
    return ((1 + y) * pow(1 - y, -1, _P) % _P).to_bytes(32, "little")


def _on_curve(y: int) -> bool:
    """Whether some x solves -x² + y² = 1 + d x² y² (RFC 8032 section 5.1.3)."""
    d = -121665 * pow(121666, -1, _P) % _P
    x2 = (y * y - 1) * pow(d * y * y + 1, -1, _P) % _P
    return pow(x2, (_P - 1) // 2, _P) in (0, 1)


def _of_suite(table: dict[str, type[_T]], suite: str) -> type[_T]:
    found = table.get(suite)
    if found is None:
        raise Misuse("unknown signature suite", expected=", ".join(sorted(table)), actual=suite)
    return found
