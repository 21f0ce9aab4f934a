"""C2PA: a manifest inside an image, a video or a sound, with a Troth claim as one of its assertions (extra ``c2pa``).

The manifest is signed with a certificate, as C2PA wants it, and binds the file's content. The claim in it is signed by
a DID and names that certificate's anchor. So trust in the DID reaches the content, and a claim that was copied into
another's manifest is refuted: that one's certificate is under another anchor.

1. The manifest is whole: its signature, its assertions, the content's hash.
2. The Troth claim in it is read strictly, and its signatures are the signer's.
3. The manifest's certificate is under the anchor that the claim names.
4. The signer is believed.

Nothing is fetched: no remote manifests, no revocation lists, no time stamps. The claim's subject is the file before the
manifest was put in; it says which file that was, and cannot be checked from the signed one.
"""

from __future__ import annotations

import base64
import importlib
import json
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from troth.core.claims import from_base64
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.core.verdicts import Report
from troth.identity.keybook import KeyBook
from troth.verify.content import NOT_ALLOWED, Signed, Steps, check_believed, check_signer, one_signature

CLAIM = "org.troth.claim"
MINING = "cawg.training-mining"
USES = ("cawg.ai_generative_training", "cawg.ai_training", "cawg.data_mining")
_GENERATOR = [{"name": "troth", "version": "0.1"}]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A manifest's signing certificate: its chain (PEM, leaf first) and ``sign(data)`` with the leaf's Ed25519 key."""

    chain: str
    sign: Callable[[bytes], bytes]

    @property
    def anchor(self) -> str:
        """The last certificate of the chain, PEM."""
        return "-----BEGIN" + self.chain.rpartition("-----BEGIN")[2]


def _library() -> Any:
    try:
        return importlib.import_module("c2pa")
    except ImportError:
        raise OutsideFailed("the extra for C2PA is not installed", expected="c2pa-python",
                            do="pip install 'troth[c2pa]'") from None


def _context(library: Any, anchor: str) -> Any:
    settings: dict[str, Any] = {"builder": {"thumbnail": {"enabled": False}},
                                "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}}
    if anchor:  # an empty text is not read as no certificates
        settings["trust"] = {"user_anchors": anchor}
    return library.Context(library.Settings.from_dict(settings))


def media_type(path: Path) -> str:
    """A file's media type, by its name. Raises Misuse for one that is no image, video, sound or PDF."""
    found = mimetypes.guess_type(path.name)[0] or ""
    if found in ("audio/x-wav", "audio/vnd.wave"):
        found = "audio/wav"
    if found.partition("/")[0] not in ("image", "video", "audio") and found != "application/pdf":
        raise Misuse("no media that carries a manifest", expected="an image, a video or a sound, by its file's name",
                     actual=path.name, do="Sign it detached: troth sign.")
    return found


