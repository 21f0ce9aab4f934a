"""Claims by a workload: signed by a key made for one job, which an identity token binds to what ran it.

The issuer of such a claim is a ``did:key`` that nobody knew before. The claim's evidence ``workload-token`` holds the
token; the trust file's policy pins issuers of tokens, their keys, and what the workload must be::

    {"name": "workload", "role": "ci",
     "issuers": [{"issuer": "https://…", "audience": null, "keys": [JWK, …], "require": {"repository": "org/repo"}}]}

Trust, when the file is read by hand, is this: whoever could get such a token from that issuer could say such a claim
while the token stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troth.core.claims import Statement
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.ports import ClaimView, Finding
from troth.core.verdicts import Outcome
from troth.identity import did as dids
from troth.identity.tokens import Token, TokenIssuer, claims_unchecked, read_issuer

POLICY = "workload"
TOKEN = "workload-token"  # noqa: S105  (the name of evidence, not a secret)
DEFAULT_ROLE = "ci"


class Workload:
    """Upholds a target that a workload said, by the checks of ``TokenIssuer.check`` at the claim's own time."""

    says: Mapping[str, frozenset[str]] = {}

    def judge(self, view: ClaimView, roles: Mapping[str, tuple[str, ...]],
              settings: Mapping[str, Any]) -> tuple[Finding, ...]:
        """One finding: which workload said the target."""
        _, issuers = _settings(settings)
        token = _token(view, view.statement(view.target), issuers)
        detail = f"{token.subject} of {token.issuer}, whose token stood from {token.issued_at} to {token.expires_at}"
        return (Finding("which workload said it", Outcome.UPHELD, detail),)

    def vouches(self, view: ClaimView, settings: Mapping[str, Any]) -> Mapping[str, frozenset[str]]:
        """The one-job keys in this bundle and the role that the trust file gives them.

        Every claim of such a key must pass; one with a bad token refutes the bundle, and so does one without: nothing
        says that the key's holder was still the job, or when.
        """
        role, issuers = _settings(settings)
        jobs = {said.issuer for _, said in view.statements() if said.issuer.startswith(dids.KEY)
                and any(one.name == TOKEN for one in said.evidence)}
        for _, statement in view.statements():
            if statement.issuer in jobs:
                _token(view, statement, issuers)
        return {issuer: frozenset((role,)) for issuer in jobs}


def _settings(settings: Mapping[str, Any]) -> tuple[str, tuple[TokenIssuer, ...]]:
    """(role, issuers) of the trust file's policy. Raises BadInput."""
    role, issuers = settings.get("role", DEFAULT_ROLE), settings.get("issuers")
    if type(role) is not str or type(issuers) is not list or not issuers or settings.keys() - {"name", "role",
                                                                                               "issuers"}:
        raise BadInput("not a workload policy", expected="issuers, and perhaps a role", actual=sorted(settings))
    return role, tuple(map(read_issuer, issuers))


def _token(view: ClaimView, statement: Statement, issuers: tuple[TokenIssuer, ...]) -> Token:
    """The token of a claim, checked for its key and its time. Raises Refuted, Undecidable."""
    held = [one for one in statement.evidence if one.name == TOKEN]
    if not statement.issuer.startswith(dids.KEY) or len(held) != 1:
        raise Refuted("not a claim by a workload", expected=f"a did:key and one evidence {TOKEN!r}",
                      actual=f"{statement.issuer[:40]}, {len(held)} tokens")
    data = None if held[0].sealed else view.blob(held[0].cid)
    if data is None:
        raise Undecidable("the workload's token is not in the bundle", do="Ask for a bundle with its public evidence.")
    try:
        said = claims_unchecked(data).get("iss")
        named = [one for one in issuers if one.issuer == said]
        if not named:
            raise Refuted("a token of an issuer that the trust file does not name",
                          expected=", ".join(one.issuer for one in issuers))
        for other in named[:-1]:  # one issuer may be named for several workloads
            try:
                return other.check(data, statement.issuer, statement.issued_at)
            except (Refuted, Undecidable):
                continue
        return named[-1].check(data, statement.issuer, statement.issued_at)
    except BadInput as error:
        raise Refuted(f"the workload's token cannot be read: {error.message}", expected=error.expected) from None
