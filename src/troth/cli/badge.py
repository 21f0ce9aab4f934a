"""Open Badges 3.0: given, and the tree of skills that a wallet's badges make (docs/reference/credentials.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from troth.cli.credential import (
    Fresh,
    Identity,
    Issuers,
    Online,
    Output,
    Pinned,
    StatusLists,
    believed,
    credential_app,
    reaching,
    wallet_of,
    write_json,
)
from troth.cli.parts import Json, Where, read_file, show, workspace, write_file
from troth.core.errors import BadInput


@credential_app.command()
def badge(achievement: Annotated[Path, typer.Argument(help="The achievement: a JSON file, as in a badge.")],
          to: Annotated[str, typer.Option("--to", help="The holder's credential identity: a DID.")],
          name: Annotated[str, typer.Option("--name", help="The issuer's name, as shown.")], output: Output,
          by: Identity = None, home: Where = None, as_json: Json = False) -> None:
    """Give somebody an Open Badge 3.0."""
    # Imported here and below: start-up of --help must not load signing libraries.
    from troth.identity.jsondoc import read_json
    from troth.verify.badges import badge_document, read_achievement

    said = read_achievement(read_json(read_file(achievement)))
    with workspace(home) as party:
        wallet = wallet_of(party)
        made = wallet.issue(badge_document(said, to, name, wallet.identity(by).did), by=by)
        write_json(output, made)
        show({"output": str(output), "achievement": said.name}, as_json)


@credential_app.command()
def skills(html: Annotated[Path | None, typer.Option("--html", help="Also as a page.")] = None, issuer: Issuers = None,
           trust: Pinned = None, lists: StatusLists = None, fresh: Fresh = None, online: Online = False,
           home: Where = None, as_json: Json = False) -> None:
    """The badges that this wallet holds as a tree of skills, each with what its verification found."""
    from troth.identity.credentials import Credential  # start-up time
    from troth.verify.badges import is_badge, read_badge, skill_tree, verify_badge
    from troth.web.skills import skills_page

    with workspace(home) as party:
        wallet = wallet_of(party)
        held = {name: one for name, one in wallet.held().items() if is_badge(Credential.of(one))}
        badges, unreadable = [], list[str]()
        with reaching(online, party) as reached:
            known = believed(issuer, trust, lists, fresh, party.clock.now(), reached)
            for name, one in held.items():
                try:
                    badges.append((read_badge(Credential.of(one)), verify_badge(one, known).outcome))
                except BadInput:
                    unreadable.append(name)  # whoever sent it hides no other
        tree = skill_tree(badges).json()
        if html is not None:
            write_file(html, skills_page(tree, wallet.identity().short).encode())
        show(tree | {"unreadable": unreadable}, as_json, lambda: "\n".join(
            (*_lines(tree, -1), *(f"{name}  no readable badge" for name in unreadable))) or "no badges")


def _lines(skill: dict[str, Any], depth: int) -> list[str]:
    own = [f"{'  ' * depth}{skill['skill']}"] if depth >= 0 else []
    own += [f"{'  ' * (depth + 1)}* {one['achievement']}, from {one['issuer'][:60]}: {one['outcome']}"
            for one in skill["badges"]]
    return own + [line for below in skill["below"] for line in _lines(below, depth + 1)]
