"""The ports: what a lower room needs from a higher one, or from outside. Each asks for as little as it can.

Implementations live in the rooms above (or beside, for backends) and are wired in ``troth.app`` alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, runtime_checkable

from troth.core.claims import Statement
from troth.core.terms import Account, DealState, Result, Terms
from troth.core.verdicts import Outcome


class Clock(Protocol):
    """Tells the time, so that nothing below reads it from the machine."""

    def now(self) -> int:
        """Unix time in seconds."""
        ...


class Fetch(Protocol):
    """Gets files over HTTPS from hosts that are named by strangers."""

    def fetch(self, url: str, most: int) -> bytes:
        """The file at an ``https`` URL, of at most ``most`` bytes, from the host that its certificate names.

        Raises Undecidable where there is none, the host cannot be reached, or may not be asked; OutsideFailed for an
        answer that is none.
        """
        ...


class Blobs(ABC):
    """A store of immutable blocks of bytes by name. Backends implement the four underscored methods.

    The names are CIDs of raw blocks or files' roots; this port does not check that bytes match their name
    (``troth.store`` does, on every read).
    """

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Keep ``data`` under ``name`` durably. Putting the same name again is a no-op."""

    @abstractmethod
    def get(self, name: str) -> bytes:
        """The bytes under ``name``. Raises Undecidable if they are not here."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether ``name`` is here."""

    @abstractmethod
    def delete(self, name: str) -> bool:
        """Forget ``name``; whether it was here."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """Every name here, in no order."""


class Signer(Protocol):
    """Signs for one issuer under every suite its document asks for."""

    @property
    def did(self) -> str:
        """The issuer's identifier."""
        ...

    def sign(self, message: bytes) -> tuple[tuple[str, bytes], ...]:
        """(verification method id, signature) for each required suite, in the document's order."""
        ...


class KeyHistory(Protocol):
    """What an issuer's keys were: the only place that says which suites must sign."""

    def verify(self, issuer: str, message: bytes, signatures: Iterable[tuple[str, bytes]],
               version: int | None = None) -> None:
        """Check that exactly the suites the issuer's document requires signed ``message``, in its order.

        version: which of the issuer's documents was in force (0 is the first); None for the newest known.
        Raises Refuted for a wrong, missing, surplus or duplicated signature, Undecidable for an issuer or a version
        whose document is not known.
        """
        ...


class Seekable(Protocol):
    """A binary file that can be read from any place."""

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


Readable = BinaryIO | Seekable


@dataclass(frozen=True, slots=True)
class Consent:
    """A depositor's signature over ``typed_data.join_digest``, for one pot, good until ``expiry`` (Unix seconds)."""

    pot: int
    expiry: int
    signature: bytes


ProvenLeaf = tuple[tuple[int, Account, int], tuple[bytes, ...]]
"""A leaf of a payout root (index, account, amount), and the proof from it to the root."""


