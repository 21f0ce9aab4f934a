"""A workspace's own did:webvh: begun, changed, ended; crashes between key and log; nothing secret in what is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from troth.app import Troth, publishing
from troth.app.place import Settings
from troth.app.resolving import resolvers
from troth.core.encoding import decode_object
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.identity import keystore
from troth.identity.integrity import required_suites
from troth.identity.keys import Ed25519KeyPair
from troth.identity.keystore import MIN_COST
from troth.identity.webvh import WebvhLog, Witnesses, read_webvh
from troth.identity.webvh_write import approve, update, witness_file

SECRET = "correct horse"


class Web:
    """``Fetch`` from the folder that a server shows."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fetch(self, url: str, most: int) -> bytes:
        return (self.root / url.removeprefix("https://example.com/")).read_bytes()


def resolve(did: str, root: Path, memory: Path | None = None) -> tuple[dict[str, object] | None, dict[str, object]]:
    with resolvers(Settings(), memory, fetch=Web(root)) as found:
        answer = found.resolve(did)
    return answer.document, answer.metadata


def seeds(party: Troth, did: str) -> list[str]:
    folder = party.root / publishing.PUBLISHED / read_webvh(did)[0]
    found = decode_object(keystore.load(folder / publishing.KEYS, SECRET))["update"]
    assert isinstance(found, list)
    return found


def test_an_organisation_on_its_server(make: Callable[[str], Troth], tmp_path: Path) -> None:
    party, root = make("org"), tmp_path / "www"
    made = publishing.begin(party, "example.com:org", SECRET, cost=MIN_COST)
    assert made.write(root) == root / "org" / "did.jsonl"
    document, metadata = resolve(made.did, root)
    assert document is not None
    assert document["alsoKnownAs"] == [party.did]
    head = party.identity.history.head
    assert [method["id"] for method in document["verificationMethod"]] == [  # type: ignore[attr-defined]
        made.did + name for name in head.methods()]
    first = set(seeds(party, made.did))
    for number in (2, 3):
        publishing.change(party, made.did, SECRET, cost=MIN_COST).write(root)
        assert str(resolve(made.did, root)[1]["versionId"]).startswith(f"{number}-")
    assert not first & set(seeds(party, made.did))  # what was spent is gone
    log = publishing.current(party, made.did).log
    for seed in (*first, *seeds(party, made.did)):
        assert seed.encode() not in log
    publishing.end(party, made.did, SECRET).write(root)
    document, metadata = resolve(made.did, root)
    assert document is None
    assert metadata["deactivated"] is True
    for act in (publishing.change, publishing.end):
        with pytest.raises(Refuted, match="was ended"):
            act(party, made.did, SECRET)


def test_one_of_the_two_keys_alone_signs_no_documents(make: Callable[[str], Troth], tmp_path: Path) -> None:
    """The document on the web asks for as much as the identity's own, which no cryptosuite covers."""
    party, root = make("org"), tmp_path / "www"
    made = publishing.begin(party, "example.com", SECRET, cost=MIN_COST)
    made.write(root)
    publishing.change(party, made.did, SECRET, cost=MIN_COST).write(root)
    document, _ = resolve(made.did, root)
    assert document is not None
    with pytest.raises(Undecidable, match="signs claims, not documents"):
        required_suites(document)


def test_at_the_root_of_a_host(make: Callable[[str], Troth], tmp_path: Path) -> None:
    made = publishing.begin(make("org"), "example.com", SECRET, cost=MIN_COST)
    assert made.write(tmp_path / "www") == tmp_path / "www" / ".well-known" / "did.jsonl"
    assert resolve(made.did, tmp_path / "www")[0] is not None
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideFailed):
        made.write(tmp_path / "file")


