"""What a federated round says: the bodies of its claims, typed, written and read strictly.

One page each under docs/kinds. Digests are 32 bytes, lowercase hex in the claim; money is text; ``site`` keys are DIDs
and every per-site list follows the plan's ``sites``, which ascend.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from troth.core import version
from troth.core.claims import Statement, Subject
from troth.core.encoding import amount, encode, from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.learn.masking.terms import Terms, opened
from troth.learn.privacy.mechanisms import Spent

LISTING, PLAN, UPDATE, COMMITMENTS, AGGREGATE = "listing", "plan", "update", "commitments", "aggregate"
DELIVERY, VERDICT, MODEL = "delivery", "verdict", "model"

#: Deal outcome beyond upheld (1) and refuted (2): the result stands without the updates whose evidence was withheld.
WITHHELD = 3
#: It stands with updates that the verifiers hold and the aggregate leaves out. Nobody is slashed: whether the site did
#: not send or the aggregator did not count, nobody else can tell.
OMITTED = 4
#: No masked sum of the round came out: the model stays as it is, and the aggregator has no fee.
UNSUMMED = 5


def digest_subject(name: str, digest: bytes) -> tuple[Subject, ...]:
    """One subject named by its SHA-256."""
    return (Subject(name, {"sha256": digest.hex()}),)


def _about(statement: Statement, name: str, digest: bytes) -> None:
    """Raises BadInput for another subject than the body's digest: readers who look a file up go by the subject."""
    if statement.subjects != digest_subject(name, digest):
        raise BadInput(f"{statement.kind}: the subject is not what the body says", expected=f"{name} {digest.hex()}")


def body_of(statement: Statement, kind: str) -> dict[str, Any]:
    """The body of a claim that must be of this kind, version 1. Raises BadInput."""
    if (statement.kind, statement.version) != (kind, 1):
        found = f"{statement.kind} v{statement.version}"
        raise BadInput("a claim of another kind", expected=f"{kind} v1", actual=found)
    return dict(statement.body)


@dataclass(frozen=True, slots=True)
class Listing:
    """Records that exist, sealed or public. ``commitment`` is the keyed root over the records (zero when public)."""

    cid: str
    rows: int
    sealed: bool
    commitment: bytes
    schema: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        return {"cid": self.cid, "commitment": self.commitment.hex(), "rows": self.rows,
                "schema": dict(self.schema), "sealed": self.sealed}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        cid, commitment, rows, schema, sealed = take(
            body_of(statement, LISTING), cid=str, commitment=str, rows=int, schema=dict, sealed=bool)
        if rows < 1:
            raise BadInput("a listing without records", expected="at least one row", actual=rows)
        return cls(cid, rows, sealed, from_hex(commitment, 32), schema)


@dataclass(frozen=True, slots=True)
class Seat:
    """Who takes part: a DID and the account that is paid."""

    did: str
    account: bytes

    def json(self) -> dict[str, str]:
        return {"account": self.account.hex(), "did": self.did}

    @classmethod
    def read(cls, value: Any) -> Self:
        if type(value) is not dict:
            raise BadInput("unexpected JSON", expected="an object", actual=type(value).__name__)
        account, did = take(value, account=str, did=str)
        return cls(did, from_hex(account, 20))


