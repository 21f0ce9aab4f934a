"""An index of the offers that a workspace knows: words, filters, and the quality that believed evaluators vouch for.

It is made from the log and can be deleted: ``market.sqlite`` (SQLite with full-text search). It holds what claims say
and decides nothing: whether an offer may be sold is looked at again when it is shown.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from troth.core.claims import Statement
from troth.core.errors import BadInput, Misuse
from troth.flows.sale_words import EVALUATION, OFFER, Evaluation, Offer
from troth.store.sqlite import laid_out, transaction, translated

NAME = "market.sqlite"
_APPLICATION, _LAYOUT = 0x54726D6B, 1
_SCHEMA = """
CREATE TABLE place (read INTEGER NOT NULL);
INSERT INTO place VALUES (0);
CREATE TABLE offers (id INTEGER PRIMARY KEY, claim BLOB NOT NULL UNIQUE, seller TEXT NOT NULL, form TEXT NOT NULL,
    price TEXT NOT NULL, weight REAL NOT NULL, token BLOB NOT NULL, purpose TEXT NOT NULL, derivatives TEXT NOT NULL,
    royalty INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (name, tags, card, content='', tokenize='unicode61 remove_diacritics 2');
CREATE TABLE qualities (sealed BLOB NOT NULL, issuer TEXT NOT NULL, metric TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (sealed, metric, issuer)) WITHOUT ROWID;
CREATE INDEX offers_sealed ON offers (sealed);
CREATE INDEX qualities_voices ON qualities (metric, issuer)
"""
OVERALL = "overall"
"""The metric of an evaluation as a whole: the mean of its metrics, rounded down."""
_MOST = 1_000
COMPARED = 5_000
"""Of how many matches, the newest, the closest come first."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What to leave out. most: of the price, in the token's smallest unit. quality: parts of a million at least.

    metric: which the quality is of.
    """

    form: str | None = None
    token: bytes | None = None
    most: int | None = None
    purpose: str | None = None
    derivatives: str | None = None
    royalty: int | None = None
    seller: str | None = None
    metric: str = OVERALL
    quality: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """One offer. quality: the lowest that believed evaluators vouch for, None where none does. by: how many do."""

    offer: bytes
    quality: int | None
    by: int


class Shelf:
    """The index in one workspace's folder, or in memory (None)."""

    def __init__(self, path: Path | None) -> None:
        self._what = f"the index of offers in {path}"
        with self._minding():
            self._db = sqlite3.connect(":memory:" if path is None else path, isolation_level=None)
            with transaction(self._db, durable=False):
                found = laid_out(self._db, _APPLICATION, _LAYOUT, _SCHEMA)
        if found not in (None, (_APPLICATION, _LAYOUT)):
            raise BadInput(f"{self._what} is another program's", actual=found, do="Delete it: it is made again.")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def read(self) -> int:
        """How many entries of the log are in."""
        return int(self._db.execute("SELECT read FROM place").fetchone()[0])

    def take_in(self, claims: Iterable[tuple[int, bytes, Statement]]) -> None:
        """Add claims with their places in the log, all or none; what cannot be read is left out."""
        with self._minding(), transaction(self._db, durable=False):
            last = None
            for place, claim, statement in claims:
                last = place
                self._add(claim, statement)
            if last is not None:
                self._db.execute("UPDATE place SET read = ?", (last + 1,))

    def _add(self, claim: bytes, statement: Statement) -> None:
        try:
            if statement.kind == OFFER:
                self._offer(claim, statement, Offer.of(statement))
            elif statement.kind == EVALUATION:
                self._evaluation(statement.issuer, Evaluation.of(statement))
        except BadInput:
            return  # a peer's malformed claim hides no other

    def _offer(self, claim: bytes, statement: Statement, offer: Offer) -> None:
        deal, licence = offer.deal, offer.licence
        row = (claim, statement.issuer, offer.form, str(deal.money.price), float(deal.money.price), deal.token,
               licence.purpose, licence.derivatives, licence.royalty, offer.commitment)
        done = self._db.execute("INSERT OR IGNORE INTO offers (claim, seller, form, price, weight, token, purpose, "
                                "derivatives, royalty, sealed) VALUES (?,?,?,?,?,?,?,?,?,?)", row)
        if done.rowcount:
            self._db.execute("INSERT INTO words (rowid, name, tags, card) VALUES (?,?,?,?)",
                             (done.lastrowid, offer.name, " ".join(offer.tags), offer.card))

    def _evaluation(self, issuer: str, said: Evaluation) -> None:
        values = {**said.metrics, OVERALL: sum(said.metrics.values()) // len(said.metrics)}
        # An evaluator that says two things of one file is taken at the worse of them.
        self._db.executemany(
            "INSERT INTO qualities VALUES (?,?,?,?) ON CONFLICT (sealed, metric, issuer) "
            "DO UPDATE SET value = min(value, excluded.value)",
            [(said.commitment, issuer, metric, value) for metric, value in values.items()])

    def search(self, text: str, filters: Filters, believed: Iterable[str], limit: int) -> Iterator[Found]:
        """Offers that hold every word: those vouched for by quality, then the others by how close they match.

        text: words; the last may be a beginning; none: every offer. believed: DIDs of evaluators whose word counts; of
        an offer by one of them its own does not. Raises Misuse for a limit out of range.
        """
        if not 1 <= limit <= _MOST:
            raise Misuse("not a number of results", expected=f"1 to {_MOST}", actual=limit)
        words, seen = _match(text), set[bytes]()
        with self._minding():
            for claim, value, by in self._vouched(words, filters, sorted(set(believed)), limit):
                seen.add(claim)
                yield Found(claim, value, by)
            if len(seen) < limit and not filters.quality:
                # Fewer than asked for are vouched for, so all of those are known by now.
                others = (claim for claim in self._matching(words, filters, limit + len(seen)) if claim not in seen)
                for claim in list(others)[:limit - len(seen)]:
                    yield Found(claim, None, 0)

    def _vouched(self, words: str, filters: Filters, voices: list[str], limit: int) -> list[tuple[bytes, int, int]]:
        where, values = _conditions(filters)
        if words:
            where.append("+o.id IN (SELECT rowid FROM words WHERE words MATCH ?)")
            values.append(words)
        # From the few that are vouched for to whether they match, not the other way round: CROSS JOIN and + say so to
        # SQLite. Only this module's own words are put together here; every value is a parameter.
        query = ("SELECT o.claim, min(q.value) AS quality, count(*) FROM qualities q "  # noqa: S608
                 "CROSS JOIN offers o ON o.sealed = q.sealed "
                 f"WHERE q.metric = ? AND q.issuer IN ({','.join('?' * len(voices))}) AND q.issuer <> o.seller "
                 f"{''.join(' AND ' + one for one in where)} GROUP BY o.id HAVING min(q.value) >= ? "
                 "ORDER BY quality DESC, o.id LIMIT ?")
        return self._db.execute(query, [filters.metric, *voices, *values, filters.quality, limit]).fetchall()

    def _matching(self, words: str, filters: Filters, limit: int) -> list[bytes]:
        where, values = _conditions(filters)
        if not words:
            query = (f"SELECT o.claim FROM offers o{' WHERE ' if where else ''}{' AND '.join(where)} "  # noqa: S608
                     "ORDER BY o.id LIMIT ?")
            return [claim for claim, in self._db.execute(query, [*values, limit])]
        # How close a match is costs as much as finding it: of very many, only the newest are compared.
        query = ("SELECT claim FROM (SELECT o.claim AS claim, words.rank AS closeness, o.id AS id FROM words "  # noqa: S608
                 f"JOIN offers o ON o.id = words.rowid WHERE {' AND '.join(['words MATCH ?', *where])} "
                 "ORDER BY words.rowid DESC LIMIT ?) ORDER BY closeness, id LIMIT ?")
        return [claim for claim, in self._db.execute(query, [words, *values, COMPARED, limit])]

    def _minding(self) -> AbstractContextManager[None]:
        return translated(self._what, "Free the disk, and search again.", "Delete it: it is made again from the log.")


def _conditions(filters: Filters) -> tuple[list[str], list[object]]:
    wanted: list[tuple[str, object]] = [
        ("o.form = ?", filters.form), ("o.token = ?", filters.token), ("o.purpose = ?", filters.purpose),
        ("o.derivatives = ?", filters.derivatives), ("o.royalty <= ?", filters.royalty),
        ("o.seller = ?", filters.seller), ("o.weight <= ?", None if filters.most is None else float(filters.most))]
    return [text for text, value in wanted if value is not None], [value for _, value in wanted if value is not None]


def _match(text: str) -> str:
    """The words as FTS5 asks for them: each quoted, so that nothing in them is its syntax."""
    words = re.findall(r"\w+", text)
    return " ".join(f'"{word}"' for word in words) + ("*" if words else "")
