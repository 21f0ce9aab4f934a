"""did:webvh: other implementations' logs, what Troth writes, and every way to bend a log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.encoding import jcs_of
from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.identity import webvh_write as write
from troth.identity.did import key_did
from troth.identity.integrity import MethodKey, Options, prove
from troth.identity.keys import Ed25519KeyPair, Secp256k1KeyPair
from troth.identity.resolution import InvalidDocument, NotFound, When, read_time
from troth.identity.webvh import SeenHere, WebvhLog, WebvhMethod, Witnesses, hash58, read_webvh

VECTORS = Path(__file__).parents[1] / "vectors" / "did-webvh"
NOW = 1_780_500_000
MADE = "2026-06-01T00:00:00Z"
LOGS = sorted(path.parent for path in VECTORS.glob("*/*/did.jsonl"))
GOOD = [path for path in LOGS if not path.parent.name.startswith("negative-")]
# What the specification forbids and these vectors do, so that Troth refuses them.
CONTRADICT = {
    "witness-threshold/rust": "a witness named by a multikey, not by a did:key",
    "witness-update/rust": "a witness named by a multikey, not by a did:key",
    "witness-update/java": "fewer witnesses, approved only by the fewer",
    "witness-update/java-eecc": "fewer witnesses, approved only by the fewer",
    "witness-update/python": "fewer witnesses, approved only by the fewer",
    "witness-update/ts": "fewer witnesses, approved only by the fewer",
}
IMPLIED = ("#files", "#whois")


def label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def pair(number: int) -> Ed25519KeyPair:
    return Ed25519KeyPair(bytes([number]) * 32)


ONE, TWO, THREE, THIEF = (pair(number) for number in (1, 2, 3, 99))
WITNESSES = tuple(pair(number) for number in (11, 12, 13))


class Web:
    """``Fetch`` from a dictionary, and a clock that can be set."""

    def __init__(self, **files: bytes) -> None:
        self.files, self.time = files, NOW
        self.asked: list[str] = []

    def fetch(self, url: str, most: int) -> bytes:
        self.asked.append(url)
        found = self.files.get(url.rpartition("/")[2].replace("-", "_").replace(".", "_"))
        if found is None:
            raise NotFound("nothing there", actual=url)
        return found

    def now(self) -> int:
        return self.time


def checked(data: bytes, witness: bytes | None = None, now: int = NOW) -> WebvhLog:
    log = WebvhLog.read(data, now)
    if log.witnessed:
        assert witness is not None
        log.check_witnesses(witness)
    return log


def started(**parameters: Any) -> tuple[str, bytes]:
    return write.create("example.com:org", lambda did: {"@context": ["https://www.w3.org/ns/did/v1"],
                                                        "controller": did}, ONE, NOW - 1_000, parameters)


def resigned(line: dict[str, Any], signer: Ed25519KeyPair, previous: str) -> bytes:
    """An entry with the right hash and a right signature of ``signer``, whatever it says."""
    unsigned = {name: value for name, value in line.items() if name != "proof"}
    number = line["versionId"].partition("-")[0]
    unsigned["versionId"] = f"{number}-{hash58(jcs_of(unsigned | {'versionId': previous}))}"
    return json.dumps(unsigned | {"proof": [write._proof(unsigned, signer, MADE)]}).encode()


# -- other implementations' logs


def test_all_vectors_are_here() -> None:
    assert (len(GOOD), len(LOGS) - len(GOOD)) == (64, 11)


@pytest.mark.parametrize("path", GOOD, ids=label)
def test_vectors_of_five_implementations(path: Path) -> None:
    data, file = (path / "did.jsonl").read_bytes(), path / "did-witness.json"
    witness = file.read_bytes() if file.exists() else None
    if label(path) in CONTRADICT:
        with pytest.raises((Refuted, BadInput), match=r"witnesses|did:key"):
            checked(data, witness)
        return
    log = checked(data, witness)
    for result in sorted(path.glob("resolutionResult*.json")):
        expected = json.loads(result.read_text())
        number = result.stem.partition(".")[2] or str(len(log.entries))
        if expected["didDocumentMetadata"]["versionId"] != log.entries[int(number) - 1].version_id:
            number = str(len(log.entries))  # some harnesses wrote the newest version into every file
        entry = log.entries[int(number) - 1]
        found = log.resolution(entry.document["id"], When(entry.version_id))
        assert found.document is not None
        assert stripped(found.document) == stripped(expected["didDocument"])
        said = expected["didDocumentMetadata"]
        for name in ("versionId", "versionTime", "created", "scid", "portable"):
            if name in said:
                assert found.metadata[name] == said[name], name
        assert found.metadata["deactivated"] == said.get("deactivated", False)


def stripped(document: dict[str, Any]) -> dict[str, Any]:
    """Without the services that a resolver may add, which each harness writes in its own way."""
    services = [one for one in document.get("service", []) if not one["id"].endswith(IMPLIED)]
    return {name: value for name, value in document.items() if name != "service"} | (
        {"service": services} if services else {})


@pytest.mark.parametrize("path", [path for path in LOGS if path not in GOOD], ids=label)
def test_negative_vectors(path: Path) -> None:
    file = path / "did-witness.json"
    with pytest.raises((Refuted, BadInput)):
        checked((path / "did.jsonl").read_bytes(), file.read_bytes() if file.exists() else b"[]")


SCID = "Qm0000000000000000000000000000000000000000000000"
REAL = "QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE"


@pytest.mark.parametrize("place", [
    # The suite's negative identifiers, with a SCID that can be one.
    "127.0.0.1#x", "127.0.0.1%3a8080", "example.com:..:..:admin", "127%2E0%2E0%2E1", "127%2e0%2e0%2e1",
    "169%2E254%2E169%2E254", "example.com:%2E%2E:admin", "example.com:%2e%2e:admin", "example.com:a%2Fb",
    # And more of their kind.
    "localhost", "example", "0x7f.1", "1.0x7f000001", "2130706433", "a.2130706433", "%5B::1%5D", "a%3A80%3A80.com",
    "example.com%3A0", "example.com%3A65536", "example.com%3A080", "example.com%3A", "-a.com", "a-.com", "a..com", "",
    "a_b.com", "ex%C3%A4mple.com", "example.com%00", "example.com:a%00b", "example.com:a%5Cb", "example.com:%20a",
    "example.com:a%20", "example.com::a", "user%40example.com", "example.com%2F", "a" * 64 + ".com", "example.com.",
    "a." * 130 + "com", "example%252Ecom", "example.com:%FF",
])
def test_identifiers_that_are_refused_before_anything_is_asked(place: str) -> None:
    web = Web()
    for scid in (SCID, REAL):
        with pytest.raises(BadInput):
            WebvhMethod(web, web).resolve(f"did:webvh:{scid}:{place}")
    assert web.asked == []


@pytest.mark.parametrize(("place", "url"), [
    ("example.com", "https://example.com/.well-known/did.jsonl"),
    ("issuer.Example.com", "https://issuer.example.com/.well-known/did.jsonl"),
    ("example.com:dids:issuer", "https://example.com/dids/issuer/did.jsonl"),
    ("example.com%3A3000:dids:issuer", "https://example.com:3000/dids/issuer/did.jsonl"),
    ("xn--jp-cd2fp15c.xn--fsq.jp:%E7%94%A8%E6%88%B7",
     "https://xn--jp-cd2fp15c.xn--fsq.jp/%E7%94%A8%E6%88%B7/did.jsonl"),
    ("example.com:a%3Fb%23c", "https://example.com/a%3Fb%23c/did.jsonl"),
])
def test_where_an_identifier_lies(place: str, url: str) -> None:
    scid, address = read_webvh(f"did:webvh:{REAL}:{place}")
    assert (scid, address.url("did.jsonl")) == (REAL, url)


def test_the_specifications_entry_hash() -> None:
    entry = json.loads((Path(__file__).parents[1] / "vectors/did-webvh/basic-create/ts/did.jsonl").read_bytes())
    del entry["proof"]
    assert entry["versionId"] == "1-" + hash58(jcs_of(entry | {"versionId": entry["parameters"]["scid"]}))


# -- what Troth writes


def test_a_life_with_pre_rotation_witnesses_a_move_and_an_end() -> None:
    approvers = Witnesses(2, tuple(key_did(one.public) for one in WITNESSES))
    did, data = started(nextKeyHashes=[write.committed(TWO.public)], portable=True, witness=approvers.to_dict(), ttl=60)
    rows = [write.approve(data, one, NOW) for one in WITNESSES[:2]]
    log = checked(data, write.witness_file(rows))
    data = write.rotate(data, TWO, [THREE.public], NOW - 900)
    with pytest.raises(Refuted, match="not approved by enough"):
        checked(data, write.witness_file(rows))
    moved = did.replace("example.com:org", "example.net")
    document = log.entries[0].document | {"id": moved, "alsoKnownAs": [did]}
    data = write.update(data, THREE, NOW - 800, document, {"updateKeys": [write.multikey(THREE.public)],
                                                          "nextKeyHashes": [write.committed(ONE.public)]})
    data = write.deactivate(data, ONE, NOW - 700)
    rows += [write.approve(data, one, NOW) for one in WITNESSES[1:]]
    web = Web(did_jsonl=data, did_witness_json=write.witness_file(rows))
    method = WebvhMethod(web, web)
    found = method.resolve(did)
    assert web.asked == ["https://example.com/org/did.jsonl", "https://example.com/org/did-witness.json"]
    assert found.document is None
    assert found.deactivated
    assert found.metadata | {"versionId": 0, "created": 0, "updated": 0, "versionTime": 0} == {
        "versionId": 0, "created": 0, "updated": 0, "versionTime": 0, "scid": read_webvh(did)[0], "portable": True,
        "deactivated": True, "ttl": "60", "watchers": [], "canonicalId": moved,
        "witness": {"threshold": "2", "witnesses": [{"id": one} for one in approvers.dids]}}
    first = WebvhLog.read(data, NOW).entries[0]
    old = method.resolve(did, When(first.version_id))
    assert old.document == first.document
    assert old.deactivated
    assert "canonicalId" not in old.metadata
    third = method.resolve(moved, When(time=NOW - 750))
    assert third.document is not None
    assert third.document["id"] == moved
    for when in (When(time=NOW - 1_001), When("9-" + REAL), When("x")):
        with pytest.raises(NotFound):
            method.resolve(did, when)


def test_rotation_without_pre_rotation_is_signed_by_the_old_key() -> None:
    _, data = started()
    with pytest.raises(Misuse, match="old key pair"):
        write.rotate(data, TWO, [], NOW)
    with pytest.raises(Refuted, match="nobody who may update"):
        write.rotate(data, TWO, [], NOW, old=THREE)
    again = write.rotate(data, TWO, [THREE.public], NOW, old=ONE)
    with pytest.raises(Refuted, match="not committed"):
        write.rotate(again, ONE, [], NOW)
    assert len(checked(write.rotate(again, THREE, [], NOW)).entries) == 3


def test_one_after_another_within_a_second_are_in_order() -> None:
    _, data = started()
    for _ in range(3):
        data = write.update(data, ONE, NOW - 1_000)
    times = [entry.time for entry in checked(data).entries]
    assert times == sorted(set(times))


@given(st.lists(st.sampled_from(["update", "rotate", "commit"]), max_size=5), st.integers(0, 2**31))
@settings(max_examples=15)
def test_what_is_written_is_read(acts: list[str], ttl: int) -> None:
    _, data = started(ttl=ttl)
    held, following = ONE, None
    for number, act in enumerate(acts):
        fresh = pair(50 + number)
        if act == "update" and following is None:
            data = write.update(data, held, NOW, parameters={"ttl": ttl})
        else:
            new = following or fresh
            after = [pair(70 + number)] if act == "commit" else []
            data = write.rotate(data, new, [one.public for one in after], NOW - 100 + number, old=held)
            held, following = new, after[0] if after else None
    assert checked(data).entries[-1].parameters.ttl == ttl


# -- attacks


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def two() -> bytes:
    """Two entries by ONE, the second with a third key added to the document."""
    _, data = started()
    return write.update(data, ONE, NOW - 500)


def bent(change: Callable[[dict[str, Any]], Any], signer: Ed25519KeyPair = ONE, data: bytes | None = None) -> bytes:
    """A log whose last entry is changed, with its hash and signature made anew by ``signer``."""
    *rest, last = lines(two() if data is None else data)
    previous = rest[-1]["versionId"] if rest else last["parameters"]["scid"]
    change(last)
    return b"\n".join([*(json.dumps(one).encode() for one in rest), resigned(last, signer, previous)]) + b"\n"


def test_the_bender_itself_makes_good_logs() -> None:
    assert len(checked(bent(lambda entry: None)).entries) == 2


def test_update_keys_changed_by_somebody_else() -> None:
    def steal(entry: dict[str, Any]) -> None:
        entry["parameters"] = {"updateKeys": [write.multikey(THIEF.public)]}
    with pytest.raises(Refuted, match="nobody who may update"):
        checked(bent(steal, THIEF))


def test_the_key_in_force_cannot_pass_pre_rotation() -> None:
    _, data = started(nextKeyHashes=[write.committed(TWO.public)])
    data = write.rotate(data, TWO, [THREE.public], NOW - 500)
    stolen = {"updateKeys": [write.multikey(THIEF.public)], "nextKeyHashes": []}
    for parameters, word in (({}, "drops"), ({"nextKeyHashes": []}, "drops"),
                             ({"updateKeys": [write.multikey(TWO.public)]}, "drops"), (stolen, "not committed"),
                             ({"updateKeys": None, "nextKeyHashes": None}, "nobody who may")):
        for signer in (TWO, THIEF):
            with pytest.raises(Refuted, match=word):
                write.update(data, signer, NOW, parameters=parameters)
    both = {"updateKeys": [write.multikey(one.public) for one in (THREE, THIEF)], "nextKeyHashes": []}
    with pytest.raises(Refuted, match="not committed"):
        write.update(data, THREE, NOW, parameters=both)


def test_witnesses_cannot_be_dropped_or_lowered_without_them() -> None:
    names = [key_did(one.public) for one in WITNESSES]
    _, data = started(witness=Witnesses(2, (names[0], names[1])).to_dict())
    first = [write.approve(data, one, NOW) for one in WITNESSES[:2]]
    for lower in ({}, Witnesses(1, (names[2],)).to_dict(), Witnesses(1, (names[0],)).to_dict()):
        log = write.update(data, ONE, NOW, parameters={"witness": lower})
        alone = [write.approve(log, WITNESSES[0], NOW)]
        with pytest.raises(Refuted, match="not approved by enough"):
            checked(log, write.witness_file(first + alone))
        checked(log, write.witness_file(first + alone + [write.approve(log, WITNESSES[1], NOW)]))


def test_new_witnesses_where_there_were_none_approve_at_once() -> None:
    _, data = started()
    data = write.update(data, ONE, NOW, parameters={"witness": Witnesses(1, (key_did(TWO.public),)).to_dict()})
    with pytest.raises(Refuted, match="not approved"):
        checked(data, b"[]")
    checked(data, write.witness_file([write.approve(data, TWO, NOW)]))
    with pytest.raises(Misuse, match="no witness"):
        write.approve(data, THREE, NOW)


def test_approvals_that_count_for_nothing() -> None:
    _, data = started(witness=Witnesses(2, tuple(key_did(one.public) for one in WITNESSES)).to_dict())
    real = write.approve(data, WITNESSES[0], NOW)
    stranger = {"versionId": real["versionId"], "proof": [write._proof({"versionId": real["versionId"]}, THIEF, MADE)]}
    unpublished = {"versionId": "2-" + REAL}
    early = unpublished | {"proof": [write._proof(unpublished, WITNESSES[1], MADE)]}
    replayed = {"versionId": real["versionId"], "proof": early["proof"]}
    twice = {"versionId": real["versionId"], "proof": real["proof"] * 2}
    renamed = json.loads(json.dumps(real))
    renamed["proof"][0]["verificationMethod"] = write.approve(data, WITNESSES[1], NOW)["proof"][0]["verificationMethod"]
    odd = {"versionId": real["versionId"], "proof": [None, 1, {}]}
    for useless in (stranger, early, replayed, twice, renamed, odd):
        with pytest.raises(Refuted, match="not approved"):
            checked(data, write.witness_file([real, useless]))
    checked(data, write.witness_file([real, stranger, early, write.approve(data, WITNESSES[2], NOW)]))
    for unreadable in (b"", b"{}", b"[1]", b'[{"proof":1}]', b'[{"versionId":"1","versionId":"2"}]', b"[" * 9_000):
        with pytest.raises(BadInput):
            checked(data, unreadable)


@pytest.mark.parametrize(("change", "word"), [
    (lambda entry: entry["state"].update(id="did:webvh:" + REAL + ":example.com:org"), "another identifier"),
    (lambda entry: entry["state"].update(id=entry["state"]["id"] + ":a", alsoKnownAs=[entry["state"]["id"]]), "moves"),
    (lambda entry: entry["state"].update(id="did:web:example.com"), "not a did:webvh"),
    (lambda entry: entry["state"].pop("id"), "object with an id"),
    (lambda entry: entry.update(state=[]), "object with an id"),
    (lambda entry: entry["state"].update(verificationMethod=[{"id": "#a", "type": "x"}] * 2), "one name"),
    (lambda entry: entry.update(versionTime="2000-01-01T00:00:00Z"), "out of its time"),
    (lambda entry: entry.update(versionTime="2999-01-01T00:00:00Z"), "out of its time"),
    (lambda entry: entry.update(versionTime="2026-06-03T15:00:00+02:00"), "moment in UTC"),
    (lambda entry: entry.update(versionTime=1), "moment in UTC"),
    (lambda entry: entry["parameters"].update(method="did:webvh:0.5"), "another version of the method"),
    (lambda entry: entry["parameters"].update(method="did:webvh:1.1"), "another version of the method"),
    (lambda entry: entry["parameters"].update(scid=REAL), "SCID is named"),
    (lambda entry: entry["parameters"].update(portable=True), "portable with its first"),
    (lambda entry: entry["parameters"].update(portable="no"), "portable"),
    (lambda entry: entry["parameters"].update(suites=[]), "unknown parameters"),
    (lambda entry: entry["parameters"].update(ttl=-1), "ttl"),
    (lambda entry: entry["parameters"].update(ttl=True), "ttl"),
    (lambda entry: entry["parameters"].update(watchers=[1]), "watchers"),
    (lambda entry: entry["parameters"].update(updateKeys="z6Mk"), "updateKeys"),
    (lambda entry: entry["parameters"].update(updateKeys=["z6Mkx"]), "key"),
    (lambda entry: entry["parameters"].update(witness={"threshold": True, "witnesses": []}), "witness"),
    (lambda entry: entry["parameters"].update(witness={"threshold": 1, "witnesses": [{"id": "did:key:z6Mk"}]}), "key"),
    (lambda entry: entry["parameters"].update(witness=[]), "witness"),
    (lambda entry: entry.update(more=1), "five members"),
    (lambda entry: entry.update(parameters=[]), "parameters that are an object"),
    (lambda entry: entry.update(versionId="3-x"), "does not follow"),
], ids=lambda value: value if isinstance(value, str) else "change")
def test_an_entry_that_its_own_key_signed_and_breaks_a_rule(change: Callable[[dict[str, Any]], Any], word: str) -> None:
    with pytest.raises((Refuted, BadInput), match=word):
        checked(bent(change))


def test_a_first_version_that_its_identifier_does_not_hash() -> None:
    """Whoever takes another's SCID can write and sign the rest of a first entry as they like."""
    did, data = started()
    (entry,) = lines(data.replace(read_webvh(did)[0].encode(), REAL.encode()))
    with pytest.raises(Refuted, match="not the one hashed"):
        checked(resigned(entry, ONE, REAL))


