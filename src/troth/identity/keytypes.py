"""Every key type that a ``did:key`` may be, to build its document. What Troth signs and verifies with is in ``keys``.

Sources: the did:key method and its test vectors (W3C CCG), the multicodec table, SEC 1 (points), RFC 8017 (RSA),
RFC 8037, 8812, 7518 and 9964 (JSON Web Keys), FIPS 204 (ML-DSA).

=================  =========  ======================================  =========================================
type               multicodec bytes                                    what is checked of them
=================  =========  ======================================  =========================================
``ed25519``        0xed       32                                      canonical point of large order
``x25519``         0xec       32                                      size (every string is a key, RFC 7748)
``secp256k1``      0xe7       33, compressed                          on the curve
``p-256``          0x1200     33, compressed                          on the curve
``p-384``          0x1201     49, compressed                          on the curve
``p-521``          0x1202     67, compressed                          on the curve
``rsa``            0x1205     DER RSAPublicKey                        2048 to 8192 bits, odd exponent, DER
``bls12-381-g2``   0xeb       96, compressed                          on the curve, in the subgroup
``ml-dsa-44``      0x1210     1312                                    size
``ml-dsa-65``      0x1211     1952                                    size
``ml-dsa-87``      0x1212     2592                                    size
=================  =========  ======================================  =========================================
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from troth.core.errors import BadInput
from troth.identity import keys
from troth.identity.multibase import varint

X25519 = "x25519"
RSA = "rsa"
BLS = "bls12-381-g2"
_BITS = range(2048, 8193)
_Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyType:
    """A key type. size: bytes, 0 for several. jwk: the public JSON Web Key of checked bytes; None where there is none.

    signs, agrees: which of the document's relations the key serves. wide: whether it may be spelled in base64url.
    """

    name: str
    codec: int
    size: int
    jwk: Callable[[bytes], dict[str, Any]] | None
    check: Callable[[bytes], object]
    signs: bool = True
    agrees: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class AnyKey:
    """A public key of any type here: its type and bytes, checked as the module's table says. Raises BadInput."""

    kind: KeyType
    raw: bytes

    def __post_init__(self) -> None:
        if self.kind.size and len(self.raw) != self.kind.size:
            raise BadInput(f"wrong size of a {self.kind.name} public key", expected=self.kind.size,
                           actual=len(self.raw))
        self.kind.check(self.raw)

    @property
    def multikey(self) -> bytes:
        """Multicodec prefix and key bytes."""
        return varint(self.kind.codec) + self.raw


def any_key(multikey: bytes) -> AnyKey:
    """The key of multicodec-prefixed bytes. Raises BadInput for another codec, a longer spelling of one, or no key."""
    for prefix, kind in _BY_PREFIX.items():
        if multikey.startswith(prefix):
            return AnyKey(kind, multikey[len(prefix):])
    raise BadInput("unknown key type", expected="the multicodec of " + ", ".join(one.name for one in TYPES),
                   actual=multikey[:4].hex())


def _free(raw: bytes) -> None:
    """Every string of the right size is a key."""