@dataclass(frozen=True, slots=True)
class Plan:
    """What the sponsor calls for: everything a re-execution needs besides the updates.

    task: the family of models, as `tasks.Task.json`. fit: the local training asked for, as `site.Fit.json`. masking:
    what rounds without open updates are like; None in privacy mode open. records: how many records each site has, by
    the sponsor's word, which its pay goes by too; empty where pay goes by worth alone.
    """

    sites: tuple[Seat, ...]
    aggregator: Seat
    verifiers: tuple[Seat, ...]
    rounds: int
    reward: int
    rule: str
    clip: int
    seed: bytes
    privacy: str
    task: Mapping[str, Any] = field(default_factory=lambda: {"family": "dense", "hidden": []})
    fit: Mapping[str, Any] = field(
        default_factory=lambda: {"batch": 0, "decay": "0.003", "rate": "0.2", "steps": 10})
    masking: Terms | None = None
    records: tuple[int, ...] = ()

    def body(self) -> dict[str, Any]:
        return {"aggregator": self.aggregator.json(), "clip": self.clip, "fit": dict(self.fit),
                "privacy": self.privacy,
                "reward": str(self.reward), "rounds": self.rounds, "rule": self.rule, "seed": self.seed.hex(),
                "sites": [seat.json() for seat in self.sites],
                "task": dict(self.task), "verifiers": [seat.json() for seat in self.verifiers],
                **({} if self.masking is None else {"masking": self.masking.json()}),
                **({"records": list(self.records)} if self.records else {})}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        body = body_of(statement, PLAN)
        masked, records = not opened(body.get("privacy")), tuple[int, ...]()
        if "records" in body:
            records = _records(body.pop("records"), masked)
        masking = body.pop("masking", None) if masked else None
        aggregator, clip, fit, privacy, reward, rounds, rule, seed, sites, task, verifiers = take(
            body, aggregator=dict, clip=int, fit=dict, privacy=str, reward=str, rounds=int,
            rule=str, seed=str, sites=list, task=dict, verifiers=list)
        found = cls(tuple(map(Seat.read, sites)), Seat.read(aggregator), tuple(map(Seat.read, verifiers)), rounds,
                    amount(reward), rule, clip, from_hex(seed, 32), privacy, task, fit,
                    Terms.of(privacy, masking) if masked else None, records)
        keys = found.keys
        if records and len(records) != len(keys):
            raise BadInput("a plan's numbers of records", expected=f"one for each of {len(keys)} sites",
                           actual=len(records))
        seats = (*found.sites, found.aggregator, *found.verifiers)
        if len({seat.did for seat in seats}) != len(seats) or len({seat.account for seat in seats}) != len(seats):
            # Who judges must not be judged, and a verifier has one voice.
            raise BadInput("a plan in which somebody has two seats", expected="everybody and every account once")
        if not found.verifiers:
            raise BadInput("a plan without verifiers", expected="at least one")
        if list(keys) != sorted(set(keys)) or rounds < 1:
            raise BadInput("a malformed plan", expected="ascending distinct sites, at least one round",
                           actual=f"{len(keys)} sites, {rounds} rounds")
        if found.masking is not None:
            found.masking.check_seats(len(keys))
        return found

    @property
    def keys(self) -> tuple[str, ...]:
        """The sites' DIDs."""
        return tuple(seat.did for seat in self.sites)


MAX_RECORDS = 1 << 31


def _records(value: Any, masked: bool) -> tuple[int, ...]:
    if masked or type(value) is not list or not value or not all(
            type(one) is int and 1 <= one <= MAX_RECORDS for one in value):
        raise BadInput("a plan's numbers of records", actual=value,
                       expected=f"a list of 1 to {MAX_RECORDS}, in open rounds")
    return tuple(value)


BUILT_IN = hashlib.sha256(f"troth {version.VERSION}".encode()).digest()
"""Names the training that comes with this version, where a claim names code by its SHA-256."""
MAX_ENVIRONMENT = 16
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9_.-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Training:
    """How a site says that it trained. Its word: nobody re-executes training.

    clip: largest norm that it let its update have, at 2**16; the bytes are measured against it. code: SHA-256 of what
    trained, a file or ``BUILT_IN``. environment: what it ran on, in short words: no host and no person. privacy: what
    was done to each record, None for nothing.
    """

    clip: int
    code: bytes = BUILT_IN
    environment: Mapping[str, str] = field(default_factory=dict)
    privacy: Spent | None = None

    def __post_init__(self) -> None:
        if self.clip < 1:
            raise BadInput("a norm bound below one unit", expected="at least 1, at 2**16", actual=self.clip)
        bad = [name for name, value in self.environment.items() if type(value) is not str or len(value) > 200
               or not value.isprintable() or not _ENVIRONMENT.fullmatch(name)]
        if bad or len(self.environment) > MAX_ENVIRONMENT:
            raise BadInput("an environment is a few short words", actual=bad or len(self.environment),
                           expected=f"at most {MAX_ENVIRONMENT}, each of at most 200 printable characters")

    def body(self) -> dict[str, Any]:
        return {"clip": self.clip, "code": self.code.hex(), "environment": dict(self.environment),
                "privacy": None if self.privacy is None else self.privacy.body()}


