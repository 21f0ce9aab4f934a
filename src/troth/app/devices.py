"""A workspace as a device that signs readings, and as a reader of others' readings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from troth.core.claims import Statement
from troth.core.errors import Undecidable
from troth.identity.devices import READING, TOLERANCE, Course, device_subject, follow, read_reading, reading_body

if TYPE_CHECKING:
    from troth.app import Troth


def read(party: Troth, values: Mapping[str, Any], measured_at: int | None = None) -> tuple[bytes, int]:
    """Sign a reading of this device with its next counter, and append it to the log; (claim, counter).

    The counter is the log's: one that was used is in the log, whatever crashed. measured_at: Unix seconds, now by
    default. Raises BadInput for values that no claim can hold, Refuted for a time that its readers would refuse.
    """
    with party.in_turn():
        own = [said for _, said in party.claims(READING) if said.issuer == party.did]
        counter = read_reading(own[-1]).counter + 1 if own else 0
        body = reading_body(counter, party.clock.now() if measured_at is None else measured_at, values)
        said = Statement(READING, party.did, party.clock.now(), (device_subject(party.did),), body)
        follow(party.did, [*own[-1:], said])
        return party.attest(READING, [device_subject(party.did)], body), counter


def check(party: Troth, device: str, tolerance: int = TOLERANCE) -> Course:
    """Whether the readings of a device in this party's log are of one piece. Raises Refuted, Undecidable if none."""
    said = [statement for _, statement in party.claims(READING) if statement.issuer == device]
    if not said:
        raise Undecidable("no readings of this device are in the log", actual=device, do="Pull them first.")
    return follow(device, said, tolerance)
