"""Whose an account on the chain is, as far as a workspace was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.core.errors import TrothError
from troth.core.terms import Account
from troth.identity.binding import BINDING, read_binding

if TYPE_CHECKING:
    from troth.app import Troth


def whose(party: Troth) -> dict[Account, str]:
    """Accounts and whose they are: "this party", or the DID that bound itself to the account, with its consent.

    For reading alone: an identity may bind several accounts, and an account consent to several identities. The first
    binding here stands.
    """
    found: dict[Account, str] = {}
    for _, statement in party.claims(BINDING):
        try:
            found.setdefault(read_binding(statement).account, statement.issuer)
        except TrothError:
            continue  # a binding that its account did not consent to says nothing
    return found | {party.account: "this party"}