def test_two_versions_of_one_moment() -> None:
    whole = lines(two())
    with pytest.raises(Refuted, match="out of its time"):
        checked(bent(lambda entry: entry.update(versionTime=whole[0]["versionTime"])))


@pytest.mark.parametrize(("threshold", "numbers"), [(0, (1,)), (2, (1,)), (1, ()), (-1, (1,)), (2, (1, 1)),
                                                    (1, (1, 1))])
def test_witness_lists_that_count_nobody_or_somebody_twice(threshold: int, numbers: tuple[int, ...]) -> None:
    names = tuple(key_did(pair(number).public) for number in numbers)
    with pytest.raises(BadInput, match="threshold"):
        Witnesses.of(Witnesses(threshold, names).to_dict())


def test_a_key_of_another_suite_updates_nothing() -> None:
    other = write.multibase_base58(Secp256k1KeyPair(bytes([7]) * 32).public.multikey)
    with pytest.raises(BadInput, match="Ed25519"):
        started(updateKeys=[other])
    with pytest.raises(BadInput, match="Ed25519"):
        checked(bent(lambda entry: entry["parameters"].update(updateKeys=[other])))


@pytest.mark.parametrize(("name", "value"), [
    ("cryptosuite", "eddsa-rdfc-2022"), ("cryptosuite", None), ("type", "Ed25519Signature2020"),
    ("proofPurpose", "authentication"), ("proofValue", "z11"), ("proofValue", 1), ("@context", []),
    ("verificationMethod", "did:key:z6MkX#z6MkX"), ("verificationMethod", None), ("created", "2020-01-01T00:00:00Z")])
