"""The bond between an identifier and its chain account, both ways.

A ``binding`` claim is signed by the identifier and names the account (``did:pkh``); inside it the account signs, by
EIP-191 ``personal_sign``, one sentence over identifier and chain. Either half alone is not a binding: anybody can name
an account, and an account's signature could be pasted into another's claim.

What it does not prove: that both belong to one person, or for how long. Settlement has secp256k1's strength; the
hybrid signature protects the evidence, not the money.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from troth.core.claims import Envelope, Statement, Subject
from troth.core.encoding import from_hex, keccak256, sha256, take
from troth.core.errors import BadInput, Refuted
from troth.core.ports import KeyHistory, Signer
from troth.identity import keys
from troth.identity.did import ChainAccount, read_pkh
from troth.identity.documents import signature_pairs
from troth.identity.signers import attest

BINDING = "binding"


@dataclass(frozen=True, slots=True)
class Binding:
    """A checked binding: who, on which chain, which account (20 bytes), since when it was said (Unix seconds)."""

    did: str
    chain: int
    account: bytes
    issued_at: int


def consent_text(did: str, account: ChainAccount) -> bytes:
    """The sentence the account signs: shown as it is by wallets."""
    return f"Troth binding v1\nThe account {account.did}\nacts for {did}".encode()


def consent_digest(did: str, account: ChainAccount) -> bytes:
    """What the account's signature is over: EIP-191 version 0x45 of ``consent_text``, 32 bytes."""
    text = consent_text(did, account)
    return keccak256(b"\x19Ethereum Signed Message:\n%d%s" % (len(text), text))


def bind(signer: Signer, account: keys.Secp256k1KeyPair, chain: int, issued_at: int) -> Envelope:
    """The binding claim of ``signer``'s identifier and ``account`` on ``chain`` (EIP-155 id)."""
    named = ChainAccount(chain, account.public.account)
    return attest(binding_statement(signer.did, named, account.sign_digest(consent_digest(signer.did, named)),
                                    issued_at), signer)


def binding_statement(did: str, account: ChainAccount, consent: bytes, issued_at: int) -> Statement:
    """The statement for an account whose 65-byte ``consent`` came from elsewhere (a wallet, a hardware key)."""
    return Statement(BINDING, did, issued_at, (_subject(account),),
                     {"account": account.did, "consent": consent.hex()})


def read_binding(statement: Statement) -> Binding:
    """Check the account's half of a binding whose claim's signatures were already verified.

    Raises Refuted if the account did not sign for this identifier and chain, BadInput for another claim.
    """
    if (statement.kind, statement.version) != (BINDING, 1) or statement.refs or statement.evidence:
        raise BadInput("not a binding", expected="urn:troth:binding:v1 alone", actual=statement.kind)
    name, consent = take(dict(statement.body), account=str, consent=str)
    account = read_pkh(name)
    if statement.subjects != (_subject(account),):
        raise Refuted("a binding whose subject is not its account", expected=account.did,
                      actual=", ".join(subject.name for subject in statement.subjects))
    found = keys.recover_account(consent_digest(statement.issuer, account), from_hex(consent))
    if found != account.account:
        raise Refuted("the account did not consent: half a binding is none",
                      expected=f"a signature by {account.did} over {statement.issuer}",
                      actual="no signature" if not consent else "another's signature, or over something else")
    return Binding(statement.issuer, account.chain, account.account, statement.issued_at)


def verify_binding(envelope: Envelope, history: KeyHistory, version: int | None = None) -> Binding:
    """Check both halves. Raises Refuted if either is missing or wrong, Undecidable for an unknown issuer."""
    statement = envelope.statement()
    history.verify(statement.issuer, envelope.signed_bytes(), signature_pairs(envelope), version)
    return read_binding(statement)


def accounts_of(statements: Iterable[Statement], did: str, chain: int) -> tuple[bytes, ...]:
    """Every account (20 bytes) that an identifier bound itself to on this chain, in the order of these statements.

    Their claims' signatures were verified already. Which one was in use when, they do not say. Raises as
    `read_binding`.
    """
    bound = [read_binding(one) for one in statements if one.kind == BINDING and one.issuer == did]
    return tuple(one.account for one in bound if one.chain == chain)


def _subject(account: ChainAccount) -> Subject:
    return Subject(account.did, {"sha256": sha256(account.did.encode()).hex()})
