"""Records of other tools: DVC's, checked against the files they name, and a model's folder as on Hugging Face."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from troth.app import Troth, formats
from troth.core.claims import Statement
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.formats.dvc import read_dvc
from troth.formats.hub import read_hub
from troth.formats.inventory import INVENTORY, Inventory
from troth.formats.oms import root_digest
from troth.formats.plain_yaml import read_yaml

ROWS = b"age,score\n41,7\n38,9\n"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


# YAML

@pytest.mark.parametrize("text", [
    b"a: 1\na: 2\n", b"a: {b: 1, b: 2}\n", b"a: &x [1]\nb: *x\n", b"- 1\n", b"", b"a: [", b"\xff",
    b"a: !!python/object/apply:os.system ['true']\n", b"? [1, 2]\n: 3\n", b"a: 1\n---\nb: 2\n",
    b"a: " + b"[" * 200 + b"]" * 200 + b"\n", b"a: " + b"x" * (5 << 20)])
def test_yaml_that_can_be_read_in_two_ways_or_runs_something_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput):
        read_yaml(text)


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    lines = [b"a0: &a0 [lol, lol]"] + [b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9))
                                       for n in range(1, 30)]
    with pytest.raises(BadInput, match="alias"):
        read_yaml(b"\n".join(lines))


# DVC

@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a tracked file, a tracked directory and a pipeline of two stages."""
    folder = tmp_path / "project"
    (folder / "images").mkdir(parents=True)
    (folder / "rows.csv").write_bytes(ROWS)
    (folder / "images" / "a.png").write_bytes(b"one")
    (folder / "images" / "b.png").write_bytes(b"two")
    (folder / "clean.csv").write_bytes(b"clean")
    (folder / "model.bin").write_bytes(b"weights")
    listing = json.dumps([{"md5": md5(b"one"), "relpath": "a.png"}, {"md5": md5(b"two"), "relpath": "b.png"}])
    (folder / "rows.csv.dvc").write_text(
        f"outs:\n- md5: {md5(ROWS)}\n  size: {len(ROWS)}\n  hash: md5\n  path: rows.csv\n")
    (folder / "images.dvc").write_text(
        f"outs:\n- md5: {md5(listing.encode())}.dir\n  size: 6\n  nfiles: 2\n  hash: md5\n  path: images\n")
    (folder / "dvc.lock").write_text(f"""\
schema: '2.0'
stages:
  train:
    cmd: python train.py
    deps:
    - path: clean.csv
      hash: md5
      md5: {md5(b"clean")}
      size: 5
    params:
      params.yaml:
        lr: 0.1
        layers: [4, 2]
    outs:
    - path: model.bin
      hash: md5
      md5: {md5(b"weights")}
      size: 7
  clean:
    cmd: python clean.py
    deps:
    - path: rows.csv
      hash: md5
      md5: {md5(ROWS)}
      size: {len(ROWS)}
    outs:
    - path: clean.csv
      hash: md5
      md5: {md5(b"clean")}
      size: 5
""")
    return folder


def test_what_dvc_tracks_is_checked_and_named_by_sha256(project: Path) -> None:
    (rows,) = read_dvc(project / "rows.csv.dvc")
    assert (rows.name, rows.files[0].digest, rows.files[0].md5) == (
        "rows.csv", hashlib.sha256(ROWS).digest(), md5(ROWS))
    (images,) = read_dvc(project / "images.dvc")
    digests = [hashlib.sha256(data).digest() for data in (b"one", b"two")]
    assert (images.files[0].digest, images.files[0].files) == (root_digest(digests), 2)


