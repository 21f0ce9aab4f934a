"""The simplest policy for a bundle: somebody whom the trust file names said it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troth.core.ports import ClaimView, Finding
from troth.core.verdicts import Outcome

POLICY = "attested"


class Attested:
    """Upholds what a named issuer said, whatever it is. It does not find that what was said is true."""

    says: Mapping[str, frozenset[str]] = {}

    def judge(self, view: ClaimView, roles: Mapping[str, tuple[str, ...]],
              settings: Mapping[str, Any]) -> tuple[Finding, ...]:
        """One finding: who said the target, and in which of your roles."""
        target = view.statement(view.target)
        held = sorted(role for role, dids in roles.items() if target.issuer in dids)
        outcome = Outcome.UPHELD if held else Outcome.REFUTED
        detail = f"a {target.kind} by {target.issuer}, your {', '.join(held) or 'nobody'}"
        return (Finding("who said it", outcome, detail),)
