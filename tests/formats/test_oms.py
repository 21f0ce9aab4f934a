"""Model signatures: others' bundles, our own, and every way in which a directory or a bundle can be another."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from formats_parts import authority, issue
from hypothesis import given
from hypothesis import strategies as st

from troth.core.claims import pae
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.formats import oms, tree
from troth.formats.certificates import read_certificates
from troth.formats.foreign import IN_TOTO, ForeignKey

VECTORS = Path(__file__).parents[1] / "vectors" / "model-signing"
KEYS = VECTORS / "keys" / "certificate"
NOW = 1_790_000_000
Private = ec.EllipticCurvePrivateKey


def other_key() -> ForeignKey:
    return ForeignKey.of((KEYS / "signing-key-pub.pem").read_bytes())


def vector(name: str, **more: Any) -> oms.Found:
    folder = VECTORS / name
    key = other_key() if "key" in name else None
    roots = read_certificates((KEYS / "ca-cert.pem").read_bytes()) if "certificate" in name else []
    signature = folder / "model.sig"
    return oms.verify(signature.read_bytes(), folder, key=key, roots=roots, now=NOW, signature=signature, **more)


def signed(model: Path, private: Private, signature: Path | None = None) -> bytes:
    files, ignored = oms.manifest(model, signature)
    return oms.sign(oms.statement(model.name, files, ignored, {"claim": "urn:troth:claim:" + "aa" * 32}), private)


def resigned(bundle: bytes, private: Private, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The bundle with a changed statement, signed again: what a signer with bad intent can make."""
    document = json.loads(bundle)
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    change(statement)
    return oms.sign(json.dumps(statement).encode(), private)


# Others' bundles

@pytest.mark.parametrize("name", ["v0.3.1-certificate", "v1.0.0-certificate", "v1.1.0-certificate",
                                  "v1.1.0-elliptic-key"])
def test_others_bundles_are_upheld(name: str) -> None:
    assert vector(name).files == ("signme-1", "signme-2")


@pytest.mark.parametrize("name", ["v1.0.1-certificate", "v1.0.1-elliptic-key"])
def test_what_an_old_bundle_does_not_name_the_reader_may(name: str) -> None:
    with pytest.raises(Refuted, match="1 files not signed"):
        vector(name)
    assert vector(name, ignored=("ignore-me",)).files == ("signme-1", "signme-2")


@pytest.mark.parametrize("name", ["v0.3.1-sigstore", "v1.0.0-sigstore", "v1.0.1-sigstore", "v1.1.0-sigstore"])
def test_keyless_bundles_are_undecidable(name: str) -> None:
    with pytest.raises(Undecidable, match="keyless"):
        vector(name)


def test_a_bundle_over_a_faulty_encoding_is_refuted() -> None:
    with pytest.raises(Refuted):
        vector("v0.2.0-certificate")


@pytest.mark.parametrize("path", sorted((VECTORS / "spec").glob("invalid*/*.json")), ids=lambda path: path.name)
def test_invalid_bundles_are_refused(path: Path) -> None:
    folder = VECTORS / "v1.1.0-elliptic-key"
    with pytest.raises(TrothError):
        oms.verify(path.read_bytes(), folder, key=other_key(), now=NOW, signature=folder / "model.sig")


def test_the_specification_s_key_bundle_names_our_root() -> None:
    document = json.loads((VECTORS / "spec/valid/key.bundle.json").read_bytes())
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    digests = [bytes.fromhex(one["digest"]) for one in statement["predicate"]["resources"]]
    assert oms.root_digest(digests).hex() == statement["subject"][0]["digest"]["sha256"]


def test_a_certificate_counts_only_under_a_root_and_in_its_time() -> None:
    folder = VECTORS / "v1.1.0-certificate"
    bundle = (folder / "model.sig").read_bytes()
    roots = read_certificates((KEYS / "ca-cert.pem").read_bytes())
    ours, _ = authority("someone else")
    for believed, now, what in (([ours], NOW, "no root"), (roots, 4_000_000_000, "does not stand now"),
                                (roots, 1_600_000_000, "does not stand now")):
        with pytest.raises(Refuted, match=what):
            oms.verify(bundle, folder, roots=believed, now=now, signature=folder / "model.sig")
    for nobody in ({}, {"key": other_key()}):
        with pytest.raises(Undecidable, match="no root"):
            oms.verify(bundle, folder, now=NOW, signature=folder / "model.sig", **nobody)  # type: ignore[arg-type]


# Our own

