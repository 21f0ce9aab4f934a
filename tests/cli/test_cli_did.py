"""``troth did resolve``: every method and every exit status, with files made by others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ports.erc1056 import Deployed, name32
from ports.https_host import Host, running
from troth.cli.main import main
from troth.core.encoding import keccak256
from troth.identity.did import peer4
from troth.identity.integrity import MethodKey, Options, secure
from troth.identity.keys import Ed25519KeyPair
from troth.identity.webvh_write import multikey
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.sending import Sender

VECTORS = Path(__file__).parents[1] / "vectors"
KEY = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with running(tmp_path) as found:
        yield found


@dataclass
class Done:
    """What a command printed."""

    stdout: str
    stderr: str


def troth(*words: str, at: Path, status: int = 0, **environment: str) -> Done:
    """The command as `troth` runs it, but in this process, which is what makes a score of them take seconds."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in [name for name in os.environ if name.startswith("TROTH_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(at)
        patch.setattr(sys, "argv", ["troth", *words])
        patch.setattr(sys, "stdin", StringIO())
        with pytest.raises(SystemExit) as ended:
            main()
    assert (ended.value.code or 0) == status, (words, out.getvalue(), err.getvalue())
    return Done(out.getvalue(), err.getvalue())


def resolved(*words: str, at: Path, **environment: str) -> dict[str, Any]:
    found = json.loads(troth("did", "resolve", *words, "--json", at=at, **environment).stdout)
    assert isinstance(found, dict)
    return found


def test_methods_that_need_nobody(tmp_path: Path) -> None:
    found = resolved(KEY, at=tmp_path)
    assert found["didResolutionMetadata"] == {"contentType": "application/did"}
    assert found["didDocument"]["id"] == KEY
    assert KEY in troth("did", "resolve", KEY, at=tmp_path).stdout
    vector = json.loads((VECTORS / "did-pkh" / "eip155-1.json").read_text())
    assert resolved(vector["id"], at=tmp_path)["didDocument"] == vector
    long = peer4(b'{"authentication":[]}')[1]
    assert resolved(long, at=tmp_path)["didDocument"]["id"] == long


def test_web_and_webvh(tmp_path: Path, host: Host) -> None:
    trusted = {"SSL_CERT_FILE": str(host.authority)}
    web = f"did:web:localhost%3A{host.port}"
    host.files["/.well-known/did.json"] = json.dumps({"id": web}).encode()
    assert resolved(web, "--allow", "localhost", at=tmp_path, **trusted)["didDocument"] == {"id": web}
    assert resolved(web, at=tmp_path, TROTH_DID_ALLOW=f"localhost:{host.port}", **trusted)["didDocument"] == {"id": web}
    assert "private network" in troth("did", "resolve", web, at=tmp_path, status=3, **trusted).stderr
    assert "prove its name" in troth("did", "resolve", web, "--allow", "localhost", at=tmp_path, status=5).stderr
    host.files["/.well-known/did.json"] = b'{"id":"did:web:example.com"}'
    failed = troth("did", "resolve", web, "--allow", "localhost", "--json", at=tmp_path, status=1, **trusted)
    assert json.loads(failed.stdout)["didResolutionMetadata"]["error"] == "invalidDid"
    host.files["/.well-known/did.json"] = b"<html>"
    failed = troth("did", "resolve", web, "--allow", "localhost", "--json", at=tmp_path, status=2, **trusted)
    assert json.loads(failed.stdout)["didResolutionMetadata"]["error"] == "invalidDidDocument"
    del host.files["/.well-known/did.json"]
    failed = troth("did", "resolve", web, "--allow", "localhost", "--json", at=tmp_path, status=3, **trusted)
    assert json.loads(failed.stdout)["didResolutionMetadata"]["error"] == "notFound"
    assert "127.0.0.1" in troth("did", "resolve", "did:web:127.0.0.1", at=tmp_path, status=2).stderr


def test_a_workspace_knows_its_own_documents(tmp_path: Path) -> None:
    trusted = {"TROTH_PASSPHRASE": "correct horse"}
    me = json.loads(troth("init", "--json", at=tmp_path, **trusted).stdout)["did"]
    own = resolved(me, at=tmp_path, **trusted)
    assert own["didDocument"]["id"] == me
    assert own["didDocumentMetadata"]["versionId"] == "0"
    (long,) = own["didDocumentMetadata"]["equivalentId"]
    assert resolved(long, "--home", str(tmp_path / ".."), at=tmp_path, **trusted)["didDocument"]["id"] == long
    assert "not known" in troth("did", "resolve", peer4(b"{}")[0], at=tmp_path, status=3, **trusted).stderr
    assert "no passphrase" in troth("did", "resolve", me, at=tmp_path, status=2).stderr


