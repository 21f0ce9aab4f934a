"""What is checked of goods: whether what was delivered is what was offered, and whether it may be sold at all."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from troth.core.claims import Statement
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD
from troth.core.verdicts import Outcome
from troth.flows.parts import Party
from troth.flows.sale_words import Offer
from troth.learn import arrays
from troth.learn.claims import LISTING, Listing
from troth.store.cid import Cid
from troth.store.delivery import content_of, take
from troth.store.sealing import check_key, unseal
from troth.store.wrapping import RecipientKey
from troth.verify.consents import check_consents
from troth.verify.trace import ERASURE, WITHDRAWAL, trace

PREVIEW = "preview"
MOST_PREVIEW = 1 << 16


@dataclass(frozen=True, slots=True)
class Goods:
    """An offer with the listing that it rests on. preview: public bytes in the form of the data, empty for none."""

    offer: Offer
    listing: Listing
    preview: bytes = b""

    def wrong(self, data: bytes) -> str | None:
        """What of the data is not as offered; None if nothing is. It looks at the form, not at the truth of it.

        A table: its columns, how many rows, and that the preview's rows are in it. Arrays: that they are arrays.
        Of anything else nothing is looked at.
        """
        if self.offer.form == "arrays":
            try:
                arrays.decode(data)
            except BadInput as error:
                return f"it is not arrays: {error.message}"
            return None
        if self.offer.form != "csv":
            return None
        try:
            rows = table(data)
        except BadInput as error:
            return f"it is no table: {error.message}"
        if "columns" in self.listing.schema and rows[0] != self.listing.schema["columns"]:
            return "it has other columns than the listing says"
        if len(rows) - 1 != self.listing.rows:
            return f"it has {len(rows) - 1} rows, and the listing says {self.listing.rows}"
        return self._unlike(rows)

    def _unlike(self, rows: list[list[str]]) -> str | None:
        if not self.preview:
            return None
        try:
            missing = {tuple(row) for row in table(self.preview)} - {tuple(row) for row in rows}
        except BadInput as error:
            return f"the preview is no table: {error.message}"
        return f"{len(missing)} rows of the preview are not in it" if missing else None


def table(data: bytes) -> list[list[str]]:
    """The rows of a CSV file, the header first. Raises BadInput for what is none, or has rows of other lengths."""
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode(), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput("not a table", expected="CSV in UTF-8", actual=error) from None
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise BadInput("not a table", expected="a header, and rows of its length", actual=f"{len(rows)} rows")
    return rows


def goods_of(party: Party, offer: bytes) -> Goods:
    """What is offered. Raises BadInput for what is no offer, Refuted for one that offers something else than it lists,
    Undecidable where the listing or the preview is not here.
    """
    statement = party.statement(offer)
    found = Offer.of(statement)
    said = check_listed(found, party.statement(statement.ref(LISTING)), statement.issuer)
    preview = next((item for item in statement.evidence if item.name == PREVIEW), None)
    shown = b"" if preview is None else party.read(preview)
    if len(shown) > MOST_PREVIEW:
        raise BadInput("a preview that is too long", expected=f"at most {MOST_PREVIEW} bytes", actual=len(shown))
    return Goods(found, said, shown)


def check_listed(offer: Offer, listing: Statement, issuer: str) -> Listing:
    """The listing, if it is the seller's and of the file that is offered, sealed. Raises BadInput, Refuted."""
    said = Listing.of(listing)
    if listing.issuer != issuer or said.cid != offer.cid or not said.sealed:
        raise Refuted("the offer is not of what its listing says", expected=f"{said.cid}, listed by the seller, sealed",
                      actual=offer.cid)
    if [(item.cid, item.sealed) for item in listing.evidence] != [(offer.cid, True)]:
        raise Refuted("the listing hands over another file than it lists", expected=offer.cid,
                      actual=", ".join(item.cid for item in listing.evidence) or "none")
    return said


def check_standing(party: Party, offer: bytes, until: int) -> None:
    """Refuse an offer whose data may not be sold now, as this party's log knows: erased, or without the consents.

    Data about persons need a consent for the licence's purpose, given to the seller, which stands and holds ``until``
    the licence's last second. Where consents are named they must, whatever the offer says. Raises Refuted, Undecidable.
    """
    statement = party.statement(offer)
    found = Offer.of(statement)
    erasures = [said for _, said in party.claims(ERASURE)]
    withdrawals = [said for _, said in party.claims(WITHDRAWAL)]
    if trace(party, offer, erasures).stale:
        raise Refuted("what is offered was erased by whoever listed it", actual=offer.hex())
    report = check_consents(party, [offer], until, withdrawals, found.licence.purpose)
    if not report.steps and not found.persons:
        return
    if report.outcome is not Outcome.UPHELD:
        why = "; ".join(f"{step.name}: {step.detail}" for step in report.steps if step.outcome is not Outcome.UPHELD)
        refused = Refuted if report.outcome is Outcome.REFUTED else Undecidable
        raise refused("these data may not be sold now", actual=why or "no consent is named",
                      expected=f"consents for {found.licence.purpose!r} that stand until the licence is over")


@dataclass(frozen=True, slots=True)
class Finding:
    """What an inspection of a delivery found: UPHELD or REFUTED, why, and the data key where it is right."""

    outcome: int
    why: str
    data: bytes = b""
    data_key: bytes = b""

    def __repr__(self) -> str:
        return f"Finding({self.outcome}, {self.why!r})"


def inspect(party: Party, goods: Goods, handed: bytes, key: RecipientKey, secret: bytes, order: bytes) -> Finding:
    """Open what was delivered and compare it with the offer: the one finding that everybody with these bytes comes to.

    1. E opens with the one-time key, and what is in it with the secret: otherwise refuted.
    2. The data key is the one that the sealed file and the offer commit to: otherwise refuted.
    3. The file opens, whole: otherwise refuted.
    4. It is what the offer commits to, and of the form that it says: otherwise refuted.

    Raises Undecidable where the sealed file is not here.
    """
    try:
        return compare(party, goods, take(handed, secret, key, order))
    except (Refuted, BadInput) as error:
        return Finding(REFUTED, error.message)


def compare(party: Party, goods: Goods, data_key: bytes) -> Finding:
    """Steps 2 to 4 of `inspect`, with this data key. Raises as that."""
    cid, opened = Cid.parse(goods.offer.cid), io.BytesIO()
    try:
        if check_key(cid, data_key, party.blobs) != goods.offer.commitment:
            return Finding(REFUTED, "the sealed file commits to another key than the offer says")
        unseal(cid, data_key, party.blobs, opened)
    except (Refuted, BadInput) as error:
        return Finding(REFUTED, error.message)
    data = opened.getvalue()
    if content_of(data_key, data) != goods.offer.content:
        return Finding(REFUTED, "the file holds something else than the offer commits to")
    wrong = goods.wrong(data)
    return Finding(REFUTED, wrong) if wrong is not None else Finding(UPHELD, "it is what was offered", data, data_key)
