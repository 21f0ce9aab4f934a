"""One worker of a session: local steps, commit, reveal, outer step, seal; again, whoever else is lost.

A sync, in a group whose members were greeted:

1. **Train** from the shared parameters; the difference, quantised and within the norm bound, is kept for as long as the
   sync is not committed, whatever happens to the group.
2. **Commit**: sign the digest of the packed difference, exchange. A record that is not the member's, or is of another
   point, leaves it out: ``signature``, ``base``.
3. **Reveal**: exchange the values. What does not have the digest that was signed (``values``), does not unpack
   (``form``) or is too long (``norm``) leaves its sender out, and is proven by its own signature: it is never counted
   again.
4. **Step** in integers, from what counts, if that is more than half of all workers.
5. **Seal**: sign the result, exchange. The sync is committed when all that count have sealed the same; it is on disk
   before the next begins.

Who returns, or is behind, greets with the sync that it has, and is handed the newest point with its seals, which it
checks. Seals that differ stop the worker, with both in the message: somebody told different things to different
workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from troth.core.errors import BadInput, OutsideFailed, Refuted, TrothError, Undecidable
from troth.core.ports import KeyHistory, Signer
from troth.fixed.numbers import IntArray, clip_norm, norm, subtract
from troth.learn.arrays import State, flatten, layout
from troth.learn.slow.folder import Committed, Folder, history_after
from troth.learn.slow.link import Broken, Group, Link
from troth.learn.slow.outer import Point, Session, outer_step, pack, unpack
from troth.learn.slow.records import MOST, Commitment, Signed, place, seal

EXPELS = frozenset({"values", "form", "norm"})


class Local(Protocol):
    """What a worker does alone."""

    def train(self, state: State, sync: int) -> State:
        """The parameters after the session's local steps from ``state``. sync: from 1; the records to take follow from
        it, so that a sync that is done again after a crash comes out the same."""
        ...

    def memory(self) -> bytes:
        """What its optimiser remembers; empty for nothing."""
        ...

    def recall(self, memory: bytes) -> None:
        """Remember again; empty: begin anew."""
        ...


@dataclass
class _Work:
    """One sync under way. values: what came, by digest."""

    point: Point
    delta: IntArray
    data: bytes
    commitments: dict[int, Signed] = field(default_factory=dict)
    deltas: dict[int, IntArray] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)
    values: dict[bytes, bytes] = field(default_factory=dict)


class Worker:
    """One worker. keys: the others' documents. told: called with (sync, left out and why) after each."""

    def __init__(self, session: Session, start: State, signer: Signer, keys: KeyHistory, local: Local, link: Link,
                 folder: Path, told: Callable[[int, Mapping[str, str]], None] | None = None) -> None:
        if session.workers[link.mine] != signer.did:
            raise BadInput("this worker's place is another's", expected=session.workers[link.mine], actual=signer.did)
        self._session, self._signer, self._keys, self._local, self._link = session, signer, keys, local, link
        self._told = told or (lambda sync, left_out: None)
        self._folder = Folder(folder, session)
        self._point = Point.first(session, start)
        self._distrusted: set[int] = set()
        self._work: _Work | None = None
        self._attempt = 0
        self.sent = 0
        """Bytes handed to the wire so far."""
        if done := self._folder.syncs():
            self._folder.committed(done[-1]).check(session, keys)
            self._point = self._folder.point(done[-1])
            local.recall(self._folder.memory(done[-1]))

    def run(self) -> Point:
        """Until the session's last sync. Raises OutsideFailed when too few workers come, Refuted when seals differ or
        this worker was itself expelled. Every committed sync is on disk; run again to go on."""
        session = self._session
        while self._point.sync < session.syncs:
            group = self._link.join(self._attempt, session.quorum, self._expelled())
            self._attempt = group.attempt
            with suppress(Broken):
                self._greet(group)
                while self._point.sync < session.syncs and self._sync(group):
                    pass
                if self._point.sync == session.syncs:
                    self._leave(group)
            self.sent += group.sent
        return self._point

    def _expelled(self) -> frozenset[int]:
        expelled = frozenset(self._session.workers.index(worker) for worker in self._point.expelled)
        if self._link.mine in expelled:
            raise Refuted("this worker was expelled: its values were not those it had committed to",
                          do="Ask the others for the sync's records.")
        return expelled

    # Coming and going.

    def _greet(self, group: Group) -> None:
        """Find out who is behind, and bring those to the newest point."""
        where = place(self._session.id, group.attempt, self._point.sync)
        mine = Signed.by(self._signer, where | {"point": self._point.digest.hex()})
        stands = {self._link.mine: self._point.sync}
        for index, data in group.exchange(mine.to_bytes(), MOST).items():
            with suppress(BadInput, Refuted, Undecidable):
                said = Signed.from_bytes(data or b"")
                said.check(self._keys, self._session.workers[index], session=where["session"],
                           attempt=group.attempt)
                if type(said.record.get("sync")) is int:
                    stands[index] = said.record["sync"]
        if len(stands) < self._session.quorum:
            raise Broken("too few members are who they say")
        newest = max(sync for index, sync in stands.items() if index not in self._distrusted)
        if all(sync == newest for sync in stands.values()):
            return
        givers = [index for index in sorted(stands) if stands[index] == newest and index not in self._distrusted]
        asks = givers[0] if self._point.sync < newest else None
        asked = group.exchange({} if asks is None else {asks: b"1"}, 1)
        out = {index: self._package() for index, word in asked.items() if word and self._point.sync}
        found = group.exchange(out, self._most())
        if asks is not None:
            self._take(asks, found[asks])

    def _most(self) -> int:
        """Bytes of a package at most: records and numbers. Who says that it brings more would have room made for it."""
        return (2 * len(self._session.workers) + 1) * MOST + 16 * self._session.size

    def _package(self) -> bytes:
        said = self._folder.committed(self._point.sync).to_bytes()
        return len(said).to_bytes(8, "big") + said + self._point.numbers()

    def _take(self, giver: int, data: bytes | None) -> None:
        """Go on from a point that another worker hands over. Raises Broken, and asks that worker no more, for a false
        one."""
        try:
            size = int.from_bytes((data or b"")[:8], "big")
            done = Committed.from_bytes((data or b"")[8:8 + size])
            done.check(self._session, self._keys)
            point = Point.read(dict(done.point), (data or b"")[8 + size:], self._session)
            if point.sync <= self._point.sync:
                raise Refuted("an old point", expected=f"after {self._point.sync}", actual=point.sync)
        except (BadInput, Refuted, Undecidable) as error:
            self._distrusted.add(giver)
            raise Broken(error.message) from None
        self._folder.keep(done, point)
        self._point, self._work = point, None
        self._local.recall(self._folder.memory(point.sync))

    def _leave(self, group: Group) -> None:
        """Stay until every member has the last sync. Who lacks it, or waits to come in, is met once more."""
        with suppress(Broken):
            group.exchange(b"1", 1)
            if not self._link.waiting(group.attempt, {*group.members, *self._expelled()}):
                return
        # enough may be gone for good, having all they need
        with suppress(OutsideFailed, Broken):
            again = self._link.join(group.attempt, self._session.quorum, self._expelled(),
                                    4 * self._link.patience.grace)
            self._greet(again)
            again.exchange(b"1", 1)

    # One sync.

    def _sync(self, group: Group) -> bool:
        """One exchange; whether the group goes on as it is. Raises Broken, Refuted."""
        if self._work is None:
            self._work = self._train()
        work = replace(self._work, commitments={}, deltas={}, left_out={}, values={})
        regroup = self._commit(group, work)
        self._reveal(group, work)
        if len(work.deltas) < self._session.quorum:
            raise OutsideFailed("too few values count", expected=self._session.quorum, actual=len(work.deltas),
                                do=f"Left out: {self._names(work.left_out)}.")
        self._folder.prepare(work.point.sync + 1, work.values, self._local.memory())
        point, done = self._seal(group, work)
        self._folder.keep(done, point)
        self._point, self._work = point, None
        self._told(point.sync, done.left_out)
        return not regroup and not work.left_out

    def _train(self) -> _Work:
        session, point = self._session, self._point
        state = point.state(session)
        after = self._local.train(state, point.sync + 1)
        if layout(after) != session.shapes:
            raise BadInput("training gave other arrays", expected=session.shapes, actual=layout(after))
        delta = clip_norm(subtract(flatten(after), point.params), session.clip)
        return _Work(point, delta, pack(delta))

    def _names(self, by: Mapping[int, str]) -> dict[str, str]:
        return {self._session.workers[index]: by[index] for index in sorted(by)}

    def _commit(self, group: Group, work: _Work) -> bool:
        expelled = self._expelled()
        regroup = self._link.waiting(group.attempt, {*group.members, *expelled})
        own = Commitment(work.point.digest, hashlib.sha256(work.data).digest(), len(work.data), regroup)
        where = place(self._session.id, group.attempt, work.point.sync + 1)
        mine = Signed.by(self._signer, where | own.json())
        work.commitments[group.mine] = mine
        for index, data in group.exchange(mine.to_bytes(), MOST).items():
            if index in expelled:
                continue
            try:
                said = Signed.from_bytes(data or b"")
                said.check(self._keys, self._session.workers[index], **where)
                found = Commitment.of(said.record)
            except (BadInput, Refuted, Undecidable):
                work.left_out[index] = "signature"
                continue
            if found.base != work.point.digest:
                work.left_out[index] = "base"
                continue
            work.commitments[index] = said
            regroup = regroup or found.regroup
        return regroup

    def _revealed(self, work: _Work) -> bytes:
        """What this worker shows."""
        return work.data

    def _reveal(self, group: Group, work: _Work) -> None:
        shown = group.exchange(self._revealed(work), 1 + 4 * self._session.size)
        for index, said in list(work.commitments.items()):
            data = work.data if index == group.mine else shown[index]
            promised = Commitment.of(said.record)
            reason = ""
            if data is None or hashlib.sha256(data).digest() != promised.values or len(data) != promised.size:
                reason = "values"
            else:
                try:
                    delta = unpack(data, self._session.size)
                    reason = "norm" if norm(delta) > self._session.clip else ""
                except BadInput:
                    reason = "form"
            if reason:
                work.left_out[index] = reason
                del work.commitments[index]
            elif data is not None:
                work.deltas[index], work.values[promised.values] = delta, data

    def _seal(self, group: Group, work: _Work) -> tuple[Point, Committed]:
        session, names = self._session, self._session.workers
        point = outer_step(session, work.point, {names[index]: delta for index, delta in work.deltas.items()})
        counted = {names[index]: work.commitments[index].digest for index in sorted(work.deltas)}
        left_out = self._names(work.left_out)
        out = {worker for worker, reason in left_out.items() if reason in EXPELS}
        point = replace(point, expelled=tuple(sorted({*point.expelled, *out})),
                        history=history_after(work.point.history, counted, left_out))
        where, said = place(session.id, group.attempt, point.sync), seal(counted, left_out, point.digest)
        seals = {group.mine: Signed.by(self._signer, where | said)}
        for index, data in group.exchange(seals[group.mine].to_bytes(), MOST).items():
            if index not in work.deltas:
                continue
            try:
                seals[index] = Signed.from_bytes(data or b"")
                seals[index].check(self._keys, names[index], **where, **said)
            except TrothError as error:
                raise Refuted(f"sync {point.sync}: {names[index]} sealed another result or none ({error.message})",
                              expected=said, actual=data, do="Compare whose commitments each counts. The last "
                              "committed sync stands.") from None
        done = Committed(work.point.history, point.json(), group.attempt,
                         tuple(work.commitments[index] for index in sorted(work.deltas)), left_out,
                         tuple(seals[index] for index in sorted(work.deltas)))
        return point, done