def test_stages_become_claims_that_refer_to_each_other(party: Troth, project: Path) -> None:
    found = formats.in_order(read_dvc(project / "dvc.lock"))
    assert [one.name for one in found] == ["clean", "train"]
    clean, train = formats.import_inventories(party, found)
    assert party.statement(train).all_refs("input") == (clean,)
    said = Inventory.of(party.statement(train))
    assert said.said == {"cmd": "python train.py", "params.yaml:lr": "0.1", "params.yaml:layers": "[4, 2]"}
    assert [(one.use, one.name) for one in said.files] == [("input", "clean.csv"), ("output", "model.bin")]
    assert [one.name for one in party.statement(train).subjects] == ["model.bin"]
    bom = json.loads(formats.export(party, train, "cyclonedx"))
    assert {one["name"] for one in bom["components"]} >= {"clean.csv"}


def test_stages_in_a_circle_are_refused(project: Path) -> None:
    lock = project / "dvc.lock"
    lock.write_text(lock.read_text().replace("path: rows.csv\n      hash: md5\n      md5: " + md5(ROWS),
                                             "path: model.bin\n      hash: md5\n      md5: " + md5(b"weights")))
    with pytest.raises(BadInput, match="circle"):
        formats.in_order(read_dvc(lock))


def test_a_changed_file_is_refuted_and_a_missing_one_undecidable(project: Path) -> None:
    (project / "images" / "c.png").write_bytes(b"three")
    with pytest.raises(Refuted, match="not what DVC recorded"):
        read_dvc(project / "images.dvc")
    (project / "rows.csv").write_bytes(ROWS + b"1,1\n")
    with pytest.raises(Refuted, match="not what DVC recorded"):
        read_dvc(project / "rows.csv.dvc")
    (project / "rows.csv").unlink()
    with pytest.raises(Undecidable, match="not here"):
        read_dvc(project / "rows.csv.dvc")
    (project / "elsewhere.csv").write_bytes(ROWS)
    (project / "rows.csv").symlink_to(project / "elsewhere.csv")
    with pytest.raises(Refuted, match="link"):
        read_dvc(project / "rows.csv.dvc")


def test_what_dvc_2_changed_before_hashing_is_undecidable(project: Path) -> None:
    record = project / "rows.csv.dvc"
    record.write_text(record.read_text().replace("  hash: md5\n", ""))
    assert read_dvc(record)
    (project / "rows.csv").write_bytes(ROWS.replace(b"\n", b"\r\n"))
    with pytest.raises(Undecidable, match="line ends"):
        read_dvc(record)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "", "a//b", ".", "a\\b"])
def test_a_record_cannot_lead_outside(project: Path, path: str) -> None:
    (project.parent / "secret").write_bytes(ROWS)
    record = project / "rows.csv.dvc"
    record.write_text(record.read_text().replace("path: rows.csv", f"path: {json.dumps(path)}"))
    with pytest.raises(BadInput, match="leads out"):
        read_dvc(record)


@pytest.mark.parametrize("text", ["outs: []\n", "deps: 1\n", "outs:\n- 1\n", "outs:\n- path: rows.csv\n",
                                  "outs:\n- {path: rows.csv, md5: ab, hash: sha1}\n", "outs: {}\n"])
def test_other_records_are_refused(project: Path, text: str) -> None:
    record = project / "odd.dvc"
    record.write_text(text)
    with pytest.raises((BadInput, Undecidable)):
        read_dvc(record)


# A model's folder

def tensors(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


GOOD = {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}}


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "tiny", "architectures": ["TinyModel"], "hidden_size": 2,\n'
                                        ' "initializer_range": 0.02}')
    (folder / "model.safetensors").write_bytes(tensors(GOOD, bytes(22)))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags:\n- tiny\nbase_model: org/base\n---\n# Tiny\n")
    return folder


def test_a_folder_becomes_an_inventory(party: Troth, hub: Path) -> None:
    found = read_hub(hub)
    assert found.said == {
        "card:license": "apache-2.0", "card:tags": '["tiny"]', "card:base_model": "org/base",
        "config:model_type": "tiny", "config:architectures": '["TinyModel"]', "config:hidden_size": "2",
        "weights:elements": "7", "weights:types": "BF16, F32"}
    (claim,) = formats.import_inventories(party, [found])
    card = formats.export(party, claim, "card").decode()
    assert 'license: "apache-2.0"' in card
    assert "- licence: no claim says it" not in card
    bom = json.loads(formats.export(party, claim, "cyclonedx"))
    assert bom["metadata"]["component"]["licenses"] == [{"license": {"name": "apache-2.0"}}]
    assert any("/metadata/component/licenses/0" in one["pointers"] for one in bom["citations"])
    signed = formats.sign_model(party, claim, hub, hub / "model.sig")
    assert signed.files == 3


