"""Troth's own verbs as an agent's tools: what it may look at, say and do in its workspace.

A room that adds a verb writes a function from the workspace to ``Tool`` and names it in ``VERBS``. Reading verbs change
nothing. ``say`` signs claims of the kinds that the owner allows, and of no kind that grants, moves or ends anything.
``pay`` and ``join`` move money, through the gate alone; what decides where it goes must come from the owner's words or
a signed claim.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.agents.gate import Act
from troth.agents.journal import reasons_of
from troth.agents.origins import AMOUNT, PAYEE, TARGET
from troth.agents.tools import Acting, Arguments, Parameter, Reading, Saying, Tool, Toolbox, lines
from troth.core.claims import Ref, Statement, Subject
from troth.core.errors import BadInput, Misuse
from troth.core.terms import Account
from troth.ledger.limits import JOIN, Limits

if TYPE_CHECKING:
    from troth.app import Troth

MAX_LISTED = 50
GUARDED = frozenset({"act", "admission", "answer", "batch", "bid", "binding", "consent", "erasure", "identity",
                     "intent", "link", "payment", "payouts", "plan", "question", "roster", "verdict", "withdrawal"})
"""Kinds that the verb ``say`` never says: they grant, move or end something, or are another verb's."""
INTENT_ROLE = "intent"
PAYMENT = "payment"
RETRY = 86_400
"""Seconds for which a payment that was cut short is presented again."""


def reading(party: Troth) -> tuple[Tool, ...]:
    """The verbs that change nothing; ``pull`` takes in what was sent, which is checked, and may be done again."""
    claim = {"claim": Parameter("claim", "A claim's id.")}
    return (
        Tool("claims", "List the newest claims in this log: id, kind, issuer.", Reading(partial(_claims, party)),
             {"kind": Parameter("text", "Only of this kind.", required=False)}),
        Tool("claim", "What a claim says.", Reading(partial(_claim, party)), claim),
        Tool("trace", "What a claim rests on, and what of it is stale.", Reading(partial(_trace, party)), claim),
        Tool("pull", "Take in what others sent, after checking it.", Reading(partial(_pull, party)), {}),
        Tool("verify", "Check a bundle file of this workspace: numbered steps and an outcome.",
             Reading(partial(_verify, party)),
             {"file": Parameter("text", "Its path, from the workspace's folder."),
              "trust": Parameter("text", "A trust file there: what to believe.", required=False)}),
        Tool("deals", "List deals of the Book, newest last.", Reading(partial(_deals, party)),
             {"status": Parameter("text", "Only funding, running, closed or void.", required=False)}),
        Tool("deal", "Where a deal stands: pots, rungs, history.", Reading(partial(_deal, party)),
             {"deal": Parameter("claim", "The deal's id.")}),
    )


def saying(party: Troth, kinds: Collection[str]) -> tuple[Tool, ...]:
    """``say``: sign a claim of one of these kinds. Raises Misuse for a kind that no agent may say so."""
    guarded = sorted(GUARDED & set(kinds))
    if guarded:
        raise Misuse("an agent is not let say this by a tool", actual=", ".join(guarded), do="Leave it out.")
    if not kinds:
        return ()
    return (Tool("say", f"Sign a claim about a text, of one of these kinds: {', '.join(sorted(kinds))}.",
                 Saying(partial(_say, party, frozenset(kinds)), partial(_said, party)),
                 {"kind": Parameter("text", "Which kind."), "about": Parameter("text", "The text it is about."),
                  "body": Parameter("object", "What the claim says of it."),
                  "ref": Parameter("claim", "A claim that it is about too.", required=False)}),)


def buying(party: Troth) -> tuple[Tool, ...]:
    """``buy``: over x402, from the hot account, within this workspace's budget (docs/reference/payments.md)."""
    return (Tool("buy", "Ask an address, and pay up to so much by x402 for what it serves.",
                 Saying(partial(_buy, party), partial(_bought, party), {"url": TARGET, "most": AMOUNT}),
                 {"url": Parameter("text", "The address."), "most": Parameter("amount", "At most so much.")}),)


