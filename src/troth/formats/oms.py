"""OpenSSF Model Signing, version 1.0: a directory's manifest, signed, in a Sigstore bundle.

Source: https://github.com/ossf/model-signing-spec, spec/v1.0.md; the numbers below are its sections. Written here: the
``key`` and ``certificate`` methods with P-256, P-384 or P-521, one SHA-256 a file, no links followed. Read: both
methods, ``files`` and ``shards``, SHA-256 and BLAKE2b. The keyless ``sigstore`` method, links that were followed and
BLAKE3 are undecidable here.

Verification, in this order: 1. the bundle is read; 2. the key is the one you name, or its certificate leads to a root
you name and stands now; 3. the signature; 4. the statement and its manifest, whose names stay inside the directory and
whose root digest is the subject; 5. the directory holds exactly these files.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.core.claims import STATEMENT_TYPE, pae
from troth.core.encoding import from_hex
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.formats.certificates import leaf_key
from troth.formats.foreign import IN_TOTO, ForeignEnvelope, ForeignKey, curve_hash, from_any_base64, read_object
from troth.formats.tree import HASHES, Hashed, digest, hash_all, names

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

PREDICATE = "https://model_signing/signature/v1.0"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_MEDIA = re.compile(r"application/vnd\.dev\.sigstore\.bundle(\.v0\.3\+json|\+json;version=0\.[123])\Z")
IGNORED = (".git", ".gitattributes", ".github", ".gitignore")
_SHARD = re.compile(r"(.+):([0-9]{1,18}):([0-9]{1,18})\Z", re.DOTALL)


def manifest(model: Path, signature: Path | None = None) -> tuple[list[Hashed], tuple[str, ...]]:
    """The files of a model and the relative paths passed over (sections 6.1 and 6.2). A model may be a single file.

    signature: where the bundle will lie; it is passed over when it is inside. Raises as ``tree.names`` does, and
    BadInput for a directory without files.
    """
    if model.is_file() and not model.is_symlink():
        return [digest(model)], ()
    ignored = (*IGNORED, *_inside(model, signature))
    found = list(hash_all(model, frozenset(ignored)))
    if not found:
        raise BadInput("a model without files", expected="at least one file", actual=model)
    return found, tuple(sorted(set(ignored)))


def root_digest(digests: Iterable[bytes]) -> bytes:
    """Section 6.5: SHA-256 over the resources' digests, in their order."""
    whole = sha256()
    for one in digests:
        whole.update(one)
    return whole.digest()


