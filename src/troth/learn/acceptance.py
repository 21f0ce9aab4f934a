"""A seat that somebody takes: what it agreed to, in which role, and by which invitation.

An invitation for one seat holds a secret key, or names who it is for. Whoever takes the seat signs, with that key, its
own DID and account: so neither who carries the claim nor who sees it later can take the seat with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from troth.core.claims import Statement
from troth.core.encoding import encode, from_hex, take
from troth.core.errors import BadInput
from troth.core.terms import Account
from troth.identity.keys import Ed25519KeyPair, Ed25519PublicKey
from troth.learn.claims import body_of, digest_subject

ACCEPTANCE = "acceptance"
SITE, VERIFIER = "site", "verifier"
ROLES = (SITE, VERIFIER)
_LABEL = b"troth-seat-1\n"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """agreed: SHA-256 of the canonical JSON of what was agreed to. key: the invitation's public key, 32 bytes, and
    ``signature`` its own over all of this; both empty where the invitation has none."""

    agreed: bytes
    role: str
    account: Account
    key: bytes = b""
    signature: bytes = b""

    def body(self) -> dict[str, Any]:
        return {"account": self.account.hex(), "agreed": self.agreed.hex(), "key": self.key.hex(), "role": self.role,
                "signature": self.signature.hex()}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        account, agreed, key, role, signature = take(body_of(statement, ACCEPTANCE), account=str, agreed=str, key=str,
                                                     role=str, signature=str)
        found = cls(from_hex(agreed, 32), role, from_hex(account, 20), from_hex(key, 32) if key else b"",
                    from_hex(signature, 64) if signature else b"")
        if role not in ROLES or bool(key) != bool(signature):
            raise BadInput("not an acceptance", expected="a role that one is invited to; a key with its signature")
        if statement.subjects != digest_subject("agreed", found.agreed):
            raise BadInput("acceptance: the subject is not what the body says", expected=f"agreed {agreed}")
        return found

    @classmethod
    def make(cls, did: str, agreed: bytes, role: str, account: Account, secret: bytes = b"") -> Self:
        """What ``did`` says. secret: the invitation's key, where it has one."""
        if not secret:
            return cls(agreed, role, account)
        pair = Ed25519KeyPair(secret)
        return cls(agreed, role, account, pair.public.raw, pair.sign(_said(did, agreed, role, account)))

    def by_key(self, did: str, key: bytes) -> bool:
        """Whether this is said by ``did`` with the key of this invitation."""
        return self.key == key and Ed25519PublicKey(key).verify(_said(did, self.agreed, self.role, self.account),
                                                                 self.signature)


def _said(did: str, agreed: bytes, role: str, account: Account) -> bytes:
    return _LABEL + encode({"account": account.hex(), "agreed": agreed.hex(), "did": did, "role": role})
