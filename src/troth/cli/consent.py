"""Consents: given, withdrawn, and whether what one uses is consented to (docs/kinds/consent.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import TIME, Json, Where, app, at_time, claim_id, read_file, show, workspace
from troth.core.errors import Misuse

consent_app = typer.Typer(no_args_is_help=True, help="Consents to the use of data, and their withdrawal.")
app.add_typer(consent_app, name="consent")


@consent_app.command()
def give(data: Annotated[Path, typer.Argument(help="The data: only a keyed commitment to it is said.")],
         purpose: Annotated[str, typer.Option("--purpose", help="What for: plain small letters, no names.")],
         to: Annotated[list[str], typer.Option("--to", help="Whom to: a DID.")],
         until: Annotated[str, typer.Option("--until", help=f"Until when: {TIME} required.")],
         opening: Annotated[Path, typer.Option("--opening", help="Where to write what shows those who hold the data "
                                                                 "that it is this data. Secret.")],
         home: Where = None, as_json: Json = False) -> None:
    """Let somebody use data for a purpose until a time. It is handed to them where an exchange is set."""
    # Imported here and below: start-up of --help must not load stores.
    from troth.app import consents
    from troth.store.files import replacing

    with workspace(home) as party:
        made = consents.give(party, read_file(data), purpose, to, at_time(until, party.clock.now()))
        with replacing(opening, 0o600) as out:
            out.write(made.to_bytes())
        show({"claim": made.consent.hex(), "opening": str(opening)}, as_json, made.consent.hex)


@consent_app.command()
def withdraw(consent: str, home: Where = None, as_json: Json = False) -> None:
    """Withdraw a consent, tell those it was given to, and list the claims and deals that rest on it here."""
    from troth.app import consents  # start-up time

    with workspace(home) as party:
        claim, resting = consents.withdraw(party, claim_id(party, consent))
        show({"claim": claim.hex(), **resting}, as_json)


@consent_app.command("list")
def list_consents(home: Where = None, as_json: Json = False) -> None:
    """Every consent known here, given and received; whether it was withdrawn, and what rests on it."""
    from troth.app import consents  # start-up time
    from troth.core.times import moment

    with workspace(home) as party:
        found = consents.known(party)
        show({"consents": found}, as_json, lambda: "\n".join(
            f"{one['consent'][:16]}  {one['purpose']}, until {moment(one['until'], party.clock.now())}, "
            f"by {one['issuer'][:40]}"
            f"{'  withdrawn ' + moment(one['withdrawn'], party.clock.now()) if one['withdrawn'] is not None else ''}"
            f"  ({one['claims']} claims, {len(one['deals'])} deals rest on it)" for one in found) or "none")


@consent_app.command()
def check(target: Annotated[str, typer.Argument(help="A claim or a deal.")],
          purpose: Annotated[str | None, typer.Option("--purpose", help="What you use it for.")] = None,
          data: Annotated[Path | None, typer.Option("--data", help="Data that a consent must be about.")] = None,
          opening: Annotated[Path | None, typer.Option("--opening", help="What came with that consent.")] = None,
          home: Where = None, as_json: Json = False) -> None:
    """Whether every consent that a claim or a deal rests on stands now, as far as this log knows."""
    from rich.console import Console  # start-up time, as above

    from troth.app import consents  # start-up time
    from troth.app.short_ids import claim_or_deal_of
    from troth.cli.show import report_table
    from troth.identity.jsondoc import read_json

    if (data is None) != (opening is None):
        raise Misuse("data are checked with what opens the consent", expected="--data and --opening together")
    with workspace(home) as party:
        if data is not None and opening is not None:
            consents.check_opening(party, consents.Opening.of(read_json(read_file(opening))), read_file(data))
        report = consents.check(party, claim_or_deal_of(party, target), purpose)
        if as_json:
            show(report.json(), True)
        else:
            Console().print(report_table(report))
    raise typer.Exit(report.outcome.exit_status)
