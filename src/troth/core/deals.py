"""The rules of a deal as a pure state machine: docs/reference/deals.md, whose sections the comments cite.

No I/O, no clock: ``now`` is Unix seconds, passed in. A ``Deal`` never changes; each act returns the next one, and what
money moves with it (the Book moves it). A refused act raises ActRefused with the rule's code and gives nothing back,
so it can change nothing. Order of the refusals is the page's.

================ ===============================================================================================
act              what moves
================ ===============================================================================================
``opened``       nothing
``join``         the pot's amount from its depositor
``submit``       nothing
``judge``        nothing
``challenge``    the bond and the next rung's fee pots from the challenger
``close``        credits that sum exactly to all deposits and bonds, less what stays for roots
``collect``      one leaf of a root
``sweep``        the rest of a root
================ ===============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from troth.core.deals_terms import (
    MAX_ANSWER,
    MAX_DATA,
    MAX_SLASHED,
    MAX_VALUES,
    benches,
    check_account,
    check_number,
    fee_rung,
)
from troth.core.errors import ActRefused, BadInput
from troth.core.payouts import proves
from troth.core.settlement import Credit, Kept, Settled, settle
from troth.core.terms import (
    CHALLENGE,
    SUBMISSION,
    VERDICT,
    Account,
    DealState,
    Entry,
    Result,
    Root,
    Rung,
    Terms,
    history_hash,
    payout_leaf,
)
from troth.core.times import moment

Status = Literal["funding", "running", "closed", "void"]


@dataclass(frozen=True, slots=True)
class Deal:
    """A deal between acts.

    ask, ask_start: the current rung's ask as of the last act (time alone may have passed it; ``phase`` says).
    digest: the history's rolling hash. kept: what stays to be collected after the close, by pot.
    """

    id: bytes
    terms: Terms
    digest: bytes
    status: Status = "funding"
    joined: frozenset[int] = frozenset()
    rung: int = 0
    ask: int = 0
    ask_start: int = 0
    history: tuple[Entry, ...] = ()
    final: Result | None = None
    kept: tuple[Kept, ...] = ()

    def state(self) -> DealState:
        """The deal as every Book shows it."""
        return DealState(self.terms, self.status, self.joined, self.rung, self.ask, self.ask_start, self.history,
                         self.final)


@dataclass(frozen=True, slots=True)
class Phase:
    """Where the current rung stands at some time. ``ask`` counts all asks once the rung is frozen."""

    ask: int
    ask_start: int
    frozen_at: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """All that a policy may see (section 5): not the caller, not the time of the call."""

    deal: bytes
    rung: int
    terms: Rung
    frozen_at: int
    history: tuple[Entry, ...]


def opened(deal: bytes, terms: Terms) -> Deal:
    """A deal on terms that ``deals_terms.check`` let pass. The history starts from the deal's id (section 4)."""
    return Deal(deal, terms, deal)


def phase(deal: Deal | DealState, now: int) -> Phase:
    """The ask of the current rung that runs at ``now``, through asks whose period ended unanswered (section 4)."""
    asks = deal.terms.rungs[deal.rung].asks
    ask, start = deal.ask, deal.ask_start
    while ask < len(asks) and now >= start + asks[ask].period:
        start += asks[ask].period
        ask += 1
    return Phase(ask, start, start if ask == len(asks) else None)


def verdict(deal: Deal, rung: int) -> Entry | None:
    """The recorded verdict of a rung, if there is one."""
    return next((entry for entry in deal.history if entry.kind == VERDICT and entry.rung == rung), None)


def fee_pots(terms: Terms, rung: int) -> tuple[int, ...]:
    """Indices of the pots that whoever starts ``rung`` deposits."""
    return tuple(index for index, pot in enumerate(terms.pots) if fee_rung(pot, len(terms.rungs)) == rung)


def entry_cost(terms: Terms, rung: int) -> int:
    """What challenging ``rung`` costs: its bond and the next rung's fees, in the smallest unit."""
    return terms.rungs[rung].bond + sum(terms.pots[index].amount for index in fee_pots(terms, rung + 1))


def join(deal: Deal, pot: int, now: int) -> Deal:
    """Section 3, from NotFunding to Joined, consent and depositor checked by ``check_join``'s caller.

    The last pot that is not a fee pot starts rung 0.
    """
    joined = deal.joined | {pot}
    needed = {index for index, one in enumerate(deal.terms.pots) if fee_rung(one, len(deal.terms.rungs)) is None}
    if joined != needed:
        return replace(deal, joined=joined)
    return replace(deal, joined=joined, status="running", ask_start=now)


