"""Decentralised identifiers (docs/reference/dids.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from troth.cli.parts import Json, Where, app, show, workspace
from troth.core.errors import BadInput, TrothError

if TYPE_CHECKING:
    from troth.identity.resolution import Resolution, When

did_app = typer.Typer(no_args_is_help=True, help="Decentralised identifiers.")
app.add_typer(did_app, name="did")
Did = Annotated[str, typer.Argument(help="did:key, did:peer:4, did:pkh, did:ethr, did:web or did:webvh.")]


@did_app.command()
def resolve(did: Did,
            at: Annotated[str | None, typer.Option("--at", help="In force then: Unix seconds, or RFC 3339.")] = None,
            version: Annotated[str | None, typer.Option("--version-id", help="This version of the document.")] = None,
            allow: Annotated[list[str] | None, typer.Option("--allow", help="A host that may be private.")] = None,
            home: Where = None, as_json: Json = False) -> None:
    """Find an identifier's document and check what its method lets one check. It says whose keys; not who that is."""
    # Imported here: start-up of --help must not load any of it.
    from troth.app.resolving import resolve_at
    from troth.identity.resolution import refused

    try:
        found = resolve_at(home or Path.cwd(), did, _when(at, version), allow or [], lambda: workspace(home))
    except TrothError as error:
        if as_json:
            show(refused(error), True)
        raise
    show(found.to_dict(), as_json, lambda: _text(found))


def _when(at: str | None, version: str | None) -> When:
    from troth.identity.resolution import When, read_time  # start-up time, as above

    if at is None:
        return When(version)
    if at.isascii() and at.isdigit() and len(at) <= 12:
        return When(version, int(at))
    try:
        return When(version, int(read_time(at).timestamp()))
    except BadInput as error:
        raise BadInput(error.message, expected=f"Unix seconds, or {error.expected}", actual=error.actual) from None


def _text(found: Resolution) -> str:
    lines = [json.dumps(found.document, indent=2, ensure_ascii=False)] if found.document is not None else []
    if found.deactivated:
        lines.append("deactivated")
    lines += [f"{name}: {value}" for name, value in found.metadata.items() if name != "deactivated"]
    return "\n".join(lines)
