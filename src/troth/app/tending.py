"""What is due in a workspace's sales: as seller, buyer or verifier, each step safe to repeat (troth market tend)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.app import market
from troth.app.keeping import short
from troth.core.claims import Statement
from troth.core.deals import phase
from troth.core.encoding import sha256
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Pending, Refuted, TrothError, Undecidable
from troth.core.terms import CHALLENGE, SUBMISSION, UPHELD, VERDICT, Account, DealState
from troth.core.times import moment
from troth.flows import sale as flow
from troth.flows import sale_bench as bench
from troth.flows.sale_bench import tell_judges
from troth.flows.sale_checks import Finding
from troth.flows.sale_deal import INSPECTED, Sale, read, state_of
from troth.flows.sale_fit import Fitting
from troth.flows.sale_words import COMPLAINT, HANDOVER, INSPECTION, ORDER, WHOLE, Offer
from troth.learn.claims import LISTING
from troth.store.cid import Cid
from troth.store.files import replacing
from troth.store.wrapping import RecipientPublic, wrap

if TYPE_CHECKING:
    from troth.app import Troth


MOST_STAKE = 4
"""So many times what a seat earns may be staked on it."""


@dataclass(frozen=True, slots=True)
class Did:
    """One thing that was done, or was not: what, for which order, and why not."""

    what: str
    order: bytes
    refused: str = ""

    def json(self) -> dict[str, str]:
        """As ``--json`` prints it."""
        return {"did": self.what, "order": self.order.hex(), "refused": self.refused}


def tend(party: Troth, fitting: Fitting | None = None) -> tuple[Did, ...]:
    """Take in what waits, then do everything that is due now and safe; what was done.

    As seller: orders are answered, secrets shown once the deposits are final, closed deals closed and licences minted.
    As buyer: what was ordered is paid, opened, compared and, where it is rubbish, complained of. As verifier: seats are
    taken, evidence shared, findings committed and revealed. What one sale refuses holds up no other.

    fitting: as seller, keys are proven to fit (``app.fitting.for_seller``); as buyer, nothing is paid without such a
    proof (``app.fitting.for_buyer``).
    """
    if party.settings.exchange:
        party.receive()
    done: list[Did] = []
    for order, statement in list(party.claims(ORDER)):
        old = party.clock.now() - statement.issued_at > market.ORDER_LIFE
        if not old and _mine(party, statement) and not any(market.handovers_of(party, order)):
            _try(done, "handed over", order, partial(_hand, party, order, fitting))
    for handover, _ in list(party.claims(HANDOVER)):
        try:
            sale, _ = read(party, handover)
        except TrothError:
            continue  # of a sale that is not known here
        try:
            _advance(party, handover, sale, done, fitting)
        except Pending:
            continue
        except (Refuted, Undecidable, Misuse) as error:
            done.append(Did("looked at", sale.order_id, error.diagnostics()))
    return tuple(done)


def _try(done: list[Did], what: str, order: bytes, act: Callable[[], Any]) -> bool:
    try:
        act()
    except Pending:
        return False
    except (Refuted, Undecidable, Misuse) as error:
        done.append(Did(what, order, error.diagnostics()))
        return False
    done.append(Did(what, order))
    return True


def _mine(party: Troth, order: Statement) -> bool:
    try:
        return party.statement(order.ref("offer")).issuer == party.did
    except (BadInput, Undecidable):
        return False


def _hand(party: Troth, order: bytes, fitting: Fitting | None) -> None:
    offer = Offer.of(party.statement(party.statement(order).ref("offer")))
    flow.hand(party, order, market.root(party), market.data_key(party, offer.cid),
              party.identity.account.sign_digest, party.chain.now(), fitting)


def _advance(party: Troth, handover: bytes, sale: Sale, done: list[Did], fitting: Fitting | None) -> None:
    state = state_of(party, sale)
    if party.statement(sale.order_id).issuer == party.did:
        _as_buyer(party, handover, sale, state, done, fitting)
    elif party.account == sale.offer.deal.seller:
        _as_seller(party, handover, sale, state, done)
    elif state is not None and party.account in [judge.account for judge in sale.offer.deal.verifiers]:
        _as_verifier(party, handover, sale, state, done)


def _as_buyer(party: Troth, handover: bytes, sale: Sale, state: DealState | None, done: list[Did],
              fitting: Fitting | None) -> None:
    order = sale.order_id
    own = party.account == sale.order.account  # an order for a policy account is paid through it (shopping.py)
    if state is None:
        if own and party.chain.now() < sale.fund_by and not _funded_otherwise(party, handover, order):
            _try(done, "paid", order, lambda: _pay(party, handover, sale, fitting))
        return
    if not own and state.status == "funding":
        tell_judges(party, sale, handover)
    if state.status == "running":
        found = _delivered(party, handover, sale)
        if found is not None and found.outcome == UPHELD:
            keep(party, sale, found)
            done.append(Did("opened", order))
        elif found is not None and not _said(party, COMPLAINT, sale):
            _try(done, f"complained: {found.why}", order, lambda: _complain(party, handover, sale))
    _end(party, handover, sale, state, done)


def _delivered(party: Troth, handover: bytes, sale: Sale) -> Finding | None:
    """What was delivered, once it is; None before, and where the key of this very delivery is kept already."""
    secret = market.root(party)
    try:
        key = flow.key_of(party, handover, secret)
    except Pending:
        return None
    except Refuted:
        key = b""
    if key and party.keyring.get(sale.offer.cid, short(party.did)) and market.data_key(party, sale.offer.cid) == key:
        return None
    try:
        return flow.receive_goods(party, handover, secret)
    except Refuted:
        return None  # no secret came: there is nothing to look at


def _funded_otherwise(party: Troth, handover: bytes, order: bytes) -> bool:
    """Whether another answer to this order was paid: one order is paid once."""
    others = (read(party, one)[0] for one in market.handovers_of(party, order) if one != handover)
    return any(state_of(party, other) is not None for other in others)


def ask_proof(party: Troth, order: bytes) -> None:
    """Whoever tends this workspace from now on pays for this order only with a proof that the key fits. Raises OSError.
    """
    with replacing(_asking(party, order), 0o600) as out:
        out.write(order)


def _asking(party: Troth, order: bytes) -> Path:
    return party.root / f"fit-{order.hex()}"


def _pay(party: Troth, handover: bytes, sale: Sale, fitting: Fitting | None) -> None:
    if fitting is None and _asking(party, sale.order_id).exists():
        raise Misuse("this was ordered with a proof that its key fits; nothing was paid",
                     do="Name the keys to check it by: troth market tend --fit FOLDER.")
    market.allow(party, sale.offer.deal.token, sale.offer.deal.money.price)
    _held(party, sale)
    flow.fund(party, handover, market.root(party), party.chain.now(), fitting)


def _held(party: Troth, sale: Sale) -> None:
    """Refuse by name where the seller's stake is not there: the token itself would only say no. Raises Misuse."""
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.erc20 import Erc20

    deal = sale.offer.deal
    held = Erc20(party.chain.web3, deal.token).balance(deal.seller)
    if held < deal.money.stake:
        raise Misuse("the seller holds less than its stake; nothing was paid", expected=deal.money.stake, actual=held,
                     do=f"Once 0x{deal.seller.hex()} holds it, call this again.")