@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_directory_is_signed_and_verified(model: Path, curve: ec.EllipticCurve) -> None:
    private = ec.generate_private_key(curve)
    place = model / "model.sig"
    place.write_bytes(signed(model, private, place))
    key = ForeignKey.checked(private.public_key())
    found = oms.verify(place.read_bytes(), model, key=key, signature=place)
    assert found.files == ("README.md", "weights/a.bin", "weights/β.bin")
    assert found.claims == {"claim": "urn:troth:claim:" + "aa" * 32}
    copy = shutil.copytree(model, model.parent / "copy")  # the statement names the signature's place as passed over
    assert oms.verify(place.read_bytes(), copy, key=key).files == found.files


def test_a_single_file_is_a_model_too(model: Path, private: Private, public: ForeignKey) -> None:
    single = model / "weights" / "a.bin"
    bundle = signed(single, private)
    assert oms.verify(bundle, single, key=public).files == ("a.bin",)
    single.write_bytes(b"other")
    with pytest.raises(Refuted, match="not the one that was signed"):
        oms.verify(bundle, single, key=public)


def test_a_chain_of_certificates_goes_along(model: Path) -> None:
    root, root_key = authority("root")
    leaf, private = issue("signer", root, root_key)
    files, ignored = oms.manifest(model)
    bundle = oms.sign(oms.statement("model", files, ignored, {}), private, [leaf])
    assert oms.verify(bundle, model, roots=[root], now=NOW).key.name == ForeignKey.checked(leaf.public_key()).name
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Misuse, match="not this key's"):
        oms.sign(oms.statement("model", files, ignored, {}), stranger, [leaf])


@pytest.mark.parametrize(("purpose", "what"), [("tls", "code signing"), ("ca", "for signatures"),
                                               ("critical", "critical extension"), ("constrained", "longer"),
                                               ("expired", "does not stand now")])
def test_a_certificate_for_something_else_is_refuted(model: Path, purpose: str, what: str) -> None:
    root, root_key = authority("root", length=0 if purpose == "constrained" else None)
    above, above_key, between = root, root_key, []
    if purpose == "constrained":
        above, above_key = authority("between", issuer=(root, root_key))
        between = [above]
    leaf, private = issue("signer", above, above_key, purpose=purpose)
    files, ignored = oms.manifest(model)
    bundle = oms.sign(oms.statement("model", files, ignored, {}), private, [leaf, *between])
    with pytest.raises(Refuted, match=what):
        oms.verify(bundle, model, roots=[root], now=NOW)


def test_a_name_alone_issues_nothing(model: Path) -> None:
    root, _ = authority("root")
    _, namesake = authority("root")
    forged, private = issue("signer", root, namesake)
    files, ignored = oms.manifest(model)
    bundle = oms.sign(oms.statement("model", files, ignored, {}), private, [forged])
    with pytest.raises(Refuted, match="no root"):
        oms.verify(bundle, model, roots=[root], now=NOW)


def test_a_leaf_issues_nothing(model: Path) -> None:
    root, root_key = authority("root")
    leaf, leaf_key = issue("honest", root, root_key)
    forged, private = issue("forged", leaf, leaf_key)
    files, ignored = oms.manifest(model)
    bundle = oms.sign(oms.statement("model", files, ignored, {}), private, [forged, leaf])
    with pytest.raises(Refuted, match="may issue none"):
        oms.verify(bundle, model, roots=[root], now=NOW)


# Attacks on the directory

def added(model: Path) -> None:
    (model / "extra.py").write_text("import os")


def removed(model: Path) -> None:
    (model / "README.md").unlink()


def renamed(model: Path) -> None:
    (model / "README.md").rename(model / "readme.md")


def changed(model: Path) -> None:
    data = bytearray((model / "weights" / "a.bin").read_bytes())
    data[7] ^= 1
    (model / "weights" / "a.bin").write_bytes(data)


def swapped(model: Path) -> None:
    one, other = model / "weights" / "a.bin", model / "weights" / "β.bin"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def linked(model: Path) -> None:
    target = model.parent / "elsewhere.bin"
    (model / "weights" / "a.bin").rename(target)  # the same bytes, for now
    (model / "weights" / "a.bin").symlink_to(target)


def linked_folder(model: Path) -> None:
    (model / "weights").rename(model.parent / "weights")
    (model / "weights").symlink_to(model.parent / "weights")


def piped(model: Path) -> None:
    os.mkfifo(model / "pipe")


@pytest.mark.parametrize("attack", [added, removed, renamed, changed, swapped, linked, linked_folder, piped],
                         ids=lambda attack: attack.__name__)
def test_another_directory_is_refuted(model: Path, private: Private, public: ForeignKey,
                                      attack: Callable[[Path], None]) -> None:
    bundle = signed(model, private)
    oms.verify(bundle, model, key=public)
    attack(model)
    with pytest.raises(Refuted):
        oms.verify(bundle, model, key=public)


@pytest.mark.parametrize("attack", [linked, linked_folder, piped], ids=lambda attack: attack.__name__)
def test_links_and_pipes_are_not_signed(model: Path, attack: Callable[[Path], None]) -> None:
    attack(model)
    with pytest.raises(Refuted, match="no regular file"):
        oms.manifest(model)