def test_a_proof_with_another_member(name: str, value: Any) -> None:
    *rest, last = lines(two())
    last["proof"][0][name] = value
    with pytest.raises(Refuted, match="nobody who may update"):
        checked(b"\n".join(json.dumps(one).encode() for one in [*rest, last]))


@pytest.mark.parametrize("bend", ["purpose", "body", "earlier proof"])
def test_a_right_signature_in_a_proof_that_is_not_a_logs(bend: str) -> None:
    """Signed by the key that may update, over what the proof says: for another purpose, or in another's name."""
    *rest, last = lines(two())
    unsigned = {name: value for name, value in last.items() if name != "proof"}
    text, other = (write.multikey(one.public) for one in (ONE, THIEF))
    method = f"did:key:{other if bend == 'body' else text}#{text}"
    options = Options(NOW, purpose="authentication" if bend == "purpose" else "assertionMethod",
                      previous=("a",) if bend == "earlier proof" else ())
    earlier = {"id": "a", "type": "x"}
    document = unsigned | ({"proof": [earlier]} if options.previous else {})
    last["proof"] = [*document.get("proof", []), prove(document, MethodKey(method, ONE), options)]
    if bend == "earlier proof":
        last["proof"].reverse()
    with pytest.raises(Refuted, match="nobody who may update"):
        checked(b"\n".join(json.dumps(one).encode() for one in [*rest, last]))


