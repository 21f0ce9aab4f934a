"""A robot's operational log: its readings, signed as one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from troth.core.claims import Statement
from troth.core.errors import BadInput
from troth.identity.devices import READING, device_subject, read_reading, reading_body
from troth.ledger.batches import build

if TYPE_CHECKING:
    from troth.app import Troth

MAX_ROWS = 100_000


def log_batch(party: Troth, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> bytes:
    """Sign rows (Unix seconds, values) as readings with this robot's next counters, under one signature; the batch's
    claim, which the log then holds with every reading.

    Raises BadInput for no rows or too many, and for values that no claim can hold.
    """
    if not 1 <= len(rows) <= MAX_ROWS:
        raise BadInput("not an operational log", expected=f"1 to {MAX_ROWS} rows", actual=len(rows))
    with party.in_turn():
        own = [said for _, said in party.claims(READING) if said.issuer == party.did]
        first, now = (read_reading(own[-1]).counter + 1 if own else 0), party.clock.now()
        subject = device_subject(party.did)
        said = [Statement(READING, party.did, now, (subject,), reading_body(first + n, at, values))
                for n, (at, values) in enumerate(rows)]
        for one in said:
            read_reading(one)
        batch = build(said, party.identity.signer(), now)
        party.log.append_batch(batch)
    return batch.envelope.id
