"""A claim from a job, from the endpoint to a verified bundle: upheld as the job's, and refuted as anybody else's."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from formats_parts import PASSPHRASE, FixedClock
from workload_parts import NOW, SECRET, Issuer

from troth.app import Settings, Troth, file_subject, verify_bundle
from troth.app.workload import attest_as_workload, command_tokens, github_tokens
from troth.cli.main import main
from troth.core.claims import Evidence, Ref, Statement
from troth.core.errors import Misuse, OutsideFailed, Refuted
from troth.core.verdicts import Report
from troth.identity.keystore import MIN_COST
from troth.identity.signers import Ed25519Signer, attest
from troth.identity.tokens import audience_of
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.exchange import Parcel
from troth.store.cid import Cid
from troth.store.unixfs import PROFILE
from troth.verify.trust import Trust
from troth.verify.workload import TOKEN

MODEL = file_subject("model.bin", b"weights")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troth]:
    """A workspace with contracts, which takes in, anchors and bundles what jobs say."""
    folder = tmp_path_factory.mktemp("workload")
    chain = EmbeddedChain(folder / "chain.sqlite")
    party = Troth.init(folder, PASSPHRASE, Settings("home", "embedded:", ""), cost=MIN_COST, clock=FixedClock(NOW),
                       chain=chain)
    party.deploy()
    yield party
    party.close()
    chain.close()


def settings(issuer: Issuer, **pinned: Any) -> dict[str, Any]:
    return {"name": "workload", "role": "ci", "issuers": [issuer.pinned(**pinned)]}


def verified(home: Troth, parcel: Parcel, policy: dict[str, Any], folder: Path) -> Report:
    if home.meet(parcel):
        home.anchor()
    home.bundle(parcel.claims[-1].id, folder / "job.troth")
    trust = home.trust({}, home.log_pin(), policy)
    return verify_bundle(folder / "job.troth", Trust.from_bytes(trust.to_bytes()))


def refuted_at(report: Report) -> str:
    found = next(step for step in report.steps if step.outcome == "refuted")
    return f"{found.name}: {found.detail}"


def forged(token: bytes, *, seed: bytes = b"\x05" * 32, at: int = NOW + 10, cid: str | None = None,
           sealed: bool = False) -> Parcel:
    """A claim by whoever holds this seed, with somebody's token as its evidence."""
    signer = Ed25519Signer(seed)
    name = str(Cid.of(token)) if cid is None else cid
    evidence = Evidence(TOKEN, name, PROFILE.name, sealed)
    envelope = attest(Statement("model-card", signer.did, at, (MODEL,), {}, evidence=(evidence,)), signer)
    return Parcel(claims=(envelope,), blocks={str(Cid.of(token)): token})


@pytest.mark.parametrize("key", ["rsa-1", "ec-1"])
def test_a_job_s_claim_is_upheld_as_the_job_s(home: Troth, issuer: Issuer, tmp_path: Path, key: str) -> None:
    with issuer.endpoint(key=key) as environment:
        parcel = attest_as_workload("model-card", [MODEL], {"accuracy": "0.97"}, github_tokens(environment), NOW + 10)
    report = verified(home, parcel, settings(issuer), tmp_path)
    assert report.outcome == "upheld", report.json()
    (found,) = [step.detail for step in report.steps if step.name == "policy: which workload said it"]
    assert found.startswith("repo:org/model:ref:refs/heads/main of https://token.actions.example")
    other = verified(home, parcel, settings(issuer, require={"repository": "org/other"}), tmp_path)
    assert other.outcome == "refuted"
    assert refuted_at(other).startswith("roles: the workload's repository is another")
    stranger = verified(home, parcel, settings(Issuer()), tmp_path)
    assert stranger.outcome == "refuted"
    for order in (1, -1):  # one issuer, two workloads
        both = [issuer.pinned(), issuer.pinned(require={"repository": "org/other"})][::order]
        report = verified(home, parcel, {"name": "workload", "issuers": both}, tmp_path)
        assert report.outcome == "upheld"


def test_every_job_has_a_key_of_its_own(issuer: Issuer) -> None:
    dids = set()
    for _ in range(3):
        parcel = attest_as_workload("x", [MODEL], {}, issuer.token, NOW)
        dids.add(parcel.claims[0].statement().issuer)
    assert len(dids) == 3


def test_a_token_copied_to_another_key_is_refuted(home: Troth, issuer: Issuer, tmp_path: Path) -> None:
    honest = attest_as_workload("model-card", [MODEL], {}, issuer.token, NOW + 10)
    (token,) = honest.blocks.values()
    report = verified(home, forged(token), settings(issuer), tmp_path)
    assert "binds another key" in refuted_at(report)


