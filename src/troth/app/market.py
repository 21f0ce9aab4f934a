"""A workspace's sales: putting things up, finding them, checking and buying them (docs/reference/selling.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from troth.app.keeping import short
from troth.app.shelf import NAME, Filters, Found, Shelf
from troth.core.claims import Ref
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.core.terms import Account
from troth.core.times import span
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.flows import sale as flow
from troth.flows.parts import Pin
from troth.flows.sale_checks import MOST_PREVIEW, Goods, check_standing, goods_of, table
from troth.flows.sale_deal import read, state_of
from troth.flows.sale_words import (
    EVALUATION,
    HANDOVER,
    OFFER,
    ORDER,
    WHOLE,
    Deal,
    Evaluation,
    Judge,
    Licence,
    Money,
    Offer,
    Periods,
)
from troth.identity.jsondoc import time_text
from troth.learn.claims import LISTING, Listing, digest_subject
from troth.store.cid import Cid
from troth.store.delivery import content_of
from troth.store.sealing import check_key
from troth.verify.trust import Trust

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.ledger.deploy import Contracts
    from troth.ledger.licences import Licences

EVALUATOR, VERIFIER = "evaluator", "verifier"
"""Roles in a trust file: whose evaluations count, who may inspect."""
QUORUM = 2
"""How many verifiers decide."""
ORDER_LIFE = 86_400
"""Seconds after which an order that nobody answered is over."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a seller wishes. price in the token's smallest unit; what is None follows from it (``money``).

    rows, columns: of a table they are counted and read. consents: claims by the persons that the data are about.
    """

    name: str
    price: int
    licence: Licence
    verifiers: tuple[str, ...]
    card: str = ""
    tags: tuple[str, ...] = ()
    form: str = "bytes"
    rows: int = 1
    schema: dict[str, Any] = field(default_factory=dict)
    preview: bytes = b""
    persons: bool = False
    consents: tuple[bytes, ...] = ()
    stake: int | None = None
    fee: int | None = None
    costs: int | None = None
    payees: tuple[tuple[Account, int], ...] = ()
    periods: Periods = field(default_factory=Periods)
    token: Account | None = None

    def money(self) -> Money:
        """The amounts. Raises Misuse for ones that would not deter."""
        costs = self.price // 20 if self.costs is None else self.costs
        fee = max(len(self.verifiers), self.price // 20) if self.fee is None else self.fee
        stake = max(2 * self.price, fee + costs) + max(1, self.price // 2) if self.stake is None else self.stake
        found = Money(self.price, stake, fee, 2 * fee, costs, 2 * (fee // max(1, len(self.verifiers))) + 1)
        found.check(max(1, len(self.verifiers)), court=False)
        return found


def root(party: Troth) -> bytes:
    """What this party's one-time keys and secrets of sales are made of, anew when needed: nothing is written down."""
    return sha256(b"troth/sale/v1\n" + party.identity.account.reveal_seed())


def join(party: Troth, contracts: Contracts, others: Iterable[str]) -> None:
    """Use these contracts, bind this party's account where it is not, and introduce it. Raises OutsideFailed."""
    party.use_contracts(contracts)
    party.bound_account()
    for did in others:
        party.introduce(did)


# Selling


