"""``troth post serve``: a post office on loopback, until it is told to stop."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import Json, app

post_app = typer.Typer(no_args_is_help=True, help="Mailboxes for parties that only reach outward.")
app.add_typer(post_app, name="post")


@post_app.command("serve")
def post_serve(
    folder: Annotated[Path, typer.Argument(help="Where the mailboxes lie; made if need be.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="On 127.0.0.1; 0 for any free one.")] = 8710,
    url: Annotated[str, typer.Option("--url", help="The address that parties use, where a web server in front has "
                                     "another.")] = "",
    parcel: Annotated[int, typer.Option("--parcel", min=1, help="MiB that one parcel may have, at most 256.")] = 256,
    mailbox: Annotated[int, typer.Option("--mailbox", min=1, help="MiB that may wait in one mailbox.")] = 1024,
    whole: Annotated[int, typer.Option("--whole", min=1, help="MiB that may wait in all mailboxes.")] = 16384,
    as_json: Json = False,
) -> None:
    """Serve a post office to this machine, or to a web server in front of it that knows who may ask. Ctrl-C stops it.

    It can drop, delay and reorder what passes, and sees who exchanges with whom; it cannot alter what is said. What
    does not fit its bounds is refused. Who sends it does not know: anybody whom it lets in can fill a mailbox.
    """
    # Imported here: start-up of --help must not load signatures.
    from troth.ledger.postoffice import Bounds, PostServer

    bounds = Bounds(parcel << 20, box=mailbox << 20, whole=whole << 20)
    stop = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: stop.set())
    with PostServer(folder, port, url=url, bounds=bounds) as server:
        said = {"url": server.office.url, "listens": server.url, "folder": str(folder)}
        lines = (f"a post office at {said['url']}" + (f", listening at {server.url}" if url else ""),
                 "Ctrl-C stops it.")
        typer.echo(json.dumps(said, sort_keys=True) if as_json else "\n".join(lines))
        stop.wait()
