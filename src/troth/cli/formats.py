"""Claims out to other formats and in from them (docs/reference/formats.md)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, claim_id, read_file, role_and_claim, show, workspace, write_file
from troth.core.errors import Misuse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

    from troth.app import Troth
    from troth.formats.foreign import ForeignKey

import_app = typer.Typer(no_args_is_help=True, help="What other tools recorded, checked and kept as claims.")
app.add_typer(import_app, name="import")
Key = Annotated[Path | None, typer.Option("--key", help="The signer's public key, PEM.")]
Root = Annotated[Path | None, typer.Option("--root", help="Certificates that the signer's must lead to, PEM.")]


Format = Annotated[str, typer.Argument(metavar="FORMAT", help="dsse, oms, cyclonedx, spdx, croissant, prov or card.")]
Target = Annotated[str, typer.Argument(help="A claim; or a bundle's file, FILE.troth, which needs no workspace.")]
BUNDLE = ".troth"


@app.command()
def export(format_: Format, target: Target,
           output: Annotated[Path, typer.Option("-o", "--output", help="Where the document goes.")],
           model: Annotated[Path | None, typer.Option("--model", help="oms: the model's directory.")] = None,
           signer: Annotated[Path | None, typer.Option("--signer", help="oms: a private key in PEM, of your own; its "
                                                       "passphrase from TROTH_SIGNER_PASSPHRASE.")] = None,
           public: Annotated[Path | None, typer.Option("--public", help="dsse, oms: also write the public key (PEM) "
                                                       "that others check it with.")] = None,
           home: Where = None, as_json: Json = False) -> None:
    """Write a claim and what it rests on in another format, each sentence with the claim that says it."""
    from troth.app import formats  # start-up time, as in main

    _check_words(format_, model, signer, public)
    if target.endswith(BUNDLE):
        data = formats.export_bundle(Path(target), format_)
        write_file(output, data)
        show({"output": str(output), "format": format_, "bytes": len(data)}, as_json)
        return
    with workspace(home) as party:
        claim = claim_id(party, target)
        if model is not None:
            said, pem = _sign_model(party, claim, model, output, signer)
            text: Callable[[], str] | None = None
        else:
            data = formats.export(party, claim, format_)
            said = {"output": str(output), "format": format_, "bytes": len(data)}
            if format_ == formats.DSSE:
                method, pem = formats.classical_key(party, party.envelope(claim))
                said |= {"keyid": method, "public_key": pem.decode()}
            else:
                said |= formats.facts_json(party, claim)
            write_file(output, data)
            lines = [f"{output}: {len(data)} bytes", *(f"missing: {line}" for line in said.get("missing", ()))]
            text = functools.partial("\n".join, lines)
        if public is not None:
            write_file(public, pem)
        show(said, as_json, text)


def _check_words(format_: str, model: Path | None, signer: Path | None, public: Path | None) -> None:
    """Raises Misuse for options that do not go together; nothing was done yet."""
    from troth.app import formats  # start-up time, as in main

    if (format_ == formats.OMS) != (model is not None) or (signer is not None and model is None):
        raise Misuse("--model and --signer belong to oms, which is over a directory", expected="oms with --model DIR",
                     actual=format_)
    if public is None:
        return
    if format_ not in (formats.OMS, formats.DSSE):
        raise Misuse("--public belongs to dsse and oms", actual=format_)
    if model is not None and public.resolve().is_relative_to(model.resolve()):
        raise Misuse("the public key would be a file that was not signed", actual=public,
                     do="Put it beside the model's directory.")


@app.command()
def compare(format_: Format, target: Target, document: Annotated[Path, typer.Argument(help="What export wrote.")],
            home: Where = None, as_json: Json = False) -> None:
    """Whether a document is, byte for byte, what these claims say in this format today."""
    from troth.app import formats  # start-up time, as in main

    if format_ == formats.OMS:
        raise Misuse("a model's signature is checked by its key", do="Use: troth check FILE --key PEM --model DIR")
    if target.endswith(BUNDLE):
        formats.check_document(read_file(document), formats.export_bundle(Path(target), format_))
    else:
        with workspace(home) as party:
            formats.check_export(party, claim_id(party, target), format_, read_file(document))
    show({"document": str(document), "format": format_, "unchanged": True}, as_json)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A DSSE envelope or a Sigstore bundle.")],
          key: Key = None, root: Root = None,
          model: Annotated[Path | None, typer.Option("--model", help="The model's directory that it signs.")] = None,
          ignore: Annotated[list[str] | None, typer.Option("--ignore", help="A path in it to pass over, where "
                                                           "an old signature does not name it.")] = None,
          about: Annotated[Path | None, typer.Option("--about", help="A file that it must be about.")] = None,
          as_json: Json = False) -> None:
    """Check what somebody else signed: an in-toto statement, or with --model a model's signature."""
    from troth.app import formats  # start-up time, as in main
    from troth.formats import oms  # start-up time

    believed, roots = _believed(key, root)
    data, now = _document(file), int(time.time())
    if model is not None:
        found = oms.verify(data, model, key=believed, roots=roots, now=now, signature=file, ignored=tuple(ignore or ()))
        show({"outcome": "upheld", "issuer": found.key.name, "model": found.model, "files": len(found.files),
              "root": found.root.hex(), "claims": dict(found.claims)}, as_json)
        return
    envelope, signer = formats.check_signed(data, key=believed, roots=roots, now=now, file=about)
    statement = envelope.statement()
    show({"outcome": "upheld", "issuer": signer.name, "predicate_type": statement.predicate_type,
          "subjects": [{"name": name, "digest": dict(digests)} for name, digests in statement.subjects],
          "id": envelope.id.hex()}, as_json)


