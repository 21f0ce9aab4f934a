"""A wallet: issue, hold, show to one verifier once, take back; and what others may try."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from troth.app import Troth
from troth.app.wallet import Request, Wallet, credential_name
from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.verdicts import Outcome
from troth.identity import integrity as di
from troth.identity.credentials import CONTEXT
from troth.identity.keystore import MIN_COST
from troth.identity.methods import AUTHENTICATION
from troth.identity.party import DocumentParty
from troth.verify.credentials import Believed, Issuer, no_lists, verify_credential

PASSPHRASE = "correct horse"
DOMAIN = "lender.example"
Make = Callable[[str], Troth]


class People:
    """An issuer, a holder with one credential, and a verifier that the holder knows."""

    def __init__(self, make: Make) -> None:
        self.issuer, self.holder, self.verifier = (Wallet(make(name), PASSPHRASE, cost=MIN_COST)
                                                   for name in ("issuer", "holder", "verifier"))
        self.credential = self.issued("weaving")
        self.name = self.holder.receive(json.dumps(self.credential).encode())
        self.holder.know_verifier(DOMAIN, self.verifier.identity().did)

    def issued(self, skill: str, subject: str | None = None, **more: Any) -> dict[str, Any]:
        body = {"@context": [CONTEXT], "type": ["VerifiableCredential", "SkillCredential"],
                "credentialSubject": {"id": subject or self.holder.identity().short, "skill": skill}} | more
        return self.issuer.issue(body)

    def believed(self, purpose: str = "revocation") -> Believed:
        published = json.dumps(self.issuer.status_list(purpose)).encode()
        return Believed(self.verifier.clock.now(), {self.issuer.identity().short: Issuer()},
                        lists=lambda url: published if url == json.loads(published)["id"] else no_lists(url))

    def answer(self, to: str = DOMAIN) -> dict[str, Any]:
        return self.holder.present(self.verifier.ask(DOMAIN), [self.name], to)

    def check(self, answer: dict[str, Any]) -> Outcome:
        return self.verifier.check(json.dumps(answer).encode(), self.believed()).outcome


@pytest.fixture
def people(make: Make) -> People:
    return People(make)


def test_from_issue_to_check(people: People) -> None:
    assert verify_credential(people.credential, people.believed()).outcome is Outcome.UPHELD
    assert list(people.holder.held()) == [people.name] == [credential_name(people.credential)]
    assert people.check(people.answer()) is Outcome.UPHELD
    [line] = people.holder.shown()
    assert (line["domain"], line["credentials"]) == (DOMAIN, [people.name])
    assert line["verifier"] == people.verifier.identity().short


def test_a_wallet_opens_again_with_the_same_identities_and_not_with_another_passphrase(people: People,
                                                                                       tmp_path: Path) -> None:
    with Troth.open(tmp_path / "holder", PASSPHRASE) as party:
        again = Wallet(party, PASSPHRASE)
        assert [one.did for one in again.identities] == [one.did for one in people.holder.identities]
        again.new_identity("ed25519")
        people.holder.new_identity()  # opened before the other one was made, which stays
        assert len(Wallet(party, PASSPHRASE).identities) == 3
        with pytest.raises(Misuse, match="passphrase"):
            Wallet(party, "wrong")


def test_taking_back(people: People) -> None:
    entry = people.issuer.set_status(people.credential, "revocation")
    report = verify_credential(people.credential, people.believed())
    assert report.outcome is Outcome.REFUTED
    assert f"entry {entry.index}" in next(step for step in report.steps if step.name == "status").detail
    with pytest.raises(Misuse, match="for good"):
        people.issuer.set_status(people.credential, "revocation", on=False)
    with pytest.raises(Misuse, match="not issued with that purpose"):
        people.issuer.set_status(people.credential, "suspension")
    with pytest.raises(Undecidable):
        people.verifier.set_status(people.credential, "revocation")
    other = people.issued("dyeing")
    assert verify_credential(other, people.believed()).outcome is Outcome.UPHELD


def test_suspending_and_restoring(people: People) -> None:
    body = {"@context": [CONTEXT], "type": ["VerifiableCredential"], "credentialSubject": {"id": "did:example:x"}}
    made = people.issuer.issue(body, purposes=("suspension",))
    for on, expected in ((True, Outcome.PENDING), (False, Outcome.UPHELD)):
        people.issuer.set_status(made, "suspension", on)
        assert verify_credential(made, people.believed("suspension")).outcome is expected


def test_places_in_a_list_are_each_ones_own_and_tell_no_order(people: People) -> None:
    places = [one["places"]["revocation"] for one in people.issuer.issued()]
    places += [int(people.issued(str(number))["credentialStatus"]["statusListIndex"]) for number in range(6)]
    assert len(set(places)) == 7
    assert places != sorted(places) or places[0] > 100


def test_issue_refuses(people: People) -> None:
    body = {"@context": [CONTEXT], "type": ["VerifiableCredential"], "credentialSubject": {"id": "did:example:x"}}
    for change, kind, words in (({"issuer": people.holder.identity().did}, Misuse, "signed by its issuer"),
                                ({"type": "Other"}, BadInput, "not a VerifiableCredential"),
                                ({"proof": {}}, Misuse, "signed already")):
        with pytest.raises(kind, match=words):
            people.issuer.issue(body | change)
    with pytest.raises(Misuse, match="unknown purpose"):
        people.issuer.issue(body, purposes=("refresh",))
    with pytest.raises(Undecidable, match="no such identity"):
        people.issuer.issue(body, by="did:key:z6Mk")
    with pytest.raises(Misuse, match="unknown kind"):
        people.issuer.new_identity("rsa")
    chained = people.issuer.issue(body, chain=True)
    assert di.read_proofs(chained)[1].previous == (di.read_proofs(chained)[0].id,)
    assert verify_credential(chained, people.believed()).outcome is Outcome.UPHELD


def test_a_credential_about_others_is_not_kept(people: People) -> None:
    with pytest.raises(Misuse, match="about nobody in this wallet"):
        people.holder.receive(json.dumps(people.issued("x", "did:example:other")).encode())
    people.holder.forget(people.name)
    assert people.holder.held() == {}
    for name in (people.name, "../keys"):
        with pytest.raises(Undecidable, match="no such credential"):
            people.holder.forget(name)


# Attacks


def test_a_replayed_presentation_is_refused(people: People) -> None:
    answer = people.answer()
    assert people.check(answer) is Outcome.UPHELD
    with pytest.raises(Refuted, match="replay"):
        people.check(answer)


def test_an_answer_to_another_verifier_is_refused(people: People) -> None:
    """A verifier cannot hand on what it was shown: the other one never asked, and has another domain."""
    asked = people.issuer.ask("shop.example")
    answer = people.holder.present(asked, [people.name], people.issuer.identity().did)
    with pytest.raises(Refuted, match="no open request"):
        people.check(answer)
    mine = people.verifier.ask(DOMAIN)
    moved = copy.deepcopy(answer)
    for proof in moved["proof"]:
        proof["challenge"] = mine["challenge"]
    assert people.check(moved) is Outcome.REFUTED


def test_a_verifier_that_poses_as_another_domain_is_shown_nothing(people: People) -> None:
    thief = people.issuer
    with pytest.raises(Refuted, match="not by whoever speaks for that domain"):
        people.holder.present(thief.ask(DOMAIN), [people.name], DOMAIN)
    with pytest.raises(Refuted, match="not by whoever speaks for that domain"):
        people.holder.present(thief.ask(DOMAIN), [people.name], thief.identity().did)
    with pytest.raises(Refuted, match="another verifier than the one meant"):
        people.holder.present(thief.ask("fake.example"), [people.name], people.verifier.identity().did)
    with pytest.raises(Refuted, match="another domain than the one meant"):
        people.holder.present(thief.ask("fake.example"), [people.name], DOMAIN)
    with pytest.raises(Pending, match="not noted yet"):
        people.holder.present(thief.ask("new.example"), [people.name], "new.example")
    with pytest.raises(Refuted, match="another identity speaks"):
        people.holder.know_verifier(DOMAIN, thief.identity().did)
    people.holder.know_verifier("old.example", thief.identity().did)
    people.holder.know_verifier("old.example", people.verifier.identity().did, replace=True)
    assert people.holder.shown() == []


def test_a_changed_unsigned_or_old_request_is_refused(people: People) -> None:
    asked = people.verifier.ask(DOMAIN)
    for changed in (asked | {"domain": "x.example"}, asked | {"types": ["All"]},
                    asked | {"proof": asked["proof"][0]}):
        with pytest.raises(Refuted):
            people.holder.present(changed, [people.name], people.verifier.identity().did)
    with pytest.raises(BadInput):
        people.holder.present(di.unsecured(asked), [people.name], DOMAIN)
    with pytest.raises(BadInput):
        people.holder.present(asked | {"more": 1}, [people.name], DOMAIN)
    with pytest.raises(BadInput, match="not a request"):
        Request.of(asked | {"type": "Other"})
    old = people.verifier.ask(DOMAIN, lasts=0)
    with pytest.raises(Refuted, match="over"):
        people.holder.present(old, [people.name], DOMAIN)
    assert people.holder.shown() == []


def test_two_identities_are_never_shown_together(people: People) -> None:
    second = people.holder.new_identity()
    other = people.holder.receive(json.dumps(people.issued("dyeing", second.short)).encode())
    with pytest.raises(Misuse, match="would link them"):
        people.holder.present(people.verifier.ask(DOMAIN), [people.name, other], DOMAIN)
    with pytest.raises(Misuse, match="nothing to show"):
        people.holder.present(people.verifier.ask(DOMAIN), [], DOMAIN)


def test_a_holders_key_signs_for_one_verifier_and_not_for_another_document(people: People) -> None:
    """The holder's proof cannot be lifted onto another presentation."""
    answer = people.answer()
    with_more = answer | {"verifiableCredential": [*answer["verifiableCredential"], people.issued("ruling")]}
    assert people.check(with_more) is Outcome.REFUTED