def statement(name: str, files: Sequence[Hashed], ignored: Sequence[str], rests_on: Mapping[str, str]) -> bytes:
    """The in-toto statement (section 6.6). rests_on: the subject's annotations, where the claims are named."""
    subject: dict[str, Any] = {"name": name, "digest": {"sha256": root_digest(one.digest for one in files).hex()}}
    if rests_on:
        subject["annotations"] = dict(rests_on)
    return json.dumps({
        "_type": STATEMENT_TYPE,
        "subject": [subject],
        "predicateType": PREDICATE,
        "predicate": {
            "resources": [{"name": one.name, "digest": one.digest.hex(), "algorithm": "sha256"} for one in files],
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False,
                              "ignore_paths": list(ignored)}}},
        ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def sign(payload: bytes, key: EllipticCurvePrivateKey, chain: Sequence[Certificate] = ()) -> bytes:
    """The bundle (sections 6.7 and 6.8). chain: the key's own certificate first; none for the ``key`` method.

    Raises Misuse for another curve, and for a certificate of another key.
    """
    # Imported here: OpenSSL's bindings are needed by those who sign, not by `troth --help`.
    from cryptography.hazmat.primitives.serialization import Encoding

    public = ForeignKey.checked(key.public_key())
    if chain and ForeignKey.checked(chain[0].public_key()).name != public.name:
        raise Misuse("the first certificate is not this key's", expected=public.name)
    material: dict[str, Any] = {"publicKey": {"hint": hint(public)}}
    if chain:
        material = {"x509CertificateChain": {"certificates": [
            {"rawBytes": base64.b64encode(one.public_bytes(Encoding.DER)).decode()} for one in chain]}}
    signature = key.sign(pae(IN_TOTO, payload), curve_hash(key.curve.name))
    return json.dumps({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "payloadType": IN_TOTO,
                         "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}]}},
        indent=1).encode() + b"\n"


def hint(key: ForeignKey) -> str:
    """The fingerprint that a bundle names a key by: SHA-256 of its PEM."""
    return sha256(key.pem).hexdigest()


@dataclass(frozen=True, slots=True)
class Found:
    """What a verified bundle says. ``claims``: what the subject's annotations name, by the bundle's word alone."""

    model: str
    root: bytes
    files: tuple[str, ...]
    key: ForeignKey
    envelope: ForeignEnvelope
    claims: Mapping[str, str]


def verify(bundle: bytes, model: Path, *, key: ForeignKey | None = None, roots: Sequence[Certificate] = (),
           now: int = 0, signature: Path | None = None, ignored: Sequence[str] = ()) -> Found:
    """Check a bundle against a directory, or a single file, by the five steps above.

    key: who must have signed, for the ``key`` method. roots: whom its certificate must lead to at ``now`` (Unix
    seconds), for the ``certificate`` method. signature: where the bundle lies, passed over when it is inside. ignored:
    relative paths that the caller passes over besides, which old bundles do not name.
    Raises Refuted for what was changed, Undecidable for a method that cannot be checked here or without a key or a root
    to believe, BadInput for what cannot be read.
    """
    document = read_object(bundle)  # step 1
    media, material = document.get("mediaType"), document.get("verificationMaterial")
    if type(media) is not str or not _MEDIA.match(media) or type(material) is not dict:
        raise BadInput("not a Sigstore bundle", expected=MEDIA_TYPE, actual=media)
    envelope = ForeignEnvelope.of(document.get("dsseEnvelope"))
    if len(envelope.signatures) != 1:
        raise BadInput("a bundle has one signature", expected=1, actual=len(envelope.signatures))
    signer = _signer(material, key, roots, now)  # step 2
    envelope.signed_by(signer)  # step 3
    said = _Manifest.of(envelope)  # step 4
    passed = (*IGNORED, *said.ignored, *(_inner(one, "an ignored path") for one in ignored), *_inside(model, signature))
    said.compare(model, frozenset(passed))  # step 5
    return Found(said.model, said.root, said.paths(), signer, envelope, said.claims)


def _signer(material: Mapping[str, Any], key: ForeignKey | None, roots: Sequence[Certificate],
            now: int) -> ForeignKey:
    """Step 2. The material only says which method it is; who is believed is the caller's."""
    if "certificate" in material:
        raise Undecidable("signed by Sigstore's keyless method, which needs its trusted root and log",
                          do="Verify it with Sigstore's own tool.")
    if "x509CertificateChain" in material:
        if not roots:
            raise Undecidable("signed with a certificate, and no root to believe was given", do="Name a root.")
        found = leaf_key(read_chain(material["x509CertificateChain"]), roots, now)
    elif "publicKey" in material:
        if key is None:
            raise Undecidable("signed with a key, and no key to believe was given", do="Name the signer's public key.")
        found = key
        named = material["publicKey"].get("hint") if type(material["publicKey"]) is dict else None
        if named not in (None, "") and named != hint(key):
            raise Refuted("the bundle names another key", expected=hint(key), actual=str(named)[:80])
    else:
        raise BadInput("a bundle without verification material", expected="publicKey or x509CertificateChain")
    if not found.is_nist_curve:
        raise Refuted("model signing knows keys on P-256, P-384 and P-521 alone", actual=found.name)
    return found


def read_chain(value: Any) -> list[bytes]:
    """The certificates (DER) of a bundle's verification material, the leaf first. Raises BadInput."""
    listed = value.get("certificates") if type(value) is dict else None
    if type(listed) is not list or not 1 <= len(listed) <= 10:
        raise BadInput("not a certificate chain", expected="1 to 10 certificates")
    raw = [one["rawBytes"] for one in listed if type(one) is dict and type(one.get("rawBytes")) is str]
    if len(raw) != len(listed):
        raise BadInput("not a certificate chain", expected="rawBytes as base64 of DER")
    return [from_any_base64(one) for one in raw]


@dataclass(frozen=True, slots=True)
class _Manifest:
    """A statement's manifest. ``ranges``: (path, start, end or None) to digest, in the statement's order."""

    model: str
    root: bytes
    method: str
    algorithm: str
    shard: int
    ignored: tuple[str, ...]
    ranges: Mapping[tuple[str, int, int | None], bytes]
    claims: Mapping[str, str]

    @classmethod
    def of(cls, envelope: ForeignEnvelope) -> _Manifest:
        """Step 4. Raises BadInput for a manifest of another form, Refuted where subject and manifest differ."""
        said = envelope.statement()
        if said.predicate_type != PREDICATE:
            raise BadInput("not a model's signature", expected=PREDICATE, actual=said.predicate_type)
        method, algorithm, shard, ignored = _serialization(said.predicate.get("serialization"))
        resources = said.predicate.get("resources")
        if len(said.subjects) != 1 or type(resources) is not list or not resources:
            raise BadInput("a malformed manifest", expected="one subject and at least one resource")
        ranges: dict[tuple[str, int, int | None], bytes] = {}
        for item in resources:
            name, value = (item.get("name"), item.get("digest")) if type(item) is dict else (None, None)
            if type(name) is not str or item.get("algorithm") != algorithm:
                raise BadInput("a malformed resource", expected=f"name, digest, algorithm {algorithm}", actual=item)
            at = _range(name, method)
            if at in ranges:
                raise BadInput("a file listed twice", actual=name)
            ranges[at] = from_hex(value, HASHES[algorithm]().digest_size)
        subject, digests = said.subjects[0]
        root = root_digest(ranges.values())
        if digests.get("sha256") != root.hex():
            raise Refuted("the subject is not the manifest's root", expected=root.hex(), actual=digests.get("sha256"))
        return cls(subject, root, method, algorithm, shard, ignored, ranges, _annotations(envelope.payload))

    def paths(self) -> tuple[str, ...]:
        """The files, each once, in the manifest's order."""
        return tuple(dict.fromkeys(path for path, _, _ in self.ranges))

    def compare(self, model: Path, ignored: frozenset[str]) -> None:
        """Step 5. Every file listed is there with its digest, and no other is there. Raises Refuted."""
        single = model.is_file() and not model.is_symlink()
        here, listed = {model.name} if single else set(names(model, ignored)), set(self.paths())
        model = model.parent if single else model
        if self.method == "shards":  # section 6.3.2: files without a byte are not listed
            here = {name for name in here if name in listed or digest(model / name).size}
        for word, odd in (("missing", listed - here), ("not signed", here - listed)):
            if odd:
                raise Refuted(f"the directory is not the one that was signed: {len(odd)} files {word}",
                              actual=", ".join(sorted(odd)[:5]))
        sizes: dict[str, int] = {}
        covered: dict[str, int] = {}
        for (path, start, end), expected in self.ranges.items():
            if end is not None and (start != covered.get(path, 0) or not 0 < end - start <= self.shard):
                raise Refuted("shards that leave out or repeat bytes", actual=f"{path}:{start}:{end}")
            found = digest(model / path, self.algorithm, start, end)
            if found.digest != expected:
                raise Refuted("a file is not the one that was signed", expected=expected.hex(),
                              actual=f"{path} {found.digest.hex()}")
            sizes[path], covered[path] = found.size, found.size if end is None else end
        for path, size in sizes.items():
            if covered[path] != size:
                raise Refuted("a file is longer or shorter than what was signed", expected=f"{covered[path]} bytes",
                              actual=f"{path}, {size} bytes")


def _serialization(value: Any) -> tuple[str, str, int, tuple[str, ...]]:
    """(method, hash, shard size, ignored paths). Raises BadInput, or Undecidable for what is not computed here."""
    found = value if type(value) is dict else {}
    method, algorithm, links = found.get("method"), found.get("hash_type"), found.get("allow_symlinks")
    ignored, shard = found.get("ignore_paths", []), found.get("shard_size", 0)
    if (method not in ("files", "shards") or algorithm not in (*HASHES, "blake3") or type(links) is not bool
            or type(ignored) is not list or type(shard) is not int or (shard > 0) != (method == "shards")):
        raise BadInput("a malformed serialization", expected="method, hash_type, allow_symlinks", actual=found)
    if algorithm not in HASHES or links:
        raise Undecidable("signed in a way that is not computed here",
                          expected="SHA-256 or BLAKE2b, links not followed",
                          actual=f"{algorithm}{', links followed' if links else ''}")
    return method, algorithm, shard, tuple(_inner(one, "an ignored path") for one in ignored)


def _range(name: str, method: str) -> tuple[str, int, int | None]:
    if method == "files":
        return _inner(name, "a file"), 0, None
    parts = _SHARD.match(name)
    if not parts:
        raise BadInput("not a shard", expected="path:start:end", actual=name)
    return _inner(parts[1], "a file"), int(parts[2]), int(parts[3])


def _inner(name: Any, what: str) -> str:
    """A relative path that stays inside, in its one spelling (section 6.1.2). Raises BadInput."""
    if type(name) is not str or not name or "\\" in name or "\0" in name or any(
            part in ("", ".", "..") for part in name.split("/")):
        raise BadInput(f"{what} outside the directory, or spelled otherwise", expected="a relative path with /",
                       actual=name)
    return name


def _annotations(payload: bytes) -> Mapping[str, str]:
    """What the subject's annotations name; nothing is decided by it."""
    found = read_object(payload)["subject"][0].get("annotations", {})
    return {key: value for key, value in found.items() if type(value) is str} if type(found) is dict else {}


def _inside(model: Path, signature: Path | None) -> tuple[str, ...]:
    if signature is None:
        return ()
    try:
        return (signature.resolve().relative_to(model.resolve()).as_posix(),)
    except ValueError:  # it lies elsewhere
        return ()
