"""Export, check, import and runs as a person types them: files, exit statuses, and nothing secret on the screen."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

import troth
from troth.app import Settings, Troth
from troth.cli.main import main
from troth.identity.keystore import MIN_COST

PASSPHRASE = "correct horse"


@dataclass(frozen=True)
class Done:
    """What a command printed."""

    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `troth` in a workspace with a cheap keystore, in this process: thirty starts would take a minute."""
    Troth.init(tmp_path, PASSPHRASE, Settings("me", "", ""), cost=MIN_COST).close()
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TROTH_")]:
        monkeypatch.delenv(name)

    def command(*words: object, status: int = 0, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["troth", *map(str, words)])
            for name, value in {"TROTH_PASSPHRASE": PASSPHRASE, **environment}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main()
        done = Done(*capsys.readouterr())
        assert (left.value.code or 0) == status, (words, done)
        for secret in (PASSPHRASE, *environment.values()):
            assert secret not in done.stdout + done.stderr
        return done
    return command


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A small model's folder."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    return folder


def test_a_model_goes_out_and_is_checked(run: Run, hub: Path, tmp_path: Path) -> None:
    claim = json.loads(run("import", "hub", hub, "--json").stdout)["claim"]
    said = json.loads(run("export", "oms", claim, "--model", hub, "-o", hub / "model.sig", "--public", "key.pem",
                          "--json").stdout)
    assert said["files"] == 2
    found = json.loads(run("check", hub / "model.sig", "--key", "key.pem", "--model", hub, "--json").stdout)
    assert (found["outcome"], found["claims"]) == ("upheld", {"claim": f"urn:troth:claim:{claim}"})
    assert found["issuer"] == said["issuer"]
    assert said["link"] in run("trace", said["link"], "--json").stdout

    run("export", "oms", claim, "--model", hub, "-o", "x.sig", "--public", hub / "key.pem", status=2)
    assert not (tmp_path / "x.sig").exists()

    (hub / "config.json").write_text('{"model_type": "huge"}')
    assert "not the one that was signed" in run("check", hub / "model.sig", "--key", "key.pem", "--model", hub,
                                                status=1).stderr
    run("export", "oms", claim, "--model", hub, "-o", "again.sig", status=1)  # the claim is about other files
    assert not (tmp_path / "again.sig").exists()
    run("check", "key.pem", "--key", "key.pem", status=2)
    run("check", "nowhere.sig", "--key", "key.pem", status=5)
    run("check", hub / "model.sig", status=2)
    run("export", "oms", claim, "-o", "again.sig", status=2)
    run("export", "card", claim, "--model", hub, "-o", "x", status=2)
    run("export", "card", "ab" * 32, "-o", "x", status=3)
    run("export", "docx", claim, "-o", "x", status=2)
    run("export", "card", claim, status=2)


def test_a_document_is_compared_with_the_claims(run: Run, hub: Path, tmp_path: Path) -> None:
    claim = json.loads(run("import", "hub", hub, "--json").stdout)["claim"]
    shown = run("export", "card", claim, "-o", "README.md").stdout
    assert "missing: licence: no claim says it" in shown
    assert json.loads(run("compare", "card", claim, "README.md", "--json").stdout)["unchanged"]
    card = tmp_path / "README.md"
    card.write_text(card.read_text().replace("config:model\\_type: tiny", "config:model\\_type: huge"))
    assert "not what these claims say" in run("compare", "card", claim, "README.md", status=1).stderr


def test_a_key_of_one_s_own_signs(run: Run, hub: Path, tmp_path: Path) -> None:
    claim = json.loads(run("import", "hub", hub, "--json").stdout)["claim"]
    private = ec.generate_private_key(ec.SECP384R1())
    (tmp_path / "own.pem").write_bytes(private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"another secret")))
    words = ("export", "oms", claim, "--model", hub, "-o", "model.sig", "--signer", "own.pem", "--public", "key.pem")
    run(*words, status=2)
    run(*words, TROTH_SIGNER_PASSPHRASE="wrong secret", status=2)
    run(*words, TROTH_SIGNER_PASSPHRASE="another secret")
    run("check", "model.sig", "--key", "key.pem", "--model", hub)


