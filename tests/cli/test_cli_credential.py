"""Credentials from the command line, three parties and files between them."""

from __future__ import annotations

import json
from pathlib import Path

from test_cli_swap import troth

VECTORS = Path(__file__).parent.parent / "vectors" / "data-integrity"


def test_credentials_by_hand(tmp_path: Path) -> None:
    for name in ("issuer", "holder", "verifier"):
        (tmp_path / name).mkdir()
        troth("init", at=tmp_path / name)

    def run(name: str, *words: str, status: int = 0) -> str:
        return troth(*words, at=tmp_path / name, status=status)

    def identity(name: str) -> str:
        return str(json.loads(run(name, "credential", "id", "--json"))["identities"][0]["short"])

    holder, issuer, verifier = identity("holder"), identity("issuer"), identity("verifier")
    (tmp_path / "skill.json").write_text(json.dumps({
        "@context": ["https://www.w3.org/ns/credentials/v2"], "type": ["VerifiableCredential", "SkillCredential"],
        "credentialSubject": {"id": holder, "skill": "weaving"}}))
    run("issuer", "credential", "issue", "../skill.json", "-o", "../signed.json")
    run("issuer", "credential", "publish", "revocation", "-o", "../list.json")
    believing = ("--issuer", issuer, "--list", "../list.json")
    said = run("verifier", "credential", "verify", "../signed.json", *believing)
    assert "upheld" in said
    run("verifier", "credential", "verify", "../signed.json", status=3)
    name = run("holder", "credential", "receive", "../signed.json").strip()
    assert name in run("holder", "credential", "list")
    run("verifier", "credential", "ask", "lender.example", "-o", "../request.json")
    assert "not noted yet" in run("holder", "credential", "present", "../request.json", name, "--to", "lender.example",
                                  "-o", "../shown.json", status=4)
    run("holder", "credential", "verifier", "lender.example", verifier)
    run("holder", "credential", "present", "../request.json", name, "--to", "lender.example", "-o", "../shown.json")
    assert "lender.example" in run("holder", "credential", "shown")
    run("verifier", "credential", "check", "../shown.json", *believing)
    assert "replay" in run("verifier", "credential", "check", "../shown.json", *believing, status=1)
    run("issuer", "credential", "status", "../signed.json", "--revoke")
    run("verifier", "credential", "status", "../signed.json", "--list", "../list.json")  # the old list says nothing
    run("issuer", "credential", "publish", "revocation", "-o", "../list.json")
    run("verifier", "credential", "status", "../signed.json", "--list", "../list.json", status=1)
    run("verifier", "credential", "verify", "../signed.json", *believing, status=1)
    run("holder", "credential", "forget", name)
    assert name not in run("holder", "credential", "list")
    run("holder", "credential", "forget", name, status=3)


def test_files_made_by_others(tmp_path: Path) -> None:
    """W3C's vectors: an issuer named by a web address needs a trust file that says who signs for it."""
    file = VECTORS / "ecdsa-jcs-2019" / "p384.json"
    document = json.loads(file.read_text())
    troth("credential", "verify", str(file), at=tmp_path, status=3)
    (tmp_path / "trust.json").write_text(json.dumps({"issuers": {document["issuer"]: {
        "did": document["proof"]["verificationMethod"].partition("#")[0]}}}))
    found = json.loads(troth("credential", "verify", str(file), "--trust", "trust.json", "--json", at=tmp_path))
    assert found["outcome"] == "upheld"
    (tmp_path / "changed.json").write_text(file.read_text().replace("School", "Cool"))
    troth("credential", "verify", "changed.json", "--trust", "trust.json", at=tmp_path, status=1)
    (tmp_path / "broken.json").write_text(file.read_text()[:-3])
    assert "not JSON" in troth("credential", "verify", "broken.json", at=tmp_path, status=2)


