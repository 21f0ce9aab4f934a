"""Royalties: what something earned is shared with everybody whose work is in it, by measured contribution.

Claims: contribution (said once, by each maker), royalty, payouts. Ladder: Assumed -> Rerun. Who earned deposits what is
others' and a stake, and answers with the root of a list of payees. Everything in that list follows from claims
(``due``), so whoever holds them computes it again; a wrong one is challenged, the named verifiers find the right root,
the payees collect by it, and the payer has lost its stake. Nobody is sent anything: each payee collects its own leaf.

What is shared is what the payer says it earned, or the price of a closed sale that it names. That it earned more, where
nobody saw it, no claim here can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from troth.core.claims import Evidence, Ref
from troth.core.errors import ActRefused, BadInput, Misuse, Refuted, Undecidable
from troth.core.terms import REFUTED, SUBMISSION, UPHELD, Account, DealState, Result, Split
from troth.fixed.split import apportion, split
from troth.flows.parts import Party
from troth.flows.royalty_words import POT, ROYALTY, Owed, Part, RoyaltyClaim, payees_of, shared_of, subject_of
from troth.learn.contributions import CONTRIBUTION, Accounts, Contribution, Reading, lineage, settled, silenced
from troth.ledger.payouts import PAYOUTS, Payouts, PayoutsClaim, payouts_subject

OFFER, ORDER = "offer", "order"
"""Claims of a sale that say under which licence a maker got what it used (docs/reference/selling.md)."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a run comes to. parts: ascending by claim, the payer's own too. notes: what is wrong about the makers'
    contribution claims; the parts follow from what is right in their place.
    """

    parts: tuple[Part, ...]
    contributions: tuple[bytes, ...]
    notes: tuple[str, ...]


def due(party: Party, target: bytes, amount: int, accounts: Accounts, read: Reading | None = None) -> Due:
    """How what ``target`` earned is to be shared, from the claims in this party's log.

    A maker that said two different things about one target has lost its say about it: so nobody gains by saying
    another thing when there is something to pay. Raises Undecidable for what is not here.
    """
    said, named, notes = dict[bytes, Contribution](), list[bytes](), list[str]()
    known = _said(party)
    stack = [target]
    while stack:
        node = stack.pop()
        if node in said or node not in known:
            continue
        claims = known[node]
        found, wrong = settled(party, claims[0], accounts, read)
        if len({Contribution.of(party.statement(claim)) for claim in claims}) > 1:
            found, wrong = silenced(party, claims, accounts), "its maker said different things about one target"
        least = licensed(party, found)
        if found.passes < least:
            wrong = wrong or f"it passes on {found.passes} ppm, and licences that its maker ordered ask for {least}"
            found = replace(found, passes=least)
        said[node] = found
        named += claims
        if wrong is not None:
            notes.append(f"{claims[0].hex()[:16]}: {wrong}")
        stack += [row.claim for row in found.rows]
    tree = lineage(party, target, said, accounts)
    shares = split(amount, target, tree.shares)
    parts = tuple(Part(node, tree.accounts[node], shares[node]) for node in sorted(shares) if shares[node])
    return Due(parts, tuple(sorted(named)), tuple(notes))


def licensed(party: Party, said: Contribution) -> int:
    """What the licences that a thing's maker ordered for its sources ask of its earnings, in parts of a million.

    The largest rate among its makers' offers of one of them that the maker ordered; 0 where none is known here.
    Whether an order was ever paid is not looked at: who orders under a licence knows its words.
    """
    maker, listings = party.statement(said.target).issuer, {row.claim for row in said.rows}
    rates = {}
    for claim, statement in party.claims(OFFER):
        licence = statement.body.get("licence")
        royalty = licence.get("royalty") if isinstance(licence, dict) else None
        offered = listings.intersection(statement.all_refs("listing"))
        own = offered and all(party.statement(one).issuer == statement.issuer for one in offered)
        if type(royalty) is int and 0 <= royalty <= 10_000 and own:
            rates[claim] = 100 * royalty
    return max((rates.get(offer, 0) for _, statement in party.claims(ORDER) if statement.issuer == maker
                for offer in statement.all_refs(OFFER)), default=0)


def _said(party: Party) -> dict[bytes, tuple[bytes, ...]]:
    """What makers said about their own things: the claims about each target, ascending."""
    found: dict[bytes, set[bytes]] = {}
    for claim, statement in party.claims(CONTRIBUTION):
        try:
            target = Contribution.of(statement).target
            maker = party.statement(target).issuer
        except (BadInput, Undecidable):  # anybody can sign anything
            continue
        if maker == statement.issuer:
            found.setdefault(target, set()).add(claim)
    return {target: tuple(sorted(claims)) for target, claims in found.items()}


def listed(owed: Owed, deal: bytes, parts: Sequence[Part], pot: int) -> Payouts:
    """The list of payees whose root a result names. pot: what the deal holds; less than is due is shared in proportion.
    """
    payees = payees_of(parts, owed.payer)
    whole = sum(amount for _, amount in payees)
    if whole > pot:
        paid = apportion(pot, [amount for _, amount in payees])
        payees = tuple((account, amount) for (account, _), amount in zip(payees, paid, strict=True) if amount)
    return Payouts(owed.chain_id, owed.book, deal, POT, payees)


# ---- the payer ----

@dataclass(frozen=True, slots=True)
class Run:
    """A run under way: its deal, the royalty claim and the claim with the list of payees."""

    deal: bytes
    claim: bytes
    payouts: bytes


def state_run(party: Party, owed: Owed, accounts: Accounts, to: Iterable[str], read: Reading | None = None) -> Run:
    """Say what is owed and to whom, and hand it over; nothing moves yet.

    Raises Misuse for another's account, nothing to share or stakes that do not deter; Undecidable where the lineage is
    not known here. A contribution claim that is wrong does not stop an honest payer: it pays what is right instead.
    """
    if owed.payer != party.account:
        raise Misuse("somebody else's royalties", expected=party.account.hex(), actual=owed.payer.hex())
    found = due(party, owed.target, owed.amount, accounts, read)
    if owed.contributions != found.contributions:
        raise Misuse("another lineage than is known here", expected=", ".join(one.hex() for one in found.contributions),
                     actual=", ".join(one.hex() for one in owed.contributions))
    return say(party, RoyaltyClaim(owed, found.parts), to)


def say(party: Party, said: RoyaltyClaim, to: Iterable[str]) -> Run:
    """Attest a royalty claim and the list of payees that follows from it, and hand both over with what they rest on.

    What it says is not looked at: ``state_run`` does that first.
    """
    owed, deal = said.owed, said.deal
    refs = [Ref("target", owed.target), *(Ref(CONTRIBUTION, one) for one in owed.contributions)]
    claim = party.attest(ROYALTY, subject_of(deal), said.body(), refs=refs)
    payouts = publish(party, listed(owed, deal, said.parts, shared_of(said.parts, owed.payer)))
    evidence = party.statement(payouts).evidence
    party.send(to, [*owed.contributions, claim, payouts], evidence)
    return Run(deal, claim, payouts)


def publish(party: Party, payouts: Payouts) -> bytes:
    """Keep a list of payees in the open and attest it; the claim's id."""
    item: Evidence = party.add(PAYOUTS, payouts.to_bytes())
    return party.attest(PAYOUTS, [payouts_subject(item)], PayoutsClaim.about(payouts).body(), evidence=[item])