def put_up(party: Troth, data: bytes, wish: Wish) -> bytes:
    """Seal data, list them and offer them; the offer's claim. The Book may take one stake more from then on.

    Nothing is sent: ``announce`` does. Raises Misuse or BadInput for what is not to be sold so.
    """
    rows, schema = wish.rows, dict(wish.schema)
    if wish.form == "csv":
        cells = table(data)
        rows, schema = len(cells) - 1, {"columns": cells[0], "media": "text/csv"} | schema
    contracts, money = party.contracts, wish.money()
    if not QUORUM <= len(wish.verifiers) < 2 * QUORUM:
        raise Misuse("not a bench of which two decide", expected="2 or 3 verifiers", actual=len(wish.verifiers))
    bench = tuple(Judge(did, party.account_of(did)) for did in wish.verifiers)
    pins = [Pin.of(contracts[name]) for name in ("preimage", f"rerun:{QUORUM}")]
    token = wish.token or contracts["token"].address
    deal = Deal(contracts.chain_id, contracts["book"].address, token, party.account, pins[0], pins[1], bench, money,
                wish.periods, wish.payees)
    deal.check()
    records = data.splitlines()[1:] if wish.form == "csv" else [data]
    if len(wish.preview) > MOST_PREVIEW:
        raise Misuse("a preview that is too long", expected=f"at most {MOST_PREVIEW} bytes", actual=len(wish.preview))
    sealing = party.seal_records(data, records)
    evidence = sealing.evidence
    cid, key = Cid.parse(evidence.cid), data_key(party, evidence.cid)
    listed = Listing(evidence.cid, rows, True, sealing.commitment, schema)
    offer = Offer(wish.name, wish.card, wish.tags, wish.form, evidence.cid, check_key(cid, key, party.blobs),
                  content_of(key, data), wish.persons, wish.licence, deal)
    wrong = Goods(offer, listed, wish.preview).wrong(data)
    if wrong is not None:  # said of one's own data it would cost the stake
        raise Misuse(f"what would be delivered is not what would be offered: {wrong}", do="Correct the words.")
    listing = party.attest(LISTING, digest_subject("records", sha256(evidence.cid.encode())), listed.body(),
                           refs=[Ref("consent", one) for one in sorted(wish.consents)], evidence=[evidence])
    claim = flow.put_up(party, offer, listing, wish.preview)
    allow(party, offer.deal.token, money.stake)
    return claim


def data_key(party: Troth, cid: str) -> bytes:
    """The key of a sealed file of this party's. Raises Undecidable where it is not here."""
    wrapped = party.keyring.get(cid, short(party.did))
    if wrapped is None:
        raise Undecidable("this party does not hold the key of this file", actual=cid)
    return party.keyring.open(Cid.parse(cid), wrapped)


def allow(party: Troth, token: Account, amount: int) -> None:
    """Let the Book take this much more of the party's money."""
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.erc20 import Erc20

    coin, book = Erc20(party.chain.web3, token), party.contracts["book"].address
    coin.approve(party.sender, book, coin.allowance(party.account, book) + amount)


def again(party: Troth, offer: bytes, price: int, to: str) -> bytes:
    """Offer what an earlier offer of this party's holds to one buyer at another price; the claim. The same file, so
    that what evaluators said of it still counts. The Book may take one stake more from then on.

    Raises Misuse for another's offer, or a price at which the stakes do not deter.
    """
    statement = party.statement(offer)
    if statement.issuer != party.did:
        raise Misuse("only its seller offers it again", expected=party.did, actual=statement.issuer)
    before = Offer.of(statement)
    licence, deal = before.licence, before.deal
    wish = Wish(before.name, price, licence, tuple(judge.did for judge in deal.verifiers))
    said = replace(before, licence=replace(licence, to=(to,)), deal=replace(deal, money=wish.money()))
    said.deal.check()
    claim = party.attest(OFFER, said.subjects(), said.body(), evidence=statement.evidence, refs=statement.refs)
    allow(party, deal.token, said.deal.money.stake)
    return claim


def announce(party: Troth, offer: bytes, to: Iterable[str]) -> None:
    """Hand an offer over, with all that it rests on and the evaluations known here; nothing that is sealed."""
    claims = [node.id for node in party.trace(offer).nodes if node.statement is not None]
    commitment = Offer.of(party.statement(offer)).commitment
    claims += [claim for claim, said in evaluations(party) if said.commitment == commitment]
    party.send(to, claims[::-1], party.statement(offer).evidence)


