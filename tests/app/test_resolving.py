"""What a workspace adds to resolving: settings, a memory of logs, and the documents it has learned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ports.seen_suite import SeenSuite
from troth.app import Troth
from troth.app.place import Settings
from troth.app.resolving import SEEN, SeenFiles, read_networks, resolve_for, resolvers
from troth.core.errors import BadInput, OutsideFailed, Refuted
from troth.identity import webvh_write
from troth.identity.hybrid import HybridIdentity
from troth.identity.keys import Ed25519KeyPair
from troth.identity.resolution import NotFound, When
from troth.identity.webvh import Seen, SeenHere
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.fetching import HeldFiles

NOW = 1_780_000_000
PAIR = Ed25519KeyPair(bytes(32))
URL = "https://example.com/.well-known/did.jsonl"


def version(root: Path, did: str, data: bytes) -> str:
    """The version that a new process finds, with what the folder remembers."""
    with resolvers(Settings(), root, clock=ManualClock(NOW), fetch=HeldFiles({URL: data})) as found:
        return str(found.resolve(did).metadata["versionId"])


def test_a_workspace_remembers_logs(tmp_path: Path) -> None:
    did, first = webvh_write.create("example.com", lambda _: {}, PAIR, NOW)
    one, other = (webvh_write.update(first, PAIR, NOW, parameters={"ttl": ttl}) for ttl in (1, 2))
    assert version(tmp_path, did, first).startswith("1-")
    assert version(tmp_path, did, one).startswith("2-")
    with pytest.raises(Refuted, match="older log"):
        version(tmp_path, did, first)
    with pytest.raises(Refuted, match="another log"):
        version(tmp_path, did, other)
    assert version(tmp_path, did, one).startswith("2-")
    (tmp_path / "other").mkdir()
    assert version(tmp_path / "other", did, first).startswith("1-")  # who never saw a newer one cannot know


class TestSeenFiles(SeenSuite):
    """``SeenFiles``: each call as of another process."""

    @pytest.fixture
    def seen(self, tmp_path: Path) -> Seen:
        return SeenFiles(tmp_path / SEEN)


class TestSeenHere(SeenSuite):
    """``SeenHere``."""

    @pytest.fixture
    def seen(self) -> Seen:
        return SeenHere()


def test_a_memory_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / SEEN / "Qm").mkdir(parents=True)
    with pytest.raises(OutsideFailed):
        SeenFiles(tmp_path / SEEN).newest("Qm")


def test_hybrid_identities_by_version(make: Callable[[str], Troth]) -> None:
    party = make("alice")
    identity = HybridIdentity.create()
    later, rotation = identity.rotate(NOW)
    did = party.keybook.learn(identity.genesis)
    long = resolve_for(party, did).metadata["equivalentId"][0]
    party.keybook.learn_rotation(rotation)
    for name in (did, long):
        newest = resolve_for(party, name)
        assert newest.document is not None
        assert newest.document["id"] == name
        assert newest.document["troth"]["version"] == 1
        assert [method["id"] for method in newest.document["verificationMethod"]] == list(
            later.history.head.methods())
        assert {method["controller"] for method in newest.document["verificationMethod"]} == {name}
        first = resolve_for(party, name, When("0"))
        assert first.document is not None
        assert first.document["verificationMethod"] != newest.document["verificationMethod"]
        assert first.metadata["nextVersionId"] == "1"
    for when, error in ((When("2"), NotFound), (When("x"), BadInput), (When(time=NOW), NotFound)):
        with pytest.raises(error):
            resolve_for(party, did, when)


def test_a_hybrid_identity_that_ended(make: Callable[[str], Troth]) -> None:
    party, identity = make("alice"), HybridIdentity.create()
    did = party.keybook.learn(identity.genesis)
    party.keybook.learn_rotation(identity.end(NOW)[1])
    found = resolve_for(party, did)
    assert found.document is None
    assert found.deactivated
    before = resolve_for(party, did, When("0"))
    assert before.document is not None
    assert before.deactivated


@pytest.mark.parametrize("text", ["1", "1=", "=x", "0=x", "1=a 1=b", "one=x", "-1=x"])
def test_chains_that_cannot_be_read(text: str) -> None:
    with pytest.raises(BadInput, match=r"\[did\] ethr"):
        read_networks(text)


def test_chains_as_they_are_set() -> None:
    assert read_networks("") == {}
    assert read_networks("1=https://node.example  7=embedded:/a@0x" + "ab" * 20) == {
        1: ("https://node.example", None), 7: ("embedded:/a", b"\xab" * 20)}
