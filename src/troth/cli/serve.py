"""``troth chain serve``: the JSON-RPC of an embedded chain on loopback, until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import Json, Where, chain_app
from troth.core.errors import Misuse

SCHEME = "embedded:"


@chain_app.command("serve")
def chain_serve(
    file: Annotated[Path | None, typer.Argument(help="The chain's file; this workspace's chain by default.")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="On 127.0.0.1; 0 for any free one.")] = 8545,
    new: Annotated[bool, typer.Option("--new", help="Make the file if there is none.")] = False,
    home: Where = None,
    as_json: Json = False,
) -> None:
    """Serve an embedded chain's JSON-RPC to this machine: for cast, viem, web3.py, wallets. Ctrl-C stops it."""
    path = file or _of_workspace(home)
    if not new and not path.is_file():
        raise Misuse(f"there is no chain in {path}", do="Correct the name, or say --new to begin one.")
    # Imported here: the chain and its libraries take a second to load.
    from troth.ledger.chains.embedded import EmbeddedChain
    from troth.ledger.chains.server import RpcServer

    stop = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: stop.set())
    with EmbeddedChain(path) as chain, RpcServer(chain, port) as server:
        said = {"url": server.url, "id": chain.chain_id, "block": chain.head().number,
                "genesis": chain.genesis_hash.hex()}
        lines = (f"chain {said['id']} at {said['url']}, block {said['block']}", "Ctrl-C stops it.")
        typer.echo(json.dumps(said, sort_keys=True) if as_json else "\n".join(lines))
        stop.wait()


def _of_workspace(home: Path | None) -> Path:
    """The file of a workspace's embedded chain. Raises Misuse where its chain is another kind."""
    # Imported here: start-up of --help must not load the application.
    from troth.app.place import SETTINGS, Settings, find

    url = Settings.load(find(home or Path.cwd()) / SETTINGS, os.environ).chain
    path = url.removeprefix(SCHEME)
    if not url.startswith(SCHEME) or not path:
        raise Misuse("this workspace's chain is no embedded chain in a file", expected=f"{SCHEME}PATH",
                     actual=url or "none", do="Name the file.")
    return Path(path)