@pytest.mark.parametrize("proof", [[], None, "x", [None], [{}], {}, [[]]])
def test_an_entry_without_a_proof(proof: Any) -> None:
    *rest, last = lines(two())
    last["proof"] = proof
    with pytest.raises(Refuted):
        checked(b"\n".join(json.dumps(one).encode() for one in [*rest, last]))


def test_a_good_proof_beside_a_bad_one_does_not_count() -> None:
    *rest, last = lines(two())
    last["proof"].append(last["proof"][0] | {"created": "x"})
    with pytest.raises(Refuted, match="nobody who may update"):
        checked(b"\n".join(json.dumps(one).encode() for one in [*rest, last]))


def test_the_proof_of_a_middle_entry_is_checked_too() -> None:
    whole = lines(write.update(two(), ONE, NOW))
    whole[1]["proof"][0]["created"] = "x"
    with pytest.raises(Refuted, match="nobody who may update"):
        checked(b"\n".join(json.dumps(one).encode() for one in whole))


def test_entries_left_out_reordered_or_repeated() -> None:
    whole = write.update(two(), ONE, NOW).splitlines()
    for order in ((1, 0, 2), (0, 2), (0, 1, 1), (1, 2), (0, 2, 1)):
        with pytest.raises((Refuted, BadInput)):
            checked(b"\n".join(whole[at] for at in order))


