"""What the claims behind a target say, in words that other formats have fields for: each with the claim that says it.

Nothing here is inferred beyond reading a body: what no claim says is listed as missing, by name, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from troth.core.claims import Statement
from troth.core.errors import BadInput, Undecidable
from troth.formats.inventory import INVENTORY, Inventory
from troth.formats.runs import RUN, Run, decimal_text
from troth.learn.claims import LISTING, MODEL, UPDATE, Listing, ModelClaim, Plan, UpdateClaim
from troth.store.cid import Cid, Codec
from troth.verify.trace import Graph

CLAIM = "urn:troth:claim:"
MODEL_FIELDS = ("licence", "intended use", "limitations", "architecture", "sensitive personal information",
                "energy used")
DATA_FIELDS = ("licence", "collection", "sensitive personal information")
PPM = 1_000_000
FIXED = 1 << 16


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence: ``name`` is ``value``, because ``claim`` says so."""

    name: str
    value: str
    claim: bytes
    about: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Data that the target rests on. use: training, validation or input. digest: SHA-256 of its bytes, if known."""

    claim: bytes
    issuer: str
    issued_at: int
    name: str
    use: str
    digest: bytes | None
    cid: str | None
    rows: int | None
    sealed: bool
    erased: bool
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """A target's lineage in such words. ``as_of``: when the newest claim in it was issued, Unix seconds."""

    graph: Graph
    statement: Statement
    metrics: tuple[Said, ...]
    parameters: tuple[Said, ...]
    contributions: tuple[Said, ...]
    datasets: tuple[Dataset, ...]
    licence: Said | None
    missing: tuple[tuple[str, str], ...]

    @property
    def target(self) -> bytes:
        """The target's claim id."""
        return self.graph.target

    @property
    def as_of(self) -> int:
        """When the newest claim of the lineage was issued."""
        return max(one.issued_at for _, one in self.statements())

    @property
    def name(self) -> str:
        """The target's first subject's name."""
        return self.statement.subjects[0].name

    def statements(self) -> Iterator[tuple[bytes, Statement]]:
        """(id, statement) of every claim that is here, the target first."""
        for node in self.graph.nodes:
            if node.statement is not None:
                yield node.id, node.statement

    def is_model(self) -> bool:
        """Whether the target is a model: one that a plan led to, or one that a run made."""
        kind = self.statement.kind
        if kind == INVENTORY:
            return "weights:elements" in Inventory.of(self.statement).said
        return kind == MODEL or (kind == RUN and bool(Run.of(self.statement).models))


def read(graph: Graph) -> Facts:
    """The facts of a graph. Raises Undecidable where the target is not here, BadInput for a body of another shape."""
    target = graph.nodes[0].statement
    if target is None:
        raise Undecidable("this claim is not here", actual=graph.target.hex())
    reader = _Reader(graph, target)
    return reader.facts()


_Body = TypeVar("_Body", Listing, Plan, UpdateClaim)