def test_a_did_webvh_of_ones_own(tmp_path: Path) -> None:
    secret = {"TROTH_PASSPHRASE": "correct horse"}
    troth("init", at=tmp_path, **secret)
    made = json.loads(troth("did", "publish", "example.com:org", "-o", "www", "--json", at=tmp_path, **secret).stdout)
    assert made["log"] == "www/org/did.jsonl"
    for word in ("rotate", "end"):
        troth("did", word, made["did"], "-o", "www", at=tmp_path, **secret)
    assert len((tmp_path / "www" / "org" / "did.jsonl").read_text().splitlines()) == 3
    assert "was ended" in troth("did", "rotate", made["did"], "-o", "www", at=tmp_path, status=1,
                                            **secret).stderr
    assert troth("did", "publish", "example.com", "-o", "www", "--threshold", "1", at=tmp_path, status=2, **secret)
    assert troth("did", "publish", "127.0.0.1", "-o", "www", at=tmp_path, status=2, **secret)


def test_a_credential_of_an_issuer_on_the_web(tmp_path: Path, host: Host) -> None:
    pair, other = (Ed25519KeyPair(bytes([number]) * 32) for number in (1, 2))
    did = f"did:web:localhost%3A{host.port}"

    def shows(key: Ed25519KeyPair, relation: str = "assertionMethod") -> None:
        host.files["/.well-known/did.json"] = json.dumps({
            "id": did, relation: ["#key"], "verificationMethod": [
                {"id": "#key", "type": "Multikey", "controller": did, "publicKeyMultibase": multikey(key.public)}],
        }).encode()

    credential = {"@context": ["https://www.w3.org/ns/credentials/v2"], "type": ["VerifiableCredential"], "issuer": did,
                  "credentialSubject": {"id": KEY}}
    signed = secure(credential, [MethodKey(f"{did}#key", pair)], Options(1_700_000_000))
    (tmp_path / "c.json").write_text(json.dumps(signed))
    words = ("credential", "verify", "c.json", "--issuer", did)
    online = {"SSL_CERT_FILE": str(host.authority), "TROTH_DID_ALLOW": "localhost"}
    shows(pair)
    assert troth(*words, "--online", at=tmp_path, **online)
    assert host.asked
    del host.asked[:]
    troth(*words, at=tmp_path, status=3, **online)
    assert not host.asked  # nobody is asked who was not said to be
    troth(*words, "--online", at=tmp_path, status=3, SSL_CERT_FILE=str(host.authority))
    shows(other)
    troth(*words, "--online", at=tmp_path, status=1, **online)
    shows(pair, "authentication")
    troth(*words, "--online", at=tmp_path, status=1, **online)


def test_ethr_on_a_chain_that_is_set(tmp_path: Path) -> None:
    with EmbeddedChain(str(tmp_path / "chain")) as chain:
        alice = Sender(chain.web3, keccak256(b"alice"))
        registry = Deployed.by(alice)
        block = registry.act(alice, "addDelegate", name32("veriKey"), b"\x01" * 20, 10**9)
    did = f"did:ethr:{hex(chain.chain_id)}:0x{alice.account.hex()}"
    assert "no chain is set" in troth("did", "resolve", did, at=tmp_path, status=3).stderr
    ethr = f"{chain.chain_id}=embedded:{tmp_path / 'chain'}@0x{registry.address.hex()}"
    found = resolved(did, at=tmp_path, TROTH_DID_ETHR=ethr)
    assert found["didDocumentMetadata"]["versionId"] == str(block)
    assert len(found["didDocument"]["verificationMethod"]) == 2
    before = resolved(did, "--version-id", str(block - 1), at=tmp_path, TROTH_DID_ETHR=ethr)
    assert len(before["didDocument"]["verificationMethod"]) == 1
    assert before["didDocumentMetadata"]["nextVersionId"] == str(block)
    assert resolved(f"{did}?versionId={block - 1}", at=tmp_path, TROTH_DID_ETHR=ethr) == before
    assert troth("did", "resolve", f"{did}?versionId=1", "--version-id", "1", at=tmp_path, status=2)
    assert troth("did", "resolve", did, "--at", "2999-01-01T00:00:00Z", at=tmp_path, status=4, TROTH_DID_ETHR=ethr)
    assert troth("did", "resolve", did, at=tmp_path, status=2, TROTH_DID_ETHR="one=two")


@pytest.mark.parametrize(("words", "status"), [
    (("did:example:1",), 3), (("nonsense",), 2), (("did:key:z6Mk",), 2), ((KEY, "--at", "yesterday"), 2),
    ((KEY, "--at", "1", "--version-id", "1"), 2), ((KEY, "--at", "1"), 3), (("did:peer:4zQmb7xL",), 2),
    (("did:web:xn--nothing-here.invalid",), 3)])
def test_exit_statuses(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    assert troth("did", "resolve", *words, at=tmp_path, status=status).stderr.startswith("troth: ")


def test_a_bent_document_is_refuted(tmp_path: Path) -> None:
    short, other = peer4(b"{}")[0], peer4(b'{"a":1}')[1]
    assert "not the one" in troth("did", "resolve", short + other[other.index(":z"):], at=tmp_path, status=1).stderr


def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "troth.cli.main", "did", "resolve", "did:example:1", "--json"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["didResolutionMetadata"]["error"] == "methodNotSupported"
    assert done.stderr.startswith("troth: nobody here resolves this method")