@dataclass(frozen=True, slots=True)
class UpdateClaim:
    """One site's contribution to one round. ``round`` counts from 1 and is absolute; ``base``: digest started from.

    digest: SHA-256 of what is sealed (`seal_update`); behind masks, the id of the sum that the vector goes into.
    examples: records trained on. data: the listing's commitment.
    """

    round: int
    deal: bytes
    base: bytes
    digest: bytes
    examples: int
    data: bytes
    training: Training

    def body(self) -> dict[str, Any]:
        return {"base": self.base.hex(), "data": self.data.hex(), "deal": self.deal.hex(), "examples": self.examples,
                "round": self.round, "update": self.digest.hex()} | self.training.body()

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        body = body_of(statement, UPDATE)
        if "privacy" not in body:
            raise BadInput("an update that is silent on privacy", expected="what was spent, or null")
        spent = body.pop("privacy")
        base, clip, code, data, deal, environment, examples, round_, update = take(
            body, base=str, clip=int, code=str, data=str, deal=str, environment=dict, examples=int, round=int,
            update=str)
        _about(statement, "update", from_hex(update, 32))
        training = Training(clip, from_hex(code, 32), environment, None if spent is None else Spent.of(spent))
        return cls(round_, from_hex(deal, 32), from_hex(base, 32), from_hex(update, 32), examples, from_hex(data, 32),
                   training)


SALT = 32
"""Random bytes in front of an update's, so that its digest tells nothing to whoever guesses the records."""
_SEALED = b"troth-update-1\n"


def seal_update(did: str, deal: bytes, round_: int, salt: bytes, data: bytes) -> bytes:
    """The bytes that are sealed and digested for an update: whose it is and for what, 32 random bytes, the arrays.

    Bound to its sender, because a commitment copied with its digest and CID would otherwise open with the key that the
    one copied hands over; and to deal and round, so that no update opens in another.
    """
    return _SEALED + _owner(did, deal, round_) + salt + data


def open_update(did: str, deal: bytes, round_: int, sealed: bytes) -> memoryview:
    """The arrays' bytes of `seal_update`, where they lie. Raises Refuted for another sender's, deal's or round's."""
    front = _SEALED + _owner(did, deal, round_)
    if not sealed.startswith(front) or len(sealed) < len(front) + SALT:
        raise Refuted("an update that was not made by its sender for this round", actual=did)
    return memoryview(sealed)[len(front) + SALT:]


def _owner(did: str, deal: bytes, round_: int) -> bytes:
    return hashlib.sha256(_SEALED + deal + round_.to_bytes(8, "big") + did.encode()).digest()


MAX_REJECTED = 256


@dataclass(frozen=True, slots=True)
class CommitmentsClaim:
    """Update claims that somebody held before any of them was revealed. The aggregator's fixes what may count.

    ``sites``: (site, its one claim), by site. With the site named, nobody can fix a menu of one site's updates and
    choose from it once the others are revealed: a claim counts only under its own issuer. ``rejected``: (claim, reason)
    of those that arrived and may not count, by claim. They are named here and not referred to: what is referred to
    must be in everybody's log before a model can be bundled.
    """

    round: int
    deal: bytes
    sites: tuple[tuple[str, bytes], ...]
    rejected: tuple[tuple[bytes, str], ...] = ()

    @property
    def updates(self) -> tuple[bytes, ...]:
        """The claims that may count, by site."""
        return tuple(claim for _, claim in self.sites)

    def body(self) -> dict[str, Any]:
        return {"deal": self.deal.hex(),
                "rejected": [{"claim": claim.hex(), "reason": reason} for claim, reason in self.rejected],
                "round": self.round, "updates": [{"claim": claim.hex(), "site": site} for site, claim in self.sites]}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        deal, rejected, round_, updates = take(body_of(statement, COMMITMENTS), deal=str, rejected=list, round=int,
                                               updates=list)
        sites = tuple((site, from_hex(claim, 32)) for claim, site in (take(one, claim=str, site=str)
                                                                      for one in updates))
        named = tuple((from_hex(claim, 32), reason) for claim, reason in (
            take(one, claim=str, reason=str) for one in rejected))
        ids, fixed, dids = [claim for claim, _ in named], {claim for _, claim in sites}, [site for site, _ in sites]
        if dids != sorted(set(dids)) or len(fixed) < len(dids):
            raise BadInput("commitments that are not one a site", expected="distinct claims, by site")
        if ids != sorted({*ids} - fixed) or len(ids) > MAX_REJECTED:
            raise BadInput("rejected commitments out of order", expected="ascending, distinct claims")
        _about(statement, "deal", from_hex(deal, 32))
        return cls(round_, from_hex(deal, 32), sites, named)


