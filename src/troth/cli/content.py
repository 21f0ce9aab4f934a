"""``troth sign`` and ``troth media …``: signatures of files, beside them or inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from troth.cli.parts import Believed, Json, Where, app, passphrase, read_file, show, workspace, write_file
from troth.core.errors import BadInput, Misuse

media_app = typer.Typer(no_args_is_help=True, help="Images, videos and sounds with a C2PA manifest (extra c2pa).")
app.add_typer(media_app, name="media")

Note = Annotated[str, typer.Option("--note", help="A sentence for people.")]
NoTraining = Annotated[bool, typer.Option("--no-training", help="Say: not to be trained on.")]
By = Annotated[list[str] | None, typer.Option("--by", help="Whose signature you believe: a DID.")]


@app.command("sign")
def sign(file: Path, output: Annotated[Path | None, typer.Option("-o", "--output", help="FILE.troth-sig by "
                                                                 "default.")] = None,
         note: Note = "", no_training: NoTraining = False, home: Where = None, as_json: Json = False) -> None:
    """Sign a file, detached. Checked by troth verify FILE. It says who signed these bytes, not who made them."""
    from troth.app.content import sign_file, signature_of  # start-up time: --help must not load the application

    target = output or signature_of(file)
    with workspace(home) as party:
        write_file(target, sign_file(party, file, note=note, training=_wish(no_training)))
        show({"signature": str(target), "by": party.did}, as_json)


@media_app.command("new")
def media_new(output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the anchor goes, for "
                                                          "tools that know no DID.")] = None,
              home: Where = None, as_json: Json = False) -> None:
    """Make this party's certificate for media, under an anchor of its own."""
    from troth.app.content import certificate, new_certificate  # start-up time, as above

    with workspace(home) as party:
        secret = passphrase()
        new_certificate(party, secret)
        anchor = certificate(party, secret).anchor
        if output is not None:
            write_file(output, anchor.encode())
        show({"anchor": anchor}, as_json)


@media_app.command("sign")
def media_sign(file: Path, output: Annotated[Path, typer.Option("-o", "--output")], note: Note = "",
               no_training: NoTraining = False, home: Where = None, as_json: Json = False) -> None:
    """Write a copy with a C2PA manifest that carries this party's claim. The file itself stays as it is."""
    from troth.app.content import sign_into  # start-up time, as above

    with workspace(home) as party:
        sign_into(party, passphrase(), file, output, note=note, training=_wish(no_training))
        show({"output": str(output), "by": party.did}, as_json)


@media_app.command("verify")
def media_verify(file: Path, by: By = None, trust: Believed = None,
                 anchor: Annotated[Path | None, typer.Option("--anchor", help="Certificates (PEM) to believe for a "
                                                             "manifest without a claim of Troth's.")] = None,
                 as_json: Json = False) -> None:
    """Check the manifest in a media file and the claim in it. It says who signed this content, not that it is true."""
    from troth.app.content import believed, verify_into  # start-up time, as above
    from troth.cli.show import print_report  # start-up time
    from troth.verify.trust import Trust

    known = None if trust is None else Trust.from_bytes(read_file(trust))
    try:
        pem = "" if anchor is None else read_file(anchor).decode("ascii")
    except UnicodeDecodeError:
        raise BadInput("not a certificate in PEM", actual=anchor) from None
    raise typer.Exit(print_report(verify_into(file, believed(known, by or ()), pem), as_json))


def _wish(no_training: bool) -> str:
    return "notAllowed" if no_training else "unstated"


def detached(file: Path, signature: Path | None, by: list[str] | None) -> Path | None:
    """The signature, if ``troth verify`` is asked about a file that has a detached one. Raises Misuse."""
    from troth.app.content import signature_of  # start-up time, as above
    from troth.ledger.bundle import MAGIC  # start-up time

    if signature is None:
        try:
            with file.open("rb") as opened:
                is_bundle = opened.read(len(MAGIC)) == MAGIC
        except OSError:
            return None  # the bundle's reader says why
        if not is_bundle and signature_of(file).is_file():
            return signature_of(file)
        if by is not None:
            raise Misuse("--by is about a detached signature, and there is none", actual=file,
                         do="Name it with --signature, or give a trust file for a bundle.")
    return signature
