"""Other people's tools read what Troth exports of a real round of training, and Troth reads what they make."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from troth.app import Settings, Troth, formats
from troth.cli.demo import tell
from troth.core.errors import Refuted
from troth.formats import oms
from troth.formats.dvc import read_dvc
from troth.formats.foreign import ForeignKey
from troth.formats.runs import RUN, Metric, Run
from troth.identity.keystore import MIN_COST
from troth.learn.claims import LISTING, MODEL

PEERS = Path(__file__).parent / "peers"
Interpreter = Callable[[str], Path]


def peer(python: Path, script: str, *arguments: object, **environment: str) -> dict[str, Any]:
    """What a peer's script prints, as JSON. The project's own path is not the peer's."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run([python, PEERS / script, *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=300, env=clean)
    assert done.returncode == 0, done.stderr[-3_000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass(frozen=True)
class Demo:
    """The sponsor of ``troth demo``, its model and its public listing, with the bytes of both."""

    party: Troth
    model: bytes
    listing: bytes
    params: bytes
    records: bytes


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    from rich.console import Console  # only this fixture shows something

    out = tmp_path_factory.mktemp("demo") / "out"
    tell(out, "aggregator", Console(stderr=True, quiet=True))
    with Troth.open(out / "parties" / "sponsor", "demo") as party:
        model, said = list(party.claims(MODEL))[-1]
        listing = next(claim for claim, one in party.claims(LISTING) if one.issuer == party.did)
        yield Demo(party, model, listing, party.read(said.evidence[0]),
                   party.read(party.statement(listing).evidence[0]))


# Documents

def exported(demo: Demo, target: bytes, format_: str, folder: Path) -> Path:
    path = folder / ("README.md" if format_ == "card" else f"{format_}.json")
    path.write_bytes(formats.export(demo.party, target, format_))
    return path


def test_the_schema_of_cyclonedx_accepts_the_bill_of_materials(demo: Demo, python_of: Interpreter,
                                                               tmp_path: Path) -> None:
    path = exported(demo, demo.model, "cyclonedx", tmp_path)
    assert peer(python_of("documents"), "documents.py", "cyclonedx", path) == {"error": None}
    bom = json.loads(path.read_bytes())
    bom["citations"][0]["pointers"] = []
    path.write_text(json.dumps(bom))
    assert peer(python_of("documents"), "documents.py", "cyclonedx", path)["error"]


def test_the_model_of_spdx_accepts_the_document(demo: Demo, python_of: Interpreter, tmp_path: Path) -> None:
    found = peer(python_of("documents"), "documents.py", "spdx", exported(demo, demo.model, "spdx", tmp_path))
    assert (found["missing"], found["models"], found["datasets"]) == ([], ["params"], 5)
    assert found["relations"] == {"trainedOn": 4, "testedOn": 1}
    assert set(found["metrics"]) == {"accuracy", "log-loss"}
    assert found["annotations"] > 40


def test_prov_reads_the_document_and_writes_the_same(demo: Demo, python_of: Interpreter, tmp_path: Path) -> None:
    found = peer(python_of("documents"), "documents.py", "prov", exported(demo, demo.model, "prov", tmp_path))
    assert found["same"]
    assert found["entities"] > 40
    assert found["derivations"] > 40


def test_the_hub_s_library_reads_the_card(demo: Demo, python_of: Interpreter, tmp_path: Path) -> None:
    found = peer(python_of("documents"), "documents.py", "card", exported(demo, demo.model, "card", tmp_path))
    assert found["license"] is None
    (accuracy, _) = found["results"]
    assert accuracy[0] == "accuracy"
    assert 0.9 < accuracy[1] < 1
    assert demo.model.hex() in accuracy[2]


def test_croissant_reads_the_metadata_and_the_records(demo: Demo, python_of: Interpreter, tmp_path: Path) -> None:
    path = exported(demo, demo.listing, "croissant", tmp_path)
    records = tmp_path / "records.csv"
    records.write_bytes(demo.records)
    found = peer(python_of("croissant"), "croissant.py", path, records)
    assert found["errors"] == []
    assert found["records"] == len(demo.records.splitlines()) - 1
    assert len(found["columns"]) == 30


# Signatures

def test_securesystemslib_and_in_toto_read_a_claim(demo: Demo, python_of: Interpreter, tmp_path: Path) -> None:
    path, key = exported(demo, demo.model, "dsse", tmp_path), tmp_path / "key.pem"
    method, pem = formats.classical_key(demo.party, demo.party.envelope(demo.model))
    key.write_bytes(pem)
    found = peer(python_of("model-signing"), "dsse.py", path, key)
    assert found["type"] == "urn:troth:model:v1"
    assert found["subjects"] == [{"sha256": hashlib.sha256(demo.params).hexdigest()}]
    assert method in found["accepted"]


def test_troth_reads_what_securesystemslib_signed(demo: Demo, python_of: Interpreter, tmp_path: Path) -> None:
    payload, out, file = tmp_path / "statement.json", tmp_path / "envelope.json", tmp_path / "a.bin"
    file.write_bytes(b"artefact")
    payload.write_text(json.dumps({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": "a.bin", "digest": {"sha256": hashlib.sha256(b"artefact").hexdigest()}}],
        "predicate": {"buildDefinition": {}}}, indent=3))
    pem = peer(python_of("model-signing"), "dsse.py", "--sign", payload, out)["key"].encode()
    envelope, signer = formats.check_signed(out.read_bytes(), key=ForeignKey.of(pem), file=file)
    assert envelope.payload == payload.read_bytes()
    claim = formats.import_signed(demo.party, out.read_bytes(), signer)
    assert demo.party.read(demo.party.statement(claim).evidence[0]) == out.read_bytes()
    with pytest.raises(Refuted):
        formats.check_signed(out.read_bytes().replace(b'"payload": "e', b'"payload": "f'), key=ForeignKey.of(pem))


@pytest.fixture
def weights(demo: Demo, tmp_path: Path) -> Path:
    """The demo's model as a directory."""
    folder = tmp_path / "weights"
    (folder / "shards").mkdir(parents=True)
    (folder / "params.bin").write_bytes(demo.params)
    (folder / "shards" / "β.bin").write_bytes(b"shard")
    return folder


def official(python: Path, *words: object) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, "-m", "model_signing", *map(str, words)], capture_output=True, text=True,
                          check=False, timeout=300, env=clean)