def _complain(party: Troth, handover: bytes, sale: Sale) -> None:
    money = sale.offer.deal.money
    market.allow(party, sale.offer.deal.token, money.bond + money.fee)
    flow.complain(party, handover, market.root(party))


def keep(party: Troth, sale: Sale, found: Finding) -> None:
    """Keep the key of what was bought, wrapped to this party."""
    cid = Cid.parse(sale.offer.cid)
    own = RecipientPublic(party.identity.recipients[-1].public)
    party.keyring.keep(sale.offer.cid, short(party.did), wrap(found.data_key, own, cid.encode()))


def _as_seller(party: Troth, handover: bytes, sale: Sale, state: DealState | None, done: list[Did]) -> None:
    if state is None:
        return
    if state.status == "running" and not any(entry.rung == 0 for entry in state.history) and _final(party, sale):
        _try(done, "delivered", sale.order_id,
             lambda: flow.show(party, handover, market.root(party)))
        state = party.book.state(sale.deal())
    _end(party, handover, sale, state, done)


def _final(party: Troth, sale: Sale) -> bool:
    """Whether the deposits cannot be taken back any more: a secret that was shown stays shown."""
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.fees import Heads
    from troth.ledger.outbox import FINALIZED

    number = Heads(party.chain.web3, party.sender.depth).number(FINALIZED)
    return number >= 0 and party.book.unchanged_since(sale.deal(), number)


