"""Check a model's bundle from Python: what was found, what was skipped and why, and again as a verifier.

    python examples/check_a_model.py FOLDER [WORKSPACE]

FOLDER holds ``model.troth`` and ``trust.json``, as ``troth demo`` and ``round_by_hand.py`` leave them. With a workspace
whose owner holds the sealed updates (its passphrase in TROTH_PASSPHRASE), the rounds are executed again. Ends with the
exit status of ``troth verify``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from troth import Troth, Trust, verify_bundle


def main(folder: Path, workspace: Path | None = None) -> int:
    """Print the steps; the exit status."""
    trust = Trust.from_bytes((folder / "trust.json").read_bytes())
    party = None if workspace is None else Troth.open(workspace, os.environ["TROTH_PASSPHRASE"])
    report = verify_bundle(folder / "model.troth", trust, party)
    for step in report.steps:
        print(f"{step.n:2} {step.name}: {step.outcome or 'skipped'}: {step.detail}")
    print(f"{report.outcome}, as of {report.as_of}")
    if party is not None:
        party.close()
    return report.outcome.exit_status


if __name__ == "__main__":
    raise SystemExit(main(*map(Path, sys.argv[1:])))
