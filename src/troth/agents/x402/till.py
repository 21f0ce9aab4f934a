"""The till: which payments a merchant has taken, and what each was answered with, in one SQLite file.

A payment is *taken* before the chain is asked, *settled* once a transaction has carried it out, and *served* once its
answer is written here: an answer is on the disk before anybody sees it. One offer is paid once and one payment opens
one offer, in one transaction of the file, however many processes serve from it. Whoever comes again with a payment that
was served gets that answer again, and nothing is run a second time. While an answer is being made, a lock that the
system takes back from a process that dies keeps others from making it too.

Rows are not deleted: a payment stays used. Answers are forgotten when their time is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from troth.agents.x402.wire import Payment
from troth.core.encoding import keccak256
from troth.core.errors import Refuted
from troth.store.files import holding
from troth.store.sqlite import Layout, SharedFile

TAKEN, SETTLED, SERVED = "taken", "settled", "served"
SCHEMA = """
CREATE TABLE payments (
    id BLOB PRIMARY KEY, offer BLOB NOT NULL UNIQUE, payer BLOB NOT NULL, nonce BLOB NOT NULL, price TEXT NOT NULL,
    resource TEXT NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL, tx BLOB, status INTEGER, media TEXT, answer BLOB,
    served_at INTEGER
);
CREATE INDEX payments_open ON payments (payer) WHERE state = 'taken';
CREATE INDEX payments_kept ON payments (served_at) WHERE answer IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was served. status: HTTP's. body: None where it was forgotten."""

    status: int
    media: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Sale:
    """One payment. id: of the payment. tx: the transaction that carried it out, from settled on."""

    id: bytes
    offer: bytes
    state: str
    tx: bytes | None
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class Taken:
    """One line of the list of sales. price: in the token's smallest unit. at: Unix seconds."""

    id: bytes
    resource: str
    price: int
    state: str
    at: int
    tx: bytes | None


def payment_id(payment: Payment) -> bytes:
    """What a payment is known by: chain, token, payer and nonce, which the token takes once."""
    offer, order = payment.offer, payment.order
    return keccak256(offer.chain_id.to_bytes(32, "big") + offer.token + order.owner + order.nonce)


class Till(SharedFile):
    """The file at ``path``; see ``SharedFile``."""

    LAYOUT = Layout("till", 0x74726F74, 1, SCHEMA,
                    "Free some space, then try again. Nothing was served.",
                    "Restore it. Without it, offers that are still good could be paid twice over.")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._work = path.parent / f"{path.name}.work"

    def take(self, payment: Payment, now: int) -> Sale:
        """Take a payment for its offer, or find that it was taken before.

        Raises Refuted where the offer was paid with another payment, or this payment was for another offer.
        """
        key, offer = payment_id(payment), payment.offer.digest
        with self.writing():
            rows = self._db.execute("SELECT id, offer FROM payments WHERE id = ? OR offer = ?", (key, offer)).fetchall()
            if not rows:
                self._db.execute("INSERT INTO payments (id, offer, payer, nonce, price, resource, at, state)"
                                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                                 (key, offer, payment.order.owner, payment.order.nonce, str(payment.offer.price),
                                  payment.offer.resource, now, TAKEN))
            elif rows != [(key, offer)]:
                raise Refuted("this offer was paid already, or this payment was for another offer",
                              do="Ask for a new offer, and pay that.")
        return self._sale(key)

    def sale(self, key: bytes) -> Sale | None:
        """A payment by its id, or None."""
        return self._sale(key) if self.rows("SELECT 1 FROM payments WHERE id = ?", key) else None

    def under_way(self, payment: Payment) -> list[tuple[bytes, int]]:
        """(nonce, price) of the same payer's other payments that were taken and are not marked as settled."""
        return [(row[0], int(row[1])) for row in self.rows(
            "SELECT nonce, price FROM payments WHERE payer = ? AND id != ? AND state = 'taken'", payment.order.owner,
            payment_id(payment))]

    def settled(self, key: bytes, tx: bytes) -> None:
        """The chain has carried the payment out."""
        with self.writing():
            self._db.execute("UPDATE payments SET state = ?, tx = ? WHERE id = ? AND state = ?",
                             (SETTLED, tx, key, TAKEN))

    def refused(self, key: bytes) -> None:
        """The payment was not carried out and no transaction for it was sent: as if it had never been taken."""
        with self.writing():
            self._db.execute("DELETE FROM payments WHERE id = ? AND state = ?", (key, TAKEN))

    def served(self, key: bytes, answer: Answer, now: int) -> None:
        """Keep the answer before anybody sees it."""
        with self.writing():
            self._db.execute("UPDATE payments SET state = ?, status = ?, media = ?, answer = ?, served_at = ?"
                             " WHERE id = ? AND state = ?", (SERVED, answer.status, answer.media, answer.body, now, key,
                                                             SETTLED))

    def forget(self, before: int) -> int:
        """Forget the answers that were served before this time (Unix seconds); how many."""
        with self.writing():
            return self._db.execute("UPDATE payments SET answer = NULL WHERE answer IS NOT NULL AND served_at < ?",
                                    (before,)).rowcount

    def sales(self) -> list[Taken]:
        """Every payment, oldest first."""
        return [Taken(row[0], row[1], int(row[2]), row[3], row[4], row[5]) for row in self.rows(
            "SELECT id, resource, price, state, at, tx FROM payments ORDER BY rowid")]

    @contextlib.contextmanager
    def at_work(self, key: bytes, wait: float) -> Iterator[None]:
        """Be the only one who settles and serves this payment, among all threads and processes with this file.

        Raises OutsideFailed where another is at it for ``wait`` seconds.
        """
        self._work.mkdir(mode=0o700, exist_ok=True)
        # Some payments share a file, so that there are never more than 4,096 and none has to be deleted.
        with holding(self._work / key.hex()[:3], wait, "this payment is being served"):
            yield

    def _sale(self, key: bytes) -> Sale:
        offer, state, tx, status, media, answer = self.rows(
            "SELECT offer, state, tx, status, media, answer FROM payments WHERE id = ?", key)[0]
        return Sale(key, offer, state, tx, None if state != SERVED else Answer(status, media, answer))