def base64url(data: bytes) -> str:
    """base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _point(name: str, raw: bytes) -> _Numbers:
    # Imported here: OpenSSL's bindings are needed by those who resolve such keys, not by `troth --help`.
    from cryptography.hazmat.primitives.asymmetric import ec

    curves: dict[str, ec.EllipticCurve] = {"p-256": ec.SECP256R1(), "p-384": ec.SECP384R1(), "p-521": ec.SECP521R1()}
    try:
        numbers = ec.EllipticCurvePublicKey.from_encoded_point(curves[name], raw).public_numbers()
    except ValueError:
        raise BadInput(f"malformed {name} public key", expected="a compressed point of the curve",
                       actual=raw[:8].hex()) from None
    return numbers.x, numbers.y


def _rsa(raw: bytes) -> _Numbers:
    # Imported here for start-up time, as above.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        key = serialization.load_der_public_key(_spki(raw))  # strict DER: one spelling a key
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInput("malformed RSA public key", expected="DER of RSAPublicKey (RFC 8017 A.1.1)",
                       actual=str(error)[:80]) from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _BITS:
        raise BadInput("an RSA key too small or too large", expected=f"{_BITS.start} to {_BITS.stop - 1} bits",
                       actual=getattr(key, "key_size", type(key).__name__))
    numbers = key.public_numbers()
    return numbers.n, numbers.e


def _spki(raw: bytes) -> bytes:
    """The RSAPublicKey wrapped as SubjectPublicKeyInfo, which is what the library reads."""
    head = bytes.fromhex("300d06092a864886f70d0101010500")  # AlgorithmIdentifier rsaEncryption, NULL
    bits = _der(3, b"\0" + raw)
    return _der(0x30, head + bits)


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _bls(raw: bytes) -> None:
    # Imported here: the pairing library takes a second to load, and only these keys need it. It comes with py-evm.
    from eth_typing import BLSSignature
    from py_ecc.bls.g2_primitives import signature_to_G2, subgroup_check
    from py_ecc.optimized_bls12_381.optimized_curve import is_inf

    try:
        point = signature_to_G2(BLSSignature(raw))
        good = not is_inf(point) and subgroup_check(point)
    except ValueError:
        good = False
    if not good:
        raise BadInput("malformed BLS12-381 public key", expected="a compressed point of G2's subgroup",
                       actual=raw[:8].hex())


def _ec_jwk(curve: str, numbers: _Numbers, size: int) -> dict[str, Any]:
    x, y = (base64url(number.to_bytes(size, "big")) for number in numbers)
    return {"kty": "EC", "crv": curve, "x": x, "y": y}


def _okp_jwk(curve: str, raw: bytes) -> dict[str, Any]:
    return {"kty": "OKP", "crv": curve, "x": base64url(raw)}


def _secp256k1_jwk(raw: bytes) -> dict[str, Any]:
    point = keys.Secp256k1PublicKey(raw).point
    return {"kty": "EC", "crv": "secp256k1", "x": base64url(point[1:33]), "y": base64url(point[33:])}


def _rsa_jwk(raw: bytes) -> dict[str, Any]:
    n, e = (base64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in _rsa(raw))
    return {"kty": "RSA", "n": n, "e": e}


def _nist(name: str, codec: int, size: int) -> KeyType:
    return KeyType(name, codec, size + 1, lambda raw: _ec_jwk(name.upper(), _point(name, raw), size),
                   lambda raw: _point(name, raw), agrees=True)


def _ml_dsa(level: int, codec: int, size: int) -> KeyType:
    name = f"ML-DSA-{level}"
    return KeyType(name.lower(), codec, size, lambda raw: {"kty": "AKP", "alg": name, "pub": base64url(raw)}, _free,
                   wide=True)


# An Ed25519 key agrees through the X25519 key derived of it, which the document builder adds.
TYPES = (
    KeyType(keys.ED25519, 0xED, 32, lambda raw: _okp_jwk("Ed25519", raw), keys.Ed25519PublicKey),
    KeyType(X25519, 0xEC, 32, lambda raw: _okp_jwk("X25519", raw), _free, signs=False, agrees=True),
    KeyType(keys.SECP256K1, 0xE7, 33, _secp256k1_jwk, keys.Secp256k1PublicKey, agrees=True),
    _nist("p-256", 0x1200, 32),
    _nist("p-384", 0x1201, 48),
    _nist("p-521", 0x1202, 66),
    KeyType(RSA, 0x1205, 0, _rsa_jwk, _rsa, agrees=True),
    KeyType(BLS, 0xEB, 96, None, _bls),
    _ml_dsa(44, 0x1210, 1312),
    _ml_dsa(65, 0x1211, 1952),
    _ml_dsa(87, 0x1212, 2592),
)
_BY_PREFIX = {varint(kind.codec): kind for kind in TYPES}