def open_run(party: Party, claim: bytes) -> bytes:
    """The payer opens the deal and deposits what is others', the stake and the keeper's fee; the deal's id."""
    said = RoyaltyClaim.of(party.statement(claim))
    terms = said.owed.terms(shared_of(said.parts, said.owed.payer))
    party.book.open_and_join(party.account, terms, said.owed.salt(), POT)
    join_run(party, said.deal)
    return said.deal


def join_run(party: Party, deal: bytes) -> int:
    """Deposit what this party still owes the deal; the sum."""
    total, state = 0, party.book.state(deal)
    for index, pot in enumerate(state.terms.pots):
        if pot.depositor == party.account and index not in state.joined:
            party.book.join(party.account, deal, index)
            total += pot.amount
    return total


def answer(party: Party, claim: bytes, result: Result | None = None) -> Result:
    """The payer answers with root and total of its list, which the first rung takes at its word.

    result: another answer than the claim's own, as a cheat would give.
    """
    said = RoyaltyClaim.of(party.statement(claim))
    payouts = listed(said.owed, said.deal, said.parts, shared_of(said.parts, said.owed.payer))
    found = result or Result(UPHELD, root=payouts.tree.root, total=payouts.total)
    return party.book.submit_and_judge(party.account, said.deal, 0, 0, claim, found.to_bytes())


# ---- whoever checks ----

@dataclass(frozen=True, slots=True)
class Checked:
    """What a run should be. right: the result that an honest payer gives. faults: what is wrong; none where nothing is.
    payouts: the list behind ``right``. notes: what is wrong about the makers' claims, which the payer need not answer
    for.
    """

    deal: bytes
    right: Result
    faults: tuple[str, ...]
    payouts: Payouts
    said: RoyaltyClaim
    notes: tuple[str, ...] = ()


def run_of(party: Party, deal: bytes) -> tuple[bytes, RoyaltyClaim]:
    """The royalty claim of a deal. Raises Undecidable where it is not here: nothing else says what the deal is for."""
    for claim, statement in party.claims(ROYALTY):
        try:
            found = RoyaltyClaim.of(statement)
        except BadInput:  # anybody can sign anything
            continue
        if found.deal == deal:
            return claim, found
    raise Undecidable("what this deal shares is not known here", actual=deal.hex(),
                      do="Ask the payer for its royalty claim.")


