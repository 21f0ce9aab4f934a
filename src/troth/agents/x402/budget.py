"""What a client may spend, and what it has: one SQLite file, the same for every process and after every restart.

An amount is *reserved* in one transaction that takes the file's write lock first, and only then signed: what is signed
can be spent by whoever holds it, so from then on it counts. It then goes one way::

    reserved -> settled     the chain has carried the order out
    reserved -> lapsed      its time is over, by a block that stays, and the chain has not carried it out

What counts against a day's cap is what was reserved or settled in the last 24 hours, and everything still reserved. A
merchant is a payee's account or an origin (scheme, host and port): a payment counts for both.
"""

from __future__ import annotations

from dataclasses import dataclass

from troth.agents.x402.offer import Offer
from troth.core.encoding import decode, encode, from_hex, take
from troth.core.errors import BadInput, Misuse
from troth.core.terms import Account
from troth.store.sqlite import Layout, SharedFile

RESERVED, SETTLED, LAPSED = "reserved", "settled", "lapsed"
DAY = 86_400
SCHEMA = """
CREATE TABLE limits (chain TEXT NOT NULL, token BLOB NOT NULL, said BLOB NOT NULL, PRIMARY KEY (chain, token))
    WITHOUT ROWID;
CREATE TABLE payments (
    nonce BLOB PRIMARY KEY, chain TEXT NOT NULL, token BLOB NOT NULL, payee BLOB NOT NULL, origin TEXT NOT NULL,
    amount TEXT NOT NULL, at INTEGER NOT NULL, before INTEGER NOT NULL, state TEXT NOT NULL, payer BLOB NOT NULL,
    offer BLOB NOT NULL, salt BLOB NOT NULL, header TEXT, request BLOB NOT NULL, tx BLOB, purpose BLOB UNIQUE
);
CREATE INDEX payments_recent ON payments (chain, token, at);
CREATE INDEX payments_open ON payments (state) WHERE state = 'reserved'
"""


