"""Personhood: an admitter says who is a person, once each; a person then acts once a scope, and nobody learns who.

1. A person makes a secret and shows the admitter its commitment.
2. The admitter, having looked at the person in whatever way it stands for, says so: kind ``admission``.
3. The admitter names the group as it is now: kind ``roster``, all members' commitments and their root.
4. The person acts: a proof that somebody in the roster says this message in this scope. Its *nullifier* is the same for
   every act of this person in this scope, so a second one is seen, and different in every other scope.

**Uniqueness is the admitter's word.** The proof shows one act for each *admitted secret*. Whoever is admitted twice
acts twice; whoever sells a secret sells a vote; an admitter can admit people who do not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from troth.core.claims import Statement, Subject
from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.ports import Personhood, PersonProof

ADMISSION = "admission"
ROSTER = "roster"
MAX_MEMBERS = 1 << 16
MAX_TEXT = 1024
MAX_DEPTH = 32
_FORMAT = "troth-act-1"
_FIELD = 1 << 256


@dataclass(frozen=True, slots=True)
class Admission:
    """The admitter's word that one more person is behind this commitment."""

    group: str
    commitment: int

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"commitment": str(self.commitment), "group": _text(self.group)}

    def subject(self) -> Subject:
        """The claim's subject."""
        return Subject("commitment", {"sha256": sha256(str(self.commitment).encode()).hex()})

    @classmethod
    def of(cls, statement: Statement) -> Admission:
        """Read a claim strictly. Raises BadInput."""
        commitment, group = take(_of_kind(statement, ADMISSION), commitment=str, group=str)
        found = cls(_text(group), _number(commitment))
        if statement.subjects != (found.subject(),):
            raise BadInput("an admission about something else", expected=found.subject(), actual=statement.subjects)
        return found


@dataclass(frozen=True, slots=True)
class Roster:
    """A group as it is: its members' commitments, in order, and their root."""

    group: str
    members: tuple[int, ...]
    root: int

    def __post_init__(self) -> None:
        if not 0 < len(self.members) <= MAX_MEMBERS or len(set(self.members)) != len(self.members):
            raise BadInput("not a group", expected=f"1 to {MAX_MEMBERS} distinct members", actual=len(self.members))

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"group": _text(self.group), "members": [str(one) for one in self.members], "root": str(self.root)}

    def subject(self) -> Subject:
        """The claim's subject."""
        return Subject("group", {"sha256": sha256(str(self.root).encode()).hex()})

    @classmethod
    def of(cls, statement: Statement) -> Roster:
        """Read a claim strictly. Whether the root is the members' is ``check``'s. Raises BadInput."""
        group, members, root = take(_of_kind(statement, ROSTER), group=str, members=list, root=str)
        found = cls(_text(group), tuple(map(_number, members)), _number(root))
        if statement.subjects != (found.subject(),):
            raise BadInput("a roster about something else", expected=found.subject(), actual=statement.subjects)
        return found

    def check(self, backend: Personhood) -> None:
        """Refuted unless the root is the members': another one could hide members."""
        found = backend.root(self.members)
        if found != self.root:
            raise Refuted("the roster's root is not its members'", expected=self.root, actual=found)


@dataclass(frozen=True, slots=True)
class Act:
    """What a person says once in a scope, as a file. ``roster``: the claim that names the group (id)."""

    roster: bytes
    scope: str
    message: str
    proof: PersonProof

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        proof = self.proof
        return encode({"format": _FORMAT, "message": self.message, "roster": self.roster.hex(), "scope": self.scope,
                       "proof": {"depth": proof.depth, "nullifier": str(proof.nullifier), "root": str(proof.root),
                                 "points": [str(one) for one in proof.points]}})

    @classmethod
    def from_bytes(cls, data: bytes, admitter: str, group: str) -> Act:
        """Read an act strictly: what its proof must be about follows from scope and message. Raises BadInput."""
        format_, message, proof, roster, scope = take(decode_object(data), format=str, message=str, proof=dict,
                                                      roster=str, scope=str)
        depth, nullifier, points, root = take(proof, depth=int, nullifier=str, points=list, root=str)
        if format_ != _FORMAT or len(points) != 8 or not 1 <= depth <= MAX_DEPTH:
            raise BadInput("not an act", expected=f"{_FORMAT}, 8 points, depth 1 to {MAX_DEPTH}", actual=format_)
        return cls(from_hex(roster, 32), scope, message, PersonProof(
            depth, _number(root), _number(nullifier), message_number(message), scope_number(admitter, group, scope),
            tuple(map(_number, points))))


