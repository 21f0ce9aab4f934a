"""Consents of a workspace: given, opened to whom they are given, withdrawn, and what rests on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from troth.core.claims import Statement
from troth.core.encoding import encode, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.times import moment
from troth.core.verdicts import Report
from troth.store.commitments import commit
from troth.verify.consents import Consent, check_consents, withdrawal_of, withdrawn_at
from troth.verify.trace import CONSENT, WITHDRAWAL, reaching, referring

if TYPE_CHECKING:
    from troth.app import Troth


@dataclass(frozen=True, slots=True)
class Opening:
    """What shows which data a consent is about: for those who hold the data. ``key``: secret."""

    consent: bytes
    key: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """The file to hand over."""
        return encode({"consent": self.consent.hex(), "key": self.key.hex()}) + b"\n"

    @classmethod
    def of(cls, body: Any) -> Opening:
        """Read one. Raises BadInput."""
        consent, key = take(body, consent=str, key=str)
        return cls(from_hex(consent, 32), from_hex(key, 32))


def give(party: Troth, data: bytes, purpose: str, to: Sequence[str], until: int) -> Opening:
    """Attest that ``to`` may use these data for ``purpose`` until then; the consent with what opens it.

    The claim holds a commitment under a key that follows from this party's secrets and the words of the consent, so
    that neither the data can be told from it, nor that two consents are about the same. It is sent to ``to`` where an
    exchange is set. Raises BadInput for what is no consent, Misuse for one that is over.
    """
    words = encode({"data": sha256(data).hex(), "purpose": purpose, "to": list(to), "until": until})
    key = sha256(b"troth/consent/v1\n" + party.identity.account.reveal_seed() + words)
    consent = Consent(commit(key, [data]).root, purpose, tuple(to), until)
    if until <= party.clock.now():
        raise Misuse("a consent that is over already", expected=f"after {moment(party.clock.now())}",
                     actual=moment(until, party.clock.now()))
    claim = party.attest(CONSENT, consent.subjects(), consent.body())
    _tell(party, consent, [claim])
    return Opening(claim, key)


def check_opening(party: Troth, opening: Opening, data: bytes) -> None:
    """Check that a consent is about these data. Raises Refuted, or Undecidable where the consent is not here."""
    consent = Consent.of(party.statement(opening.consent))
    if commit(opening.key, [data]).root != consent.data:
        raise Refuted("the consent is about other data, or the opening is another's", expected=consent.data.hex())


def withdraw(party: Troth, claim: bytes) -> tuple[bytes, dict[str, list[str]]]:
    """Withdraw a consent of this party, tell those it was given to, and say what rests on it: (claim, ``rests``).

    Doing it again gives the same claim. Raises Misuse for anybody else's consent,
    or for another kind, BadInput for a claim that only says it is one.
    """
    statement = party.statement(claim)
    if statement.issuer != party.did or statement.kind != CONSENT:
        raise Misuse("only whoever consented can withdraw", expected=f"a consent of {party.did}",
                     actual=f"a {statement.kind} of {statement.issuer}")
    consent = Consent.of(statement)
    found = next((one for one, said in party.claims(WITHDRAWAL)
                  if said.issuer == party.did and claim in said.all_refs(CONSENT)), None)
    if found is None:
        subjects, body, refs = withdrawal_of(claim, statement)
        found = party.attest(WITHDRAWAL, subjects, body, refs=refs)
    _tell(party, consent, [claim, found])
    return found, rests(party, claim)


def rests(party: Troth, consent: bytes) -> dict[str, list[str]]:
    """What in this log rests on a consent: claims (``kind id``), and the deals that those claims name."""
    return _Resting(party).on(consent)


def check(party: Troth, target: bytes, purpose: str | None = None) -> Report:
    """Whether what ``target`` rests on is consented to, now and as this log knows it. target: a claim or a deal.

    Of a deal, every claim in this log that names it is looked at. Raises Undecidable for what is not here.
    """
    withdrawals = [statement for _, statement in party.claims(WITHDRAWAL)]
    if party.log.find(target) is not None:
        return check_consents(party, [target], party.clock.now(), withdrawals, purpose)
    named = [claim for claim, said in _all(party) if _deal(said) == target.hex()]
    if not named:
        raise Undecidable("neither a claim nor a deal that is known in this log", actual=target.hex(),
                          do="Pull it from whoever refers to it.")
    return check_consents(party, named, party.clock.now(), withdrawals, purpose)


def withdrawn_under(party: Troth, deal: bytes, submitted: Iterable[bytes]) -> list[str]:
    """The withdrawn consents that a deal rests on, as this log knows it: through claims that name it or were submitted.

    submitted: ids of the claims in the deal's history.
    """
    withdrawals = [statement for _, statement in party.claims(WITHDRAWAL)]
    if not withdrawals:
        return []
    graph, moved = _Resting(party), set(submitted)
    return [claim.hex() for claim, statement in party.claims(CONSENT)
            if withdrawn_at(claim, statement, withdrawals) is not None and graph.under(claim, deal, moved)]


def known(party: Troth) -> list[dict[str, Any]]:
    """Every consent in this log: by whom, to whom, for what, until when, withdrawn when, and how much rests on it.

    Claims of the kind that are no consents are left out; whatever rests on one is refuted by ``check``.
    """
    withdrawals = [statement for _, statement in party.claims(WITHDRAWAL)]
    found, graph = [], _Resting(party)
    for claim, statement in party.claims(CONSENT):
        try:
            consent = Consent.of(statement)
        except BadInput:
            continue  # a peer's malformed claim hides no other
        resting = graph.on(claim)
        found.append({"consent": claim.hex(), "issuer": statement.issuer, "to": list(consent.to),
                      "purpose": consent.purpose, "until": consent.until,
                      "withdrawn": withdrawn_at(claim, statement, withdrawals),
                      "claims": len(resting["claims"]), "deals": resting["deals"]})
    return found


class _Resting:
    """The log's references, turned round once."""

    def __init__(self, party: Troth) -> None:
        self._statements = dict(_all(party))
        self._by = referring((claim, ref.claim) for claim, said in self._statements.items()
                             if said.kind != WITHDRAWAL for ref in said.refs)

    def under(self, consent: bytes, deal: bytes, submitted: set[bytes]) -> bool:
        """Whether a deal rests on a consent."""
        reached = reaching({consent}, self._by)
        return bool(reached & submitted) or deal.hex() in (_deal(self._statements[one]) for one in reached)

    def on(self, consent: bytes) -> dict[str, list[str]]:
        """Claims and deals that rest on a consent."""
        reached = reaching({consent}, self._by) - {consent}
        deals = {deal for claim in reached if (deal := _deal(self._statements[claim])) is not None}
        return {"claims": [f"{said.kind} {claim.hex()}" for claim, said in self._statements.items()
                           if claim in reached], "deals": sorted(deals)}


def _tell(party: Troth, consent: Consent, claims: Iterable[bytes]) -> None:
    if party.settings.exchange:
        party.send([did for did in consent.to if did != party.did], list(claims))


def _all(party: Troth) -> Iterable[tuple[bytes, Statement]]:
    for entry in party.log.iterate():
        if entry.payload is not None:
            yield entry.id, party.statement(entry.id)


def _deal(statement: Statement) -> str | None:
    """The deal that a claim's body names."""
    found = statement.body.get("deal")
    return found if type(found) is str and len(found) == 64 else None