def test_consents_by_hand(tmp_path: Path) -> None:
    shared = str(tmp_path / "exchange")

    def run(name: str, *words: str, status: int = 0) -> str:
        return troth(*words, at=tmp_path / name, status=status, TROTH_EXCHANGE_PATH=shared)

    dids = {}
    for name in ("person", "clinic"):
        (tmp_path / name).mkdir()
        dids[name] = json.loads(run(name, "init", "--json"))["did"]
    run("person", "id", "introduce", dids["clinic"])
    run("clinic", "pull")
    (tmp_path / "data.csv").write_text("pulse\n61\n")
    consent = run("person", "consent", "give", "../data.csv", "--purpose", "research", "--to", dids["clinic"],
                  "--until", "2090-01-01T00:00:00Z", "--opening", "../opening.json").strip()
    assert "1 new claims" in run("clinic", "pull")
    listing = run("clinic", "attest", "listing", "--subject", "../data.csv", "--ref", f"consent={consent}").strip()
    check = ("consent", "check", listing, "--purpose", "research", "--data", "../data.csv",
             "--opening", "../opening.json")
    assert "upheld" in run("clinic", *check)
    run("clinic", "consent", "check", listing, "--purpose", "advertising", status=1)
    assert "withdraw" in run("clinic", "consent", "withdraw", consent, status=2)
    run("person", "consent", "withdraw", consent)
    run("clinic", "pull")
    run("clinic", *check, status=1)
    assert "1 claims" in run("clinic", "consent", "list")
    assert "withdrawn" in run("clinic", "trace", listing)


def test_a_mandate_and_a_badge_by_hand(tmp_path: Path) -> None:
    chain = {"TROTH_CHAIN_URL": f"embedded:{tmp_path / 'chain'}"}
    troth("init", at=tmp_path, **chain)
    troth("chain", "deploy", at=tmp_path, **chain)

    def run(*words: str, status: int = 0) -> str:
        return troth(*words, at=tmp_path, status=status, **chain)

    own = json.loads(run("credential", "id", "--json"))["identities"][0]["short"]
    run("credential", "mandate", own, "--account", "0x" + "11" * 20, "--scope", "purchase", "--most", "500",
        "--until", "2090-01-01T00:00:00Z", "-o", "mandate.json")
    run("credential", "status", "mandate.json", status=3)
    run("credential", "publish", "revocation", "-o", "list.json")
    covers = ("credential", "covers", "mandate.json", "--issuer", own, "--list", "list.json", "--act", "purchase")
    assert "upheld" in run(*covers, "--amount", "500")
    run(*covers, "--amount", "501", status=1)
    (tmp_path / "achievement.json").write_text(json.dumps({
        "id": "urn:uuid:1", "type": ["Achievement"], "name": "Weaver", "description": "Weaves.",
        "criteria": {"narrative": "Wove a metre."},
        "alignment": [{"type": ["Alignment"], "targetName": "Plain weave", "targetUrl": "https://guild.example/1.2",
                       "targetFramework": "Guild", "targetCode": "1.2"}]}))
    run("credential", "badge", "achievement.json", "--to", own, "--name", "The Guild", "-o", "badge.json")
    run("credential", "receive", "badge.json")
    run("credential", "publish", "revocation", "-o", "list.json")
    told = run("credential", "skills", "--issuer", own, "--list", "list.json", "--html", "skills.html")
    assert told.splitlines() == ["Guild", "  1", "    1.2 Plain weave", "      * Weaver, from The Guild: upheld"]
    assert "1 badge at 1 skill; 1 upheld." in (tmp_path / "skills.html").read_text()
    # One that is no badge, from whoever sends it, hides no other.
    odd = json.loads((tmp_path / "badge.json").read_text())
    (tmp_path / "odd.json").write_text(json.dumps(odd | {"credentialSubject": {"id": own}}))
    name = run("credential", "receive", "odd.json").strip()
    told = run("credential", "skills", "--issuer", own, "--list", "list.json")
    assert told.splitlines()[-2:] == ["      * Weaver, from The Guild: upheld", f"{name}  no readable badge"]
    assert json.loads(run("credential", "skills", "--json"))["unreadable"] == [name]