def roster_of(data: bytes) -> bytes:
    """Which roster (claim id) an act's file names. Raises BadInput."""
    roster = decode_object(data).get("roster")
    return from_hex(roster, 32)


def scope_number(admitter: str, group: str, scope: str) -> int:
    """A scope as a number. The admitter and the group are in it: nullifiers of two groups say nothing of each other."""
    return int.from_bytes(sha256(encode(["troth/scope/v1", admitter, _text(group), _text(scope)])), "big")


def message_number(message: str) -> int:
    """A message as a number."""
    return int.from_bytes(sha256(encode(["troth/message/v1", _text(message)])), "big")


def act(backend: Personhood, secret: bytes, statement: Statement, claim: bytes, scope: str, message: str) -> Act:
    """Act once in a scope of the group that the roster (its statement and id) names. Raises Misuse for
    a person that the roster does not name."""
    roster = Roster.of(statement)
    number = scope_number(statement.issuer, roster.group, scope)
    return Act(claim, scope, message, backend.prove(secret, roster.members, number, message_number(message)))


def check_acts(backend: Personhood, statement: Statement, files: Sequence[bytes]) -> list[Act | Refuted | BadInput]:
    """Each act, or why it is none, for the group that the roster's statement names. The caller has checked its
    signatures and its root (``Roster.check``), and looks for nullifiers seen before.

    1. The act is read strictly; it is about the roster's root.
    2. Its proof holds for its scope and message.
    """
    roster = Roster.of(statement)
    found: list[Act | Refuted | BadInput] = []
    for data in files:
        try:
            one = Act.from_bytes(data, statement.issuer, roster.group)
            if one.proof.root != roster.root:
                raise Refuted("an act under another group's root", expected=roster.root, actual=one.proof.root)
            found.append(one)
        except (Refuted, BadInput) as error:
            found.append(error)
    acts = [one for one in found if isinstance(one, Act)]
    right = iter(backend.holds([one.proof for one in acts]))
    return [Refuted("the proof of this act does not hold") if isinstance(one, Act) and not next(right) else one
            for one in found]


def count(acts: Sequence[Act]) -> Mapping[str, int]:
    """How many persons said what. Raises Misuse for two acts of one person, or of several scopes."""
    if len({one.scope for one in acts}) > 1:
        raise Misuse("acts of several scopes are not counted together")
    if len({one.proof.nullifier for one in acts}) != len(acts):
        raise Misuse("one person is counted twice")
    found: dict[str, int] = {}
    for one in acts:
        found[one.message] = found.get(one.message, 0) + 1
    return found


def _of_kind(statement: Statement, kind: str) -> Mapping[str, Any]:
    if (statement.kind, statement.version) != (kind, 1) or statement.refs or statement.evidence:
        raise BadInput(f"not a claim of kind {kind}", expected="version 1, no references, no evidence",
                       actual=f"{statement.kind} {statement.version}")
    return statement.body


def _text(value: str) -> str:
    if not value or len(value.encode(errors="replace")) > MAX_TEXT or not value.isprintable():
        raise BadInput("not a name or message", expected=f"1 to {MAX_TEXT} bytes of printable text", actual=value[:40])
    return value


def _number(value: object) -> int:
    if type(value) is not str or not value.isascii() or not value.isdigit() or len(value) > 78 \
            or str(int(value)) != value or int(value) >= _FIELD:
        raise BadInput("not a number", expected="decimal text below 2**256", actual=str(value)[:80])
    return int(value)
