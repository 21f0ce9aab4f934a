"""Mandates as credentials: who may act for whom, on what, up to how much, until when.

The credential carries the mandate of the policy *Mandated* (``troth.verify.policies.mandated``) with the principal
account's EIP-712 signature, so one paper serves both: whoever deals with the agent reads the credential, and a deal's
rung checks the same signature by its digest. Its subject::

    {"id": the agent's identity, "mandate": {"agent": did:pkh, "book": did:pkh, "most": decimal text,
     "principal": did:pkh, "salt": 64 hex, "scope": text, "signature": 130 hex}}

Where the agent is a policy account (docs/reference/policy-account.md), ``"limits"`` beside ``"mandate"`` says what the
account lets its own agent do: the account stores their hash, and they name the mandate by its digest, so that neither
can be swapped.

``validUntil`` is the mandate's expiry. The credential's issuer vouches that it speaks for the principal's account; the
account's own signature is what moves money. Either can take it back: the issuer by the status list, the account by the
chain's *Revocations*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troth.core.encoding import amount, from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.core.terms import Account
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.identity.credentials import CONTEXT, CREDENTIAL, Credential
from troth.identity.did import ChainAccount, read_pkh
from troth.identity.jsondoc import time_text
from troth.identity.keys import Secp256k1KeyPair, recover_account
from troth.ledger.limits import Limits
from troth.verify.credentials import Believed, verify_credential
from troth.verify.policies.mandated import Mandate, RevokedAt, act_data, never_revoked

MANDATE_CREDENTIAL = "MandateCredential"
MOST = 2**128 - 1
_SCOPE = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")


@dataclass(frozen=True, slots=True)
class HeldMandate:
    """A mandate with the Book it is for (chain id and 20 bytes) and the principal's signature (65 bytes)."""

    mandate: Mandate
    chain_id: int
    book: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """What the principal signed, and what a rung names."""
        return self.mandate.digest(self.chain_id, self.book)

    def act(self, kind: str, units: int) -> bytes:
        """What the agent submits to the ask *act* of a deal. Raises Refuted for an act beyond the mandate."""
        check_scope(self.mandate, kind, units)
        return act_data(kind, units, self.mandate, self.signature)


def sign_mandate(mandate: Mandate, chain_id: int, book: bytes, key: Secp256k1KeyPair) -> HeldMandate:
    """The mandate, signed by its principal's account. Raises BadInput for one that cannot be said."""
    if key.public.account != mandate.principal:
        raise BadInput("a mandate is signed by its principal", expected=mandate.principal.hex(),
                       actual=key.public.account.hex())
    if not _SCOPE.match(mandate.scope) or not 0 <= mandate.most <= MOST or len(mandate.salt) != 32:
        raise BadInput("not a mandate", expected="a scope in small letters, digits and dashes, at most 31; an amount",
                       actual=f"{mandate.scope!r}, {mandate.most}")
    return HeldMandate(mandate, chain_id, book, key.sign_digest(mandate.digest(chain_id, book)))


def mandate_document(held: HeldMandate, agent: str, limits: Limits | None = None) -> dict[str, Any]:
    """The unsigned credential for an agent's identity; its issuer and beginning are filled in where it is signed.

    limits: of the policy account that is the mandate's agent. Raises BadInput for another mandate's.
    """
    what, chain = held.mandate, held.chain_id
    if limits is not None:
        _carries(held, limits)
    return {
        "@context": [CONTEXT],
        "type": [CREDENTIAL, MANDATE_CREDENTIAL],
        "validUntil": time_text(what.expiry),
        "credentialSubject": {"id": agent, **({"limits": limits.json()} if limits else {}), "mandate": {
            "agent": ChainAccount(chain, what.agent).did, "book": ChainAccount(chain, held.book).did,
            "most": str(what.most), "principal": ChainAccount(chain, what.principal).did, "salt": what.salt.hex(),
            "scope": what.scope, "signature": held.signature.hex()}},
    }


