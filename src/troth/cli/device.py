"""Commands for devices: signing readings with a counter and a time, and checking another's."""

from __future__ import annotations

from typing import Annotated

import typer

from troth.cli.parts import TIME, Json, Where, app, at_time, claim_body, lasting, show, workspace

device_app = typer.Typer(no_args_is_help=True, help="Readings of devices.")
app.add_typer(device_app, name="device")


@device_app.command("read")
def device_read(values: Annotated[str, typer.Option("--values", help="What was measured: JSON, without fractions.")],
                at: Annotated[str | None, typer.Option("--at", help=f"When: {TIME} now by default.")] = None,
                home: Where = None, as_json: Json = False) -> None:
    """Sign a reading as this device, with its next counter."""
    from troth.app.devices import read  # start-up time

    said = claim_body(values.encode(errors="replace"))
    with workspace(home) as party:
        claim, counter = read(party, said, None if at is None else at_time(at))
        show({"claim": claim.hex(), "counter": counter}, as_json)


@device_app.command("check")
def device_check(device: Annotated[str, typer.Argument(help="The device's DID.")],
                 tolerance: Annotated[int, lasting("--tolerance", "How far its clock may go back.", 0)] = 2,
                 home: Where = None, as_json: Json = False) -> None:
    """Whether the readings of a device in this log are of one piece; what is missing of them is shown."""
    from troth.app.devices import check  # start-up time

    with workspace(home) as party:
        found = check(party, device, tolerance)
        show({"outcome": "upheld", "device": found.device, "readings": found.count, "first": found.first,
              "last": found.last, "missing": found.missing, "gaps": [list(gap) for gap in found.gaps]}, as_json)