def acting(party: Troth, token: Account, account: Account, limits: Limits | None = None) -> tuple[Tool, ...]:
    """``pay`` and ``join``: from the policy account, in its token; ``refill`` where the limits name a hot account."""
    hot = (Tool("refill", "Fill the small account that x402 pays from, up to what your owner set.",
                Acting(lambda _: Act.refill(account, limits), {}), {}),) if limits and any(limits.hot) else ()
    return (
        *hot,
        Tool("pay", "Pay an account from your owner's money.",
             Acting(partial(_pay, token), {"to": PAYEE, "amount": AMOUNT}),
             {"to": Parameter("account", "Whom."), "amount": Parameter("amount", "How much, in the smallest unit."),
              "what": Parameter("text", "What for, in words.", required=False)}),
        Tool("join", "Deposit into a pot of a deal that names your owner's account as its depositor.",
             Acting(partial(_join, party, account), {"deal": TARGET}),
             {"deal": Parameter("claim", "The deal's id."), "pot": Parameter("integer", "Which pot, from 0.")}),
    )


More = Callable[["Troth"], Sequence[Tool]]
VERBS: list[More] = [reading]
"""What every agent of a workspace is given. Others' verbs are added here."""


def verbs(party: Troth) -> Toolbox:
    """The tools that every agent of this workspace has."""
    return Toolbox(tool for more in VERBS for tool in more(party))


# ---- reading ----

def _claims(party: Troth, arguments: Arguments) -> str:
    kind = arguments.get("kind")
    if kind is None:
        newest = party.log.iterate(max(0, party.log.size - MAX_LISTED))
        said = [(entry.id, Statement.from_bytes(entry.payload)) for entry in newest if entry.payload is not None]
    else:
        said = list(party.claims(kind))[-MAX_LISTED:]
    return lines([f"{claim.hex()} {one.kind} {one.issuer}" for claim, one in said], "no such claims here")


def _claim(party: Troth, arguments: Arguments) -> str:
    return party.statement(arguments["claim"]).to_bytes().decode()


def _pull(party: Troth, arguments: Arguments) -> str:
    return lines([f"{claim.hex()} {party.statement(claim).kind}" for claim in party.receive()], "nothing new")


def _trace(party: Troth, arguments: Arguments) -> str:
    return json.dumps(party.trace(arguments["claim"]).json(), ensure_ascii=False)


def _verify(party: Troth, arguments: Arguments) -> str:
    # Imported here: verification needs numpy.
    from troth.app.checking import verify_bundle
    from troth.verify.trust import Trust

    trust = arguments.get("trust")
    believed = None if trust is None else Trust.from_bytes(_inside(party, trust).read_bytes())
    return json.dumps(verify_bundle(_inside(party, arguments["file"]), believed).json(), ensure_ascii=False)


def _inside(party: Troth, name: str) -> Path:
    """A file of the workspace's folder that is none of the workspace's own. Raises BadInput."""
    folder = party.root.parent.resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder) or path.is_relative_to(party.root.resolve()) or not path.is_file():
        raise BadInput("no such file in this workspace's folder", expected="a path within it", actual=name[:200])
    return path


def _deals(party: Troth, arguments: Arguments) -> str:
    as_of, found = party.deals(status=arguments.get("status"), newest=MAX_LISTED)
    shown = [f"{one.id.hex()} {one.status} rung {one.rung}" for one in found]
    return lines([*shown, f"as of {as_of}"], "no deals")


def _deal(party: Troth, arguments: Arguments) -> str:
    as_of, found = party.deal(arguments["deal"])
    state = found.state
    pots = [{"name": pot.name, "amount": str(pot.amount), "depositor": "0x" + pot.depositor.hex(),
             "joined": n in state.joined} for n, pot in enumerate(state.terms.pots)]
    return json.dumps({"deal": found.id.hex(), "status": state.status, "rung": state.rung, "pots": pots,
                       "fund_by": state.terms.fund_by, "outcome": state.final.outcome if state.final else None,
                       "as_of": str(as_of)})