class _Reader:
    """Collects, kind by kind."""

    def __init__(self, graph: Graph, target: Statement) -> None:
        self._graph, self._target = graph, target
        self._nodes = {node.id: node for node in graph.nodes}
        self._metrics: list[Said] = []
        self._parameters: list[Said] = []
        self._contributions: list[Said] = []
        self._datasets: list[Dataset] = []
        self._licence: Said | None = None
        self._unreadable: list[tuple[bytes, str]] = []

    def facts(self) -> Facts:
        """What the claims say of the target, by its kind; what no claim says is listed as missing."""
        kind, claim = self._target.kind, self._graph.target
        if kind == MODEL:
            self._model(claim, self._target)
        elif kind == RUN:
            self._run(claim, self._target)
        elif kind == INVENTORY:
            self._inventory(claim, self._target)
        elif kind == LISTING:
            self._listing(claim, "data")
        return Facts(self._graph, self._target, tuple(self._metrics), tuple(self._parameters),
                     tuple(self._contributions), tuple(self._datasets), self._licence,
                     tuple(self._missing()))

    def _model(self, claim: bytes, statement: Statement) -> None:
        said, plan_id = ModelClaim.of(statement), statement.ref("plan")
        plan = self._nodes[plan_id].statement
        about = "" if plan is None else plan.ref("validation").hex()
        score, loss = self._measures(plan)
        self._metrics += [Said(score, decimal_text(Decimal(said.score) / PPM), claim, about),
                          Said(loss, decimal_text(Decimal(said.loss) / FIXED), claim, about)]
        self._parameters.append(Said("rounds", str(said.rounds), claim))
        if plan is None:
            return
        called = self._read(Plan, plan_id, plan)
        if called is None:
            return
        self._parameters += [Said(name, value, plan_id) for name, value in (
            ("rule", called.rule), ("clip", decimal_text(Decimal(called.clip) / FIXED)), ("seed", called.seed.hex()),
            ("privacy", called.privacy), ("sites", str(len(called.sites))))]
        for listing in plan.all_refs("listing"):
            self._listing(listing, "training")
        for listing in plan.all_refs("validation"):
            self._listing(listing, "validation")
        for update, one in self._of_kind(UPDATE):
            found = self._read(UpdateClaim, update, one)
            if found is not None:
                self._contributions.append(Said("examples", str(found.examples), update,
                                                f"round {found.round}, {one.issuer}"))

    def _run(self, claim: bytes, statement: Statement) -> None:
        run = Run.of(statement)
        self._metrics += [Said(name, one.value, claim) for name, one in sorted(run.metrics.items())]
        self._parameters += [Said(name, value, claim) for name, value in sorted(run.params.items())]
        self._datasets += [Dataset(claim, statement.issuer, statement.issued_at, one.name, "training", one.digest, None,
                                   None, False, False, {}) for one in run.data]

    def _inventory(self, claim: bytes, statement: Statement) -> None:
        found = Inventory.of(statement)
        self._parameters += [Said(name, value, claim) for name, value in sorted(found.said.items())]
        licence = found.said.get("card:license")
        if licence is not None:
            self._licence = Said("licence", licence, claim)
        self._datasets += [Dataset(claim, statement.issuer, statement.issued_at, one.name, "input", one.digest, None,
                                   None, False, False, {}) for one in found.files if one.use == "input"]

    def _listing(self, claim: bytes, use: str) -> None:
        node = self._nodes[claim]
        said = None if node.statement is None else self._read(Listing, claim, node.statement)
        if said is None or node.statement is None:
            return
        cid = Cid.parse(said.cid)
        # A file of one chunk is a raw block, whose CID holds the SHA-256 of its bytes.
        digest = cid.digest if cid.codec is Codec.RAW and not said.sealed else None
        self._datasets.append(Dataset(claim, node.statement.issuer, node.statement.issued_at,
                                      node.statement.subjects[0].name, use, digest, said.cid, said.rows, said.sealed,
                                      node.erased, said.schema))

    def _measures(self, plan: Statement | None) -> tuple[str, str]:
        """What a model's score and loss are called: that depends on whether the label is a class or a number."""
        node = self._nodes.get(plan.ref("validation")) if plan else None
        try:
            classes = Listing.of(node.statement).schema["classes"] if node and node.statement else None
        except (BadInput, KeyError):
            classes = None
        if classes is None:
            return "score", "loss"
        return ("accuracy", "log-loss") if classes else ("r2", "huber-loss")

    def _read(self, kind: type[_Body], claim: bytes, statement: Statement) -> _Body | None:
        """A body below the target. One that is not what its kind requires is said to be missing, and hides no other."""
        try:
            found = kind.of(statement)
            if isinstance(found, Listing):
                Cid.parse(found.cid)
        except BadInput as error:
            if claim == self._graph.target:
                raise
            self._unreadable.append((claim, error.message))
            return None
        return found

    def _of_kind(self, kind: str) -> Iterator[tuple[bytes, Statement]]:
        for node in self._graph.nodes:
            if node.statement is not None and node.statement.kind == kind:
                yield node.id, node.statement

    def _missing(self) -> Iterator[tuple[str, str]]:
        """What a reader would look for, and why it is not there."""
        fields = MODEL_FIELDS if self._target.kind in (MODEL, RUN, INVENTORY) else DATA_FIELDS if self._datasets else ()
        for field in fields:
            if field != "licence" or self._licence is None:
                yield field, "no claim says it"
        for claim, why in self._unreadable:
            yield f"what claim {claim.hex()} says", f"not what its kind requires: {why}"
        for one in self._datasets:
            if one.sealed:
                yield f"bytes of dataset {one.claim.hex()}", "sealed to its owner; the claim holds a keyed commitment"
            if one.erased:
                yield f"data of {one.claim.hex()}", "erased by its owner; what rests on it is stale"
        for node in self._graph.nodes:
            if node.withdrawn:
                yield f"consent of {node.id.hex()}", "withdrawn by whoever gave it; what rests on it is stale"
            if node.statement is None:
                yield f"claim {node.id.hex()}", "referred to, but not here"


def when(seconds: int) -> str:
    """A time in RFC 3339, UTC. Raises BadInput for one beyond the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        raise BadInput("a time that no calendar has", actual=seconds) from None


def urn(claim: bytes) -> str:
    """How foreign documents name a claim."""
    return CLAIM + claim.hex()


def described(statement: Statement) -> str:
    """One line about a claim: its kind and who says it."""
    return f"{statement.kind} by {statement.issuer}"