def test_witnesses_have_to_approve(make: Callable[[str], Troth], tmp_path: Path) -> None:
    from troth.identity.did import key_did

    pair, root = Ed25519KeyPair(bytes(32)), tmp_path / "www"
    party = make("org")
    made = publishing.begin(party, "example.com", SECRET, cost=MIN_COST,
                            witnesses=Witnesses(1, (key_did(pair.public),)))
    file = made.write(root)
    with pytest.raises(FileNotFoundError):
        resolve(made.did, root)
    rows = [approve(made.log, pair, party.clock.now())]
    (file.parent / "did-witness.json").write_bytes(witness_file(rows))
    assert resolve(made.did, root)[0] is not None


def test_the_update_key_in_use_adds_nothing(make: Callable[[str], Troth]) -> None:
    party = make("org")
    made = publishing.begin(party, "example.com", SECRET, cost=MIN_COST)
    in_use = Ed25519KeyPair(bytes.fromhex(seeds(party, made.did)[0]))
    with pytest.raises(Refuted, match="drops pre-rotation"):
        update(made.log, in_use, party.clock.now())


def test_a_crash_between_key_and_log(make: Callable[[str], Troth], monkeypatch: pytest.MonkeyPatch) -> None:
    party = make("org")
    made = publishing.begin(party, "example.com", SECRET, cost=MIN_COST)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for point in ("_keep", "rotate"):
        with monkeypatch.context() as patch:
            patch.setattr(publishing, point, crash)
            with pytest.raises(KeyboardInterrupt):
                publishing.change(party, made.did, SECRET, cost=MIN_COST)
    assert len(WebvhLog.read(publishing.current(party, made.did).log, party.clock.now()).entries) == 1
    assert len(seeds(party, made.did)) == 4
    publishing.change(party, made.did, SECRET, cost=MIN_COST)
    assert len(seeds(party, made.did)) == 2
    assert len(WebvhLog.read(publishing.current(party, made.did).log, party.clock.now()).entries) == 2


def test_what_is_refused(make: Callable[[str], Troth]) -> None:
    party, other = make("org"), make("other")
    made = publishing.begin(party, "example.com", SECRET, cost=MIN_COST)
    for act in (lambda: publishing.change(other, made.did, SECRET), lambda: publishing.end(other, made.did, SECRET),
                lambda: publishing.current(other, made.did)):
        with pytest.raises(Undecidable, match="publishes no such"):
            act()
    with pytest.raises(Misuse, match="passphrase"):
        publishing.change(party, made.did, "wrong")
    for place in ("localhost", "127.0.0.1", "example.com/org", "https://example.com"):
        with pytest.raises(BadInput):
            publishing.begin(party, place, SECRET, cost=MIN_COST)
    folder = party.root / publishing.PUBLISHED / read_webvh(made.did)[0]
    keystore.save(folder / publishing.KEYS, publishing._secrets([bytes(32)]), SECRET, cost=MIN_COST, replace=True)
    with pytest.raises(Misuse, match="does not hold the key"):
        publishing.change(party, made.did, SECRET)


def test_a_server_that_shows_an_older_log(make: Callable[[str], Troth], tmp_path: Path) -> None:
    party, root = make("org"), tmp_path / "www"
    made = publishing.begin(party, "example.com", SECRET, cost=MIN_COST)
    publishing.change(party, made.did, SECRET, cost=MIN_COST)
    made.write(root)
    with pytest.raises(Refuted, match="older log"):
        resolve(made.did, root, party.root)


def test_an_identity_that_ended_is_published_no_more(make: Callable[[str], Troth]) -> None:
    party = make("org")
    made = publishing.begin(party, "example.com", SECRET, cost=MIN_COST)
    party.identity = party.identity.end(party.clock.now())[0]
    for act in (lambda: publishing.begin(party, "example.net", SECRET, cost=MIN_COST),
                lambda: publishing.change(party, made.did, SECRET, cost=MIN_COST)):
        with pytest.raises(Refuted, match="was ended"):
            act()
    assert b"deactivated" in publishing.end(party, made.did, SECRET).log