def let_in(party: Troth, offer: bytes, evaluator: str) -> None:
    """Let somebody open what is offered, to evaluate it: it then has the data. Raises Misuse for another's offer."""
    statement = party.statement(offer)
    if statement.issuer != party.did:
        raise Misuse("only the seller lets an evaluator in", expected=party.did, actual=statement.issuer)
    listing = party.statement(statement.ref(LISTING))
    party.share(listing.evidence[0], [evaluator])
    party.send([evaluator], [statement.ref(LISTING), offer], [*listing.evidence, *statement.evidence])


def evaluate(party: Troth, offer: bytes, method: str, metrics: dict[str, int]) -> bytes:
    """Say what this party measured of what is offered, after opening it; the evaluation, which the seller is sent.

    Raises Refuted where the file is not what the offer says, Undecidable where this party cannot open it.
    """
    statement, goods = party.statement(offer), goods_of(party, offer)
    if statement.issuer == party.did:
        raise Misuse("nobody evaluates an offer of its own", actual=party.did)
    key = data_key(party, goods.offer.cid)
    data = party.read(party.statement(statement.ref(LISTING)).evidence[0])
    wrong = goods.wrong(data)
    if check_key(Cid.parse(goods.offer.cid), key, party.blobs) != goods.offer.commitment:
        wrong = "it commits to another key than the offer says"
    if wrong is None and content_of(key, data) != goods.offer.content:
        wrong = "it holds something else than the offer commits to"
    if wrong is not None:
        raise Refuted(f"what is offered is not what the offer says: {wrong}", do="Do not vouch for it.")
    said = Evaluation(goods.offer.cid, goods.offer.commitment, method, metrics)
    claim = party.attest(EVALUATION, said.subjects(), said.body(), refs=[Ref(LISTING, statement.ref(LISTING))])
    party.send([statement.issuer], [claim])
    return claim


# Finding


def believed_in(trust: Trust | None, dids: Iterable[str], role: str) -> tuple[str, ...]:
    """Whose word counts in a role: those named, and those of a trust file."""
    return tuple(dict.fromkeys([*dids, *(() if trust is None else trust.roles.get(role, ()))]))


def search(party: Troth, text: str, filters: Filters, believed: Iterable[str], limit: int = 20) -> list[dict[str, Any]]:
    """Offers known here that hold every word, by the quality that believed evaluators vouch for.

    Left out is what may not be sold now as this log knows: erased, or without a consent that stands. An evaluation by
    anybody who is not believed counts for nothing, nor does a seller's own.
    """
    found = []
    with closing(Shelf(party.root / NAME)) as shelf:
        _catch_up(party, shelf)
        for one in shelf.search(text, filters, believed, limit):
            try:
                _sellable(party, one.offer)
            except (Refuted, Undecidable, BadInput):
                continue
            found.append(line(party, one))
    return found


def _catch_up(party: Troth, shelf: Shelf) -> None:
    wanted = (OFFER, EVALUATION)
    read = shelf.read
    list(party.claims())  # so that the statements below are here
    shelf.take_in((party.position(party.envelope(claim)), claim, said) for claim, said in party.claims(*wanted)
                  if party.position(party.envelope(claim)) >= read)


def line(party: Troth, found: Found) -> dict[str, Any]:
    """One offer, for a list."""
    offer = Offer.of(party.statement(found.offer))
    return {"offer": found.offer.hex(), "name": offer.name, "form": offer.form, "price": str(offer.deal.money.price),
            "token": offer.deal.token.hex(), "tags": list(offer.tags), "purpose": offer.licence.purpose,
            "quality": found.quality, "evaluators": found.by, "seller": party.statement(found.offer).issuer}


