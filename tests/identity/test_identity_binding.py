"""The bond of identifier and account: both halves, over each other, or none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from troth.core.claims import Envelope, Evidence, Ref, Subject
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.identity import keys
from troth.identity.binding import (
    Binding,
    bind,
    binding_statement,
    consent_digest,
    consent_text,
    read_binding,
    verify_binding,
)
from troth.identity.did import ChainAccount
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.identity.signers import Ed25519Signer, attest

CHAIN = 31337


def account_of(identity: HybridIdentity, chain: int = CHAIN) -> ChainAccount:
    return ChainAccount(chain, identity.account.public.account)


def consent(by: HybridIdentity, did: str, named: ChainAccount) -> bytes:
    return by.account.sign_digest(consent_digest(did, named))


def test_a_binding(alice: HybridIdentity, book: KeyBook) -> None:
    envelope = bind(alice.signer(), alice.account, CHAIN, 9)
    assert verify_binding(envelope, book) == Binding(alice.did, CHAIN, alice.account.public.account, 9)
    assert read_binding(envelope.statement()).account == alice.account.public.account
    single = Ed25519Signer(b"\x01" * 32)
    assert verify_binding(bind(single, alice.account, CHAIN, 9), book).did == single.did


def test_a_wallet_makes_the_same_consent(alice: HybridIdentity) -> None:
    """A second implementation of EIP-191 personal_sign signs the same sentence and is recovered."""
    wallet = Account.from_key(alice.account.reveal_seed())
    named = account_of(alice)
    signature = wallet.sign_message(encode_defunct(consent_text(alice.did, named))).signature
    assert bytes(signature) == consent(alice, alice.did, named)
    assert read_binding(binding_statement(alice.did, named, bytes(signature), 9)).account == named.account


def halves(alice: HybridIdentity, mallory: HybridIdentity) -> dict[str, Envelope]:
    """Claims in which one half is missing, another's, or over something else."""
    mine, theirs = account_of(alice), account_of(mallory)
    good = bind(alice.signer(), alice.account, CHAIN, 9)
    other_chain = consent(alice, alice.did, account_of(alice, 1))

    def claim(named: ChainAccount, by: bytes, owner: HybridIdentity = alice) -> Envelope:
        return attest(binding_statement(owner.did, named, by, 9), owner.signer())

    return {
        "the account's half alone": replace(good, signatures=()),
        "no post-quantum signature": replace(good, signatures=good.signatures[:1]),
        "the identifier's half alone": claim(theirs, b""),
        "somebody else's account named": claim(theirs, consent(alice, alice.did, theirs)),
        "a consent to another identifier": claim(theirs, consent(mallory, mallory.did, theirs)),
        "a consent for another chain": claim(mine, other_chain),
        "a consent pasted into the thief's claim": claim(mine, consent(alice, alice.did, mine), mallory),
        "a consent with another v": claim(mine, consent(alice, alice.did, mine)[:64] + b"\x00"),
        "a consent cut short": claim(mine, consent(alice, alice.did, mine)[:64]),
        "a claim signed by another": replace(
            good, signatures=attest(binding_statement(mallory.did, theirs, b"", 9), mallory.signer()).signatures),
    }


@pytest.mark.parametrize("name", [
    "the account's half alone", "no post-quantum signature", "the identifier's half alone",
    "somebody else's account named", "a consent to another identifier", "a consent for another chain",
    "a consent pasted into the thief's claim", "a consent with another v", "a consent cut short",
    "a claim signed by another"])
def test_half_a_binding_is_none(name: str, alice: HybridIdentity, mallory: HybridIdentity, book: KeyBook) -> None:
    cases = halves(alice, mallory)
    assert len(cases) == 10
    with pytest.raises(Refuted):
        verify_binding(cases[name], book)


def test_a_malleable_consent_is_refused(alice: HybridIdentity, book: KeyBook) -> None:
    named = account_of(alice)
    good = consent(alice, alice.did, named)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = (order - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    moved = good[:32] + high + bytes([27 + 28 - good[64]])
    with pytest.raises(Refuted, match="did not consent"):
        verify_binding(attest(binding_statement(alice.did, named, moved, 9), alice.signer()), book)


def test_an_unknown_identifier_is_undecidable(alice: HybridIdentity) -> None:
    with pytest.raises(Undecidable):
        verify_binding(bind(alice.signer(), alice.account, CHAIN, 9), KeyBook())


@pytest.mark.parametrize(("change", "kind"), [
    ({"kind": "listing"}, BadInput), ({"version": 2}, BadInput), ({"refs": (Ref("a", bytes(32)),)}, BadInput),
    ({"evidence": (Evidence("a", "b", "c", False),)}, BadInput), ({"body": {}}, BadInput),
    ({"body": {"account": "did:pkh:eip155:1:0x00", "consent": ""}}, BadInput),
    ({"subjects": (Subject("x", {"sha256": "ab"}),)}, Refuted),
])
def test_a_binding_has_one_form(change: dict[str, Any], kind: type[Exception], alice: HybridIdentity) -> None:
    statement = bind(alice.signer(), alice.account, CHAIN, 9).statement()
    with pytest.raises(kind):
        read_binding(replace(statement, **change))


def test_the_accounts_key_is_not_the_claims_key(alice: HybridIdentity) -> None:
    """An account's consent never reads as a claim's signature, though the curve is the same."""
    named = account_of(alice)
    signature = consent(alice, alice.did, named)[:64]
    public = keys.public_key(keys.SECP256K1, alice.account.public.raw)
    assert not public.verify(consent_digest(alice.did, named), signature)
