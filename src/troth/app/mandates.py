"""Mandates that a workspace's account gives, as credentials that its wallet signs."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from troth.core.errors import Misuse
from troth.core.terms import Account
from troth.core.times import moment
from troth.verify.mandates import mandate_document, sign_mandate
from troth.verify.policies.mandated import Mandate

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.app.wallet import Wallet


def give_mandate(party: Troth, wallet: Wallet, agent: str, mandate: tuple[Account, str, int, int],
                 place: tuple[int, Account], by: str | None = None) -> dict[str, Any]:
    """The signed credential that lets an agent act for this workspace's account.

    agent: its credential identity. mandate: the agent's account, the kind of act, the most each (in the token's
    smallest unit), the last second. place: chain id and Book. by: which identity of the wallet signs.
    Raises Misuse for a mandate that is over, BadInput for one that cannot be said.
    """
    account, scope, most, expiry = mandate
    if expiry <= party.clock.now():
        raise Misuse("a mandate that is over already", actual=moment(expiry),
                     expected=f"after {moment(party.clock.now())}")
    what = Mandate(party.account, account, scope, most, expiry, secrets.token_bytes(32))
    held = sign_mandate(what, *place, party.identity.account)
    return wallet.issue(mandate_document(held, agent), by=by)