def check(party: Troth, offer: bytes, evaluators: Iterable[str], verifiers: Iterable[str]) -> Report:
    """All that a buyer can check before it pays.

    1. The words: an offer of what its listing says, whose stakes deter. Otherwise refuted.
    2. It may be sold now: not erased, consents that stand. Otherwise refuted or undecidable.
    3. Book and policies are Troth's on this chain. Otherwise refuted.
    4. More than half of the verifiers are believed, enough for a verdict, and each by the account that it bound itself
       to: whoever holds another account would judge in their name. A court above them is one of the contracts in use.
       Otherwise undecidable.
    5. The sealed file commits to the key of the offer, if it is here. Otherwise skipped; it is looked at before paying.
    6. What believed evaluators found. None: skipped, and the quality is the seller's word.
    """
    steps = [_step(1, "the offer's words", lambda: _words(party, offer)),
             _step(2, "it may be sold", lambda: _sellable(party, offer))]
    statement = party.statement(offer)
    found = Offer.of(statement)
    steps.append(_step(3, "the contracts", lambda: check_contracts(party, found.deal)))
    steps.append(_step(4, "the verifiers", lambda: _bench(party, found.deal, frozenset(verifiers))))
    if party.blobs.has(found.cid):
        steps.append(_step(5, "the sealed file", lambda: _sealed(party, found)))
    else:
        steps.append(Step(5, "the sealed file", None, "not here yet: it comes with the key"))
    said = [(one.issuer, evaluation) for one, evaluation in _said(party) if evaluation.commitment == found.commitment
            and one.issuer in set(evaluators) and one.issuer != statement.issuer]
    told = "; ".join(f"{issuer[:40]}: {', '.join(f'{what} {value / 10**6:g}' for what, value in one.metrics.items())} "
                     f"({one.method})" for issuer, one in said)
    steps.append(Step(6, "the quality", Outcome.UPHELD if said else None,
                      told or "no believed evaluator vouches for it: it is the seller's word"))
    return Report(combine(tuple(steps)), time_text(party.clock.now()), tuple(steps))


def _step(number: int, name: str, look: Any) -> Step:
    try:
        return Step(number, name, Outcome.UPHELD, look())
    except Undecidable as error:
        return Step(number, name, Outcome.UNDECIDABLE, error.diagnostics())
    except (Refuted, Misuse, OutsideFailed) as error:
        return Step(number, name, Outcome.REFUTED, error.diagnostics())


def _words(party: Troth, offer: bytes) -> str:
    goods = goods_of(party, offer)
    goods.offer.deal.check()
    licence = goods.offer.licence
    if licence.authority == goods.offer.deal.seller:
        return "the seller itself may revoke the licence, for what it calls a cause"
    periods = goods.offer.deal.periods
    longest = periods.fund + periods.reveal + 2 * (periods.verdict + periods.window + periods.look)
    return (f"{goods.listing.rows} rows; over within {span(longest)} unless a court is called; "
            f"for {licence.purpose!r}, {span(licence.term)}, derivatives {licence.derivatives}, "
            f"royalty {licence.royalty}/{WHOLE}, after an erasure it {licence.erasure}")


def _sellable(party: Troth, offer: bytes) -> str:
    check_standing(party, offer, Offer.of(party.statement(offer)).until(party.clock.now()))
    return "neither erased nor without a consent that it names, as far as this log knows"


def check_contracts(party: Troth, deal: Deal) -> str:
    """Refuse a sale by other contracts than Troth's, or on another chain. Raises Misuse, OutsideFailed."""
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.deploy import check_book

    if party.contracts.chain_id != deal.chain_id:
        raise Misuse("the sale is on another chain", expected=deal.chain_id, actual=party.contracts.chain_id)
    pins = {"Preimage": deal.preimage, "Rerun": deal.rerun} | ({"Court": deal.court.policy} if deal.court else {})
    check_book(party.chain.web3, deal.book, {name: (pin.address, pin.codehash) for name, pin in pins.items()})
    return f"Troth's Book and policies on chain {deal.chain_id}"