def sign_media(source: Path, target: Path, parcel: bytes, signed: Signed, certificate: Certificate) -> None:
    """Write ``source`` with a manifest to ``target``. parcel: the signed claim with its signer's documents.

    Raises OutsideFailed where the library or the disk refuses, Misuse for a file that is already at ``target``.
    """
    library, kind = _library(), media_type(source)
    if target.exists():
        raise Misuse("there is a file already", actual=target)
    use = "notAllowed" if signed.training == NOT_ALLOWED else "allowed"
    assertions: list[dict[str, Any]] = [
        {"label": CLAIM, "data": {"parcel": base64.b64encode(parcel).decode()}}]
    if signed.training in (NOT_ALLOWED, "allowed"):
        assertions.append({"label": MINING, "data": {"entries": {one: {"use": use} for one in USES}}})
    manifest = {"claim_generator_info": _GENERATOR, "title": source.name, "assertions": assertions}
    try:
        signer = library.Signer.from_callback(certificate.sign, library.C2paSigningAlg.ED25519, certificate.chain, None)
        context = _context(library, certificate.anchor)
        builder = library.Builder(manifest, context=context)
        builder.set_intent(library.C2paBuilderIntent.EDIT)
        with source.open("rb") as content, target.open("w+b") as out:
            builder.sign(signer, kind, content, out)
    except OSError as error:
        raise OutsideFailed("the media cannot be signed", actual=error.strerror or error) from None
    except library.C2paError as error:
        target.unlink(missing_ok=True)
        raise OutsideFailed("the media cannot be signed", actual=error, do="Is it whole, and of that type?") from None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file's manifest says. state: Invalid, Valid or Trusted, under the anchor it was read with.

    parcel: the Troth claim, None if there is none. training: whether one of its assertions forbids training.
    """

    state: str
    parcel: bytes | None
    forbidden: bool
    certificate: str
    problems: tuple[str, ...]


def read_manifest(path: Path, anchor: str = "") -> Manifest | None:
    """Read a file's manifest, believing certificates under ``anchor``; None where it has none.

    Raises BadInput for one that cannot be read, OutsideFailed without the library.
    """
    library = _library()
    try:
        with path.open("rb") as file:
            reader = library.Reader(media_type(path), file, context=_context(library, anchor))
            state, said = str(reader.get_validation_state()), json.loads(reader.json())
    except library.C2paError as error:
        if "ManifestNotFound" in str(error):
            return None
        raise BadInput("the manifest cannot be read", actual=error) from None
    except OSError as error:
        raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None
    active = said["manifests"][said["active_manifest"]]
    assertions = [(one.get("label", ""), one.get("data")) for one in active.get("assertions", ())]
    claims = [data for label, data in assertions if label == CLAIM]
    if len(claims) > 1:
        raise BadInput("two Troth claims in one manifest", actual=len(claims))
    info = active.get("signature_info", {})
    failures = said.get("validation_results", {}).get("activeManifest", {}).get("failure", ())
    return Manifest(state, _parcel(claims[0]) if claims else None, any(_forbids(*one) for one in assertions),
                    f"{info.get('common_name', '')}, serial {info.get('cert_serial_number', '')}",
                    tuple(str(one.get("code", "")) for one in failures))


def _parcel(data: object) -> bytes:
    text = data.get("parcel") if isinstance(data, Mapping) else None
    if not isinstance(text, str):
        raise BadInput("not a Troth claim in the manifest", expected="a parcel in base64", actual=type(data).__name__)
    return from_base64(text)


def _forbids(label: str, data: object) -> bool:
    entries = data.get("entries") if isinstance(data, Mapping) and label.endswith(".training-mining") else None
    return isinstance(entries, Mapping) and any(
        name.endswith(("ai_training", "ai_generative_training")) and isinstance(entry, Mapping)
        and entry.get("use") in ("notAllowed", "constrained") for name, entry in entries.items())


def verify_media(path: Path, believed: Mapping[str, bytes | None], anchor: str = "") -> Report:
    """Check a media file. anchor: certificates (PEM) to believe for a manifest without a Troth claim.

    Raises BadInput for a manifest or claim that cannot be read, OutsideFailed without the library.
    """
    first = read_manifest(path, anchor)
    steps = Steps()
    if first is None:
        steps.add("the manifest", lambda: _raise(Undecidable("the file carries no manifest",
                                                             do="Ask for one, or for a detached signature.")))
        return steps.report()
    found: Manifest = first

    def whole() -> str:
        if found.state not in ("Valid", "Trusted"):
            raise Refuted("the manifest or the content was changed", actual=", ".join(found.problems) or found.state)
        return f"signed by {found.certificate}" + ("; not to be trained on" if found.forbidden else "")

    steps.add("the manifest", whole)
    if found.parcel is None:
        steps.add("its certificate", lambda: _under(found, "the anchor you gave" if anchor else ""))
        return steps.report()
    parcel, envelope, signed = one_signature(found.parcel)
    issuer, learned = envelope.statement().issuer, list[KeyBook]()

    def claim() -> str:
        learned.append(check_signer(parcel, envelope))
        if (signed.training == NOT_ALLOWED) != found.forbidden:
            raise Refuted("claim and manifest differ on training", expected=signed.training, actual=found.forbidden)
        return f"claim {envelope.id.hex()}, at {envelope.statement().issued_at} by its own word"

    def certificate() -> str:
        if not signed.anchor:
            raise Refuted("the claim in the manifest names no certificate: it was made for another file")
        again = read_manifest(path, signed.anchor)
        return _under(again or found, "the anchor that the claim names", refute=True)

    if steps.add("the claim in it", claim):
        steps.add("its certificate", certificate)
        steps.add("the signer", lambda: check_believed(issuer, learned[0], believed))
    return steps.report()


def _under(found: Manifest, what: str, *, refute: bool = False) -> str:
    if found.state == "Trusted":
        return f"{found.certificate}, under {what}"
    if refute:
        raise Refuted("the manifest is signed by another than the claim's signer", actual=found.certificate)
    raise Undecidable("nobody you trust vouches for the certificate", actual=found.certificate,
                      do="Give the anchor that you believe: --anchor PEM.")


def _raise(error: Exception) -> str:
    raise error
