"""Commands for guardians: naming them, and getting an identity back whose keys are lost or stolen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from troth.cli.identity import opened
from troth.cli.parts import Json, Where, id_app, passphrase, read_file, show, workspace, write_file
from troth.core.errors import BadInput
from troth.core.times import moment

if TYPE_CHECKING:
    from troth.app.guarding import Case
    from troth.app.keys import Changed

guardians_app = typer.Typer(no_args_is_help=True, help="Who may recover an identity, k of n, after a delay.")
id_app.add_typer(guardians_app, name="guardians")
Out = Annotated[Path, typer.Option("-o", "--output")]
CaseFile = Annotated[Path, typer.Argument(help="The case, as the commands before wrote it.")]


@guardians_app.command("set")
def guardians_set(guardian: Annotated[list[str], typer.Argument(help="Chain accounts of the guardians.")], output: Out,
                  k: Annotated[int, typer.Option("--k", min=1, help="How many of them are needed.")] = 2,
                  days: Annotated[int, typer.Option("--days", min=1, max=365, help="How long you can say no.")] = 14,
                  home: Where = None, as_json: Json = False) -> None:
    """Name the guardians of this party's identity, with a change of keys; writes the card that each of them keeps."""
    from troth.app.guarding import set_guardians  # start-up time
    from troth.core.encoding import from_hex  # start-up time
    from troth.ledger.guardians import Quorum

    quorum = Quorum.of(k, days * 86_400, (from_hex(one.removeprefix("0x").lower(), 20) for one in guardian))
    with opened(home) as (party, secret):
        done, card = set_guardians(party, secret, quorum)
        if card is not None:
            write_file(output, card.to_bytes())
        show({"guardians": len(quorum.accounts), "k": k, "days": days, "version": done.version,
              "published": done.published, "card": str(output)}, as_json)


@guardians_app.command("none")
def guardians_none(home: Where = None, as_json: Json = False) -> None:
    """Have no guardians from now on, with a change of keys."""
    from troth.app.guarding import set_guardians  # start-up time

    with opened(home) as (party, secret):
        done, _ = set_guardians(party, secret, None)
        show({"guardians": 0, "version": done.version, "published": done.published}, as_json)


@guardians_app.command("open")
def guardians_open(card: Annotated[Path, typer.Argument(help="The card of the identity.")], output: Out,
                   home: Where = None, as_json: Json = False) -> None:
    """As a guardian, write down what is known of the identity, for whoever lost its keys."""
    from troth.app.guarding import open_case  # start-up time

    with workspace(home) as party:
        found = open_case(party, _case(card))
        write_file(output, found.to_bytes())
        show({"did": found.did, "output": str(output)}, as_json)


@id_app.command("recover")
def id_recover(case: CaseFile, directory: Annotated[Path, typer.Argument(help="Where the new workspace goes.")],
               output: Out, as_json: Json = False) -> None:
    """Make a workspace with fresh keys for an identity whose keys are lost, and the file for its guardians to sign.

    Nobody believes what it signs until they have, and the delay is over.
    """
    from troth.app.guarding import recover  # start-up time
    from troth.app.place import FOLDER, Settings  # start-up time

    place = directory.resolve()
    settings = Settings(place.name or "me", f"embedded:{place / FOLDER / 'chain.sqlite'}", str(place / "exchange"))
    party, found = recover(_case(case), place, passphrase(), settings)
    with party:
        write_file(output, found.to_bytes())
        show({"workspace": str(party.root), "did": party.did, "version": party.identity.history.head.version,
              "document": party.identity.history.head.digest.hex(), "account": "0x" + party.account.hex(),
              "output": str(output)}, as_json)


@guardians_app.command("sign")
def guardians_sign(case: CaseFile, document: Annotated[str, typer.Option(
        "--document", help="The document's SHA-256, as the person who lost the keys told you: by voice, not by file.")],
        output: Out, home: Where = None, as_json: Json = False) -> None:
    """As a guardian, agree that these keys are the person's. Talk to the person first: this gives the identity away."""
    from troth.app.guarding import approve  # start-up time

    with workspace(home) as party:
        found = _case(case)
        proposed = found.document()[1]
        if proposed.document.hex() != document.removeprefix("0x").lower():
            raise BadInput("the file proposes another document than you were told", expected=document,
                           actual=proposed.document.hex(), do="Do not sign. Somebody else wants this identity.")
        write_file(output, approve(party, found).hex().encode())
        show({"did": found.did, "version": proposed.version, "document": document, "output": str(output)}, as_json)


@guardians_app.command("propose")
def guardians_propose(case: CaseFile,
                      approvals: Annotated[list[Path], typer.Argument(help="What the guardians signed.")],
                      home: Where = None, as_json: Json = False) -> None:
    """Put to the registry what k guardians signed. The delay begins."""
    from troth.app.guarding import propose  # start-up time
    from troth.core.encoding import from_hex  # start-up time

    with workspace(home) as party:
        signed = [from_hex(read_file(path).decode(errors="replace").strip(), 65) for path in approvals]
        show({"due": propose(party, _case(case), signed)}, as_json)


@guardians_app.command("execute")
def guardians_execute(case: CaseFile, home: Where = None, as_json: Json = False) -> None:
    """Carry out what was proposed, once its delay is over."""
    from troth.app.guarding import execute  # start-up time

    with workspace(home) as party:
        found = _case(case)
        execute(party, found)
        show({"did": found.did, "recovered_by": str(found.document()[0].recovery)}, as_json)


@guardians_app.command("show")
def guardians_show(home: Where = None, as_json: Json = False) -> None:
    """What guardians propose for this party's identity. Look often: `cancel` says no, until the second that is due."""
    from troth.app.guarding import proposals  # start-up time

    with workspace(home) as party:
        found = proposals(party)
        said = [{"version": one.version, "document": one.document.hex(), "due": one.due} for one in found]
        show({"proposals": said}, as_json, lambda: "\n".join(
            f"version {one.version}  {one.document.hex()}  due {moment(one.due, party.chain.now())}" for one in found)
            or "nothing is proposed")


@guardians_app.command("cancel")
def guardians_cancel(home: Where = None, as_json: Json = False) -> None:
    """Overrule what guardians propose, by changing this party's keys. They stay its guardians: see `set` and `none`."""
    from troth.app.guarding import overrule  # start-up time

    with opened(home) as (party, secret):
        done: Changed = overrule(party, secret)
        show({"version": done.version, "published": done.published}, as_json)


def _case(path: Path) -> Case:
    from troth.app.guarding import Case  # start-up time

    return Case.from_bytes(read_file(path))