def test_what_git_leaves_is_passed_over_at_the_top_alone(model: Path, private: Private, public: ForeignKey) -> None:
    bundle = signed(model, private)
    (model / ".git" / "index").write_bytes(b"anything")
    oms.verify(bundle, model, key=public)
    (model / "weights" / ".git").mkdir()
    (model / "weights" / ".git" / "hook").write_bytes(b"anything")
    with pytest.raises(Refuted, match="hook"):
        oms.verify(bundle, model, key=public)


def test_an_empty_directory_and_odd_names_are_no_model(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(BadInput, match="without files"):
        oms.manifest(folder)
    with open(os.fsencode(folder) + b"/\xff.bin", "wb"):
        pass
    with pytest.raises(BadInput, match="UTF-8"):
        oms.manifest(folder)
    with pytest.raises(BadInput, match="not a directory"):
        oms.manifest(tmp_path / "nowhere")


def test_a_file_that_grows_while_it_is_read_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing.bin"
    path.write_bytes(bytes(10))
    real = tree.os.fstat
    calls = []

    def growing(descriptor: int) -> os.stat_result:
        calls.append(descriptor)
        if len(calls) == 2:
            with path.open("ab") as file:
                file.write(b"more")
        return real(descriptor)

    monkeypatch.setattr(tree.os, "fstat", growing)
    with pytest.raises(OutsideFailed, match="changed while it was read"):
        tree.digest(path)


# Attacks on the bundle

PATHS = ["../outside", "/etc/passwd", "weights/../../outside", "./README.md", "weights//a.bin", "weights/", "",
         "weights\\a.bin", "a\0b", ".", ".."]


@pytest.mark.parametrize("path", PATHS)
def test_a_manifest_cannot_lead_outside(model: Path, private: Private, public: ForeignKey, path: str) -> None:
    (model.parent / "outside").write_bytes(b"two")

    def lead(statement: dict[str, Any]) -> None:
        resources = statement["predicate"]["resources"]
        resources[-1] |= {"name": path}
        digests = b"".join(bytes.fromhex(one["digest"]) for one in resources)
        statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(digests).hexdigest()

    with pytest.raises(BadInput, match="outside the directory"):
        oms.verify(resigned(signed(model, private), private, lead), model, key=public)

    def ignore(statement: dict[str, Any]) -> None:
        statement["predicate"]["serialization"]["ignore_paths"] = [path]

    with pytest.raises(BadInput, match="outside the directory"):
        oms.verify(resigned(signed(model, private), private, ignore), model, key=public)


def test_a_statement_about_another_model_is_refuted(model: Path, private: Private, public: ForeignKey) -> None:
    def other(statement: dict[str, Any]) -> None:
        statement["subject"][0]["digest"]["sha256"] = "ab" * 32

    with pytest.raises(Refuted, match="not the manifest's root"):
        oms.verify(resigned(signed(model, private), private, other), model, key=public)


def predicate(statement: dict[str, Any]) -> None:
    statement["predicateType"] = "https://slsa.dev/provenance/v1"


def two_subjects(statement: dict[str, Any]) -> None:
    statement["subject"] *= 2


def listed_twice(statement: dict[str, Any]) -> None:
    statement["predicate"]["resources"].append(statement["predicate"]["resources"][0])


def short_digest(statement: dict[str, Any]) -> None:
    statement["predicate"]["resources"][0]["digest"] = "ab"


def other_algorithm(statement: dict[str, Any]) -> None:
    statement["predicate"]["resources"][0]["algorithm"] = "md5"


def weak(statement: dict[str, Any]) -> None:
    statement["predicate"]["serialization"]["hash_type"] = "md5"


def unnamed_method(statement: dict[str, Any]) -> None:
    statement["predicate"]["serialization"]["method"] = "blobs"


def no_resources(statement: dict[str, Any]) -> None:
    statement["predicate"]["resources"] = []


@pytest.mark.parametrize("change", [predicate, two_subjects, listed_twice, short_digest, other_algorithm, weak,
                                    unnamed_method, no_resources], ids=lambda change: change.__name__)
def test_a_malformed_statement_is_bad_input(model: Path, private: Private, public: ForeignKey,
                                            change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(BadInput):
        oms.verify(resigned(signed(model, private), private, change), model, key=public)


def test_followed_links_and_blake3_are_undecidable(model: Path, private: Private, public: ForeignKey) -> None:
    for field, value in (("allow_symlinks", True), ("hash_type", "blake3")):
        def change(statement: dict[str, Any], field: str = field, value: object = value) -> None:
            statement["predicate"]["serialization"][field] = value

        with pytest.raises(Undecidable):
            oms.verify(resigned(signed(model, private), private, change), model, key=public)


def sharded(model: Path, size: int, name: str = "weights/a.bin", algorithm: str = "sha256",
            ranges: list[tuple[int, int]] | None = None) -> Callable[[dict[str, Any]], None]:
    """A statement that names one file in shards, and the others whole in one shard each."""
    def change(statement: dict[str, Any]) -> None:
        resources = []
        for path in sorted(one["name"] for one in statement["predicate"]["resources"]):
            length = (model / path).stat().st_size
            pieces = ranges if ranges is not None and path == name else [
                (at, min(at + size, length)) for at in range(0, length, size)]
            resources += [{"name": f"{path}:{start}:{end}", "algorithm": algorithm,
                           "digest": tree.digest(model / path, algorithm, start, end).digest.hex()}
                          for start, end in pieces]
        digests = b"".join(bytes.fromhex(one["digest"]) for one in resources)
        statement["subject"][0]["digest"] = {"sha256": hashlib.sha256(digests).hexdigest()}
        statement["predicate"] = {"resources": resources, "serialization": {
            "method": "shards", "hash_type": algorithm, "allow_symlinks": False, "shard_size": size}}
    return change


@pytest.mark.parametrize("algorithm", ["sha256", "blake2b"])
@pytest.mark.parametrize("size", [256, 300, 5_000])
def test_shards_are_verified(model: Path, private: Private, public: ForeignKey, size: int, algorithm: str) -> None:
    bundle = resigned(signed(model, private), private, sharded(model, size, algorithm=algorithm))
    assert oms.verify(bundle, model, key=public).files == ("README.md", "weights/a.bin", "weights/β.bin")
    (model / "weights" / "empty").write_bytes(b"")  # section 6.3.2: not listed
    oms.verify(bundle, model, key=public)
    with (model / "weights" / "a.bin").open("ab") as file:
        file.write(b"more")
    with pytest.raises(Refuted):
        oms.verify(bundle, model, key=public)


@pytest.mark.parametrize("ranges", [[(0, 256), (512, 768)], [(0, 256), (0, 256)], [(0, 1_024)], [(0, 0)],
                                    [(256, 512)], [(1_792, 2_048)],
                                    [(0, 256), (128, 384)]])
def test_shards_cover_a_file_once(model: Path, private: Private, public: ForeignKey,
                                  ranges: list[tuple[int, int]]) -> None:
    bundle = resigned(signed(model, private), private, sharded(model, 256, ranges=ranges))
    with pytest.raises((Refuted, BadInput)):
        oms.verify(bundle, model, key=public)


def test_another_signer_and_a_changed_payload_are_refuted(model: Path, private: Private, public: ForeignKey) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Refuted, match="names another key"):
        oms.verify(signed(model, stranger), model, key=public)
    document = json.loads(signed(model, private))
    unnamed = json.loads(signed(model, stranger))
    unnamed["verificationMaterial"]["publicKey"] = {}
    with pytest.raises(Refuted, match="no signature is this key's"):
        oms.verify(json.dumps(unnamed).encode(), model, key=public)
    payload = base64.b64decode(document["dsseEnvelope"]["payload"]).replace(b'"model"', b'"modal"')
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(Refuted, match="no signature is this key's"):
        oms.verify(json.dumps(document).encode(), model, key=public)
    document["dsseEnvelope"]["payloadType"] = "application/json"  # the type is signed over, too
    with pytest.raises(Refuted):
        oms.verify(json.dumps(document).encode(), model, key=public)


def test_a_curve_beyond_the_registry_does_not_sign(model: Path, public: ForeignKey) -> None:
    koblitz = ec.generate_private_key(ec.SECP256K1())
    files, ignored = oms.manifest(model)
    with pytest.raises(BadInput, match="not read"):
        oms.sign(oms.statement("model", files, ignored, {}), koblitz)
    wrong_hash = ec.generate_private_key(ec.SECP384R1())
    payload = oms.statement("model", files, ignored, {})
    signature = wrong_hash.sign(pae(IN_TOTO, payload), ec.ECDSA(hashes.SHA256()))
    document = json.loads(oms.sign(payload, wrong_hash))
    document["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    with pytest.raises(Refuted):
        oms.verify(json.dumps(document).encode(), model, key=ForeignKey.checked(wrong_hash.public_key()))


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_upheld_as_something_else(at: int, bit: int) -> None:
    folder = VECTORS / "v1.1.0-elliptic-key"
    bundle = bytearray((folder / "model.sig").read_bytes())
    at %= len(bundle)
    bundle[at] ^= 1 << bit
    try:
        found = oms.verify(bytes(bundle), folder, key=other_key(), now=NOW, signature=folder / "model.sig")
    except TrothError:
        return
    # White space, and what no signature is over: the media type's version, an empty log, another hint's name.
    assert found.envelope == vector("v1.1.0-elliptic-key").envelope
