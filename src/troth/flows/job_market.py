"""Who does jobs: what providers offer, how their jobs ended on chain, and who fits a job.

An offer is its issuer's word: hardware cannot be seen from a claim, and a named card is whatever its owner calls it.
What can be seen is how jobs ended, since every job is a deal of one shape (`of_a_job`): a provider that lost its stake
in its last job, or in more than one of ten, is avoided. That costs a cheat a stake and its name, no more: under a new
key it is a newcomer again. Jobs done say little, as a provider can be its own client for the price of gas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from troth.compute.runners import FORMS
from troth.core import encoding
from troth.core.claims import Statement
from troth.core.encoding import from_hex
from troth.core.errors import BadInput, Misuse
from troth.core.terms import UPHELD, Account, DealState
from troth.flows.job_terms import RESULT_ASK, STAKE_POT

PROVIDER = "provider"
WORK, REVIEWING = "work", "review"
"""What is done beside computing: work by people, and reviews."""
MINUTE = 60


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics card by its maker's name. memory: bytes; count: how many of them."""

    name: str
    memory: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Provider:
    """What somebody does for pay. does: forms of jobs, ``work``, ``review``. memory: bytes. price: the least for a job,
    and what each begun minute of its limit costs besides. stake: the most it deposits. until: Unix seconds."""

    account: Account
    does: tuple[str, ...]
    processors: int
    memory: int
    gpus: tuple[Gpu, ...]
    token: Account
    price: int
    minute: int
    stake: int
    until: int
    note: str = ""

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"account": self.account.hex(), "does": list(self.does), "gpus": [
                    {"count": one.count, "memory": one.memory, "name": one.name} for one in self.gpus],
                "memory": self.memory, "minute": str(self.minute), "note": self.note, "price": str(self.price),
                "processors": self.processors, "stake": str(self.stake), "token": self.token.hex(),
                "until": self.until}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read strictly. Raises BadInput."""
        if (statement.kind, statement.version) != (PROVIDER, 1):
            raise BadInput("a claim of another kind", expected=f"{PROVIDER} v1",
                           actual=f"{statement.kind} v{statement.version}")
        account, does, gpus, memory, minute, note, price, processors, stake, token, until = encoding.take(
            statement.body, account=str, does=list, gpus=list, memory=int, minute=str, note=str, price=str,
            processors=int, stake=str, token=str, until=int)
        if not does or any(one not in (*FORMS, WORK, REVIEWING) for one in does) or min(memory, processors) < 1:
            raise BadInput("not an offer", expected="known forms, one processor and some memory at least",
                           actual=f"{does}, {processors}, {memory}")
        return cls(from_hex(account, 20), tuple(does), processors, memory, tuple(map(_gpu, gpus)), from_hex(token, 20),
                   encoding.amount(price), encoding.amount(minute), encoding.amount(stake), until, note)

    def price_of(self, seconds: int) -> int:
        """The least it takes for a job with this limit."""
        return self.price + self.minute * -(-seconds // MINUTE)


def _gpu(value: Any) -> Gpu:
    if type(value) is not dict:
        raise BadInput("unexpected JSON", expected="an object", actual=type(value).__name__)
    count, memory, name = encoding.take(value, count=int, memory=int, name=str)
    return Gpu(name, memory, count)


def known_forms(does: Iterable[str]) -> None:
    """Refuse what is neither a form of job nor ``work`` nor ``review``. Raises Misuse."""
    for one in does:
        if one not in (*FORMS, WORK, REVIEWING):
            raise Misuse("no such form of job", expected=", ".join((*FORMS, WORK, REVIEWING)), actual=one,
                         do="What people make, such as annotations, is work.")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a job needs. does: its form, or ``work``. gpu: a part of the card's name, in any case; empty for none.
    seconds: its limit. price, stake: the most that is paid, and what must be deposited for it."""

    does: str
    token: Account
    price: int
    stake: int
    processors: int = 1
    memory: int = 1
    gpu: str = ""
    seconds: int = MINUTE

    def unmet(self, offer: Provider, now: int) -> str:
        """The first thing that this offer does not give, or nothing."""
        card = self.gpu.casefold()
        for what, met in (
                ("its offer has ended", offer.until > now), (f"does no {self.does}", self.does in offer.does),
                ("takes another token", offer.token == self.token),
                (f"asks {offer.price_of(self.seconds)}", offer.price_of(self.seconds) <= self.price),
                (f"stakes at most {offer.stake}", offer.stake >= self.stake),
                (f"has {offer.processors} processors", offer.processors >= self.processors),
                (f"has {offer.memory} bytes of memory", offer.memory >= self.memory),
                (f"has no {self.gpu}", not card or any(card in one.name.casefold() for one in offer.gpus))):
            if not met:
                return what
        return ""


@dataclass(frozen=True, slots=True)
class Record:
    """How an account's jobs ended. done: paid. lost: with its stake forfeited: wrong, late or silent. last_lost: the
    newest one so."""

    done: int = 0
    lost: int = 0
    last_lost: bool = False

    @property
    def avoided(self) -> bool:
        """Whether it failed in its last job, or in more than one of ten."""
        return self.last_lost or 10 * self.lost > self.done + self.lost


@dataclass(frozen=True, slots=True)
class Match:
    """A provider for a job. why: why it is not one, or nothing."""

    did: str
    offer: Provider
    record: Record
    price: int
    why: str = ""


def of_a_job(state: DealState) -> Account | None:
    """The provider of a deal that has the shape of a job's, or None."""
    ask = state.terms.rungs[0].asks[0]
    if ask.kind != RESULT_ASK or ask.who is None or len(ask.who) != 1:
        return None
    return next((pot.depositor for pot in state.terms.pots if (pot.name, pot.depositor) == (STAKE_POT, ask.who[0])),
                None)


def records(states: Iterable[DealState]) -> dict[Account, Record]:
    """How the jobs of each provider ended, from deals in the order in which they were opened."""
    found: dict[Account, Record] = {}
    for state in states:
        provider = of_a_job(state)
        if provider is None or state.status != "closed" or state.final is None:
            continue
        before = found.get(provider, Record())
        if provider in state.final.slashed:
            found[provider] = Record(before.done, before.lost + 1, True)
        elif state.final.outcome == UPHELD:
            found[provider] = Record(before.done + 1, before.lost, False)
    return found


def match(needs: Needs, offers: Mapping[str, Provider], history: Mapping[Account, Record], now: int) -> list[Match]:
    """Every offer: those that fit by price, the better record first among equals; then the others, with why not."""
    found = []
    for did, offer in offers.items():
        record = history.get(offer.account, Record())
        why = needs.unmet(offer, now) or ("lost its stake lately" if record.avoided else "")
        found.append(Match(did, offer, record, offer.price_of(needs.seconds), why))
    return sorted(found, key=lambda one: (bool(one.why), one.price, one.record.lost, -one.record.done, one.did))


def offers_of(claims: Iterable[tuple[bytes, Statement]]) -> dict[str, Provider]:
    """The newest offer of each issuer; what cannot be read is nobody's offer and stops nobody."""
    found: dict[str, Provider] = {}
    for _, statement in claims:
        try:
            found[statement.issuer] = Provider.of(statement)
        except BadInput:
            found.pop(statement.issuer, None)
    return found