class Book(Protocol):
    """Deals on one chain, by the rules of docs/reference/deals.md. ``by`` is the account that acts.

    Every act either happens whole or raises ActRefused with the rule's code and changes nothing.
    """

    chain_id: int
    address: Account

    def open(self, by: Account, terms: Terms, salt: bytes) -> bytes:
        """Publish terms; the deal's id. Moves nothing."""
        ...

    def open_and_join(self, by: Account, terms: Terms, salt: bytes, pot: int,
                      consents: Sequence[Consent] = ()) -> bytes:
        """``open``, ``join`` of a pot of the opener's own, and of others' with their consent; all or nothing.

        The deal's id, which can be computed, and consented to, before anything is sent.
        """
        ...

    def join(self, by: Account, deal: bytes, pot: int) -> None:
        """Deposit the pot. ``by`` must be its depositor and have approved the Book."""
        ...

    def join_with_consent(self, by: Account, deal: bytes, pot: int, expiry: int, signature: bytes) -> None:
        """Bring the depositor's deposit with its EIP-712 consent, good until ``expiry`` (Unix seconds)."""
        ...

    def join_with_permit(self, by: Account, deal: bytes, pot: int, deadline: int, signature: bytes) -> None:
        """``join`` with the caller's ERC-2612 permit, brought to the token first if it will have it."""
        ...

    def join_with_authorization(self, by: Account, deal: bytes, pot: int, valid_after: int, valid_before: int,
                                signature: bytes) -> None:
        """Bring the depositor's deposit with its ERC-3009 authorization, good between the two times (exclusive)."""
        ...

    def submit(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> None:
        """Answer the current ask with a claim and what of it the chain must see."""
        ...

    def submit_and_judge(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> Result:
        """``submit`` and ``judge``, both or nothing."""
        ...

    def submit_and_close(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> Result:
        """``submit``, ``judge`` and ``close``, all three or nothing: at the top rung, by one whose claim decides alone.

        The verdict.
        """
        ...

    def judge(self, by: Account, deal: bytes) -> Result:
        """Record the policy's result on the frozen evidence."""
        ...

    def judge_and_close(self, by: Account, deal: bytes) -> Result:
        """``judge`` and ``close``, both or nothing: at the top rung. The verdict."""
        ...

    def challenge(self, by: Account, deal: bytes) -> None:
        """Climb to the next rung with the bond and its fees."""
        ...

    def close(self, by: Account, deal: bytes) -> None:
        """Pay everybody by the final result, or refund a void deal."""
        ...

    def collect(self, by: Account, deal: bytes, pot: int, leaf: tuple[int, Account, int],
                proof: tuple[bytes, ...]) -> None:
        """Pay leaf (index, account, amount) of a pot's payout root."""
        ...

    def collect_many(self, by: Account, deal: bytes, pot: int, leaves: Sequence[ProvenLeaf]) -> None:
        """``collect`` for many leaves, all or nothing; those collected already are passed over."""
        ...

    def sweep(self, by: Account, deal: bytes, pot: int) -> None:
        """After the term, give what was not collected to the residual account."""
        ...

    def withdraw(self, by: Account, token: Account) -> None:
        """Pay the caller's credit from transfers that failed."""
        ...

    def stop(self, by: Account, stopped: bool) -> None:
        """The owner stops or restarts ``open`` and ``join``."""
        ...

    def state(self, deal: bytes) -> DealState:
        """Where the deal stands."""
        ...

    def credit(self, token: Account, account: Account) -> int:
        """What waits for ``withdraw``."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What a policy or a re-execution found about one thing. ``outcome`` None: not judged; ``detail`` says why."""

    name: str
    outcome: Outcome | None
    detail: str


class Statements(Protocol):
    """Where claims are read from: a bundle's view or a workspace."""

    def statement(self, claim: bytes) -> Statement:
        """What the claim says. Raises Undecidable if it is not here."""
        ...


class ClaimView(Protocol):
    """The claims of one bundle, read-only. Whoever gets a view gets it after their signatures and places were checked.

    Statements are read from the file each time; nothing is kept, so a policy may walk over any number of them.
    """

    @property
    def target(self) -> bytes:
        """Id of the claim that the bundle is about."""
        ...

    def ids(self) -> Iterator[bytes]:
        """Every claim's id, in log order."""
        ...

    def has(self, claim: bytes) -> bool:
        """Whether the claim is here."""
        ...

    def statement(self, claim: bytes) -> Statement:
        """What the claim says. Raises Undecidable if it is not here."""
        ...

    def position(self, claim: bytes) -> int:
        """The claim's place in the log. Raises Undecidable if it is not here."""
        ...

    def statements(self, kind: str | None = None) -> Iterator[tuple[bytes, Statement]]:
        """(id, statement) in log order, of one kind if given."""
        ...

    def blob(self, cid: str) -> bytes | None:
        """Embedded public evidence by CID, or None if the bundle does not hold it."""
        ...


class ClaimPolicy(Protocol):
    """Judges the target of a bundle from its claims: the policy that a trust file names.

    ``says``: kind of claim -> the roles that may say it. Kinds it does not list may come from any role.
    """

    says: Mapping[str, frozenset[str]]

    def judge(self, view: ClaimView, roles: Mapping[str, tuple[str, ...]],
              settings: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Findings about the target; at least one. ``roles``: role -> DIDs; ``settings``: the trust file's policy.

        May raise Refuted, Undecidable or Pending instead; BadInput for a body that is not what its kind requires.
        """
        ...


@runtime_checkable
class Vouching(Protocol):
    """A policy that finds from evidence who an issuer is, where the trust file cannot name it beforehand."""

    def vouches(self, view: ClaimView, settings: Mapping[str, Any]) -> Mapping[str, frozenset[str]]:
        """Issuers whom it identified, and in which roles. Raises Refuted or Undecidable where it cannot."""
        ...


class Recheck(Protocol):
    """Executes again what sealed evidence lets it execute."""

    def recheck(self, view: ClaimView) -> tuple[Finding, ...]:
        """One finding for each thing: upheld, refuted, or None with "not re-executed: sealed to …"."""
        ...


@dataclass(frozen=True, slots=True)
class PersonProof:
    """That somebody in a group said ``message`` in ``scope``, without saying who.

    All are numbers. root: of the group. nullifier: the same whenever this person acts in this scope, and nothing to
    anybody in another. depth: of the group's tree that the proof was made for. points: the proof itself.
    """

    depth: int
    root: int
    nullifier: int
    message: int
    scope: int
    points: tuple[int, ...]


class Personhood(ABC):
    """Proves membership of a group of persons, one act a scope, anonymously. Raises OutsideFailed where it cannot run.

    A person is a secret of 32 bytes; a group is its members' commitments, in order. ``scope`` and ``message`` are
    numbers below 2**256.
    """

    @abstractmethod
    def commitment(self, secret: bytes) -> int:
        """What the group knows this person by. It does not tell the secret."""

    @abstractmethod
    def root(self, members: Sequence[int]) -> int:
        """The group's root. Raises BadInput for an empty group, a member twice, or one that is no commitment."""

    @abstractmethod
    def prove(self, secret: bytes, members: Sequence[int], scope: int, message: int) -> PersonProof:
        """Act once in a scope. Raises Misuse for a secret whose commitment is not a member."""

    @abstractmethod
    def holds(self, proofs: Sequence[PersonProof]) -> tuple[bool, ...]:
        """Which proofs are right: somebody under ``root`` said ``message`` in ``scope`` with this nullifier."""
