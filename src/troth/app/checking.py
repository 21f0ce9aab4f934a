"""Checking a bundle file: the policies that are known here, and re-execution by whoever can open evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from troth.core.claims import Evidence
from troth.core.errors import unreadable
from troth.core.ports import Recheck
from troth.core.verdicts import Report
from troth.identity.keybook import KeyBook
from troth.verify.answers import POLICY as PROVEN
from troth.verify.answers import Answered
from troth.verify.attested import POLICY as ATTESTED
from troth.verify.attested import Attested
from troth.verify.bundle import InForce, verify
from troth.verify.trust import Trust
from troth.verify.workload import POLICY as WORKLOAD
from troth.verify.workload import Workload


class Opener(Protocol):
    """Whoever can open evidence that was sealed to it, and knows others' keys: a workspace."""

    keybook: KeyBook

    def read(self, evidence: Evidence) -> bytes:
        """The evidence's bytes, unsealed. Raises Undecidable where they are not here or not for this party."""
        ...


def verify_bundle(path: Path | str, trust: Trust | None, as_party: Opener | None = None,
                  registry: InForce | None = None) -> Report:
    """Verify a bundle file under a trust file; with a workspace, what is sealed to its owner is executed again.

    registry: asked whether the issuers' keys were in force when the log was anchored.

    Raises BadInput where the file cannot be read, OutsideFailed where the disk fails.
    """
    path = Path(path)
    # Imported here: the policies need numpy, which the command line's start-up should not pay for.
    from troth.learn.lineage import POLICY, FederatedModel

    try:
        with path.open("rb") as file:
            return verify(file, trust, policies={POLICY: FederatedModel(), ATTESTED: Attested(), WORKLOAD: Workload(),
                                                 PROVEN: Answered()},
                          recheck=recheck_with(as_party), registry=registry)
    except OSError as error:
        raise unreadable(path, error) from None


def recheck_with(party: Opener | None) -> Recheck:
    """Executes models' rounds again from the evidence that this party can open; None opens nothing."""
    # Imported here for the same reason.
    from troth.learn.recheck_bundle import RecheckRounds

    return RecheckRounds(party.read if party else None, party.keybook if party else None)