def _as_verifier(party: Troth, handover: bytes, sale: Sale, state: DealState, done: list[Did]) -> None:
    deal, account = sale.deal(), party.account
    pots = {index for index, pot in enumerate(sale.terms().pots) if pot.depositor == account}
    if state.status == "funding" and pots - state.joined and party.chain.now() < sale.fund_by:
        _try(done, "took its seat", sale.order_id, lambda: _sit(party, handover, sale))
        return
    if state.status != "running" or state.rung != INSPECTED:
        return
    at = phase(state, party.chain.now())
    answered = {(entry.ask, entry.by) for entry in state.history
                if entry.kind == SUBMISSION and entry.rung == INSPECTED}
    # The same salt again after a crash, which nobody else can know.
    salt = sha256(b"troth/sale/salt\n" + market.root(party) + deal)
    if at.ask == 0 and (0, account) not in answered:
        shared = bench.pass_on(party, handover)
        # Whoever holds no evidence waits for what another verifier may still pass on.
        if shared or party.chain.now() >= at.ask_start + sale.offer.deal.periods.look // 2:
            _try(done, "committed", sale.order_id, lambda: bench.commit(party, handover, salt))
    elif at.ask == 1 and (0, account) in answered and (1, account) not in answered:
        for claim in _said(party, INSPECTION, sale):
            _try(done, "revealed", sale.order_id, partial(bench.reveal, party, claim, salt))
    elif at.frozen_at is not None and not _judged(state):
        _try(done, "judged", sale.order_id, lambda: party.book.judge(account, deal))