# ---- saying ----

def _say(party: Troth, kinds: Collection[str], arguments: Arguments, intent: bytes) -> str:
    kind, about = arguments["kind"], arguments["about"]
    if kind not in kinds:
        raise Misuse("not a kind that this agent may say", expected=", ".join(sorted(kinds)), actual=kind)
    subject = Subject("text", {"sha256": hashlib.sha256(about.encode()).hexdigest()})
    refs = [Ref(INTENT_ROLE, intent), *([Ref("about", arguments["ref"])] if "ref" in arguments else [])]
    return f"said in claim {party.attest(kind, [subject], arguments['body'], refs=refs).hex()}"


def _said(party: Troth, intent: bytes) -> str | None:
    for entry in party.log.iterate():
        if entry.payload is not None:
            statement = Statement.from_bytes(entry.payload)
            if statement.issuer == party.did and statement.kind != "act" and intent in statement.all_refs(INTENT_ROLE):
                return f"said in claim {entry.id.hex()}"
    return None


# ---- buying ----

def _buy(party: Troth, arguments: Arguments, intent: bytes) -> str:
    # Imported here: x402 is an extra, and loads the chain.
    from troth.agents.x402.budget import LAPSED
    from troth.app.payments import budget, payer, receipt

    url, most = arguments["url"], arguments["most"]
    with budget(party) as spends, payer(party, spends) as paying:
        claimed = {statement.body.get("nonce") for _, statement in party.claims(PAYMENT)}
        # One that was cut short is presented again: what is paid for is not paid for twice.
        waiting = [one for one in spends.payments() if one.offer.resource == url and one.header is not None
                   and one.nonce.hex() not in claimed and one.state != LAPSED
                   and one.at + RETRY > party.chain.now()]
        bought = paying.again(waiting[-1].nonce) if waiting else paying.get(url, most=most, purpose=intent)
        paid = "nothing" if bought.spending is None else str(bought.spending.offer.price)
        if bought.spending is not None:
            receipt(party, bought)
    return _answer(bought.status, paid, bought.body)


def _bought(party: Troth, intent: bytes) -> str | None:
    """What was bought for this intent before a crash: the payment that was claimed after it, presented again."""
    # Imported here for the same reason.
    from troth.app.payments import budget, payer

    statement = party.statement(intent)
    url = reasons_of(party, statement)["arguments"]["url"]
    after = party.position(party.envelope(intent))
    claimed = {said.body.get("nonce") for claim, said in party.claims(PAYMENT)
               if party.position(party.envelope(claim)) > after}
    with budget(party) as spends, payer(party, spends) as paying:
        for one in spends.payments():
            if one.nonce.hex() in claimed and one.offer.resource == url:
                again = paying.again(one.nonce)
                return _answer(again.status, str(one.offer.price), again.body)
    return None


def _answer(status: int, paid: str, body: bytes) -> str:
    return f"status {status}, paid {paid}\n{body.decode(errors='replace')}"


# ---- acting ----

def _pay(token: Account, arguments: Arguments) -> Act:
    to, units = arguments["to"], arguments["amount"]
    return Act.pay(token, to, units, arguments.get("what") or f"pay {units} to 0x{to.hex()}")


def _join(party: Troth, account: Account, arguments: Arguments) -> Act:
    # Imported here: eth_abi takes 0.2 s to load.
    from eth_abi.abi import encode

    _, found = party.deal(arguments["deal"])
    pots, n = found.state.terms.pots, arguments["pot"]
    if not 0 <= n < len(pots) or pots[n].depositor != account:
        raise Misuse("a pot that is not this account's to fill", expected="0x" + account.hex(), actual=n)
    book = party.contracts["book"].address
    whole = found.opener + found.salt + found.state.terms.to_bytes()
    data: Any = encode(["bytes", "uint8"], [whole, n])
    return Act(book, JOIN + data, pots[n].amount, book, f"join pot {n} of deal {found.id.hex()}")