def read_mandate(credential: Credential) -> HeldMandate:
    """The mandate that a credential carries, its account's signature checked.

    Raises BadInput for a credential that carries none, Refuted where the principal's account did not sign it.
    """
    if MANDATE_CREDENTIAL not in credential.types or len(credential.subjects) != 1 or credential.valid_until is None:
        raise BadInput("not a mandate's credential", expected=f"{MANDATE_CREDENTIAL}, one subject and an end",
                       actual=", ".join(credential.types))
    agent, book, most, principal, salt, scope, signature = take(
        credential.subjects[0].get("mandate"), agent=str, book=str, most=str, principal=str, salt=str, scope=str,
        signature=str)
    accounts = [read_pkh(did) for did in (agent, book, principal)]
    if len({account.chain for account in accounts}) != 1 or not _SCOPE.match(scope) or amount(most) > MOST:
        raise BadInput("a mandate across chains, or of an improper scope or amount", actual=f"{scope!r}, {most}")
    what = Mandate(accounts[2].account, accounts[0].account, scope, amount(most), credential.valid_until,
                   from_hex(salt, 32))
    held = HeldMandate(what, accounts[1].chain, accounts[1].account, from_hex(signature, 65))
    if recover_account(held.digest, held.signature) != what.principal:
        raise Refuted("the principal's account did not sign this mandate", expected=accounts[2].did,
                      do="If the account is a contract, only a deal can check it.")
    return held


def read_limits(credential: Credential) -> Limits | None:
    """The limits that a mandate's credential carries for a policy account; None for one without.

    Raises BadInput for limits that cannot be read, or that name another mandate than the credential's.
    """
    held = read_mandate(credential)
    value = credential.subjects[0].get("limits")
    if value is None:
        return None
    limits = Limits.from_json(value)
    _carries(held, limits)
    return limits


def check_limits(credential: Credential, account: Account, in_force: Limits) -> None:
    """Whether a policy account, as it is on its chain, keeps to what its mandate's credential says.

    in_force: read from the account. Raises Refuted where the account is not the mandate's agent or has other limits,
    BadInput for a credential without limits.
    """
    held, said = read_mandate(credential), read_limits(credential)
    if said is None:
        raise BadInput("a mandate that says no limits of an account", do="Ask for one that does.")
    if held.mandate.agent != account:
        raise Refuted("this mandate is another account's", expected=held.mandate.agent.hex(), actual=account.hex())
    if said != in_force:
        raise Refuted("the account has other limits than its mandate says", expected=said.hash.hex(),
                      actual=in_force.hash.hex())


def _carries(held: HeldMandate, limits: Limits) -> None:
    if limits.mandate != held.digest or limits.expiry > held.mandate.expiry:
        raise BadInput("limits of another mandate, or that outlast it",
                       expected=f"{held.digest.hex()}, by {held.mandate.expiry}",
                       actual=f"{limits.mandate.hex()}, by {limits.expiry}")


def check_scope(mandate: Mandate, kind: str, units: int) -> None:
    """Refuted for an act of another kind than the mandate's, or of more."""
    if kind != mandate.scope:
        raise Refuted("an act of another kind than the mandate covers", expected=mandate.scope, actual=kind)
    if not 0 <= units <= mandate.most:
        raise Refuted("an act beyond the mandate", expected=f"at most {mandate.most}", actual=units)


def check_act(held: HeldMandate, kind: str, units: int, at: int, revoked_at: RevokedAt = never_revoked) -> None:
    """Whether the mandate covers an act at a time (Unix seconds), by the rules of the policy *Mandated*.

    units: in the token's smallest unit. Raises Refuted.
    """
    what = held.mandate
    check_scope(what, kind, units)
    if at > what.expiry:
        raise Refuted("an act after the mandate's end", expected=f"by {time_text(what.expiry)}", actual=time_text(at))
    revoked = revoked_at(what.principal, held.digest)
    if revoked and revoked < at:
        raise Refuted("an act after the mandate was taken back", expected=f"by {time_text(revoked)}",
                      actual=time_text(at))


def verify_act(document: Mapping[str, Any], believed: Believed, kind: str, units: int,
               revoked_at: RevokedAt = never_revoked) -> Report:
    """The steps of the mandate's credential, then 9: its account's signature, 10: that it covers this act, now.

    Raises BadInput for what is no credential, or carries no mandate.
    """
    report = verify_credential(document, believed)
    steps = list(report.steps)
    try:
        held = read_mandate(Credential.of(document))
        principal = ChainAccount(held.chain_id, held.mandate.principal).did
        steps.append(Step(9, "account", Outcome.UPHELD, f"signed by {principal}"))
        check_act(held, kind, units, believed.now, revoked_at)
        steps.append(Step(10, "act", Outcome.UPHELD, f"{kind} of {units}, at most {held.mandate.most} each"))
    except Refuted as error:
        n = 9 if steps[-1].n < 9 else 10
        steps.append(Step(n, "account" if n == 9 else "act", Outcome.REFUTED, error.diagnostics()))
    return Report(combine(tuple(steps)), report.as_of, tuple(steps))