def test_nothing_follows_the_end() -> None:
    _, data = started()
    data = write.update(data, ONE, NOW - 100, parameters={"deactivated": True})
    with pytest.raises(Refuted, match="after the identifier was deactivated"):
        write.update(data, ONE, NOW, parameters={"deactivated": False})


def test_moves_that_hide_where_from_or_were_never_allowed() -> None:
    did, data = started(portable=True)
    moved = did.replace("example.com:org", "example.net")
    document = WebvhLog.read(data, NOW).entries[0].document | {"id": moved}
    for known in ({}, {"alsoKnownAs": [moved]}, {"alsoKnownAs": did}):
        with pytest.raises(Refuted, match="moves"):
            write.update(data, ONE, NOW, document | known)
    settled = write.update(data, ONE, NOW - 500, parameters={"portable": False})
    with pytest.raises(Refuted, match="moves"):
        write.update(settled, ONE, NOW, document | {"alsoKnownAs": [did]})


@pytest.mark.parametrize("data", [
    b"", b"\n", b"[]", b"null", b"{}", b"{", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900,
    b"\xff",
    b"\n" + two(), two() + b"\n", two() + b"x",
    two().replace(b'"versionId"', b'"versionId":"1","versionId"', 1)], ids=lambda data: data[:12].decode("latin-1"))
