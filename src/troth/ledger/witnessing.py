"""Asking witnesses to cosign: what a log's keeper does after an append (C2SP tlog-witness, the client's side)."""

from __future__ import annotations

from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted
from troth.ledger.checkpoints import MAX_NOTE, WITNESS_KEYS, Checkpoint, Note, Verifier
from troth.ledger.log import Log
from troth.ledger.logproofs import plain
from troth.ledger.logserver import NOTE_TYPE, SIZE_TYPE
from troth.ledger.wire import Site
from troth.ledger.witness import Asked

SKEW = 300
"""Seconds that a witness's clock may differ from ours."""


def ask(site: Site, log: Log, witness: Verifier, now: int) -> bytes:
    """Have a witness cosign the log's newest checkpoint, and keep it so; the note with the new line.

    witness: its key; lines of other keys are dropped. Raises Refuted for a signature that does not verify or is from
    another time, and where the witness has seen more than the log holds (an old copy was restored); OutsideFailed for a
    witness that refuses or answers nothing useful.
    """
    if witness.kind not in WITNESS_KEYS:
        raise Misuse("not a witness's key", expected="a key of type 4 or 6", actual=witness.vkey())
    note = log.note()
    checkpoint = Checkpoint.open(note, log.key)
    status, kind, data = _post(site, Asked(0, (), note))
    if status == 409 and kind == SIZE_TYPE:
        seen = data.decode("ascii", "replace").removesuffix("\n")
        if not plain(seen):
            raise BadInput("not a size", actual=seen[:40])
        if int(seen) > checkpoint.size:
            raise Refuted("the witness has seen more of this log than is here", expected=f"{seen} claims",
                          actual=checkpoint.size, do="An old copy was restored: get the newer one before you go on.")
        path = tuple(log.consistency(int(seen), checkpoint.size))
        status, kind, data = _post(site, Asked(int(seen), path, note))
    if status == 422 or (status == 409 and kind != SIZE_TYPE):
        raise Refuted("the witness has seen another history of this log", actual=_said(data),
                      do="Compare checkpoints: one of the two forked.")
    if status != 200:
        raise OutsideFailed(f"the witness at {site.url} does not sign", actual=f"HTTP {status}: {_said(data)}",
                            do="Has its keeper added this log's key?")
    given = Note.from_bytes(Note.from_bytes(note).text + b"\n" + data)
    lines = [line for line in given.signatures if (line.name, line.key_id) == (witness.name, witness.key_id)]
    if len(lines) != 1:
        raise OutsideFailed(f"the witness at {site.url} does not sign with the key expected", expected=witness.vkey(),
                            actual=[f"{line.name}+{line.key_id.hex()}" for line in given.signatures])
    time = witness.verify(given.text, lines[0].value)
    if time is None or abs(time - now) > SKEW:
        raise Refuted("the cosignature is of another time", expected=f"{now}, give or take {SKEW} s", actual=time)
    before = Note.from_bytes(note)
    others = [one for one in before.signatures if (one.name, one.key_id) != (witness.name, witness.key_id)]
    cosigned = Note(before.text, (*others, *lines)).to_bytes()
    log.cosign(cosigned, [witness])
    return cosigned


def _post(site: Site, asked: Asked) -> tuple[int, str, bytes]:
    return site.post("add-checkpoint", asked.to_bytes(), NOTE_TYPE, MAX_NOTE)


def _said(data: bytes) -> str:
    return data[:200].decode("ascii", "backslashreplace").strip()
