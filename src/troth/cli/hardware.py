"""Commands for keys in a PKCS#11 token: who such a key is, and claims signed with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from troth.cli.parts import Json, Where, app, claim_body, read_file, show, workspace
from troth.core.errors import BadInput, Misuse

if TYPE_CHECKING:
    from troth.core.ports import Signer

hardware_app = typer.Typer(no_args_is_help=True, help="Keys in a PKCS#11 token (a smart card, a hardware module).")
app.add_typer(hardware_app, name="hardware")
Library = Annotated[Path, typer.Option("--library", help="The token's PKCS#11 library, a .so file.")]
Token = Annotated[str, typer.Option("--token", help="The token's label.")]
Key = Annotated[str, typer.Option("--key", help="The key's label.")]
Pin = Annotated[Path | None, typer.Option("--pin-file", help="A file with the PIN, such as /dev/fd/3; asked for at a "
                                                             "terminal otherwise.")]


@hardware_app.command("show")
def hardware_show(library: Library, token: Token, key: Key, pin_file: Pin = None, as_json: Json = False) -> None:
    """Which identifier a key in a token signs as."""
    show({"did": _signer(library, token, key, pin_file).did, "token": token, "key": key}, as_json)


@hardware_app.command("attest")
def hardware_attest(kind: str, subject: Annotated[list[Path], typer.Option("--subject", help="A file it is about.")],
                 library: Library, token: Token, key: Key, pin_file: Pin = None,
                 body: Annotated[str, typer.Option("--body", help="JSON, or @FILE.")] = "{}",
                 home: Where = None, as_json: Json = False) -> None:
    """Sign a claim with a key in a token, as that key's did:key, and take it into this party's log."""
    from troth.app import file_subject  # start-up time
    from troth.core.claims import Statement  # start-up time
    from troth.identity.signers import attest
    from troth.ledger.exchange import Parcel

    said = claim_body(read_file(Path(body[1:])) if body.startswith("@") else body.encode(errors="replace"))
    with workspace(home) as party:
        subjects = tuple(file_subject(path.name, read_file(path)) for path in subject)
        signer = _signer(library, token, key, pin_file)
        envelope = attest(Statement(kind, signer.did, party.clock.now(), subjects, said), signer)
        party.meet(Parcel(claims=(envelope,)))
        show({"claim": envelope.id.hex(), "did": signer.did}, as_json, envelope.id.hex)


def _signer(library: Path, token: str, key: str, pin_file: Path | None) -> Signer:
    from troth.identity.signers import signer_of  # start-up time

    return signer_of("pkcs11")(library, token, key, _pin(pin_file))


def _pin(pin_file: Path | None) -> str:
    """From a file or a terminal; never from the command line. Raises Misuse, BadInput."""
    if pin_file is not None:
        try:
            return read_file(pin_file).decode().removesuffix("\n")
        except UnicodeDecodeError:
            raise BadInput("the PIN's file is not text") from None
    if not sys.stdin.isatty():
        raise Misuse("no PIN", do="Give --pin-file, or run this at a terminal.")
    return str(typer.prompt("PIN", hide_input=True, err=True))