@dataclass(frozen=True, slots=True)
class AggregateClaim:
    """The aggregator's result of one round: ``result`` is ``learn.round.RoundOutput.to_json``.

    transcripts: SHA-256 of what shows the masked sums of a round without open updates, else None.
    """

    round: int
    deal: bytes
    base: bytes
    result: Mapping[str, Any]
    transcripts: bytes | None = None

    def body(self) -> dict[str, Any]:
        return {"base": self.base.hex(), "deal": self.deal.hex(), "result": dict(self.result), "round": self.round,
                **({} if self.transcripts is None else {"transcripts": self.transcripts.hex()})}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        body = body_of(statement, AGGREGATE)
        shown = from_hex(body.pop("transcripts"), 32) if "transcripts" in body else None
        base, deal, result, round_ = take(body, base=str, deal=str, result=dict, round=int)
        found = cls(round_, from_hex(deal, 32), from_hex(base, 32), result, shown)
        _about(statement, "params", found.params)
        return found

    @property
    def params(self) -> bytes:
        """Digest of the aggregated model."""
        return from_hex(self.result.get("params"), 32)

    def numbers(self, name: str) -> tuple[int, ...]:
        """A list of integers in the result. Raises BadInput."""
        return tuple(self._list(name, int))

    def flags(self, name: str) -> tuple[bool, ...]:
        """A list of booleans in the result. Raises BadInput."""
        return tuple(self._list(name, bool))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts in the result. Raises BadInput."""
        return tuple(self._list(name, str))

    def _list(self, name: str, kind: type) -> list[Any]:
        found = self.result.get(name)
        if type(found) is not list or any(type(item) is not kind for item in found):
            raise BadInput(f"an aggregate without its {name}", expected=f"a list of {kind.__name__}",
                           actual=type(found).__name__)
        return found


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A party says that the evidence asked for was handed, sealed, to these verifiers."""

    deal: bytes
    round: int
    cids: tuple[str, ...]
    to: tuple[str, ...]

    def body(self) -> dict[str, Any]:
        return {"cids": list(self.cids), "deal": self.deal.hex(), "round": self.round, "to": list(self.to)}


def found_digest(result: Mapping[str, Any]) -> bytes:
    """SHA-256 of an aggregate's result, but for what it rejected: all that payments and later rounds rest on."""
    return hashlib.sha256(encode({name: value for name, value in result.items() if name != "rejected"})).digest()


@dataclass(frozen=True, slots=True)
class VerdictClaim:
    """A verifier's finding about one aggregate. ``result``: the deal result's ABI bytes it will reveal.

    ``params`` is the digest of the model that re-execution gives, ``found`` of all that it gives (`found_digest`);
    ``outcome`` the deal's outcome number. ``withheld``: the sites, ascending, without whose updates the round was
    executed because their evidence did not come; the result's slashed accounts hold those that did harm too.
    """

    deal: bytes
    rung: int
    round: int
    outcome: int
    params: bytes
    found: bytes
    result: bytes
    withheld: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        return {"deal": self.deal.hex(), "found": self.found.hex(), "outcome": self.outcome,
                "params": self.params.hex(), "policy": "rerun",
                "result": self.result.hex(), "round": self.round, "rung": self.rung, "withheld": list(self.withheld)}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        deal, found, outcome, params, policy, result, round_, rung, withheld = take(
            body_of(statement, VERDICT), deal=str, found=str, outcome=int, params=str, policy=str, result=str,
            round=int, rung=int, withheld=list)
        if policy != "rerun":
            raise BadInput("a verdict under another policy", expected="rerun", actual=policy)
        if any(type(site) is not str for site in withheld) or withheld != sorted(set(withheld)):
            raise BadInput("sites that withheld, out of order", expected="ascending, distinct DIDs")
        return cls(from_hex(deal, 32), rung, round_, outcome, from_hex(params, 32), from_hex(found, 32),
                   from_hex(result), tuple(withheld))


@dataclass(frozen=True, slots=True)
class ModelClaim:
    """The trained model as the sponsor publishes it. Score in parts per million and loss as the plan's task
    defines them, on the validation listing."""

    params: bytes
    rounds: int
    score: int
    loss: int

    def body(self) -> dict[str, Any]:
        return {"loss": self.loss, "params": self.params.hex(), "rounds": self.rounds, "score_ppm": self.score}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        loss, params, rounds, score = take(
            body_of(statement, MODEL), loss=int, params=str, rounds=int, score_ppm=int)
        _about(statement, "params", from_hex(params, 32))
        return cls(from_hex(params, 32), rounds, score, loss)
