"""``troth flower``: what a SuperLink and each site's SuperNode need, prepared as files and scripts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import Json, app, read_file, show

flower_app = typer.Typer(no_args_is_help=True, help="Training over Flower: prepare a SuperLink and its SuperNodes.")
app.add_typer(flower_app, name="flower")
Folder = Annotated[Path, typer.Argument(help="The folder to prepare, for this user alone. Keep its path short.")]


@flower_app.command("node")
def flower_node(
    folder: Folder,
    site: Annotated[str, typer.Option("--site", help="The site's DID.")],
    ca: Annotated[Path | None, typer.Option("--ca", help="The link's ca.pem; without it only the key is made.")] = None,
    link: Annotated[str, typer.Option("--link", help="The SuperLink's HOST:PORT.")] = "127.0.0.1:9092",
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="On loopback, for the node's own use.")] = 9094,
    as_json: Json = False,
) -> None:
    """Make a site's node key, and with the link's ca.pem the script that starts its SuperNode.

    The key says where calls are delivered and nothing else: what a site says is signed by its own keys.
    """
    # Imported here: start-up of --help must not load the application.
    from troth.app.flower import prepare_node

    node = prepare_node(folder, site, link=link, ca=None if ca is None else read_file(ca), port=port)
    said = {"door": str(node.door), "public_key": str(node.public),
            "start": str(node.folder / "supernode.sh") if ca else None}
    show(said, as_json, lambda: f"give the link's operator {said['public_key']}, and ask for its ca.pem" if ca is None
         else f"start {said['start']}, and let the site answer: troth join INVITATION --flower {folder}")


@flower_app.command("link")
def flower_link(
    folder: Folder,
    site: Annotated[list[str], typer.Option("--site", help="DID=FILE: a site and its node.pub. Once for each.")],
    host: Annotated[str, typer.Option("--host", help="The address that nodes reach, and the certificate names.")]
    = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65_535)] = 9092,
    as_json: Json = False,
) -> None:
    """Make a SuperLink's certificate, app and scripts, for these sites' nodes.

    Flower's server sees the calls and when each is answered; what they say is signed, and updates are sealed.
    """
    # Imported here: start-up of --help must not load the application.
    from troth.app.flower import prepare_link
    from troth.core.errors import Misuse

    sites = {}
    for one in site:
        did, equals, file = one.partition("=")
        if not equals:
            raise Misuse("which key is whose?", expected="DID=FILE", actual=one)
        sites[did] = read_file(Path(file))
    made = prepare_link(folder, sites, host=host, port=port, now=int(time.time()))
    said = {"ca": str(made.ca), "scripts": [str(made.folder / name) for name in
                                            ("superlink.sh", "register.sh", "run.sh")]}
    show(said, as_json, lambda: f"give each site {said['ca']}; then start {', then '.join(said['scripts'])}, "
         f"and train: troth train ROUND.toml --flower {folder}")