def check_run(party: Party, deal: bytes, accounts: Accounts, read: Reading | None = None) -> Checked:
    """A run held against the claims in this party's log and against the chain.

    1. The deal has the terms that the claim leads to. 2. What is shared is at least the price of the sale that it
    names, if it names one. 3. Everybody's part is what follows from the makers' contributions, or from what is right in
    their place. 4. The payer answered with the root of that list. Raises Undecidable for what is not here, Refuted
    where the deal has other terms: then nothing in it is promised.
    """
    _, said = run_of(party, deal)
    owed, faults = said.owed, list[str]()
    shared = shared_of(said.parts, owed.payer)
    state = _state(party, deal)
    if state.terms != owed.terms(shared):  # 1; cannot be, as the id commits to the terms: a Book that lies
        raise Refuted("this deal has other terms than its royalty claim leads to", actual=deal.hex())
    amount = owed.amount
    if owed.sale is not None:  # 2
        amount, wrong = price_of(party, owed)
        faults += [wrong] if wrong else []
    found = due(party, owed.target, amount, accounts, read)
    if found.parts != said.parts:  # 3
        faults.append(_difference(found.parts, said.parts))
    payouts = listed(owed, deal, found.parts, shared)
    right = Result(UPHELD, root=payouts.tree.root, total=payouts.total)
    given = _answer(state, owed.payer)
    if given is not None and given != right:  # 4
        faults.append("the payer answered with another root")
    return Checked(deal, right, tuple(faults), payouts, said, found.notes)


def find(party: Party, deal: bytes, accounts: Accounts, read: Reading | None = None) -> Checked:
    """A verifier's finding: the payer's answer where it is right, else the right list, and the payer's stake gone."""
    found = check_run(party, deal, accounts, read)
    if not found.faults and _answer(_state(party, deal), found.said.owed.payer) == found.right:
        return found
    wrong = Result(REFUTED, slashed=frozenset({found.said.owed.payer}), root=found.right.root, total=found.right.total)
    return replace(found, right=wrong, faults=found.faults or ("the payer did not answer",))


def evidence(party: Party, deal: bytes) -> bytes:
    """The payer answers the verifiers' call: what the run rests on is handed to them again; the royalty claim."""
    claim, said = run_of(party, deal)
    lists = [one for one, statement in party.claims(PAYOUTS) if statement.issuer == party.did
             and dict(statement.body).get("deal") == deal.hex()]
    items = [item for one in lists for item in party.statement(one).evidence]
    party.send([did for did, _ in said.owed.words.verifiers], [*said.owed.contributions, claim, *lists], items)
    party.book.submit(party.account, deal, 0, 0, claim, b"")
    return claim


def _state(party: Party, deal: bytes) -> DealState:
    try:
        return party.book.state(deal)
    except ActRefused as refusal:
        if refusal.code != "Unknown":
            raise
        raise Undecidable("there is no such deal here", actual=deal.hex(), do="Check the id and the chain.") from None


def _answer(state: DealState, payer: Account) -> Result | None:
    """What the payer put on chain; a result that is none counts as an answer that is wrong."""
    for entry in state.history:
        if (entry.kind, entry.rung, entry.by) == (SUBMISSION, 0, payer):
            try:
                return Result.from_bytes(entry.data)
            except BadInput:
                return Result(REFUTED)
    return None


def price_of(party: Party, owed: Owed) -> tuple[int, str]:
    """What is to be shared where a sale is named, and what is wrong about naming it; empty for nothing.

    Who shares more than its sale came to harms itself alone. Whether what was sold is the target, the chain does not
    say. Raises Misuse where no sale is named, Undecidable for
    one that is not here or not closed.
    """
    if owed.sale is None:
        raise Misuse("no sale is named")
    deal, number = owed.sale
    state = _state(party, deal)
    if state.final is None:
        raise Undecidable("that sale is not closed", actual=deal.hex())
    pot = state.terms.pots[number] if 0 <= number < len(state.terms.pots) else None
    rule = pot.pays.get(UPHELD) if pot is not None else None
    if pot is None or state.terms.token != owed.words.token or not isinstance(rule, Split) or (
            owed.payer not in rule.payees):
        return owed.amount, "the sale that the payer names pays it nothing in this token"
    amount = pot.amount if state.final.outcome == UPHELD else 0
    return max(amount, owed.amount), f"the sale came to {amount}, not to {owed.amount}" if amount > owed.amount else ""


def _difference(right: Sequence[Part], said: Sequence[Part]) -> str:
    due_, given = ({part.claim: (part.account, part.amount) for part in parts} for parts in (right, said))
    at = min(claim for claim in due_.keys() | given.keys() if due_.get(claim) != given.get(claim))
    what, is_said = due_.get(at, (b"", 0)), given.get(at, (b"", 0))
    return (f"{at.hex()[:16]} is due {what[1]} at 0x{what[0].hex()}, and was given {is_said[1]} "
            f"at 0x{is_said[0].hex()}")