class OverBudget(Misuse):
    """The budget does not allow this payment. Nothing was signed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent of one token on one chain, in its smallest unit. payment: at once. day: in 24 hours. merchant:
    in 24 hours with one merchant. payees, hosts: whom alone, where that is not None. life: the most seconds that a
    signed payment may be good for.
    """

    payment: int
    day: int
    merchant: int
    payees: frozenset[Account] | None = None
    hosts: frozenset[str] | None = None
    life: int = 300

    def __post_init__(self) -> None:
        if not 0 <= self.payment <= self.merchant <= self.day < 1 << 128 or not 1 <= self.life <= 3_600:
            raise BadInput("limits that are none", expected="payment <= merchant <= day, a life of 1 to 3600 s",
                           actual=f"{self.payment}, {self.merchant}, {self.day}, {self.life}")

    def to_bytes(self) -> bytes:
        """As the file keeps them."""
        return encode({"day": str(self.day), "hosts": None if self.hosts is None else sorted(self.hosts),
                       "life": self.life, "merchant": str(self.merchant), "payees": None if self.payees is None else
                       sorted(one.hex() for one in self.payees), "payment": str(self.payment)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Limits:
        """Read them again."""
        said = decode(data)
        payees, hosts = said["payees"], said["hosts"]
        return cls(int(said["payment"]), int(said["day"]), int(said["merchant"]),
                   None if payees is None else frozenset(from_hex(one, 20) for one in payees),
                   None if hosts is None else frozenset(hosts), said["life"])


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that a payment is for. origin: scheme, host and port. body: the request's own, to ask again.

    purpose: what it is asked for, 1 to 64 bytes of the caller's: nothing is paid twice for one. Empty for none.
    """

    origin: str
    host: str
    body: bytes
    media: str = ""
    purpose: bytes = b""

    def to_bytes(self) -> bytes:
        """As the file keeps it."""
        return encode({"body": self.body.hex(), "host": self.host, "media": self.media, "origin": self.origin,
                       "purpose": self.purpose.hex()})

    @classmethod
    def from_bytes(cls, data: bytes) -> Asked:
        """Read it again."""
        body, host, media, origin, purpose = take(decode(data), body=str, host=str, media=str, origin=str, purpose=str)
        return cls(origin, host, from_hex(body), media, from_hex(purpose))


@dataclass(frozen=True, slots=True)
class Spending:
    """One payment. header: what was presented, once it was signed. at: when it was reserved; before: when it ends."""

    nonce: bytes
    offer: Offer
    payer: Account
    salt: bytes
    asked: Asked
    at: int
    before: int
    state: str
    header: str | None
    tx: bytes | None


class Budget(SharedFile):
    """The file at ``path``; see ``SharedFile``."""

    LAYOUT = Layout("budget", 0x74726F62, 1, SCHEMA,
                    "Nothing was signed. Free some space, then try again.",
                    "Restore it. Without it nobody knows what was spent.")

    def allow(self, chain_id: int, token: Account, limits: Limits) -> None:
        """Set what may be spent of a token from now on; what was spent counts."""
        with self.writing():
            self._db.execute("INSERT OR REPLACE INTO limits VALUES (?, ?, ?)",
                             (str(chain_id), token, limits.to_bytes()))

    def limits(self, chain_id: int, token: Account) -> Limits | None:
        """What may be spent of a token; None: nothing."""
        rows = self.rows("SELECT said FROM limits WHERE chain = ? AND token = ?", str(chain_id), token)
        return Limits.from_bytes(rows[0][0]) if rows else None

    def reserve(self, offer: Offer, payer: Account, salt: bytes, asked: Asked, now: int) -> Spending:
        """Reserve an offer's price, if the limits of its token allow it; in one transaction.

        Raises OverBudget, with nothing reserved; Misuse for a purpose that was paid for.
        """
        nonce = offer.nonce_of(salt)
        with self.writing():
            if asked.purpose and self.paid_for(asked.purpose) is not None:
                raise Misuse("this was paid for already", actual=asked.purpose.hex(),
                             do="Present that payment again.")
            self._check(offer, asked, now)
            self._db.execute("INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, NULL, ?)",
                             (nonce, str(offer.chain_id), offer.token, offer.payee, asked.origin, str(offer.price),
                              now, offer.expires, RESERVED, payer, encode(offer.body_json()), salt, asked.to_bytes(),
                              asked.purpose or None))
        found = self.payment(nonce)
        assert found is not None
        return found

    def _check(self, offer: Offer, asked: Asked, now: int) -> None:
        """1. There are limits for this token. 2. Payee and host are among those allowed. 3. The payment ends soon
        enough. 4. It, the day and the merchant stay within their caps.
        """
        token = f"token 0x{offer.token.hex()} on chain {offer.chain_id}"
        limits = self.limits(offer.chain_id, offer.token)
        if limits is None:
            raise OverBudget(f"nothing may be spent of {token}", do="Say what may be: troth x402 allow.")
        if limits.payees is not None and offer.payee not in limits.payees:
            raise OverBudget("a payee who is not among those allowed", actual="0x" + offer.payee.hex())
        if limits.hosts is not None and asked.host not in limits.hosts:
            raise OverBudget("a host that is not among those allowed", expected=", ".join(sorted(limits.hosts)),
                             actual=asked.host)
        if offer.expires > now + limits.life:
            raise OverBudget("a payment that would be good for too long", expected=f"at most {limits.life} s",
                             actual=f"{offer.expires - now} s")
        day, merchant = self._sums(offer, asked.origin, now)
        for what, spent, cap in (("at once", 0, limits.payment), ("in a day", day, limits.day),
                                 ("in a day with one merchant", merchant, limits.merchant)):
            if spent + offer.price > cap:
                raise OverBudget(f"more than may be spent {what} of {token}", expected=f"at most {cap}",
                                 actual=f"{spent} + {offer.price}" if spent else offer.price)

    def _sums(self, offer: Offer, origin: str, now: int) -> tuple[int, int]:
        day = merchant = 0
        for amount, payee, place in self.rows(
                "SELECT amount, payee, origin FROM payments WHERE chain = ? AND token = ? AND state != 'lapsed'"
                " AND (at > ? OR state = 'reserved')", str(offer.chain_id), offer.token, now - DAY):
            day += int(amount)
            merchant += int(amount) if payee == offer.payee or place == origin else 0
        return day, merchant

    def spent(self, chain_id: int, token: Account, now: int) -> int:
        """What counts against the day's cap of a token now."""
        return sum(int(row[0]) for row in self.rows(
            "SELECT amount FROM payments WHERE chain = ? AND token = ? AND state != 'lapsed'"
            " AND (at > ? OR state = 'reserved')", str(chain_id), token, now - DAY))

    def presented(self, nonce: bytes, header: str) -> None:
        """Keep the signed payment before it is sent: whoever was interrupted comes again with the same one."""
        with self.writing():
            self._db.execute("UPDATE payments SET header = ? WHERE nonce = ?", (header, nonce))

    def ended(self, nonce: bytes, state: str, tx: bytes | None = None) -> None:
        """What became of a reserved payment: settled or lapsed."""
        with self.writing():
            self._db.execute("UPDATE payments SET state = ?, tx = ? WHERE nonce = ? AND state = 'reserved'",
                             (state, tx, nonce))
            self._db.execute("UPDATE payments SET purpose = NULL WHERE nonce = ? AND state = 'lapsed'", (nonce,))

    def payment(self, nonce: bytes) -> Spending | None:
        """A payment by its nonce, or None."""
        return next(iter(self._payments("nonce = ?", nonce)), None)

    def paid_for(self, purpose: bytes) -> Spending | None:
        """The payment for a purpose, or None. One that lapsed is none: what was not carried out may be tried anew."""
        return next(iter(self._payments("purpose = ? AND state != 'lapsed'", purpose)), None)

    def open(self) -> list[Spending]:
        """The payments that are reserved."""
        return self._payments("state = 'reserved' ORDER BY rowid")

    def payments(self) -> list[Spending]:
        """Every payment, oldest first."""
        return self._payments("1 ORDER BY rowid")

    def _payments(self, where: str, *values: object) -> list[Spending]:
        columns = "nonce, offer, payer, salt, request, at, before, state, header, tx"
        rows = self.rows(f"SELECT {columns} FROM payments WHERE {where}", *values)  # noqa: S608
        return [Spending(row[0], Offer.of(decode(row[1])), row[2], row[3], Asked.from_bytes(row[4]), *row[5:])
                for row in rows]
