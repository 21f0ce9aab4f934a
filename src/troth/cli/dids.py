"""Decentralised identifiers (docs/reference/dids.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from troth.cli.parts import TIME, Json, Where, app, at_time, passphrase, show, workspace
from troth.core.errors import Misuse, TrothError

if TYPE_CHECKING:
    from troth.identity.resolution import Resolution, When

did_app = typer.Typer(no_args_is_help=True, help="Decentralised identifiers.")
app.add_typer(did_app, name="did")
Root = Annotated[Path, typer.Option("-o", "--output", help="The folder that the web server shows as its root.")]
Own = Annotated[str, typer.Argument(help="A did:webvh that this workspace published.")]
Did = Annotated[str, typer.Argument(help="did:key, did:peer:4, did:pkh, did:ethr, did:web or did:webvh.")]


@did_app.command()
def resolve(did: Did,
            at: Annotated[str | None, typer.Option("--at", help=f"In force then: {TIME} now by default.")] = None,
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


@did_app.command()
def publish(place: Annotated[str, typer.Argument(help="HOST[%3APORT][:PATH…], where its log will lie.")],
            root: Root,
            witness: Annotated[list[str] | None, typer.Option("--witness", help="A witness's did:key.")] = None,
            threshold: Annotated[int | None, typer.Option("--threshold", min=1, help="How many; all.")] = None,
            portable: Annotated[bool, typer.Option("--portable", help="It may move to another host.")] = False,
            home: Where = None, as_json: Json = False) -> None:
    """Begin a did:webvh with this identity's keys; writes its log. Upload the log, and nothing of the workspace."""
    from troth.app import publishing  # start-up time, as above
    from troth.identity.webvh import Witnesses  # start-up time

    names = tuple(witness or ())
    if threshold is not None and not names:
        raise Misuse("a threshold without witnesses", do="Name them: --witness did:key:…")
    secret = passphrase()
    with workspace(home) as party:
        made = publishing.begin(party, place, secret, portable=portable, witnesses=Witnesses.of(
            Witnesses(threshold or len(names), names).to_dict()) if names else None)
        show({"did": made.did, "log": str(made.write(root))}, as_json)


@did_app.command("rotate")
def rotate(did: Own, root: Root, home: Where = None, as_json: Json = False) -> None:
    """Add a version to a did:webvh of this workspace: its next update key, and this identity's keys of now."""
    from troth.app import publishing  # start-up time, as above

    secret = passphrase()
    with workspace(home) as party:
        made = publishing.change(party, did, secret)
        show({"did": made.did, "log": str(made.write(root))}, as_json)


@did_app.command("end")
def end(did: Own, root: Root, home: Where = None, as_json: Json = False) -> None:
    """End a did:webvh of this workspace for good."""
    from troth.app import publishing  # start-up time, as above

    secret = passphrase()
    with workspace(home) as party:
        made = publishing.end(party, did, secret)
        show({"did": made.did, "log": str(made.write(root))}, as_json)


def _when(at: str | None, version: str | None) -> When:
    from troth.identity.resolution import When  # start-up time, as above

    return When(version, None if at is None else at_time(at))


def _text(found: Resolution) -> str:
    lines = [json.dumps(found.document, indent=2, ensure_ascii=False)] if found.document is not None else []
    if found.deactivated:
        lines.append("deactivated")
    lines += [f"{name}: {value}" for name, value in found.metadata.items() if name != "deactivated"]
    return "\n".join(lines)
