"""Payouts to many for a workspace: publishing the list, checking it before a result is upheld, collecting.

A result that pays by a root names root and total. Who is paid what stands in a list (``troth.ledger.payouts``), which a
``payouts`` claim names and hands over. Rules of ``check_payouts``, which whoever could uphold or challenge runs first:

1. What is checked is the deal's result: the final one, else the newest verdict, else what the one who is asked first
   has answered. An upper rung's evidence is nobody's result.
2. The outcome's root rule needs a root: a result without one would pay the residual account, and no payee.
3. A list that is here, all of it, and leads to root and total within the pot, upholds it, whoever published it.
4. What the claim submitted to the deal published refutes it where it is wrong. A stranger's wrong list refutes nothing.
5. Where there is no list, nobody can say who is paid: undecidable, and not to be upheld.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.terms import SUBMISSION, VERDICT, Account, DealState, Result, Root
from troth.ledger.payouts import MAX_PAYEES, PAYOUTS, Payouts, PayoutsClaim, checked, payouts_subject, publish
from troth.store.cid import Cid
from troth.store.unixfs import PROFILE

if TYPE_CHECKING:
    from troth.app import Troth

Payees = Sequence[tuple[Account, int]]
"""Account and amount, in the token's smallest unit; an account may stand there more than once."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of payouts, its CID, and the claim that names it; None for one that was named by hand."""

    payouts: Payouts
    cid: str
    claim: bytes | None


def publish_payouts(party: Troth, deal: bytes, pot: int, payees: Payees) -> Listed:
    """Keep a list in this party's store and attest it; hand it over by ``party.send``, or ``troth push``.

    Raises Misuse where the pot pays nobody by a root or holds less; BadInput for payees that are none.
    """
    terms = _state(party, deal).terms
    if not 0 <= pot < len(terms.pots) or not any(isinstance(rule, Root) for rule in terms.pots[pot].pays.values()):
        raise Misuse("no pot of this deal that pays by a root", actual=pot,
                     expected=", ".join(str(n) for n, one in enumerate(terms.pots)
                                        if any(isinstance(rule, Root) for rule in one.pays.values())) or "none")
    if not 1 <= len(payees) <= MAX_PAYEES:
        raise BadInput("not a list of payees", expected=f"1 to {MAX_PAYEES}", actual=len(payees))
    for account, amount in payees:
        if len(account) != 20 or not any(account) or not 1 <= amount < 1 << 128:
            raise BadInput("not a payee", expected="an account of 20 bytes, not zero, and an amount of at least 1",
                           actual=f"{account.hex()}: {amount}")
    payouts = Payouts(party.book.chain_id, party.book.address, deal, pot, tuple(payees))
    if payouts.total > terms.pots[pot].amount:
        raise Misuse("the payouts come to more than the pot holds", expected=f"at most {terms.pots[pot].amount}",
                     actual=payouts.total)
    item = party.stored(str(publish(payouts, party.blobs)), PAYOUTS)
    claim = party.attest(PAYOUTS, [payouts_subject(item)], PayoutsClaim.about(payouts).body(), evidence=[item])
    return Listed(payouts, item.cid, claim)


def check_payouts(party: Troth, deal: bytes, *, cid: str | None = None, expect: Payees | None = None) -> Listed:
    """The list behind the deal's result, found here and right. cid: this list and no other. expect: it must pay these.

    Raises Refuted, Undecidable or Pending by the rules above; Misuse where the result's outcome pays nobody by a root.
    """
    state = _state(party, deal)
    result = _result(state)
    found = _behind(party, deal, state, result, _pot(state, result), cid)
    if expect is not None:
        paid, due = (Counter[Account]() for _ in range(2))
        for payees, count in ((found.payouts.payees, paid), (expect, due)):
            for account, amount in payees:
                count[account] += amount
        for account in sorted(paid.keys() | due.keys()):
            if paid[account] != due[account]:
                raise Refuted("the list pays somebody else than it should", expected=f"0x{account.hex()}: "
                              f"{due[account]}", actual=paid[account])
    return found