@import_app.command("signed")
def import_signed(file: Annotated[Path, typer.Argument(help="A DSSE envelope or a Sigstore bundle.")],
                  key: Key = None, root: Root = None,
                  model: Annotated[Path | None, typer.Option("--model", help="The directory that it signs.")] = None,
                  ref: Annotated[list[str] | None, typer.Option("--ref", help="ROLE=CLAIM.")] = None,
                  home: Where = None, as_json: Json = False) -> None:
    """Keep what somebody else signed as its bytes, after checking it, with a link claim."""
    from troth.app import formats  # start-up time, as in main
    from troth.core.claims import Ref  # start-up time
    from troth.formats import oms

    believed, roots = _believed(key, root)
    data, now = _document(file), int(time.time())
    signer = (oms.verify(data, model, key=believed, roots=roots, now=now, signature=file).key if model is not None
              else formats.check_signed(data, key=believed, roots=roots, now=now)[1])
    with workspace(home) as party:
        claim = formats.import_signed(party, data, signer, [Ref(*role_and_claim(item, party)) for item in ref or ()])
        show({"claim": claim.hex(), "issuer": signer.name}, as_json, claim.hex)


@import_app.command("dvc")
def import_dvc(record: Annotated[Path, typer.Argument(help="A .dvc file, or dvc.lock.")], home: Where = None,
               as_json: Json = False) -> None:
    """Attest what DVC recorded, after checking every file against it."""
    from troth.app import formats  # start-up time, as in main
    from troth.formats.dvc import read_dvc  # start-up time

    found = formats.in_order(read_dvc(record))
    with workspace(home) as party:
        claims = formats.import_inventories(party, found)
        show({"claims": {one.name: claim.hex() for one, claim in zip(found, claims, strict=True)}}, as_json,
             lambda: "\n".join(f"{claim.hex()}  {one.name}" for one, claim in zip(found, claims, strict=True)))


@import_app.command("hub")
def import_hub(folder: Annotated[Path, typer.Argument(help="A model's folder, as Hugging Face lays it out.")],
               home: Where = None, as_json: Json = False) -> None:
    """Attest a model's folder: its files, and what its configuration and card say, as their word."""
    from troth.app import formats  # start-up time, as in main
    from troth.formats.hub import read_hub  # start-up time

    found = read_hub(folder)
    with workspace(home) as party:
        (claim,) = formats.import_inventories(party, [found])
        show({"claim": claim.hex(), "files": len(found.files), "said": dict(found.said)}, as_json, claim.hex)


def _believed(key: Path | None, root: Path | None) -> tuple[ForeignKey | None, list[Certificate]]:
    """Whom the caller believes. Raises Misuse for nobody, or for both."""
    from troth.formats.certificates import read_certificates  # start-up time, as in main
    from troth.formats.foreign import ForeignKey  # start-up time

    if (key is None) == (root is None):
        raise Misuse("say whom you believe", expected="--key PEM or --root PEM")
    return (None if key is None else ForeignKey.of(read_file(key)),
            [] if root is None else read_certificates(read_file(root)))


def _document(path: Path) -> bytes:
    """A foreign document, read no further than it may be long."""
    from troth.formats.foreign import MAX_DOCUMENT  # start-up time, as in main
    from troth.formats.tree import reading  # start-up time

    with reading(path), path.open("rb") as file:
        return file.read(MAX_DOCUMENT + 1)


def _sign_model(party: Troth, claim: bytes, model: Path, output: Path,
                signer: Path | None) -> tuple[dict[str, Any], bytes]:
    """What is shown, and the public key in PEM."""
    from troth.app import formats  # start-up time, as in main

    found = formats.sign_model(party, claim, model, output, None if signer is None else _signer(read_file(signer)))
    write_file(output, found.bundle)
    pem = found.key.pem
    return {"output": str(output), "format": formats.OMS, "files": found.files, "issuer": found.key.name,
            "link": found.link.hex(), "public_key": pem.decode()}, pem


def _signer(pem: bytes) -> tuple[EllipticCurvePrivateKey, list[Certificate]]:
    """A private key on a NIST curve and the certificates in the same file, if there are any. Raises Misuse."""
    import os  # start-up time, as in main

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey  # start-up time
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from troth.formats.certificates import read_certificates  # start-up time

    given = os.environ.get("TROTH_SIGNER_PASSPHRASE")
    try:
        key = load_pem_private_key(pem, given.encode() if given else None)
    except (ValueError, TypeError):  # its message may quote what it read
        raise Misuse("not a private key, or another passphrase", expected="PEM",
                     do="Set TROTH_SIGNER_PASSPHRASE if it is encrypted.") from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise Misuse("model signing knows keys on P-256, P-384 and P-521 alone", actual=type(key).__name__)
    return key, read_certificates(pem) if b"BEGIN CERTIFICATE" in pem else []

