"""``troth person …``: one act a person and scope, and nobody learns who. Uniqueness is the admitter's word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import Json, Where, app, claim_id, passphrase, read_file, show, workspace, write_file
from troth.core.errors import Misuse

person_app = typer.Typer(no_args_is_help=True, help="One act a person, anonymously, among those an admitter admitted.")
app.add_typer(person_app, name="person")

Group = Annotated[str, typer.Option("--group", help="The group's name.")]
Scope = Annotated[str, typer.Option("--scope", help="In which a person acts once: a vote, say.")]
Place = Annotated[Path, typer.Option("--box", help="The folder that takes acts.")]


@person_app.command("new")
def person_new(home: Where = None, as_json: Json = False) -> None:
    """Make this party's secret as a person, and show the commitment that an admitter admits."""
    from troth.app.persons import new_person  # start-up time: --help must not load the application

    with workspace(home) as party:
        show({"commitment": str(new_person(party, passphrase()))}, as_json)


@person_app.command("admit")
def person_admit(commitment: str, group: Group, home: Where = None, as_json: Json = False) -> None:
    """Say, as the admitter, that one more person is behind a commitment. You vouch that it is one, and only once."""
    from troth.app.persons import admit  # start-up time, as above

    if not (commitment.isascii() and commitment.isdigit()):
        raise Misuse("not a commitment", expected="decimal digits", actual=commitment)
    with workspace(home) as party:
        show({"claim": admit(party, int(commitment), group).hex()}, as_json)


@person_app.command("roster")
def person_roster(group: Group, home: Where = None, as_json: Json = False) -> None:
    """Say, as the admitter, who is in a group now. Acts are made for a roster."""
    from troth.app.persons import name_group  # start-up time, as above

    with workspace(home) as party:
        claim = name_group(party, group)
        show({"claim": claim.hex(), "members": len(party.statement(claim).body["members"])}, as_json)


@person_app.command("act")
def person_act(roster: str, scope: Scope, message: Annotated[str, typer.Option("--message", help="What to say.")],
               output: Annotated[Path, typer.Option("-o", "--output")], home: Where = None,
               as_json: Json = False) -> None:
    """Say something once in a scope, as somebody in the roster. The file names nobody; how you hand it over may."""
    from troth.app.persons import act_once  # start-up time, as above

    with workspace(home) as party:
        found = act_once(party, passphrase(), claim_id(party, roster), scope, message)
        write_file(output, found.to_bytes())
        show({"nullifier": str(found.proof.nullifier), "output": str(output)}, as_json)


@person_app.command("open")
def person_open(roster: str, scope: Scope, box: Place, home: Where = None, as_json: Json = False) -> None:
    """Make a box that takes one act of each person in a roster, for one scope."""
    from troth.app.persons import Box  # start-up time, as above

    with workspace(home) as party:
        found = Box.create(box, party, claim_id(party, roster), scope)
        show({"box": str(box), "scope": found.scope}, as_json)


@person_app.command("take")
def person_take(file: list[Path], box: Place, home: Where = None, as_json: Json = False) -> None:
    """Check acts and keep them. A second act of a person is refused."""
    from troth.app.persons import Box  # start-up time, as above

    with workspace(home) as party:
        opened = Box(box, party)
        taken = [str(opened.take(read_file(path)).proof.nullifier) for path in file]
        show({"taken": taken}, as_json)


@person_app.command("count")
def person_count(box: Place, home: Where = None, as_json: Json = False) -> None:
    """How many persons said what; every proof is checked again. It does not show acts that the box left out."""
    from troth.app.persons import Box  # start-up time, as above

    with workspace(home) as party:
        opened = Box(box, party)
        found = dict(opened.count())
        show({"scope": opened.scope, "count": found, "persons": sum(found.values())}, as_json)