def test_a_foreign_statement_comes_in(run: Run, hub: Path, tmp_path: Path) -> None:
    claim = json.loads(run("import", "hub", hub, "--json").stdout)["claim"]
    run("export", "dsse", claim, "-o", "claim.json", "--public", "key.pem")
    found = json.loads(run("check", "claim.json", "--key", "key.pem", "--about", hub / "config.json", "--json").stdout)
    assert found["predicate_type"] == "urn:troth:inventory:v1"
    run("check", "claim.json", "--key", "key.pem", "--about", "key.pem", status=1)
    link = run("import", "signed", "claim.json", "--key", "key.pem", "--ref", f"about={claim}").stdout.strip()
    traced = json.loads(run("trace", link, "--json").stdout)
    assert {one["kind"] for one in traced["nodes"]} == {"link", "inventory"}
    other = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "other.pem").write_bytes(other.public_key().public_bytes(Encoding.PEM, _spki()))
    run("import", "signed", "claim.json", "--key", "other.pem", status=1)


def test_dvc_comes_in(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    (tmp_path / "rows.csv.dvc").write_text(
        "outs:\n- md5: 44e0f12b7c9ce8fb6a4ea7b63d4dcf0d\n  size: 4\n  hash: md5\n  path: rows.csv\n")
    run("import", "dvc", "rows.csv.dvc", status=1)
    import hashlib  # only this test hashes

    digest = hashlib.md5(b"a\n1\n").hexdigest()
    (tmp_path / "rows.csv.dvc").write_text(
        f"outs:\n- md5: {digest}\n  size: 4\n  hash: md5\n  path: rows.csv\n")
    assert run("import", "dvc", "rows.csv.dvc").stdout.split()[1] == "rows.csv"
    (tmp_path / "rows.csv").unlink()
    run("import", "dvc", "rows.csv.dvc", status=3)


def test_runs_are_listed_and_compared(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("runs", "list").stdout.strip() == "no runs"
    (tmp_path / "odd.txt").write_text("odd")
    monkeypatch.setenv("TROTH_PASSPHRASE", PASSPHRASE)
    for rate, loss in ((0.1, 0.5), (0.01, 0.125)):
        with troth.run("train", workspace=tmp_path) as recorded:
            recorded.param("lr", rate)
            recorded.metric("loss", loss)
    listed = json.loads(run("runs", "list", "--name", "train", "--json").stdout)["runs"]
    assert [one["params"] for one in listed] == [{"lr": "0.1"}, {"lr": "0.01"}]
    first, second = (one["claim"] for one in listed)
    found = json.loads(run("runs", "compare", first[:16], second, "--json").stdout)
    assert {(one["name"], *one["values"], one["delta"]) for one in found["differences"]} == {
        ("lr", "0.1", "0.01", None), ("loss", "0.5", "0.125", "-0.375")}
    assert "loss: 0.5 | 0.125  (-0.375)" in run("runs", "compare", first, second).stdout
    run("attest", "run", "--subject", "odd.txt", "--body", '{"name":"odd"}')
    listed = json.loads(run("runs", "list", "--json").stdout)
    assert (len(listed["runs"]), len(listed["unreadable"])) == (2, 1)
    assert "not a run that can be read" in run("runs", "list").stdout
    run("runs", "compare", first, status=2)
    run("runs", "compare", first, first[:3], status=2)
    run("runs", "compare", first, "0" * 64 if not first.startswith("0") else "1" * 64, status=3)


def _spki() -> object:
    from cryptography.hazmat.primitives.serialization import PublicFormat  # only one test writes a key

    return PublicFormat.SubjectPublicKeyInfo