def _bench(party: Troth, deal: Deal, believed: Collection[str]) -> str:
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.deploy import number_of

    if deal.court is not None and deal.court.seat not in {one.address for one in party.contracts.named.values()}:
        raise Undecidable("the court above the verifiers is not known here", actual="0x" + deal.court.seat.hex())
    known, strange = set[str](), ""
    for judge in deal.verifiers:
        if judge.did in believed:
            if party.account_of(judge.did) == judge.account:
                known.add(judge.did)
            else:
                strange = f"; 0x{judge.account.hex()} is not the account of {judge.did[:40]}"
    told = f"{len(known)} of {len(deal.verifiers)} are believed{strange}"
    needed = max(len(deal.verifiers) // 2 + 1, number_of(party.chain.web3, deal.rerun.address, "k()"))
    if len(known) < needed:
        raise Undecidable("these verifiers are not all believed", expected=f"at least {needed}", actual=told)
    return told


def _sealed(party: Troth, offer: Offer) -> str:
    flow.check_sealed(party, offer)
    return "whole, and it commits to the key of the offer"


def evaluations(party: Troth) -> Iterator[tuple[bytes, Evaluation]]:
    for claim, statement in party.claims(EVALUATION):
        try:
            yield claim, Evaluation.of(statement)
        except BadInput:
            continue


def _said(party: Troth) -> Iterator[tuple[Any, Evaluation]]:
    for claim, evaluation in evaluations(party):
        yield party.statement(claim), evaluation


# Buying


def buy(party: Troth, offer: bytes, evaluators: Iterable[str], verifiers: Iterable[str],
        account: Account | None = None) -> bytes:
    """Order what is offered, after ``check``; the order's claim. ``troth.app.tending.tend`` does the rest.

    account: the policy account that is to pay, where it is not the party's own (``troth.app.shopping``). An order of
    this party's for the same offer that is still going on is not made twice. Raises Refuted or Undecidable
    where the check does not come out upheld.
    """
    report = check(party, offer, evaluators, verifiers)
    if report.outcome is not Outcome.UPHELD:
        refused = Refuted if report.outcome is Outcome.REFUTED else Undecidable
        bad = next(step for step in report.steps if step.outcome is report.outcome)
        raise refused(f"this offer is not to be bought: {bad.name}", actual=bad.detail,
                      do="See troth market check; name verifiers that you believe with --believe.")
    for claim, statement in party.claims(ORDER):
        if statement.issuer == party.did and offer in statement.all_refs("offer") and still_open(party, claim):
            return claim
    deal = Offer.of(party.statement(offer)).deal
    complaint = deal.money.bond + deal.money.fee  # from the party's own account, whoever pays the price
    needs = {party.account: complaint}
    needs[account or party.account] = needs.get(account or party.account, 0) + deal.money.price
    for holder, needed in needs.items():
        held = _holds(party, deal.token, holder)
        if held < needed:
            raise Misuse("not enough to buy it, and to complain if it is rubbish", expected=needed, actual=held,
                         do=f"Bring the amount of 0x{deal.token.hex()} to 0x{holder.hex()} first.")
    return flow.order(party, offer, root(party), party.chain.now(), account)


def _holds(party: Troth, token: Account, holder: Account) -> int:
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.erc20 import Erc20

    return Erc20(party.chain.web3, token).balance(holder)


def still_open(party: Troth, order: bytes) -> bool:
    """Whether an order still waits, or its sale goes on."""
    for handover in handovers_of(party, order):
        sale, _ = read(party, handover)
        state = state_of(party, sale)
        if state is None:
            return party.chain.now() < sale.fund_by
        return state.status in ("funding", "running")
    return party.clock.now() - party.statement(order).issued_at <= ORDER_LIFE


def handovers_of(party: Troth, order: bytes) -> Iterator[bytes]:
    """The seller's answers to an order that are here and sound."""
    for claim, statement in party.claims(HANDOVER):
        if order in statement.all_refs("order"):
            try:
                read(party, claim)
            except TrothError:
                continue  # another's, or of another deal: it is no answer
            yield claim


def licences(party: Troth) -> Licences:
    """The contract of licences. Raises BadInput where the contracts in use hold none."""
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.licences import Licences

    return Licences(party.chain.web3, party.contracts["licences"].address)
