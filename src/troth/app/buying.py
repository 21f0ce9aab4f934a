"""Buying over x402 as an agent's verb: from hosts and payees that its owner named, within the budget, once an intent.

What an agent read decides which of these it asks, and for what; it decides neither who they are nor how much they may
have. So the verb is there only in a workspace whose budget (``troth x402 allow``) names hosts or payees for all that
may be spent. What was paid becomes a claim that names the intent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from troth.agents.tools import MAX_TEXT, Arguments, Parameter, Saying, Tool
from troth.agents.x402.budget import Budget
from troth.agents.x402.receipt import PAYMENT
from troth.core.claims import Ref
from troth.core.errors import Misuse

if TYPE_CHECKING:
    from troth.app import Troth

INTENT_ROLE = "intent"
SHOWN = MAX_TEXT - 500


def buying(party: Troth) -> tuple[Tool, ...]:
    """``buy``, where the workspace's budget is for hosts or payees that were named; nothing elsewhere."""
    from troth.app.payments import BUDGET, FOLDER  # start-up time

    path = party.root / FOLDER / BUDGET
    if not path.exists():
        return ()
    with Budget(path) as spends:
        if not spends.confined():
            return ()
    return (Tool("buy", "Ask a web server that your owner allows for something, and pay for it.",
                 Saying(partial(_buy, party), partial(_bought, party)),
                 {"url": Parameter("text", "Its address."),
                  "most": Parameter("amount", "The most to pay, in the token's smallest unit.")}),)


def _buy(party: Troth, arguments: Arguments, intent: bytes) -> str:
    from troth.app.payments import budget, payer, receipt  # start-up time: httpx, chains

    with budget(party) as spends, payer(party, spends) as paying:
        if not spends.confined():
            raise Misuse("the budget is for anybody", do="Its owner names hosts or payees: troth x402 allow.")
        found = paying.get(arguments["url"], most=arguments["most"], purpose=intent)
    text = found.body.decode("utf-8", "replace")[:SHOWN]
    if found.spending is None:
        return f"status {found.status}, nothing paid: {text}"
    claim = receipt(party, found, [Ref(INTENT_ROLE, intent)])
    return f"status {found.status}, paid {found.spending.offer.price} (claim {claim.hex()}): {text}"


def _bought(party: Troth, intent: bytes) -> str | None:
    for claim, said in party.claims(PAYMENT):
        if said.issuer == party.did and intent in said.all_refs(INTENT_ROLE):
            return f"paid in claim {claim.hex()}"
    return None
