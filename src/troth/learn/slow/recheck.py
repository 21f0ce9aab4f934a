"""A session computed again from one worker's folder, by anybody who has it and the workers' keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from troth.core.errors import Refuted, Undecidable
from troth.core.ports import KeyHistory
from troth.learn.arrays import State
from troth.learn.slow.folder import Folder, history_after
from troth.learn.slow.outer import Point, Session, outer_step, unpack
from troth.learn.slow.records import Commitment
from troth.learn.slow.worker import EXPELS


def recheck(folder: Path, session: Session, start: State, keys: KeyHistory) -> Point:
    """The last point, computed from the start and the values that were signed for. Each sync in turn:

    1. its records: more than half of the workers committed, all from the point before, and sealed one result;
    2. its values: each has the digest that its worker signed before it was shown;
    3. the outer step over them, in integers, gives the point that was sealed.

    Raises Refuted for a difference, Undecidable for a sync or values that this folder lacks, BadInput for unreadable
    files. It says nothing of how a worker came to its values: local steps are its word.
    """
    kept = Folder(folder, session)
    point = Point.first(session, start)
    for sync in range(1, max(kept.syncs(), default=0) + 1):
        done = kept.committed(sync)
        done.check(session, keys)
        said = {one.worker: Commitment.of(one.record) for one in done.commitments}
        if any(one.base != point.digest for one in said.values()) or done.before != point.history:
            raise Refuted(f"sync {sync} starts from another point", expected=point.digest.hex())
        deltas = {worker: unpack(kept.value(one.values), session.size) for worker, one in said.items()}
        out = {worker for worker, reason in done.left_out.items() if reason in EXPELS}
        point = replace(outer_step(session, point, deltas), expelled=tuple(sorted({*point.expelled, *out})),
                        history=history_after(point.history, done.counted, done.left_out))
        if point.json() != dict(done.point):
            raise Refuted(f"sync {sync} gives another result", expected=dict(done.point), actual=point.json())
    if not point.sync:
        raise Undecidable("this folder holds no sync", do="Ask a worker for its folder.")
    return point