def test_what_is_no_log(data: bytes) -> None:
    with pytest.raises(BadInput):
        checked(data)


def test_oversized_logs_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    from troth.identity import webvh

    monkeypatch.setattr(webvh, "MOST_LOG", 1_000)
    with pytest.raises(BadInput, match="too large"):
        checked(two())
    monkeypatch.undo()
    monkeypatch.setattr(webvh, "MOST_ENTRIES", 1)
    with pytest.raises(BadInput, match="too long"):
        checked(two())


def test_a_document_too_deep() -> None:
    deep: Any = []
    for _ in range(70):
        deep = [deep]
    with pytest.raises(BadInput, match="deep"):
        write.update(two(), ONE, NOW, WebvhLog.read(two(), NOW).entries[-1].document | {"x": deep})


def test_a_log_that_is_older_than_one_seen() -> None:
    did, first = started()
    web = Web(did_jsonl=write.update(first, ONE, NOW - 500))
    method = WebvhMethod(web, web)
    seen = method.resolve(did).metadata["versionId"]
    web.files["did_jsonl"] = first
    with pytest.raises(Refuted, match="older log than was seen") as caught:
        method.resolve(did)
    assert seen in str(caught.value)
    assert WebvhMethod(web, web).resolve(did).metadata["versionId"].startswith("1-")  # who never saw it cannot know