def check_join(deal: Deal, by: Account, pot: int, now: int, *, consented: bool = False) -> None:
    """Refuse a join as section 3 does, up to Joined. ``consented``: somebody else brings the depositor's consent."""
    terms = deal.terms
    if not 0 <= pot < len(terms.pots):
        raise ActRefused("BadTerms", "the deal has no such pot", expected=f"0 to {len(terms.pots) - 1}", actual=pot)
    if deal.status != "funding":
        raise ActRefused("NotFunding", "the deal takes no more deposits", expected="funding", actual=deal.status)
    if now >= terms.fund_by:
        raise ActRefused("TooLate", "the time to fund is over", expected=f"before {moment(terms.fund_by, now)}",
                         do="Close the deal: what was deposited goes back.")
    depositor = terms.pots[pot].depositor
    if fee_rung(terms.pots[pot], len(terms.rungs)) is not None or (by != depositor and not consented):
        # A deal named a victim as depositor once and spent the approval it had given the Book.
        raise ActRefused("NotDepositor", f"pot {terms.pots[pot].name!r} is not yours to deposit",
                         expected=depositor.hex(), actual=by.hex(), do="Bring the depositor's signed consent.")
    if pot in deal.joined:
        raise ActRefused("Joined", "this pot is deposited already")


def submit(deal: Deal, by: Account, ask: int, slot: int, claim: bytes, data: bytes, now: int) -> Deal:
    """Section 4: answer an ask of the current rung. The entry counts from ``now``; nothing can replace it.

    Raises ActRefused, and BadInput for a claim that is not 32 bytes.
    """
    if len(claim) != 32:
        raise BadInput("not a claim id", expected="32 bytes", actual=f"{len(claim)} bytes")
    _running(deal)
    if len(data) > MAX_DATA:
        raise ActRefused("TooLong", "too much data for the chain", expected=f"at most {MAX_DATA} bytes",
                         actual=len(data), do="Submit a digest, and the bytes off chain.")
    rung = deal.terms.rungs[deal.rung]
    at = phase(deal, now)
    if at.frozen_at is None and ask > at.ask:
        raise ActRefused("TooEarly", f"ask {ask} has not started", expected=f"ask {at.ask}", actual=ask)
    if at.frozen_at is not None or ask < at.ask:
        raise ActRefused("TooLate", f"ask {ask} is over", actual=f"time {now}",
                         expected="nothing more: the evidence is frozen" if at.frozen_at else f"ask {at.ask}")
    who = rung.asked(ask)
    if by not in who:
        raise ActRefused("NotNamed", f"ask {rung.asks[ask].kind!r} is not put to you", actual=by.hex(),
                         expected=", ".join(account.hex() for account in who))
    if not 0 <= slot < rung.asks[ask].slots:
        raise ActRefused("BadSlot", "no such slot", expected=f"0 to {rung.asks[ask].slots - 1}", actual=slot)
    here = [entry for entry in deal.history
            if entry.kind == SUBMISSION and entry.rung == deal.rung and entry.ask == ask]
    if any(entry.by == by and entry.slot == slot for entry in here):
        raise ActRefused("Duplicate", "this slot is filled and evidence cannot be replaced", expected="an empty slot",
                         actual=slot)
    entry = Entry(SUBMISSION, by, deal.rung, ask, slot, now, claim, data)
    if len(here) + 1 == len(who) * rung.asks[ask].slots:
        # Everybody answered: the ask ends at this moment and the next one starts.
        return replace(_append(deal, entry), ask=ask + 1, ask_start=now)
    return replace(_append(deal, entry), ask=ask, ask_start=at.ask_start)


def question(deal: Deal, now: int) -> Question:
    """Section 5, from NotRunning to TooLate: what the policy is to be asked. Raises ActRefused."""
    _running(deal)
    rung = deal.terms.rungs[deal.rung]
    frozen_at = phase(deal, now).frozen_at
    if frozen_at is None:
        raise ActRefused("TooEarly", "the evidence is not frozen", expected="every ask answered or over",
                         do="Wait for the last ask to end.")
    if verdict(deal, deal.rung) is not None:
        raise ActRefused("Judged", "this rung has its verdict")
    if now >= frozen_at + rung.verdict_period:
        raise ActRefused("TooLate", "this rung is silent for good", actual=now, do="Challenge the silence, or close.",
                         expected=f"before {frozen_at + rung.verdict_period}")
    return Question(deal.id, deal.rung, rung, frozen_at, deal.history)


