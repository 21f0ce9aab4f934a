"""C2PA by its own library: an image, a sound and a video signed and checked, and everything that can be wrong."""

from __future__ import annotations

import io
import json
import struct
import sys
import wave
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from troth.app import Troth
from troth.app.content import certificate, forbids_training, new_certificate, sign_into, verify_into
from troth.core.errors import BadInput, Misuse, OutsideFailed, Undecidable
from troth.core.verdicts import Outcome
from troth.identity.keystore import MIN_COST
from troth.verify import media
from troth.verify.content import Signed, embedded_wish
from troth.verify.media import read_manifest

SECRET = "correct horse"


@pytest.fixture(scope="module", autouse=True)
def library(python_of: Callable[[str], Path]) -> Iterator[None]:
    """The library's own environment, behind this one's packages."""
    found = [str(path) for path in python_of("c2pa").parents[1].glob("lib/python*/site-packages")]
    sys.path.extend(found)
    yield
    for path in found:
        sys.path.remove(path)


def png(shade: int = 0) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([shade]) * 12 for _ in range(4))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(1_600))
    return out.getvalue()


def mp4() -> bytes:
    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", 8 + len(data)) + kind + data

    header = (bytes(12) + struct.pack(">IIIH", 1_000, 0, 0x10000, 0x100) + bytes(10)
              + struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000) + bytes(24) + struct.pack(">I", 1))
    return (box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isomiso2mp41")
            + box(b"moov", box(b"mvhd", header)) + box(b"mdat", bytes(64)))


MEDIA = {"image.png": png(), "sound.wav": wav(), "video.mp4": mp4()}


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[Troth]:
    with Troth.init(tmp_path / "ann", SECRET, cost=MIN_COST) as party:
        new_certificate(party, SECRET, cost=MIN_COST)
        yield party


def signed(party: Troth, folder: Path, name: str = "image.png", data: bytes | None = None, **wishes: str) -> Path:
    source, target = folder / name, folder / f"signed-{len(list(folder.iterdir()))}-{name}"
    source.write_bytes(MEDIA[name] if data is None else data)
    sign_into(party, SECRET, source, target, **wishes)
    assert source.read_bytes() == (MEDIA[name] if data is None else data)  # the original stays as it is
    return target


@pytest.mark.parametrize("name", list(MEDIA))
def test_signed_and_checked(ann: Troth, tmp_path: Path, name: str) -> None:
    target = signed(ann, tmp_path, name, training="notAllowed", note="mine")
    found = verify_into(target, {ann.did: None})
    assert (found.outcome, len(found.steps)) == (Outcome.UPHELD, 4)
    assert verify_into(target, {}).outcome is Outcome.UNDECIDABLE  # nobody one trusts
    assert embedded_wish(target.read_bytes())  # what Troth sees of it without the library
    assert forbids_training(target) == "the manifest in it"
    manifest = read_manifest(target)
    assert manifest is not None
    assert manifest.forbidden
    assert not embedded_wish(signed(ann, tmp_path, name, training="allowed").read_bytes())


@pytest.mark.parametrize("name", list(MEDIA))
def test_changed_content_is_refuted(ann: Troth, tmp_path: Path, name: str) -> None:
    target = signed(ann, tmp_path, name)
    data = bytearray(target.read_bytes())
    data[-20] ^= 1
    target.write_bytes(data)
    assert verify_into(target, {ann.did: None}).outcome is Outcome.REFUTED


def test_what_others_make_of_it(ann: Troth, tmp_path: Path) -> None:
    """The library's own reader, with the anchor alone: it needs nothing of Troth."""
    import c2pa  # type: ignore[import-not-found]

    target = signed(ann, tmp_path)
    anchor = certificate(ann, SECRET).anchor
    context = c2pa.Context(c2pa.Settings.from_dict({"trust": {"user_anchors": anchor}}))
    with target.open("rb") as file:
        reader = c2pa.Reader("image/png", file, context=context)
        said: dict[str, Any] = json.loads(reader.json())
        assert reader.get_validation_state() == "Trusted"
    labels = [one["label"] for one in said["manifests"][said["active_manifest"]]["assertions"]]
    assert "org.troth.claim" in labels


