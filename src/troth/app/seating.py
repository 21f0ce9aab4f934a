"""Who may take a plan's seats: the invitations that its sponsor made, and who of those that came is seated.

An invitation is for one seat: of whoever uses its key first, or of the party that it names. An *open* one is for
anybody, up to the number of seats. They stand in the training's folder, so that whoever coordinates it later seats the
same. Which of them somebody came by is in that party's own claim (``acceptance``).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from troth.app import Troth
from troth.app.rounds import Agreed
from troth.core.claims import Ref, Statement
from troth.core.encoding import amount, decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.core.terms import Account
from troth.identity.keys import Ed25519KeyPair
from troth.learn.acceptance import ACCEPTANCE, ROLES, SITE, Acceptance
from troth.learn.claims import Listing, digest_subject
from troth.store.files import replacing

FILE, FORMAT = "invitations.json", "troth-invitations-1"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an invitation is for: a role; the party that it names, or the secret key that is good for one seat.

    Neither: an open one. records: how many a site has by the sponsor's word, where pay goes by them.
    """

    role: str = SITE
    named: str = ""
    secret: bytes = b""
    records: int = 0

    def __post_init__(self) -> None:
        if self.role not in ROLES or (self.named and self.secret) or len(self.secret) not in (0, 32):
            raise BadInput("not a seat's invitation", actual=self.role,
                           expected=f"one of {', '.join(ROLES)}; a name or a key of 32 bytes")

    def __repr__(self) -> str:
        return f"Ticket({self.role!r}, {self.named!r}, {'a key' if self.secret else 'no key'})"

    @property
    def open(self) -> bool:
        """Whether anybody may use it, any number of times."""
        return not self.named and not self.secret

    def json(self) -> dict[str, str]:
        """For the invitation, whose holder needs the key."""
        return {"for": self.named, "records": str(self.records), "role": self.role, "secret": self.secret.hex()}

    @classmethod
    def read(cls, value: dict[str, str]) -> Ticket:
        """Read ``json`` back. Raises BadInput."""
        named, records, role, secret = take(value, **{"for": str, "records": str, "role": str, "secret": str})
        return cls(role, named, from_hex(secret, 32) if secret else b"", amount(records))


def new_ticket(role: str, named: str = "", *, open_: bool = False, records: int = 0) -> Ticket:
    """A ticket: for the party named, for anybody, or for whoever uses it first."""
    return Ticket(role, named, b"" if named or open_ else secrets.token_bytes(32), records)


@dataclass(frozen=True, slots=True)
class Given:
    """What is kept of a ticket: never its secret. key: the public one."""

    role: str
    named: str
    key: bytes
    records: int = 0


def given(folder: Path | str) -> tuple[Given, ...]:
    """The invitations to the plan of this folder that were made. Raises BadInput."""
    folder = Path(folder)
    try:
        data = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return ()
    format_, seats = take(decode_object(data), format=str, seats=list)
    if format_ != FORMAT:
        raise BadInput(f"{folder / FILE} holds no invitations", expected=FORMAT, actual=format_)
    return tuple(Given(role, named, from_hex(key, 32) if key else b"", records) for named, key, records, role in (
        take(one, **{"for": str, "key": str, "records": int, "role": str}) for one in seats))


def give(folder: Path | str, ticket: Ticket) -> None:
    """Note that an invitation is made; before it is handed to anybody. One that is noted already stays as it is."""
    folder = Path(folder)
    key = Ed25519KeyPair(ticket.secret).public.raw if ticket.secret else b""
    found = given(folder)
    one = Given(ticket.role, ticket.named, key, ticket.records)
    if one in found:
        return
    with replacing(folder / FILE, 0o600) as out:
        out.write(encode({"format": FORMAT, "seats": [
            {"for": seat.named, "key": seat.key.hex(), "records": seat.records, "role": seat.role}
            for seat in (*found, one)]}))


def agreed_digest(agreed: Agreed) -> bytes:
    """What an acceptance names."""
    return sha256(encode(agreed.json()))


def accept(party: Troth, agreed: Agreed, ticket: Ticket, listing: bytes | None) -> bytes:
    """Say that this party takes the seat that a ticket is for; the claim's id. What it said before is said again.

    listing: a site's records. Raises Misuse where the ticket is somebody else's.
    """
    if ticket.named and ticket.named != party.did:
        raise Misuse("this invitation is for another party", expected=ticket.named, actual=party.did,
                     do="Take the seat with the workspace that it names: --home.")
    said = Acceptance.make(party.did, agreed_digest(agreed), ticket.role, party.account, ticket.secret)
    refs = [] if listing is None else [Ref("listing", listing)]
    for claim, statement in party.claims(ACCEPTANCE):
        if (statement.issuer, statement.body, list(statement.refs)) == (party.did, said.body(), refs):
            return claim
    return party.attest(ACCEPTANCE, digest_subject("agreed", said.agreed), said.body(), refs=refs)


@dataclass(frozen=True, slots=True)
class Seated:
    """Who takes the seats that are invited, in the order in which they came: sites' listings by DID; verifiers.

    records: how many each site has, by its invitation.
    """

    sites: dict[str, bytes]
    verifiers: tuple[str, ...]
    records: dict[str, int]


def seat(sponsor: Troth, agreed: Agreed, tickets: tuple[Given, ...], taken: set[Account], verifiers: int) -> Seated:
    """The first that fit, up to the seats that there are. taken: accounts that have a seat already.

    What anybody sends that fits no invitation, or comes by one that is used, or from an account that has a seat, or
    without records that fit, stops nobody.
    """
    left, taken, sites, judges = list(tickets), set(taken), dict[str, bytes](), list[str]()
    records = dict[str, int]()
    for said, statement in _acceptances(sponsor, agreed):
        full = len(sites) == agreed.sites if said.role == SITE else len(judges) == verifiers
        by = next((one for one in left if _fits(one, said, statement.issuer)), None)
        if full or by is None or statement.issuer in (*sites, *judges) or said.account in taken:
            continue
        if said.role == SITE:
            listing = _listing(sponsor, agreed, statement)
            if listing is None:
                continue
            sites[statement.issuer], records[statement.issuer] = listing, by.records
        else:
            judges.append(statement.issuer)
        taken.add(said.account)
        if by.named or by.key:
            left.remove(by)
    return Seated(sites, tuple(judges), records)


def _acceptances(sponsor: Troth, agreed: Agreed) -> Iterator[tuple[Acceptance, Statement]]:
    """What was said of these terms by parties whose account on this chain is known and is the one they name."""
    wanted = agreed_digest(agreed)
    for _, statement in sponsor.claims(ACCEPTANCE):
        try:
            said = Acceptance.of(statement)
        except BadInput:
            continue
        bound = sponsor.accounts_of(statement.issuer)
        if said.agreed == wanted and said.account in bound and sponsor.account_of(statement.issuer) == said.account:
            yield said, statement


def _fits(one: Given, said: Acceptance, did: str) -> bool:
    if one.role != said.role or (one.named and one.named != did):
        return False
    return said.by_key(did, one.key) if one.key else True


def _listing(sponsor: Troth, agreed: Agreed, statement: Statement) -> bytes | None:
    """The listing that a site took its seat with, if it is its own, of the agreed schema."""
    named = statement.all_refs("listing")
    if len(named) != 1:
        return None
    try:
        said = sponsor.statement(named[0])
        fits = said.issuer == statement.issuer and Listing.of(said).schema == agreed.schema.json()
    except (BadInput, Undecidable):
        return None
    return named[0] if fits else None
