"""Mandates as credentials: given, and whether one covers an act (docs/reference/credentials.md)."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from troth.cli.credential import (
    File,
    Fresh,
    Identity,
    Issuers,
    Online,
    Output,
    Pinned,
    StatusLists,
    believed,
    credential_app,
    print_report,
    reaching,
    wallet_of,
    write_json,
)
from troth.cli.parts import TIME, Json, Where, at_time, read_file, show, workspace


@credential_app.command()
def mandate(agent: Annotated[str, typer.Argument(help="The agent's credential identity: a DID.")],
            account: Annotated[str, typer.Option("--account", help="The agent's account: 0x and 40 hex digits.")],
            scope: Annotated[str, typer.Option("--scope", help="The kind of act: small letters and dashes.")],
            most: Annotated[int, typer.Option("--most", min=0, help="At most so much each time, in the token's "
                                                                    "smallest unit.")],
            until: Annotated[str, typer.Option("--until", help=f"Until when: {TIME} required.")], output: Output,
            by: Identity = None, home: Where = None, as_json: Json = False) -> None:
    """Let an agent act for this workspace's account, in deals of the Book this workspace uses."""
    # Imported here: start-up of --help must not load signing libraries.
    from troth.app.mandates import give_mandate
    from troth.core.encoding import from_hex

    terms = (from_hex(account.removeprefix("0x").lower(), 20), scope, most, at_time(until))
    with workspace(home) as party:
        place = party.contracts.chain_id, party.contracts["book"].address
        write_json(output, give_mandate(party, wallet_of(party), agent, terms, place, by))
        show({"output": str(output), "scope": scope, "most": most}, as_json)


@credential_app.command()
def covers(file: File, kind: Annotated[str, typer.Option("--act", help="The kind of act.")],
           units: Annotated[int, typer.Option("--amount", min=0, help="In the token's smallest unit.")] = 0,
           issuer: Issuers = None, trust: Pinned = None, lists: StatusLists = None, fresh: Fresh = None,
           online: Online = False, as_json: Json = False) -> None:
    """Check a mandate's credential, and whether it covers an act now."""
    # Imported here for the same reason.
    from troth.identity.jsondoc import read_json
    from troth.verify.mandates import verify_act

    with reaching(online) as reached:
        known = believed(issuer, trust, lists, fresh, int(time.time()), reached)
        report = verify_act(read_json(read_file(file)), known, kind, units)
    print_report(report, as_json)