def _sit(party: Troth, handover: bytes, sale: Sale) -> None:
    """Stake on a sale, where its words and contracts are ones to stake on, and on no more than a seat is worth: anybody
    can name this party a judge, beside others who lie. Raises Refuted, Misuse, Undecidable.
    """
    deal = sale.offer.deal
    deal.check()
    try:
        market.check_contracts(party, deal)
    except OutsideFailed as error:  # of this sale alone: it must hold up no other
        raise Refuted(f"contracts not to stake by: {error.message}", expected=error.expected,
                      actual=error.actual) from None
    most = MOST_STAKE * (deal.money.fee // len(deal.verifiers)) + 1
    if deal.money.verifier_stake > most:
        raise Misuse("a seat that could lose far more than it earns", expected=f"a stake of at most {most}",
                     actual=deal.money.verifier_stake, do="Do not take it.")
    market.allow(party, deal.token, deal.money.verifier_stake)
    bench.join_bench(party, handover)


def _judged(state: DealState) -> bool:
    return any(entry.kind == VERDICT and entry.rung == state.rung for entry in state.history)


def _said(party: Troth, kind: str, sale: Sale) -> list[bytes]:
    """This party's own claims of a kind about a sale, newest first."""
    deal = sale.deal().hex()
    return [claim for claim, statement in party.claims(kind)
            if statement.issuer == party.did and statement.body.get("deal") == deal][::-1]


def _end(party: Troth, handover: bytes, sale: Sale, state: DealState, done: list[Did]) -> None:
    """Close what can be closed, and mint the licence of what closed for the seller."""
    if state.status in ("funding", "running") and _closable(party, state):
        try:
            outcome = flow.finish(party, handover)
        except ActRefused as refusal:
            if refusal.code not in ("NotYet", "TooEarly", "Closed"):
                raise
            return
        done.append(Did("closed, void" if outcome is None else "closed, paid" if outcome.outcome == UPHELD
                        else "closed, refunded", sale.order_id))
        state = party.book.state(sale.deal())
    if state.status == "closed" and state.final is not None and state.final.outcome == UPHELD:
        _mint(party, sale, done)


def _closable(party: Troth, state: DealState) -> bool:
    now, terms = party.chain.now(), state.terms
    if state.status == "funding":
        return now >= terms.fund_by
    at, rung = phase(state, now), terms.rungs[state.rung]
    spoken = max((entry.at for entry in state.history if entry.kind == VERDICT and entry.rung == state.rung), default=0)
    if spoken:
        return now >= spoken + rung.window
    return at.frozen_at is not None and now >= at.frozen_at + rung.verdict_period + rung.window


def _mint(party: Troth, sale: Sale, done: list[Did]) -> None:
    if "licences" not in party.contracts.named:
        return
    if not _granted(party, sale):
        _try(done, "licence minted", sale.order_id, lambda: market.licences(party).mint(
            party.sender, party.book.brought(sale.deal()), sale.words()))


def standing(party: Troth, order: bytes) -> dict[str, Any]:
    """Where an order stands: ordered, handed over, paid, delivered, opened, complained of, closed."""
    statement = party.statement(order)
    offer = Offer.of(party.statement(statement.ref("offer")))
    found: dict[str, Any] = {"order": order.hex(), "offer": statement.ref("offer").hex(), "name": offer.name,
                             "state": "ordered", "deal": "", "until": 0}
    for handover in market.handovers_of(party, order):
        sale, _ = read(party, handover)
        state = state_of(party, sale)
        found |= {"deal": sale.deal().hex(), "until": sale.until, "state": _state(party, sale, state)}
        if state is not None:
            return found
    return found


def unlicensed(party: Troth, offer: bytes, account: Account) -> str:
    """Why no licence for an offer stands for an account that has none, as far as this workspace knows the sale."""
    known = "no sale of it to this account is known here"
    for handover, _ in party.claims(HANDOVER):
        try:
            sale, _ = read(party, handover)
        except TrothError:
            continue  # of a sale that is not known here
        state = state_of(party, sale) if (sale.offer_id, sale.order.account) == (offer, account) else None
        if state is None:
            continue
        if state.status in ("funding", "running"):
            return (f"the sale is not closed yet; the licence is minted when it is, on {moment(state.terms.closes_by)} "
                    "at the latest. Once the time to complain is over, troth market tend closes and mints")
        known = ("the sale was refunded or void" if state.final is None or state.final.outcome != UPHELD else
                 "it is over or revoked" if _granted(party, sale) else "not minted yet: troth market tend mints it")
    return known


def _granted(party: Troth, sale: Sale) -> bool:
    try:
        market.licences(party).granted(sale.deal())
    except Undecidable:
        return False
    return True


def foreseen(party: Troth, listing: bytes) -> list[dict[str, Any]]:
    """What the licences of everything sold of a listing foresee once it is erased, as far as this party knows.

    Of each sale that closed for the seller and whose licence is not over: who holds it, whether it stays or ends, and
    what the seller then owes, in the token's smallest unit. No pot holds that: it is owed by the seller's word.
    """
    found = []
    for handover, _ in party.claims(HANDOVER):
        try:
            sale, _ = read(party, handover)
            rests = listing == party.statement(sale.offer_id).ref(LISTING)
        except TrothError:
            continue  # of a sale that is not known here
        state = state_of(party, sale) if rests and party.chain.now() <= sale.until else None
        if state is not None and state.final is not None and state.final.outcome == UPHELD:
            licence, price = sale.offer.licence, sale.offer.deal.money.price
            found.append({"deal": sale.deal().hex(), "holder": "0x" + sale.order.account.hex(),
                          "erasure": licence.erasure, "owed": str(price * licence.refund // WHOLE),
                          "until": sale.until})
    return found


def _state(party: Troth, sale: Sale, state: DealState | None) -> str:
    if state is None:
        return "handed over" if party.chain.now() < sale.fund_by else "lapsed"
    if state.status == "closed" and state.final is not None:
        return "closed, paid" if state.final.outcome == UPHELD else "closed, refunded"
    if state.status == "void":
        return "closed, void"
    if any(entry.kind == CHALLENGE for entry in state.history):
        return "complained of"
    if state.status == "funding":
        return "waits for the verifiers"
    opened = party.keyring.get(sale.offer.cid, short(party.did)) is not None
    return "opened" if opened and party.statement(sale.order_id).issuer == party.did else (
        "delivered" if state.history else "paid")
