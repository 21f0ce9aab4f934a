"""Credentials whose issuer's document and status list lie on the web: asked only where that is meant."""

from __future__ import annotations

import json

import pytest

from troth.app import Settings
from troth.app.reaching import MOST_ASKED, OFFLINE, Reach, online
from troth.core.errors import Undecidable
from troth.core.verdicts import Outcome, Report
from troth.identity import did as dids
from troth.identity import integrity as di
from troth.identity import keys
from troth.identity.credentials import CONTEXT
from troth.identity.jsondoc import time_text
from troth.identity.resolution import NotFound
from troth.identity.statuslist import REVOCATION, StatusBits, StatusEntry, list_document
from troth.verify.credentials import Believed, Issuer, verify_credential

NOW = 1_800_000_000
DID, LIST = "did:web:school.example", "https://school.example/status/1"
PAIRS = [keys.key_pair(suite, bytes(range(32))) for suite in (keys.ED25519, keys.ML_DSA_44)]
KEYS = [di.MethodKey(f"{DID}#{pair.suite}", pair) for pair in PAIRS]


class Web:
    """``Fetch`` over files in memory; what was asked for, in order."""

    def __init__(self, **more: object) -> None:
        names = [key.method for key in KEYS]
        document = {"id": DID, "assertionMethod": names, "troth": {"cryptosuites": list(di.HYBRID)},
                    "verificationMethod": [{"id": key.method, "type": "Multikey", "controller": DID,
                                            "publicKeyMultibase": dids.key_text(key.pair.public)} for key in KEYS]}
        self.files = {"https://school.example/.well-known/did.json": document | more, LIST: listed()}
        self.asked: list[str] = []

    def fetch(self, url: str, most: int) -> bytes:
        self.asked.append(url)
        if url not in self.files:
            raise NotFound("no such file", actual=url)
        return json.dumps(self.files[url]).encode()


def listed(*revoked: int) -> dict[str, object]:
    bits = StatusBits()
    for index in revoked:
        bits[index] = True
    return di.secure(list_document(LIST, DID, REVOCATION, bits, NOW - 9), KEYS, di.Options(NOW - 9))


CREDENTIAL = di.secure({"@context": [CONTEXT], "type": ["VerifiableCredential"], "issuer": DID,
                        "validFrom": time_text(NOW - 9), "credentialSubject": {"id": "did:example:pupil"},
                        "credentialStatus": StatusEntry(REVOCATION, 5, LIST).json()}, KEYS, di.Options(NOW - 9))


def verified(web: Web, document: dict[str, object] = CREDENTIAL) -> Report:
    with online(Reach(Settings("x", "", ""), fetch=web)) as (resolve, lists):
        return verify_credential(document, Believed(NOW, {DID: Issuer()}, resolve, lists))


def test_a_did_web_issuer_is_asked_once_and_its_list_fetched() -> None:
    web = Web()
    assert verified(web).outcome is Outcome.UPHELD
    assert web.asked == ["https://school.example/.well-known/did.json", LIST]
    web.files[LIST] = listed(5)
    assert verified(web).outcome is Outcome.REFUTED


def test_offline_nothing_is_asked() -> None:
    resolve, lists = OFFLINE
    report = verify_credential(CREDENTIAL, Believed(NOW, {DID: Issuer()}, resolve, lists))
    assert report.outcome is Outcome.UNDECIDABLE
    with pytest.raises(Undecidable):
        lists(LIST)


def test_a_host_that_weakens_its_own_rule_is_held_to_the_verifiers() -> None:
    """did:web says today what its host says today: a verifier that knows better demands it."""
    half = CREDENTIAL | {"proof": CREDENTIAL["proof"][0]}
    assert verified(Web(), half).outcome is Outcome.REFUTED
    weak = Web(troth={"cryptosuites": [di.EDDSA]})
    weak.files[LIST] = listed()
    assert verified(weak, half).outcome is Outcome.UPHELD
    with online(Reach(Settings("x", "", ""), fetch=weak)) as (resolve, lists):
        strict = Believed(NOW, {DID: Issuer(suites=di.HYBRID)}, resolve, lists)
        assert verify_credential(half, strict).outcome is Outcome.REFUTED


def test_what_is_not_there_or_cannot_be_fetched_is_undecidable() -> None:
    web = Web()
    del web.files[LIST]
    assert verified(web).outcome is Outcome.UNDECIDABLE
    for url in ("http://school.example/1", "file:///etc/passwd", LIST + "?who=me", "urn:x:1",
                "https://school.example:99999/1", "https://[::1/1", "https://school.example/\u00fc"):
        moved = di.unsecured(CREDENTIAL) | {"credentialStatus": StatusEntry(REVOCATION, 5, url).json()}
        signed = di.secure(moved, KEYS, di.Options(NOW - 9))
        assert verified(Web(), signed).outcome is Outcome.UNDECIDABLE
    web = Web()
    web.files.clear()
    assert verified(web).outcome is Outcome.UNDECIDABLE


def test_this_machine_is_not_asked_for_a_stranger() -> None:
    """An issuer that names a private host makes nobody's verifier call it."""
    local = di.unsecured(CREDENTIAL) | {"issuer": "did:web:localhost"}
    with online(Reach(Settings("x", "", ""))) as (resolve, lists):
        report = verify_credential(local, Believed(NOW, {"did:web:localhost": Issuer()}, resolve, lists))
        assert report.outcome is Outcome.UNDECIDABLE
        with pytest.raises(Undecidable):
            lists("https://127.0.0.1/status/1")


@pytest.mark.parametrize("url", ["https://school.example:99999/1", "https://[::1/1", "https://school.example/\u00fc"])
def test_a_list_with_an_address_that_is_none_is_undecidable(url: str) -> None:
    """Whoever made the credential chose it: it is no misuse, and nothing breaks."""
    with online(Reach(Settings("x", "", ""))) as (_, lists), pytest.raises(Undecidable, match="cannot be fetched"):
        lists(url)


def test_a_credential_leads_to_so_many_files_and_no_more() -> None:
    """Each of a thousand lists may lie on a host that lets one wait; the same list is asked for once."""
    web = Web()
    for name, asked in ((lambda n: f"https://slow{n}.example/1", MOST_ASKED), (lambda n: LIST, 2)):
        web.asked.clear()
        many = [StatusEntry(REVOCATION, n, name(n)).json() for n in range(1, 100)]
        signed = di.secure(di.unsecured(CREDENTIAL) | {"credentialStatus": many}, KEYS, di.Options(NOW - 9))
        report = verified(web, signed)
        assert len(web.asked) == asked
    assert report.outcome is Outcome.UPHELD