def test_a_claim_copied_into_anothers_manifest_is_refuted(ann: Troth, tmp_path: Path) -> None:
    """A thief puts Ann's claim into a manifest over another picture, signed with a certificate of its own."""
    mine = read_manifest(signed(ann, tmp_path))
    assert mine is not None
    assert mine.parcel is not None
    with Troth.init(tmp_path / "thief", SECRET, cost=MIN_COST) as thief:
        new_certificate(thief, SECRET, cost=MIN_COST)
        (tmp_path / "other.png").write_bytes(png(9))
        own = certificate(thief, SECRET)
        media.sign_media(tmp_path / "other.png", tmp_path / "stolen.png", mine.parcel, Signed("x", "", 0), own)
        found = verify_into(tmp_path / "stolen.png", {ann.did: None})
        assert found.outcome is Outcome.REFUTED
        assert "another than the claim's signer" in found.steps[2].detail
        assert verify_into(tmp_path / "stolen.png", {ann.did: None}, own.anchor).outcome is Outcome.REFUTED


def test_a_claim_that_differs_from_its_manifest_on_training_is_refuted(ann: Troth, tmp_path: Path) -> None:
    first = read_manifest(signed(ann, tmp_path, training="notAllowed"))
    assert first is not None
    assert first.parcel is not None
    (tmp_path / "b.png").write_bytes(png())
    media.sign_media(tmp_path / "b.png", tmp_path / "open.png", first.parcel, Signed("x", "", 0),
                     certificate(ann, SECRET))
    assert verify_into(tmp_path / "open.png", {ann.did: None}).outcome is Outcome.REFUTED


def test_a_detached_claim_inside_a_manifest_is_refuted(ann: Troth, tmp_path: Path) -> None:
    from troth.app.content import sign_file

    (tmp_path / "a.png").write_bytes(png())
    parcel = sign_file(ann, tmp_path / "a.png")
    media.sign_media(tmp_path / "a.png", tmp_path / "b.png", parcel, Signed("x", "", 0), certificate(ann, SECRET))
    found = verify_into(tmp_path / "b.png", {ann.did: None})
    assert "names no certificate" in found.steps[2].detail


def test_manifests_without_a_claim_need_an_anchor(ann: Troth, tmp_path: Path) -> None:
    import c2pa

    own = certificate(ann, SECRET)
    builder = c2pa.Builder({"claim_generator_info": [{"name": "other"}], "assertions": []})
    builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
    signer = c2pa.Signer.from_callback(own.sign, c2pa.C2paSigningAlg.ED25519, own.chain, None)
    with (tmp_path / "plain.png").open("w+b") as out:
        builder.sign(signer, "image/png", io.BytesIO(png()), out)
    assert verify_into(tmp_path / "plain.png", {}, own.anchor).outcome is Outcome.UPHELD
    assert verify_into(tmp_path / "plain.png", {ann.did: None}).outcome is Outcome.UNDECIDABLE


def test_what_is_not_there_or_not_media(ann: Troth, tmp_path: Path) -> None:
    (tmp_path / "bare.png").write_bytes(png())
    assert verify_into(tmp_path / "bare.png", {ann.did: None}).outcome is Outcome.UNDECIDABLE
    target = signed(ann, tmp_path)
    with pytest.raises(Misuse, match="already"):
        sign_into(ann, SECRET, tmp_path / "bare.png", target)
    (tmp_path / "text.txt").write_text("words")
    with pytest.raises(Misuse, match="troth sign"):
        sign_into(ann, SECRET, tmp_path / "text.txt", tmp_path / "out.txt")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(OutsideFailed):
        sign_into(ann, SECRET, tmp_path / "broken.png", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
    with pytest.raises((BadInput, OutsideFailed)):
        read_manifest(tmp_path / "broken.png")
    with pytest.raises(Misuse, match="already"):
        new_certificate(ann, SECRET)
    with Troth.init(tmp_path / "ben", SECRET, cost=MIN_COST) as ben, pytest.raises(Undecidable, match="no certificate"):
        sign_into(ben, SECRET, tmp_path / "bare.png", tmp_path / "out.png")


def test_a_picture_signed_twice_keeps_its_history(ann: Troth, tmp_path: Path) -> None:
    first = signed(ann, tmp_path)
    again = tmp_path / "again.png"
    sign_into(ann, SECRET, first, again)
    assert verify_into(again, {ann.did: None}).outcome is Outcome.UPHELD
    assert len(again.read_bytes()) > len(first.read_bytes())
