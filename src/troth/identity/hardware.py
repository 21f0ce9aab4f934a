"""A signer whose key lies in a PKCS#11 token (a smart card, a hardware module), and never leaves it.

It signs as the ``did:key`` of that key: Ed25519 by CKM_EDDSA (PKCS#11 3.0, section 2.3.12), or secp256k1 by CKM_ECDSA
over SHA-256 of the message, with s brought into the low half. Other keys are refused: claims have no suite for them.
No token here makes ML-DSA signatures, so a hybrid identity's keys cannot lie in one.

What the token returns is checked with its public key before it is handed on. The PIN is kept by no object here, and no
exception or ``repr`` of this module contains it. Extra ``pkcs11``; needs the token's own library (``.so``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from troth.core.closing import Closing
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Undecidable
from troth.identity import did as dids
from troth.identity import keys

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_ED25519 = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
_SECP256K1 = bytes.fromhex("06052b8104000a")


class TokenSigner(Closing):
    """Signs as the ``did:key`` of one key in a token. Implements ``Signer``. Close it, or use it in a ``with``.

    library: the token's PKCS#11 library; one process uses one. token, key: their labels. One of them at a time is open
    in a process: a token knows processes, not objects.
    """

    def __init__(self, library: Path, token: str, key: str, pin: str) -> None:
        """Raises Misuse for a wrong or blocked PIN, Undecidable for a token or key that is not there, OutsideFailed
        where the token fails, BadInput for a key that no suite takes.
        """
        self._lock = threading.Lock()
        with _understood():
            session = pkcs11.lib(str(library)).get_token(token_label=token).open(user_pin=pin)
        try:
            with _understood():
                self._private: Any = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=key)
                self.public = _public(session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=key))
        except BaseException:
            session.close()
            raise
        self._session = session
        self.did = dids.key_did(self.public)
        self._method = dids.key_method(self.did)

    def sign(self, message: bytes) -> tuple[tuple[str, bytes], ...]:
        """One signature: (method id, bytes). Raises OutsideFailed where the token fails or returns a wrong one."""
        with self._lock, _understood():
            if self.public.suite == keys.ED25519:
                value = bytes(self._private.sign(message, mechanism=Mechanism.EDDSA))
            else:
                value = _low(bytes(self._private.sign(sha256(message), mechanism=Mechanism.ECDSA)))
        if not self.public.verify(message, value):
            raise OutsideFailed("the token returned a signature that does not verify", actual=self.did,
                                do="Do not use this token: its keys may not be what it says.")
        return ((self._method, value),)

    def close(self) -> None:
        """Log out of the token."""
        with _understood():
            self._session.close()

    def __repr__(self) -> str:
        return f"TokenSigner({self.did})"


def _public(key: Any) -> keys.PublicKey:
    parameters, point = bytes(key[Attribute.EC_PARAMS]), bytes(key[Attribute.EC_POINT])
    if key.key_type is KeyType.EC_EDWARDS and parameters in _ED25519:
        # An octet string (3.0), which some tokens leave out.
        return keys.public_key(keys.ED25519, point.removeprefix(b"\x04\x20") if len(point) == 34 else point)
    if key.key_type is KeyType.EC and parameters == _SECP256K1:
        whole = point.removeprefix(b"\x04\x41") if len(point) == 67 else point
        if len(whole) == 65 and whole[0] == 4:
            return keys.public_key(keys.SECP256K1, bytes([2 + whole[64] % 2]) + whole[1:33])
    raise BadInput("a key of a kind that claims are not signed with", expected="Ed25519 or secp256k1",
                   actual=f"{key.key_type.name}, curve {parameters.hex()}")


def _low(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + min(s, _ORDER - s).to_bytes(32, "big") if len(signature) == 64 else signature


@contextmanager
def _understood() -> Iterator[None]:
    """The library's errors as ours. Their texts are not passed on where a PIN was given."""
    try:
        yield
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        raise Misuse("wrong PIN for this token", do="Each wrong try may bring it closer to blocking itself.") from None
    except (pkcs11.PinLocked, pkcs11.PinExpired):
        raise Misuse("this token takes no PIN any more: it is locked, or the PIN expired",
                     do="Unblock it with the tool that came with it.") from None
    except pkcs11.UserAlreadyLoggedIn:
        raise Misuse("this process has the token open already", do="Close that signer first.") from None
    except pkcs11.NoSuchToken:
        raise Undecidable("no token of this label is plugged in", do="Plug it in, or check its label.") from None
    except pkcs11.NoSuchKey:
        raise Undecidable("no key of this label is in the token", do="Check its label.") from None
    except (pkcs11.MultipleTokensReturned, pkcs11.MultipleObjectsReturned):
        raise Misuse("more than one of this label", do="Give each its own label.") from None
    except pkcs11.PKCS11Error as error:
        raise OutsideFailed("the token or its library failed", actual=type(error).__name__,
                            do="Check the library's path, and that the token is plugged in.") from None