def record(deal: Deal, by: Account, answer: bytes | None, now: int) -> Deal:
    """Section 5, NoVerdict to BadResult: record what the policy answered to ``question``. Raises ActRefused."""
    if not answer:
        raise ActRefused("NoVerdict", "the policy says nothing on this evidence", expected="a verdict",
                         do="Without one by the end of the verdict period the rung is silent.")
    if len(answer) > MAX_ANSWER:
        raise ActRefused("PolicyFailed", "the policy answers too much", expected=f"at most {MAX_ANSWER} bytes",
                         actual=len(answer))
    try:
        found = Result.from_bytes(answer)
    except BadInput as error:
        raise ActRefused("BadResult", "the policy's answer is not a result", expected=error.expected,
                         actual=error.actual) from None
    _check_result(deal, found)
    return _append(deal, Entry(VERDICT, by, deal.rung, 0, 0, now, bytes(32), answer))


def _check_result(deal: Deal, found: Result) -> None:
    terms = deal.terms
    # Who is yet to judge has done nothing, and benches do not count in comparisons: nobody could object.
    above = frozenset(account for rung in terms.rungs[deal.rung + 1:] for account in rung.bench)
    known = (depositors(deal) | benches(terms)) - above
    if found.outcome == 0:
        raise ActRefused("BadResult", "0 is no outcome", expected="1 to 255")
    if len(found.values) > MAX_VALUES or len(found.slashed) > MAX_SLASHED:
        raise ActRefused("BadResult", "a result too large to settle",
                         expected=f"at most {MAX_VALUES} values and {MAX_SLASHED} slashed",
                         actual=f"{len(found.values)} and {len(found.slashed)}")
    if not found.slashed <= known:
        raise ActRefused("BadResult", "slashes an account that deposited nothing and judged nothing yet",
                         actual=min(found.slashed - known).hex())
    if (found.root == bytes(32)) != (found.total == 0):
        raise ActRefused("BadResult", "a root without a total, or a total without a root", expected="both or neither")
    for pot in terms.pots:
        if isinstance(pot.pays.get(found.outcome), Root) and found.total > pot.amount:
            raise ActRefused("BadResult", f"the root pays more than pot {pot.name!r} holds", expected=pot.amount,
                             actual=found.total)


def depositors(deal: Deal) -> frozenset[Account]:
    """Every account that deposited a pot with ``join``. A fee pot is no stake: its challenger is not among them."""
    return frozenset(deal.terms.pots[index].depositor for index in deal.joined)


def holders(deal: Deal) -> tuple[Account | None, ...]:
    """Who deposited each pot; None where nobody has."""
    climbed = {entry.rung + 1: entry.by for entry in deal.history if entry.kind == CHALLENGE}
    found: list[Account | None] = []
    for index, pot in enumerate(deal.terms.pots):
        fee = fee_rung(pot, len(deal.terms.rungs))
        if fee is not None:
            found.append(climbed.get(fee))
        else:
            found.append(pot.depositor if index in deal.joined else None)
    return tuple(found)


def challenge(deal: Deal, by: Account, now: int) -> Deal:
    """Section 7: climb. The caller brings ``entry_cost``. Raises ActRefused, TransferFailed left to the Book."""
    _running(deal)
    terms = deal.terms
    if deal.rung == len(terms.rungs) - 1:
        raise ActRefused("TopRung", "there is no rung above")
    starts = window_start(deal, now)
    if starts is None:
        raise ActRefused("TooEarly", "there is neither a verdict nor silence to challenge yet",
                         do="Wait for the verdict, or for the end of the verdict period.")
    ends = starts + terms.rungs[deal.rung].window
    if now >= ends:
        raise ActRefused("TooLate", "the window is closed", expected=f"before {ends}", actual=now, do="Close the deal.")
    if any(by in rung.bench for rung in terms.rungs[deal.rung + 1:]):
        # A verifier of 2-of-2 that challenges would empty its own bench.
        raise ActRefused("BenchMember", "you judge above this rung", expected="an account of no bench above",
                         actual=by.hex())
    if by == terms.wrong_bonds:
        raise ActRefused("WrongBonds", "a wrong bond would come back to you", expected="another account",
                         actual=by.hex())
    climbed = _append(deal, Entry(CHALLENGE, by, deal.rung, 0, 0, now, bytes(32), b""))
    return replace(climbed, rung=deal.rung + 1, ask=0, ask_start=now)


def window_start(deal: Deal, now: int) -> int | None:
    """When the current rung's window opened: at the verdict, or when silence began; None if not yet (section 7)."""
    recorded = verdict(deal, deal.rung)
    if recorded is not None:
        return recorded.at
    frozen_at = phase(deal, now).frozen_at
    if frozen_at is None or now < frozen_at + deal.terms.rungs[deal.rung].verdict_period:
        return None
    return frozen_at + deal.terms.rungs[deal.rung].verdict_period


