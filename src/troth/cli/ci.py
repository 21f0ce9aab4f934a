"""Claims from continuous integration (docs/reference/formats.md)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import Json, Where, app, claim_body, read_file, role_and_claim, show, workspace, write_file

ci_app = typer.Typer(no_args_is_help=True, help="Claims from a job, signed with its identity token.")
app.add_typer(ci_app, name="ci")


@ci_app.command("attest")
def ci_attest(kind: str, subject: Annotated[list[Path], typer.Option("--subject", help="A file the claim is about.")],
              output: Annotated[Path, typer.Option("-o", "--output", help="Where the parcel goes.")],
              body: Annotated[str, typer.Option("--body", help="JSON, or @FILE.")] = "{}",
              ref: Annotated[list[str] | None, typer.Option("--ref", help="ROLE=CLAIM.")] = None,
              command: Annotated[str | None, typer.Option("--token-command", help="Prints a token for {audience}; "
                                                          "GitHub Actions' endpoint by default.")] = None,
              as_json: Json = False) -> None:
    """Sign a claim with a key for this job alone, bound by the job's identity token. The token becomes public."""
    from troth.app import file_subject  # start-up time, as in main
    from troth.app.workload import attest_as_workload, command_tokens, github_tokens  # start-up time
    from troth.core.claims import Ref

    said = claim_body(read_file(Path(body[1:])) if body.startswith("@") else body.encode(errors="replace"))
    tokens = github_tokens(os.environ) if command is None else command_tokens(command)
    parcel = attest_as_workload(kind, [file_subject(path.name, read_file(path)) for path in subject], said, tokens,
                                int(time.time()), refs=[Ref(*role_and_claim(item)) for item in ref or ()])
    write_file(output, parcel.to_bytes())
    claim = parcel.claims[0]
    show({"claim": claim.id.hex(), "issuer": claim.statement().issuer, "output": str(output)}, as_json)


@ci_app.command("take-in")
def ci_take_in(parcel: Annotated[Path, typer.Argument(help="What ci attest wrote.")], home: Where = None,
               as_json: Json = False) -> None:
    """Take a job's claim into this workspace's log, to be anchored and bundled. Who it was, verify says."""
    from troth.ledger.exchange import Parcel  # start-up time, as in main

    found = Parcel.from_bytes(read_file(parcel))
    with workspace(home) as party:
        new = party.meet(found)
        show({"new": [claim.hex() for claim in new]}, as_json, lambda: "\n".join(claim.hex() for claim in new)
             or "nothing new")
