"""One line to use what was bought: ``troth.load("troth://OFFER")`` gives a table, arrays or a model.

It loads only what this workspace owns, or bought under a licence that stands: in time, not revoked where the chain says
so, and not ended by an erasure of the listing where its words say that erasure ends it.
"""

from __future__ import annotations

import importlib.util
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.app import market
from troth.app.market import handovers_of
from troth.app.short_ids import claim_of
from troth.core.errors import BadInput, Misuse, Pending, Refuted, TrothError, Undecidable
from troth.core.terms import UPHELD
from troth.flows.sale_checks import table
from troth.flows.sale_deal import Sale, read, state_of
from troth.flows.sale_words import OFFER, ORDER, Offer
from troth.identity.jsondoc import time_text
from troth.learn import arrays
from troth.learn.claims import LISTING
from troth.store.cid import Cid

if TYPE_CHECKING:
    from troth.app import Troth

SCHEME = "troth://"


def load(url: str, party: Troth | None = None) -> Any:
    """What ``troth://OFFER`` or ``troth://CID`` names: see ``materialise`` for what each form gives.

    party: the workspace that owns or bought it; by default the nearest one, opened with TROTH_PASSPHRASE. Raises
    Undecidable for what is neither bought nor owned here, Pending where the sale goes on, Refuted where its licence is
    over, revoked, or ended.
    """
    if party is not None:
        return _load(url, party)
    from troth.app import Troth  # that module's own surface names this one

    passphrase = os.environ.get("TROTH_PASSPHRASE")
    if not passphrase:
        raise Misuse("no passphrase", do="Set TROTH_PASSPHRASE, or give the workspace: load(url, party).")
    with Troth.open(Path.cwd(), passphrase) as found:
        return _load(url, found)


def _load(url: str, party: Troth) -> Any:
    offer, data = find(party, url)
    return materialise(offer.form, data)


def find(party: Troth, url: str) -> tuple[Offer, bytes]:
    """What a name leads to here, and its bytes. Raises as ``load``."""
    refused: TrothError = Undecidable("no offer of this name is known here", actual=url,
                                      do="Pull it, or see troth market search.")
    for claim, offer in _named(party, url):
        try:
            return offer, opened(party, claim, offer)
        except (Refuted, Undecidable, Pending) as error:
            refused = error
    raise refused


def opened(party: Troth, claim: bytes, offer: Offer) -> bytes:
    """The bytes of what is offered, if this party owns or bought it and the licence stands. Raises as ``load``."""
    statement = party.statement(claim)
    sale = None if statement.issuer == party.did else licensed(party, claim, offer)
    try:
        return party.read(party.statement(statement.ref(LISTING)).evidence[0], None)
    except Undecidable:
        state = None if sale is None else state_of(party, sale)
        if state is None or state.status == "closed":
            raise
        raise _waiting("it was paid for, and its key is not here yet", f"the deal is {state.status}") from None


def _waiting(what: str, actual: str) -> Pending:
    return Pending(f"this sale is not done: {what}", actual=actual,
                   do="Let the seller run troth market tend, then run it here, or troth buy again.")


def licensed(party: Troth, claim: bytes, offer: Offer) -> Sale:
    """The sale under which this party may use what is offered now. Raises Undecidable where it bought none, Pending
    where it ordered and did not pay yet, Refuted where none of its licences stands.
    """
    why: TrothError = Undecidable("this was not bought here", actual=claim.hex(), do=f"troth buy {claim.hex()}")
    for order, statement in party.claims(ORDER):
        if statement.issuer != party.did or claim not in statement.all_refs("offer"):
            continue
        handovers = list(handovers_of(party, order))
        if not handovers and market.still_open(party, order):
            why = _waiting("the seller has not answered the order", order.hex())
        for handover in handovers:
            sale, _ = read(party, handover)
            try:
                _stands(party, claim, offer, sale)
            except (Refuted, Undecidable, Pending) as error:
                why = error
            else:
                return sale
    raise why


def _stands(party: Troth, claim: bytes, offer: Offer, sale: Sale) -> None:
    now = party.chain.now()
    if now > sale.until:
        raise Refuted("the licence is over", expected=f"until {time_text(sale.until)}", actual=time_text(now))
    state = state_of(party, sale)
    if state is None:
        if now < sale.fund_by:
            raise _waiting("it was ordered and not paid", sale.order_id.hex())
        raise Undecidable("this was ordered and never paid, and the order is over", actual=sale.order_id.hex(),
                          do=f"troth buy {claim.hex()}")
    if state.status == "closed" and (state.final is None or state.final.outcome != UPHELD):
        raise Refuted("this sale was refunded: there is no licence", actual=sale.deal().hex())
    if offer.licence.erasure == "ends" and party.trace(claim).stale:
        raise Refuted("its owner erased it, and with that the licence ended",
                      actual=f"refund owed: {offer.licence.refund} basis points of {offer.deal.money.price}")
    if "licences" in party.contracts.named:
        contract = market.licences(party)
        try:
            granted = contract.granted(sale.deal())
        except Undecidable:
            return  # not minted yet: the sale still runs, or nobody did
        if granted.revoked or not contract.standing(sale.order.account, sale.deal()):
            raise Refuted("the licence was revoked, or given to somebody else", actual=sale.deal().hex())


def _named(party: Troth, url: str) -> Iterator[tuple[bytes, Offer]]:
    name = url.removeprefix(SCHEME)
    if name == url or not name:
        raise BadInput("not a name to load", expected=f"{SCHEME} and an offer's claim or a CID", actual=url)
    try:
        wanted: bytes | str = claim_of(party, name)
    except BadInput:
        wanted = str(Cid.parse(name))
    for claim, statement in party.claims(OFFER):
        try:
            offer = Offer.of(statement)
        except BadInput:
            continue
        if wanted in (claim, offer.cid):
            yield claim, offer


def materialise(form: str, data: bytes) -> Any:
    """``csv``: a pandas DataFrame where pandas is installed, else columns by name. ``arrays``, ``npz``: NumPy arrays by
    name. ``model``: a program or a model in real numbers (troth.compute), from a program's file or ONNX; no pickle is
    ever read. ``bytes``: as they are. Raises BadInput for bytes of another form.
    """
    if form == "csv":
        return _table(data)
    if form == "arrays":
        return dict(arrays.decode(data))
    if form == "npz":
        return _npz(data)
    return _model(data) if form == "model" else data


def _table(data: bytes) -> Any:
    if importlib.util.find_spec("pandas") is not None:
        import pandas as pd  # an extra's, and slow to load

        return pd.read_csv(io.BytesIO(data))
    header, *rows = table(data)
    return {name: [_value(row[at]) for row in rows] for at, name in enumerate(header)}


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _npz(data: bytes) -> dict[str, Any]:
    import numpy as np  # only this form needs it

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise BadInput("not NumPy arrays", expected="an .npz file without pickles", actual=error) from None


def _model(data: bytes) -> Any:
    from troth.compute.models.loading import read_model  # most goods are no models
    from troth.fixed.program import Program

    try:
        return Program.from_bytes(data)
    except BadInput:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(data)
            return read_model(path)