def close(deal: Deal, by: Account, now: int, tick: Callable[[int], int]) -> tuple[Deal, tuple[Credit, ...]]:
    """Section 8: the closed deal and what it pays, one credit an account. ``tick``: a rung's policy's tick.

    The credits and what stays for roots sum exactly to deposits and bonds. Raises ActRefused.
    """
    if deal.status in ("closed", "void"):
        raise ActRefused("Closed", "the deal is closed", actual=deal.status)
    if deal.status == "funding":
        if now < deal.terms.fund_by:
            raise ActRefused("NotYet", "the deal can still be joined", 
                             expected=f"{moment(deal.terms.fund_by, now)} or later")
        refunds: dict[Account, int] = {}
        for index in sorted(deal.joined):
            pot = deal.terms.pots[index]
            refunds[pot.depositor] = refunds.get(pot.depositor, 0) + pot.amount
        return replace(deal, status="void"), tuple(Credit(account, amount) for account, amount in refunds.items())
    starts = window_start(deal, now)
    # The top rung's window is zero, so it closes as soon as it has spoken or is silent.
    if starts is None or now < starts + deal.terms.rungs[deal.rung].window:
        raise ActRefused("NotYet", "the deal is still being judged or can be challenged", actual=now,
                         do="Wait for the end of the window.")
    settled: Settled = settle(deal.terms, deal.rung, holders(deal), deal.history, by, now, tick)
    return replace(deal, status="closed", final=settled.final, kept=settled.kept), settled.credits


def collect(deal: Deal, chain_id: int, book: Account, pot: int, leaf: tuple[int, Account, int],
            proof: Sequence[bytes], now: int) -> tuple[Deal, Credit]:
    """Section 9: pay leaf (index, account, amount) of the root kept for ``pot``. Raises ActRefused."""
    place, kept = _collectable(deal, pot, now)
    index, account, amount = leaf
    check_number(index, 256)
    check_account(account)
    check_number(amount, 128)
    if index in kept.collected:
        raise ActRefused("Collected", "this leaf is paid", actual=index)
    if not proves(payout_leaf(chain_id, book, deal.id, pot, index, account, amount), proof, kept.root):
        raise ActRefused("BadProof", "this leaf is not under the verdict's root", expected=kept.root.hex())
    if amount > kept.left:
        raise ActRefused("OverTotal", "the root pays more than was kept for it", expected=f"at most {kept.left}",
                         actual=amount)
    rest = replace(kept, left=kept.left - amount, collected=kept.collected | {index})
    return _keep(deal, place, rest), Credit(account, amount)


def collect_many(deal: Deal, chain_id: int, book: Account, pot: int,
                 leaves: Sequence[tuple[tuple[int, Account, int], Sequence[bytes]]],
                 now: int) -> tuple[Deal, tuple[Credit, ...]]:
    """Section 9: every (leaf, proof) that is not collected yet. Raises ActRefused for any that ``collect`` refuses."""
    kept = _collectable(deal, pot, now)[1]
    done, credits = set(kept.collected), list[Credit]()
    for leaf, proof in leaves:
        # One that was collected meanwhile is passed over: nobody can stop a batch by collecting one of it.
        if leaf[0] not in done:
            deal, credit = collect(deal, chain_id, book, pot, leaf, proof, now)
            credits.append(credit)
            done.add(leaf[0])
    return deal, tuple(credits)


def sweep(deal: Deal, pot: int, now: int) -> tuple[Deal, Credit]:
    """Section 9: after the term, what was not collected goes to the residual account. Raises ActRefused."""
    place, kept = _kept(deal, pot)
    if now < kept.ends:
        raise ActRefused("NotYet", "it can still be collected", expected=f"{kept.ends} or later", actual=now)
    if kept.swept:
        raise ActRefused("Swept", "the rest is paid")
    return _keep(deal, place, replace(kept, left=0, swept=True)), Credit(kept.residual, kept.left)


def _collectable(deal: Deal, pot: int, now: int) -> tuple[int, Kept]:
    place, kept = _kept(deal, pot)
    if now >= kept.ends:
        raise ActRefused("TooLate", "the time to collect is over", expected=f"before {kept.ends}", actual=now)
    return place, kept


def _kept(deal: Deal, pot: int) -> tuple[int, Kept]:
    for place, kept in enumerate(deal.kept):
        if kept.pot == pot:
            return place, kept
    raise ActRefused("NoRoot", "nothing is kept under a root for this pot", actual=pot,
                     do="Only a closed deal's pot whose rule was a root can be collected.")


def _keep(deal: Deal, place: int, kept: Kept) -> Deal:
    return replace(deal, kept=(*deal.kept[:place], kept, *deal.kept[place + 1:]))


def _running(deal: Deal) -> None:
    if deal.status != "running":
        raise ActRefused("NotRunning", "the deal is not running", expected="running", actual=deal.status)


def _append(deal: Deal, entry: Entry) -> Deal:
    return replace(deal, history=(*deal.history, entry), digest=history_hash(deal.digest, entry))