def overlapping(header: dict[str, Any]) -> None:
    header["b"]["data_offsets"] = [10, 16]


def gap(header: dict[str, Any]) -> None:
    header["b"]["data_offsets"] = [17, 23]


def larger(header: dict[str, Any]) -> None:
    header["w"]["shape"] = [2, 3]


def unknown(header: dict[str, Any]) -> None:
    header["w"]["dtype"] = "F1"


def negative(header: dict[str, Any]) -> None:
    header["w"]["data_offsets"] = [-16, 0]


def no_offsets(header: dict[str, Any]) -> None:
    del header["w"]["data_offsets"]


@pytest.mark.parametrize("change", [overlapping, gap, larger, unknown, negative, no_offsets],
                         ids=lambda change: change.__name__)
def test_weights_whose_header_does_not_fit_are_refused(hub: Path, change: Any) -> None:
    header = json.loads(json.dumps(GOOD))
    change(header)
    (hub / "model.safetensors").write_bytes(tensors(header, bytes(23 if change is gap else 22)))
    with pytest.raises(BadInput):
        read_hub(hub)


@pytest.mark.parametrize("data", [b"", b"\x01", struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 2) + b"{}x",
                                  struct.pack("<Q", 9) + b'{"a":1,"a":2}', tensors(GOOD, bytes(30))])
def test_weights_that_are_no_safetensors_are_refused(hub: Path, data: bytes) -> None:
    (hub / "model.safetensors").write_bytes(data)
    with pytest.raises(BadInput):
        read_hub(hub)


@pytest.mark.parametrize(("name", "text"), [
    ("config.json", '{"model_type": "a", "model_type": "b"}'), ("config.json", "[" * 100_000),
    ("README.md", "---\nlicense: mit\nlicense: apache-2.0\n---\n"), ("README.md", "---\nlicense: mit\n"),
    ("README.md", "---\na: &x 1\nb: *x\n---\n")])
def test_a_card_or_configuration_that_says_two_things_is_refused(hub: Path, name: str, text: str) -> None:
    (hub / name).write_text(text)
    with pytest.raises(BadInput):
        read_hub(hub)


def test_links_and_other_folders_are_no_model(hub: Path, tmp_path: Path) -> None:
    (hub / "more.bin").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refuted, match="no regular file"):
        read_hub(hub)
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("x")
    with pytest.raises(BadInput, match="not a model's folder"):
        read_hub(other)


# The claim

@pytest.mark.parametrize("change", [
    {"files": []}, {"format": "zip"}, {"said": {"a": 1}}, {"record": {"name": "x"}}, {"surplus": 1}, {"name": 1},
    {"files": [{"name": "a", "sha256": "ab" * 32, "bytes": 1, "files": 0, "md5": "", "use": "secret"}]},
    {"files": [{"name": "a", "sha256": "ab" * 32, "bytes": 1, "files": 0, "md5": "xy", "use": "file"}]}])
def test_an_inventory_is_read_strictly(hub: Path, change: dict[str, Any]) -> None:
    found = read_hub(hub)
    assert Inventory.of(Statement(INVENTORY, "did:key:zA", 1, found.subjects(), found.body())) == found
    with pytest.raises(BadInput):
        Inventory.of(Statement(INVENTORY, "did:key:zA", 1, found.subjects(), found.body() | change))


def test_an_inventory_s_subjects_are_its_files(hub: Path) -> None:
    found = read_hub(hub)
    with pytest.raises(BadInput, match="subjects"):
        Inventory.of(Statement(INVENTORY, "did:key:zA", 1, found.subjects()[:-1], found.body()))