def collect_payouts(party: Troth, deal: bytes, *, cid: str | None = None,
                    everybody: bool = False) -> tuple[Listed, int]:
    """Collect this party's leaves of a closed deal, or everybody's, through the outbox; (the list, what they come to).

    What was collected already is passed over, so it can be asked for again. Raises Pending before the deal is closed,
    Misuse where nothing is paid by a root, or nothing to this party; what ``check_payouts`` raises; ActRefused.
    """
    state = _state(party, deal)
    if state.final is None:
        if state.status == "void":
            raise Misuse("this deal is void: its deposits went back", actual=deal.hex())
        raise Pending("this deal is not closed", do="Close it when its last window is over: troth deal keep.")
    pot = _pot(state, state.final)
    found = _behind(party, deal, state, state.final, pot, cid)
    payees = found.payouts.payees
    mine = [index for index, (account, _) in enumerate(payees) if everybody or account == party.account]
    if not mine:
        raise Misuse("nothing in this list is this account's", actual="0x" + party.account.hex())
    for leaves in found.payouts.batches(of=mine):
        party.book.collect_many(party.account, deal, pot, leaves)
    return found, sum(payees[index][1] for index in mine)


def _state(party: Troth, deal: bytes) -> DealState:
    """The deal as it stands. Raises Undecidable where this Book has none of this id: that refutes nothing."""
    try:
        return party.book.state(deal)
    except ActRefused as refusal:
        if refusal.code != "Unknown":
            raise
        raise Undecidable("there is no such deal here", actual=deal.hex(), do="Check the id and the chain.") from None


def _result(state: DealState) -> Result:
    """Rule 1."""
    if state.final is not None:
        return state.final
    for entry in reversed(state.history):
        if entry.kind == VERDICT:
            return Result.from_bytes(entry.data)
    first = state.terms.rungs[0]
    for entry in state.history:
        asked = (entry.kind, entry.rung, entry.ask, entry.slot) == (SUBMISSION, 0, len(first.asks) - 1, 0)
        if asked and first.bench == (entry.by,):
            try:
                return Result.from_bytes(entry.data)
            except BadInput:
                break
    raise Pending("there is no result to check yet", do="Check again when there is a verdict.")


def _pot(state: DealState, result: Result) -> int:
    """The pot that this result pays by its root. Raises Refuted by rule 2, Misuse where there is none."""
    pots = [index for index, pot in enumerate(state.terms.pots) if isinstance(pot.pays.get(result.outcome), Root)]
    if not pots:
        raise Misuse("this result pays nobody by a root", actual=f"outcome {result.outcome}")
    if len(pots) > 1:
        raise Undecidable("several pots are paid by one root, and a list is of one pot", actual=pots)
    if not any(result.root):
        raise Refuted("a result without a root, where the terms pay by one", expected="the root of a published list")
    return pots[0]


def _behind(party: Troth, deal: bytes, state: DealState, result: Result, pot: int, cid: str | None) -> Listed:
    """The list of a result, by rules 3 to 5."""
    def right(name: str, claim: bytes | None) -> Listed:
        found = checked(Cid.parse(name), party.blobs, result, chain_id=party.book.chain_id, book=party.book.address,
                        deal=deal, pot=pot, amount=state.terms.pots[pot].amount)
        return Listed(found, name, claim)

    if cid is not None:
        return right(cid, None)
    submitted = {entry.claim for entry in state.history if entry.kind == SUBMISSION}
    wrong: Refuted | Undecidable | None = None
    for claim, name in _lists(party, deal, pot):
        try:
            return right(name, claim)
        except (Refuted, Undecidable) as error:
            if claim in submitted:
                wrong = error
    raise wrong or Undecidable("the list of payees is not here: nobody can say who would be paid",
                               expected="the list that the result's claim names", actual="no such claim here",
                               do="Pull it from whoever answered. Do not uphold the result without it.")


def _lists(party: Troth, deal: bytes, pot: int) -> Iterator[tuple[bytes, str]]:
    """(claim, CID) of every list here that says it is of this pot, oldest first."""
    here = (party.book.chain_id, party.book.address, deal, pot)
    for claim, statement in party.claims(PAYOUTS):
        try:
            said, item = PayoutsClaim.of(statement)
        except BadInput:  # anybody can sign anything
            continue
        if (said.chain_id, said.book, said.deal, said.pot) == here and item.profile == PROFILE.name:
            yield claim, item.cid
