"""Other people's formats for a workspace: claims written for others to read, what others wrote kept as claims."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.core.claims import Envelope, Ref
from troth.core.errors import BadInput, Misuse, Refuted
from troth.formats import lineage, oms
from troth.formats.certificates import leaf_key
from troth.formats.foreign import ForeignEnvelope, ForeignKey, read_object
from troth.formats.inventory import INVENTORY, Inventory
from troth.formats.links import DOCUMENT, LINK, Link, subjects_of
from troth.formats.tree import digest, reading

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

    from troth.app import Troth

WRITERS = ("cyclonedx", "spdx", "croissant", "prov", "card")
"""Formats that say a lineage; each is a module of ``troth.formats`` with ``write(facts)``."""
DSSE, OMS = "dsse", "oms"
FORMATS = (DSSE, OMS, *WRITERS)
ABOUT = "about"
MAX_FOREIGN = 16 << 20


def export(party: Troth, target: bytes, format_: str) -> bytes:
    """A claim and its lineage in one of ``WRITERS``, or the claim's own envelope (``dsse``).

    The same claims give the same bytes. Raises Misuse for another format, BadInput where the format cannot say such a
    claim, Undecidable where it is not here.
    """
    if format_ == DSSE:
        return party.envelope(target).to_bytes()
    if format_ not in WRITERS:
        raise Misuse("no such format", expected=", ".join(FORMATS), actual=format_)
    return _written(lineage.read(party.trace(target)), format_)


def export_bundle(path: Path | str, format_: str) -> bytes:
    """A bundle's target and what it rests on in one of ``WRITERS``: the same bytes as from the workspace it came from.

    The bundle is checked with itself (steps 1 to 7), so what is written is what was signed; whether to believe the
    issuers is ``verify``'s answer. Later erasures and withdrawals are not in a bundle, and not seen.
    Raises as ``export`` does, and Refuted, Undecidable or BadInput for the bundle.
    """
    path = Path(path)
    if format_ not in WRITERS:
        raise Misuse("a bundle is written as a document", expected=", ".join(WRITERS), actual=format_)
    # Imported here: only this one reads bundles.
    from troth.ledger.bundle import BundleReader
    from troth.verify.inside import Inside
    from troth.verify.trace import trace

    with reading(path), path.open("rb") as file:
        inside = Inside(BundleReader(file), {})
        inside.run()
        return _written(lineage.read(trace(inside.view, inside.view.target, ())), format_)


def _written(facts: lineage.Facts, format_: str) -> bytes:
    written: bytes = import_module(f"troth.formats.{format_}").write(facts)
    return written


def check_export(party: Troth, target: bytes, format_: str, data: bytes) -> None:
    """That a document is what these claims say in this format. Raises Refuted where a byte differs."""
    check_document(data, export(party, target, format_))


def check_document(data: bytes, expected: bytes) -> None:
    """That a document is what the claims say, which is ``expected``. Raises Refuted where a byte differs."""
    if data != expected:
        line = next((number for number, (one, other) in enumerate(zip(
            data.splitlines(), expected.splitlines(), strict=False), 1) if one != other), None)
        raise Refuted("this document is not what these claims say", actual=f"line {line}" if line else "its end",
                      expected=hashlib.sha256(expected).hexdigest(),
                      do="It was edited, or claims came since: export it again and compare.")


def classical_key(party: Troth, envelope: Envelope) -> tuple[str, bytes]:
    """The key of a claim's issuer that other tools know (Ed25519): the id its signature names, and its PEM.

    A tool that checks this alone checks half of a hybrid signature. Raises Misuse for a claim without such a signature.
    """
    # Imported here: OpenSSL's bindings are needed by those who write keys, not by `troth --help`.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from troth.identity.did import KEY, key_method, read_key_did
    from troth.identity.keys import ED25519

    did = envelope.statement().issuer
    if did.startswith(KEY):
        named = {key_method(did): read_key_did(did)}
    else:
        named = {did + name: key for document in party.keybook.history(did).documents
                 for name, key in zip(document.methods(), document.keys, strict=True)}
    for one in envelope.signatures:
        key = named.get(one.method)
        if key is not None and key.suite == ED25519:
            return one.method, ForeignKey.checked(Ed25519PublicKey.from_public_bytes(key.raw)).pem
    raise Misuse("no signature of this claim is of a kind that other tools know", expected=ED25519, actual=did)


@dataclass(frozen=True, slots=True)
class SignedModel:
    """A model's signature: the bundle, the link claim that ties it to the target, the key others verify with."""

    bundle: bytes
    link: bytes
    key: ForeignKey
    files: int


def sign_model(party: Troth, target: bytes, model: Path | str, signature: Path | str,
               signer: tuple[EllipticCurvePrivateKey, Sequence[Certificate]] | None = None) -> SignedModel:
    """Sign a model's directory (OpenSSF Model Signing) and attest a link from the bundle to ``target``.

    signature: where the bundle will lie; passed over when inside. signer: a key on a NIST curve and its certificates;
    the workspace's own key by default. Nothing is written but the claim and its evidence. Raises Refuted unless every
    digest that the target's subjects name is a file of the directory or its root digest.
    """
    model = Path(model)
    signature = Path(signature)
    files, ignored = oms.manifest(model, signature)
    root = oms.root_digest(one.digest for one in files)
    here = {one.digest.hex(): one.name for one in files} | {root.hex(): "the directory"}
    for subject in party.statement(target).subjects:
        if subject.digests.get("sha256") not in here:
            raise Refuted("what the claim is about is not in this directory", actual=model,
                          expected=f"{subject.name}, sha256 {subject.digests.get('sha256')}",
                          do="Export the claim about these files, or put its files here.")
    key, chain = signer or (model_key(party), ())
    payload = oms.statement(model.resolve().name, files, ignored, {"claim": lineage.urn(target)})
    bundle = oms.sign(payload, key, chain)
    public = ForeignKey.checked(key.public_key())
    return SignedModel(bundle, _link(party, bundle, public, [Ref(ABOUT, target)]), public, len(files))


