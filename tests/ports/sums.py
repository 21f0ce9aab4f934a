"""Sites and a roster for sums of vectors, and a way to drive them with sites that drop out or messages that change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from troth.core.ports import Signer
from troth.fixed.numbers import IntArray
from troth.identity.keybook import KeyBook
from troth.identity.signers import Ed25519Signer
from troth.learn.masking.port import SecureSum, Session, Summed, SumServer, SumSite
from troth.learn.masking.terms import default_threshold

BOUND = 1 << 20
Change = Callable[[int, str, bytes], bytes | None]
"""change(step, site, answer) -> the answer to hand on, or None for none. Steps count from 1."""


def seeded(seed: int) -> Callable[[int], bytes]:
    """Bytes for tests that must come out the same each time."""
    return np.random.default_rng(seed).bytes


@dataclass
class World:
    """Some sites, ascending by DID, and the keys that everybody knows."""

    signers: Sequence[Signer]
    keys: KeyBook = field(default_factory=KeyBook)

    @property
    def dids(self) -> tuple[str, ...]:
        return tuple(one.did for one in self.signers)

    def session(self, length: int = 5, threshold: int | None = None, context: int = 1, bound: int = BOUND) -> Session:
        return Session(context.to_bytes(32, "big"), self.dids, threshold or default_threshold(len(self.signers)),
                       length, bound)

    def vectors(self, session: Session, seed: int = 7) -> list[IntArray]:
        return list(np.random.default_rng(seed).integers(-session.bound, session.bound + 1,
                                                         (len(self.signers), session.length)))

    def sites(self, way: SecureSum, session: Session, vectors: Sequence[IntArray],
              random: Callable[[int], bytes] | None = None) -> dict[str, SumSite]:
        extra = {} if random is None else {"random": random}
        return {one.did: way.site(session, one, self.keys, vector, **extra)
                for one, vector in zip(self.signers, vectors, strict=True)}


def world(count: int) -> World:
    """``count`` sites with a plain key each: signatures cost little, and the protocol does not care."""
    return World(sorted((Ed25519Signer(bytes([number + 1]) * 32) for number in range(count)), key=lambda one: one.did))


def drive(server: SumServer, sites: Mapping[str, SumSite], change: Change | None = None, steps: int = 99) -> int:
    """Ask and take until there is nothing to ask; how many steps. ``change`` stands between sites and server."""
    for step in range(1, steps + 1):
        calls = server.calls()
        if not calls:
            return step - 1
        answers: dict[str, bytes] = {}
        for did, call in calls.items():
            answer = sites[did].answer(call)
            kept = answer if change is None else change(step, did, answer)
            if kept is not None:
                answers[did] = kept
        server.take(answers)
    return steps


def total(world_: World, vectors: Sequence[IntArray], result: Summed) -> IntArray:
    """The sum that ought to come out."""
    rows = [vector for did, vector in zip(world_.dids, vectors, strict=True) if did in result.included]
    return np.sum(rows, axis=0, dtype=np.int64)