def test_the_official_tool_verifies_our_signature(demo: Demo, python_of: Interpreter, weights: Path,
                                                  tmp_path: Path) -> None:
    signature, key = weights / "model.sig", tmp_path / "key.pem"
    signed = formats.sign_model(demo.party, demo.model, weights, signature)
    signature.write_bytes(signed.bundle)
    key.write_bytes(signed.key.pem)
    words = ("verify", "key", weights, "--signature", signature, "--public_key", key)
    done = official(python_of("model-signing"), *words)
    assert done.returncode == 0, done.stderr
    (weights / "shards" / "β.bin").write_bytes(b"other")
    assert official(python_of("model-signing"), *words).returncode != 0


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_we_verify_the_official_tool_s_signature(python_of: Interpreter, weights: Path, tmp_path: Path,
                                                 curve: ec.EllipticCurve) -> None:
    private, signature, secret = ec.generate_private_key(curve), tmp_path / "model.sig", tmp_path / "private.pem"
    secret.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    done = official(python_of("model-signing"), "sign", "key", weights, "--signature", signature, "--private_key",
                    secret)
    assert done.returncode == 0, done.stderr
    key = ForeignKey.of(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert oms.verify(signature.read_bytes(), weights, key=key).files == ("params.bin", "shards/β.bin")
    (weights / "extra").write_bytes(b"")
    with pytest.raises(Refuted, match="not signed"):
        oms.verify(signature.read_bytes(), weights, key=key)


# In

def test_mlflow_code_with_one_more_line_leaves_claims(python_of: Interpreter, tmp_path: Path) -> None:
    Troth.init(tmp_path, "correct horse", Settings("ml", "", ""), cost=MIN_COST).close()
    site = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    found = peer(python_of("mlflow"), "track.py", tmp_path, TROTH_PASSPHRASE="correct horse", TROTH_SITE=site)
    assert found["params"] == {"lr": "0.1", "layers": "2"}  # MLflow keeps what it kept before
    with Troth.open(tmp_path, "correct horse") as party:
        train, fails = (Run.of(statement) for _, statement in party.claims(RUN))
        claim = next(claim for claim, _ in party.claims(RUN))
        formats.export(party, claim, "prov")
    assert (train.name, train.status, fails.status) == ("train", "finished", "failed")
    assert train.params == {"lr": "0.1", "layers": "2", "mlflow:run_id": found["run"]}
    assert train.metrics == {"loss": Metric("0.25", 1)}
    assert [(one.name, one.digest) for one in train.data] == [("rows", hashlib.sha256(b"age,score\n41,7\n").digest())]
    assert [one.name for one in train.models] == ["model tiny"]
    assert train.models[0].digest == oms.root_digest([hashlib.sha256(b"weights").digest()])


def test_what_dvc_records_is_what_is_read(python_of: Interpreter, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "images" / "deep").mkdir(parents=True)
    (project / "rows.csv").write_text("age,score\r\n41,7\n")
    for number in range(12):
        (project / "images" / "deep" / f"{number}.png").write_bytes(bytes([number]))
        (project / "images" / f"ä-{number}.png").write_bytes(bytes([number, 1]))
    (project / "params.yaml").write_text("lr: 0.1\nlayers: [4, 2]\n")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"DVC_NO_ANALYTICS": "1"}

    def dvc(*words: str) -> None:
        done = subprocess.run([python_of("dvc"), "-m", "dvc", *words], cwd=project, capture_output=True, text=True,
                              check=False, timeout=300, env=clean)
        assert done.returncode == 0, done.stderr

    dvc("init", "--no-scm", "-q")
    dvc("add", "-q", "rows.csv", "images")
    dvc("stage", "add", "-q", "-n", "copy", "-d", "rows.csv", "-d", "images", "-p", "lr,layers", "-o", "model.bin",
        "cp rows.csv model.bin")
    dvc("repro", "-q")
    (rows,), (images,) = read_dvc(project / "rows.csv.dvc"), read_dvc(project / "images.dvc")
    assert rows.files[0].digest == hashlib.sha256(b"age,score\r\n41,7\n").digest()
    assert images.files[0].files == 24
    (stage,) = formats.in_order(read_dvc(project / "dvc.lock"))
    assert stage.said == {"cmd": "cp rows.csv model.bin", "params.yaml:lr": "0.1", "params.yaml:layers": "[4, 2]"}
    assert {(one.use, one.name) for one in stage.files} == {("input", "rows.csv"), ("input", "images"),
                                                           ("output", "model.bin")}
    (project / "images" / "ä-3.png").write_bytes(b"changed")
    with pytest.raises(Refuted, match="not what DVC recorded"):
        read_dvc(project / "images.dvc")