def model_key(party: Troth) -> EllipticCurvePrivateKey:
    """The P-256 key that this workspace signs models with: made from its account's secret, never written down.

    It has the strength of P-256 alone, whatever signs the link claim that names it.
    """
    # Imported here for the same reason as above.
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    # 48 bytes for a number below 2^256: what is taken modulo the order is even to 2^-128.
    wide = HKDF(SHA256(), 48, None, b"troth/model-signing/p-256/v1").derive(party.identity.account.reveal_seed())
    return ec.derive_private_key(int.from_bytes(wide) % (order - 1) + 1, ec.SECP256R1())


def read_signed(data: bytes) -> tuple[ForeignEnvelope, list[bytes]]:
    """A foreign envelope: DSSE alone or in a Sigstore bundle, and the certificates (DER) that came with it.

    Raises BadInput.
    """
    document = read_object(data, limit=MAX_FOREIGN)
    if "dsseEnvelope" not in document:
        return ForeignEnvelope.of(document), []
    material = document.get("verificationMaterial")
    chain = material.get("x509CertificateChain") if type(material) is dict else None
    return ForeignEnvelope.of(document["dsseEnvelope"]), [] if chain is None else oms.read_chain(chain)


def check_signed(data: bytes, *, key: ForeignKey | None = None, roots: Sequence[Certificate] = (), now: int = 0,
                 file: Path | str | None = None) -> tuple[ForeignEnvelope, ForeignKey]:
    """Check who signed a foreign envelope, and with ``file`` that it is about that file; what and who.

    key: who must have signed; else roots: whom its certificate must lead to at ``now``. Raises Refuted, Misuse where
    neither is named, BadInput.
    """
    file = None if file is None else Path(file)
    envelope, chain = read_signed(data)
    if (key is None) == (not roots):
        raise Misuse("say whom you believe", expected="a public key, or roots for its certificate")
    signer = leaf_key(chain, roots, now) if key is None and chain else key
    if signer is None:
        raise BadInput("no certificate came with it", expected="a certificate chain", do="Name the public key.")
    envelope.signed_by(signer)
    if file is not None:
        found = digest(file).digest.hex()
        said = [one.get("sha256") for _, one in envelope.statement().subjects]
        if found not in said:
            raise Refuted("the statement is about something else", expected=f"sha256 {found}",
                          actual=", ".join(map(str, said[:3])))
    return envelope, signer


def import_signed(party: Troth, data: bytes, signer: ForeignKey, refs: Iterable[Ref] = ()) -> bytes:
    """Keep what somebody else signed as its bytes, with a link claim; the claim's id. Raises Refuted, BadInput."""
    return _link(party, data, signer, refs)


def _link(party: Troth, data: bytes, signer: ForeignKey, refs: Iterable[Ref]) -> bytes:
    envelope, _ = read_signed(data)
    envelope.signed_by(signer)
    about = subjects_of(envelope)
    predicate = envelope.statement().predicate_type if about else ""
    link = Link(hashlib.sha256(data).digest(), envelope.id, envelope.payload_type, predicate, signer.name)
    evidence = party.add(DOCUMENT, data)
    return party.attest(LINK, (link.subject, *about), link.body(), refs=refs, evidence=[evidence])


def import_inventories(party: Troth, found: Sequence[Inventory]) -> tuple[bytes, ...]:
    """Attest inventories, each referring to the earlier ones whose outputs are its inputs; the claims' ids.

    They must come in an order in which outputs come before they are used: ``in_order`` gives one.
    """
    made: dict[str, bytes] = {}
    claims = []
    for one in found:
        inputs = dict.fromkeys(made[name] for name in _names(one, "input") if name in made)
        claim = party.attest(INVENTORY, one.subjects(), one.body(), refs=[Ref("input", earlier) for earlier in inputs])
        made |= dict.fromkeys(_names(one, "output"), claim)
        claims.append(claim)
    return tuple(claims)


def in_order(found: Sequence[Inventory]) -> tuple[Inventory, ...]:
    """Inventories so that what makes a file comes before what uses it, by their names. Raises BadInput for a circle."""
    left, done, ordered = list(found), set[str](), list[Inventory]()
    outputs = {name for one in found for name in _names(one, "output")}
    while left:
        ready = [one for one in left if not (set(_names(one, "input")) & outputs) - done]
        if not ready:
            raise BadInput("stages that use each other's outputs in a circle", actual=[one.name for one in left])
        ordered += ready
        done |= {name for one in ready for name in _names(one, "output")}
        left = [one for one in left if one not in ready]
    return tuple(ordered)


def _names(one: Inventory, use: str) -> list[str]:
    return [held.name for held in one.files if held.use == use]


def facts_json(party: Troth, target: bytes) -> dict[str, Any]:
    """What an export rests on, for the screen: how many claims, and what is missing."""
    facts = lineage.read(party.trace(target))
    return {"claims": sum(1 for _ in facts.statements()),
            "missing": [f"{field}: {why}" for field, why in facts.missing]}