@pytest.mark.parametrize(("changed", "what"), [
    ({"exp": NOW - 100, "iat": NOW - 400}, "not in force"), ({"iss": "https://elsewhere.example"}, "does not name"),
    ({"exp": None}, "proper times")])
def test_a_bad_token_refutes_the_bundle(home: Troth, issuer: Issuer, tmp_path: Path, changed: dict[str, Any],
                                        what: str) -> None:
    did = Ed25519Signer(b"\x05" * 32).did
    token = issuer.token(audience_of(did), **changed)
    assert what in refuted_at(verified(home, forged(token), settings(issuer), tmp_path))


def test_a_claim_dated_after_its_token_is_refuted(home: Troth, issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.token(audience_of(Ed25519Signer(b"\x05" * 32).did))
    report = verified(home, forged(token, at=NOW + 4_000), settings(issuer), tmp_path)
    assert "not in force when the claim was issued" in refuted_at(report)


def test_a_claim_of_a_job_s_key_without_the_token_refutes_the_bundle(home: Troth, issuer: Issuer,
                                                                     tmp_path: Path) -> None:
    """Whoever kept the key could otherwise say anything in the job's role, at any time, beside one good claim."""
    signer = Ed25519Signer(b"\x0a" * 32)
    token = issuer.token(audience_of(signer.did))
    late = attest(Statement("dataset", signer.did, NOW + 900_000, (MODEL,), {}), signer)
    good = Statement("model-card", signer.did, NOW + 10, (MODEL,), {}, (Ref("dataset", late.id),),
                     (Evidence(TOKEN, str(Cid.of(token)), PROFILE.name, False),))
    parcel = Parcel(claims=(late, attest(good, signer)), blocks={str(Cid.of(token)): token})
    report = verified(home, parcel, settings(issuer), tmp_path)
    assert refuted_at(report).startswith("roles: not a claim by a workload")


def test_a_token_that_is_sealed_or_not_here_is_undecidable(home: Troth, issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.token(audience_of(Ed25519Signer(b"\x06" * 32).did))
    for parcel in (forged(token, seed=b"\x06" * 32, cid=str(Cid.of(b"elsewhere"))),
                   forged(token, seed=b"\x06" * 32, sealed=True, at=NOW + 11)):
        report = verified(home, parcel, settings(issuer), tmp_path)
        assert report.outcome == "undecidable", report.json()


def test_a_workspace_is_no_workload(home: Troth, issuer: Issuer, tmp_path: Path) -> None:
    claim = home.attest("model-card", [MODEL], {})
    home.anchor()
    home.bundle(claim, tmp_path / "own.troth")
    trust = home.trust({"ci": [home.did]}, home.log_pin(), settings(issuer))
    report = verify_bundle(tmp_path / "own.troth", trust)
    assert "not a claim by a workload" in refuted_at(report)


def test_a_key_that_no_token_binds_has_no_role(home: Troth, issuer: Issuer, tmp_path: Path) -> None:
    signer = Ed25519Signer(b"\x08" * 32)
    bare = attest(Statement("model-card", signer.did, NOW, (MODEL,), {}), signer)
    report = verified(home, Parcel(claims=(bare,)), settings(issuer), tmp_path)
    assert report.outcome in ("refuted", "undecidable")
    named = home.trust({"sponsor": [home.did]}, home.log_pin(), settings(issuer))
    assert "does not name" in refuted_at(verify_bundle(tmp_path / "job.troth", named))


@pytest.mark.parametrize("policy", [{"name": "workload"}, {"name": "workload", "issuers": []},
                                    {"name": "workload", "issuers": [{}]},
                                    {"name": "workload", "issuers": [{}], "surplus": 1}])
def test_a_malformed_policy_is_bad_input(home: Troth, issuer: Issuer, tmp_path: Path, policy: dict[str, Any]) -> None:
    from troth.core.errors import BadInput  # only this test ends so

    with pytest.raises(BadInput, match="step 10"):
        verified(home, attest_as_workload("model-card", [MODEL], {}, issuer.token, NOW), policy, tmp_path)


# Getting a token

def test_a_token_that_does_not_fit_is_noticed_in_the_job(issuer: Issuer) -> None:
    for token, what in ((lambda audience: issuer.token("sigstore"), "does not bind"),
                        (lambda audience: issuer.token(audience, exp=NOW + 1, iat=NOW - 90), "not in force")):
        with pytest.raises(Refuted, match=what):
            attest_as_workload("x", [MODEL], {}, token, NOW + 1_000 if what == "not in force" else NOW)


def test_tokens_are_asked_for_over_https_alone(issuer: Issuer) -> None:
    with pytest.raises(Misuse, match="id-token"):
        github_tokens({})
    for url in ("http://example.com/token", "file:///etc/passwd", "ftp://127.0.0.1/x"):
        with pytest.raises(Misuse, match="https"):
            github_tokens({"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET})
    with issuer.endpoint() as environment:
        wrong = environment | {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "wrong-secret"}
        with pytest.raises(OutsideFailed) as caught:
            github_tokens(wrong)("urn:x")
    assert "wrong-secret" not in str(caught.value)
    with pytest.raises(OutsideFailed):
        github_tokens(environment)("urn:x")  # nobody listens there any more


def test_an_endpoint_that_speaks_no_http_gives_no_token() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.recv(1 << 12)
                line.sendall(b"no HTTP at all\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(OutsideFailed, match="no identity token came"):
            github_tokens({"ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.getsockname()[1]}/",
                           "ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET})("urn:x")
        thread.join()


def test_a_command_gives_a_token(issuer: Issuer, tmp_path: Path) -> None:
    script = tmp_path / "give.py"
    script.write_text("import sys; print('token for ' + sys.argv[1])")
    ask = command_tokens(f"{sys.executable} {script} {{audience}}")
    assert ask("urn:a; rm -rf /") == b"token for urn:a; rm -rf /\n"
    for command, kind in ((f"{sys.executable} -c exit(3) {{audience}}", OutsideFailed),
                          ("/nowhere/to/be/found {audience}", OutsideFailed)):
        with pytest.raises(kind):
            command_tokens(command)("urn:a")
    with pytest.raises(Misuse, match="which audience"):
        command_tokens("echo token")


def test_the_command_line_prints_no_token(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")}
    now = int(time.time())  # a job's claim carries the machine's own time
    with issuer.endpoint(iat=now, nbf=now, exp=now + 300) as environment:
        words = ["ci", "attest", "model-card", "--subject", "model.bin", "-o", "job.parcel", "--json"]
        done = subprocess.run([sys.executable, "-m", "troth.cli.main", *words], cwd=tmp_path, env=clean | environment,
                              capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    parcel = Parcel.from_bytes((tmp_path / "job.parcel").read_bytes())
    (token,) = parcel.blocks.values()
    shown = done.stdout + done.stderr
    for secret in (SECRET, *(part.decode() for part in token.split(b"."))):
        assert secret not in shown
    assert SECRET.encode() not in base64.b64decode(json.loads(parcel.to_bytes())["claims"][0])
    assert json.loads(done.stdout)["claim"] == parcel.claims[0].id.hex()


def test_from_the_job_to_the_verdict_by_commands(issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    now = int(time.time())  # a job's claim carries the machine's own time
    place = tmp_path / "home"
    Troth.init(place, PASSPHRASE, Settings("home", f"embedded:{tmp_path / 'chain.sqlite'}", ""), cost=MIN_COST).close()
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "policy.json").write_text(json.dumps(settings(issuer), indent=1))
    (tmp_path / "other.json").write_text(json.dumps(settings(issuer, require={"repository": "org/other"})))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROTH_PASSPHRASE", PASSPHRASE)

    def troth(*words: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["troth", *words])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        assert (left.value.code or 0) == status, shown
        return shown.out.strip()

    with issuer.endpoint(iat=now, nbf=now, exp=now + 300) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        troth("ci", "attest", "model-card", "--subject", "model.bin", "-o", "job.parcel")
    claim = troth("ci", "take-in", "job.parcel", "--home", str(place))
    assert troth("ci", "take-in", "job.parcel", "--home", str(place)) == "nothing new"
    troth("chain", "deploy", "--home", str(place))
    troth("log", "anchor", "--home", str(place))
    troth("bundle", claim, "-o", "job.troth", "--home", str(place))
    for policy, status in (("policy", 0), ("other", 1)):
        troth("trust", "--policy", f"@{policy}.json", "-o", f"{policy}.trust", "--home", str(place))
        troth("verify", "job.troth", "--trust", f"{policy}.trust", "--offline", status=status)
    troth("verify", "job.troth", status=3)


def test_a_changed_claim_is_not_taken_in(home: Troth, issuer: Issuer) -> None:
    parcel = attest_as_workload("model-card", [MODEL], {"accuracy": "0.97"}, issuer.token, NOW + 12)
    (claim,) = parcel.claims
    changed = replace(claim, payload=claim.payload.replace(b"0.97", b"0.99"))
    size = home.log.size
    with pytest.raises(Refuted):
        home.meet(replace(parcel, claims=(changed,)))
    assert home.log.size == size
