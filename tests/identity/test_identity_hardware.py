"""Keys in a PKCS#11 token: a real one in software, its refusals, and that the PIN shows nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import softhsm
from troth.core.claims import Statement, Subject
from troth.core.errors import BadInput, Misuse, OutsideFailed, TrothError, Undecidable
from troth.identity.documents import signature_pairs
from troth.identity.hardware import TokenSigner
from troth.identity.keybook import KeyBook
from troth.identity.signers import attest, signer_of

# The library reads its configuration when it is first loaded, so all tests here share one token.


@pytest.fixture(scope="module", autouse=True)
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    configuration = softhsm.make(tmp_path_factory.mktemp("token"))
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run([sys.executable, softhsm.__file__], check=True, capture_output=True)
    yield
    del os.environ["SOFTHSM2_CONF"]


def opened(key: str, pin: str = softhsm.PIN, token: str = softhsm.TOKEN) -> TokenSigner:
    return TokenSigner(softhsm.LIBRARY, token, key, pin)


@pytest.mark.parametrize("key", ["ed25519", "secp256k1"])
def test_a_token_signs_claims(key: str) -> None:
    assert signer_of("pkcs11") is TokenSigner
    with opened(key) as signer:
        assert signer.did.startswith("did:key:z")
        assert signer.public.suite == key
        for n in range(8):  # half of all ECDSA signatures come with s in the high half
            statement = Statement("dataset", signer.did, n, (Subject("x", {"sha256": "00" * 32}),), {"rows": n})
            envelope = attest(statement, signer)
            KeyBook().verify(signer.did, envelope.signed_bytes(), signature_pairs(envelope))
        did = signer.did
        with pytest.raises(Misuse, match="open already"):  # a wrong PIN, too, would pass unnoticed
            opened(key, "000000")
    with opened(key) as again:
        assert again.did == did


@pytest.mark.parametrize(("arguments", "error", "match"), [
    (("ed25519", "000000"), Misuse, "wrong PIN"),
    (("ed25519", ""), Misuse, "wrong PIN"),
    (("ed25519", "5" * 300), Misuse, "wrong PIN"),
    (("nothing",), Undecidable, "no key of this label"),
    (("ed25519", softhsm.PIN, "another"), Undecidable, "no token of this label"),
    (("p-256",), BadInput, "Ed25519 or secp256k1"),
])
def test_refusals(arguments: tuple[str, ...], error: type[TrothError], match: str) -> None:
    with pytest.raises(error) as found:
        opened(*arguments)
    assert match in str(found.value)
    assert softhsm.PIN not in str(found.value) + repr(found.value)
    assert found.value.__cause__ is None
    with opened("ed25519") as signer:  # and the token works as before
        assert softhsm.PIN not in repr(signer) + repr(vars(signer))


def test_no_library(tmp_path: Path) -> None:
    with pytest.raises(OutsideFailed, match="library failed"):
        TokenSigner(tmp_path / "none.so", softhsm.TOKEN, "ed25519", softhsm.PIN)


def test_a_token_that_goes_away() -> None:
    signer = opened("ed25519")
    signer.close()
    with pytest.raises(OutsideFailed, match="the token or its library failed"):
        signer.sign(b"x")


def test_a_token_that_lies() -> None:
    """Its signature is not the key's: it is not handed on."""
    for key in ("ed25519", "secp256k1"):
        with opened(key) as signer:
            signer._private = type("Liar", (), {"sign": staticmethod(lambda *_, **__: bytes(64))})()
            with pytest.raises(OutsideFailed, match="does not verify"):
                signer.sign(b"x")
