"""``troth play``: several workspaces to try things with, by one command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import Json, app, passphrase, show


@app.command()
def play(name: Annotated[list[str], typer.Argument(help="A workspace for each, as a folder of this name.")],
         folder: Annotated[Path, typer.Option("--folder", help="Where they, their chain and their exchange lie.")] =
         Path(), purse: Annotated[int, typer.Option("--purse", min=0, help="Play money for each.")] = 100_000,
         as_json: Json = False) -> None:
    """Make workspaces to try Troth with: they share an embedded chain, know each other and hold play money. Again with
    more names, it adds them. Whoever has the folder is all of them; it refuses any other chain.
    """
    # Imported here: start-up of --help must not load stores and chains.
    from troth.app.playing import play
    from troth.ledger.erc20 import Erc20

    parties = play(folder, name, passphrase(), purse=purse)
    found = []
    for who, party in parties.items():
        with party:
            coin = Erc20(party.chain.web3, party.contracts["token"].address)
            found.append({"name": who, "home": str(party.root.parent), "did": party.did,
                          "account": "0x" + party.account.hex(), "holds": str(coin.balance(party.account))})
    show({"workspaces": found}, as_json, lambda: "\n".join([
        *(f"{one['name']}: holds {one['holds']}, account {one['account']}\n  {one['did']}" for one in found),
        f"Act as one of them with --home {shlex.quote(found[0]['home'])}, or in that folder."]))