def test_two_logs_of_one_identifier() -> None:
    did, first = started()
    one, other = (write.update(first, ONE, NOW - 500 + at) for at in (0, 1))
    web, seen = Web(did_jsonl=one), SeenHere()
    WebvhMethod(web, web, seen).resolve(did)
    for fork in (other, write.update(other, ONE, NOW)):
        web.files["did_jsonl"] = fork
        with pytest.raises(Refuted, match="another log of one identifier"):
            WebvhMethod(web, web, seen).resolve(did)
    web.files["did_jsonl"] = write.update(one, ONE, NOW)
    assert WebvhMethod(web, web, seen).resolve(did).metadata["versionId"].startswith("3-")


def test_a_refused_log_is_not_remembered() -> None:
    did, _ = started()
    web, seen = Web(did_jsonl=bent(lambda entry: entry["parameters"].update(ttl=-1))), SeenHere()
    with pytest.raises(InvalidDocument):
        WebvhMethod(web, web, seen).resolve(did)
    assert seen.newest(read_webvh(did)[0]) is None


def test_a_log_of_another_identifier_or_another_place() -> None:
    did, data = started()
    web = Web(did_jsonl=data)
    for other in (did.replace("example.com", "example.net"), did + ":more", did.replace(read_webvh(did)[0], REAL)):
        with pytest.raises(Refuted, match="another identifier"):
            WebvhMethod(web, web).resolve(other)


def test_a_missing_witness_file_is_undecidable() -> None:
    did, data = started(witness=Witnesses(1, (key_did(TWO.public),)).to_dict())
    web = Web(did_jsonl=data)
    with pytest.raises(Undecidable):
        WebvhMethod(web, web).resolve(did)


@given(st.data())
@settings(max_examples=60)
def test_a_flipped_byte_is_noticed(data: st.DataObject) -> None:
    log = bytearray(two())
    at = data.draw(st.integers(0, len(log) - 2))
    log[at] ^= data.draw(st.integers(1, 255))
    if bytes(log) != two() and json_of(bytes(log)) != json_of(two()):
        with pytest.raises(TrothError):
            checked(bytes(log))


def json_of(data: bytes) -> Any:
    try:
        return lines(data)
    except (ValueError, UnicodeDecodeError):
        return None


def test_the_clock_is_the_callers() -> None:
    _, data = started()
    written = WebvhLog.read(data, NOW).entries[0].time.timestamp()
    assert int(written) == NOW - 1_000
    checked(data, now=NOW - 1_300)
    with pytest.raises(Refuted, match="out of its time"):
        checked(data, now=NOW - 1_301)
    assert read_time("2026-01-01T00:00:00Z").timestamp() < time.time()