def test_a_thief_with_the_credential_and_keys_of_its_own(people: People) -> None:
    thief = DocumentParty.create()
    asked = people.verifier.ask(DOMAIN)
    document = {"@context": [CONTEXT], "type": ["VerifiablePresentation"], "holder": thief.did,
                "verifiableCredential": [people.credential]}
    made = di.secure(document, thief.keys, di.Options(people.verifier.clock.now(), AUTHENTICATION, DOMAIN,
                                                      asked["challenge"]))
    assert people.check(made) is Outcome.UNDECIDABLE


def test_a_file_in_anothers_place_or_damaged_is_bad_input(people: People) -> None:
    one = people.holder.root / "held" / people.name
    other = one.with_name("0" * 32)
    other.write_bytes(one.read_bytes())
    with pytest.raises(BadInput, match="damaged, or not this wallet's"):
        people.holder.held()
    other.unlink()
    one.write_bytes(one.read_bytes()[:-1])
    with pytest.raises(BadInput, match="damaged"):
        people.holder.held()


def test_no_secret_in_files_logs_or_errors(people: People, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    people.check(people.answer())
    seeds = [seed for wallet in (people.issuer, people.holder, people.verifier) for one in wallet.identities
             for seed in one.to_secrets()["seeds"]]
    files = [path for wallet in (people.issuer, people.holder, people.verifier) for path in wallet.root.rglob("*")
             if path.is_file()]
    contents = [path.read_bytes() for path in files] + [caplog.text.encode(), repr(people.holder.identities).encode()]
    assert len(seeds) == 6
    personal = [b"weaving", DOMAIN.encode(), people.holder.identity().short.encode()]
    assert not any(word in content for word in [*(seed.encode() for seed in seeds), *personal[:2]]
                   for content in contents)
    assert not any(personal[2] in content for content in contents[:-1])
    assert not any(path.stat().st_mode & 0o077 for path in files if path.name != "turn")
