"""did:ethr: the registry's own code on the embedded chain, what it folds into, and nodes that lie about it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ports.erc1056 import Deployed, name32
from troth.core.encoding import keccak256
from troth.core.errors import BadInput, OutsideFailed, Pending, Undecidable
from troth.identity.did import checksum_address
from troth.identity.ethr import ATTRIBUTE, DELEGATE, OWNER, Change, EthrDid, check_links, fold
from troth.identity.keys import Secp256k1KeyPair
from troth.identity.resolution import NEWEST, MethodNotSupported, NotFound, When
from troth.ledger import ethr
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.ethr import EthrMethod, Network, network_id
from troth.ledger.sending import Sender

START = 1_700_000_000
CHAIN = 7_407
YEAR = 365 * 86_400
ALICE, BOB, KEY = keccak256(b"alice"), keccak256(b"bob"), Secp256k1KeyPair(keccak256(b"alice"))
DELEGATES = [bytes([number]) * 20 for number in (1, 2)]


@dataclass
class Place:
    """A chain with a registry, and people on it."""

    chain: EmbeddedChain
    clock: ManualClock
    registry: Deployed
    alice: Sender
    bob: Sender
    method: EthrMethod

    @property
    def did(self) -> str:
        return f"did:ethr:{hex(CHAIN)}:{checksum_address(self.alice.account)}"

    def later(self, seconds: int = 60) -> int:
        self.clock.advance(seconds)
        return self.clock.now()

    def document(self, when: When = NEWEST) -> dict[str, Any]:
        found = self.method.resolve(self.did, when).document
        assert found is not None
        return found


@pytest.fixture
def place() -> Iterator[Place]:
    clock = ManualClock(START)
    chain = EmbeddedChain(None, clock=clock, chain_id=CHAIN)
    alice, bob = (Sender(chain.web3, key) for key in (ALICE, BOB))
    registry = Deployed.by(bob)
    yield Place(chain, clock, registry, alice, bob,
                EthrMethod({CHAIN: Network(lambda: chain, registry.address)}, clock))
    chain.close()


def account_id(account: bytes) -> str:
    return f"eip155:{CHAIN}:{checksum_address(account)}"


def test_an_account_that_never_asked_the_registry(place: Place) -> None:
    found = place.method.resolve(place.did)
    controller = f"{place.did}#controller"
    assert found.metadata == {}
    assert found.document is not None
    assert {name: found.document[name] for name in found.document if name != "@context"} == {
        "id": place.did, "authentication": [controller], "assertionMethod": [controller],
        "verificationMethod": [{"id": controller, "type": "EcdsaSecp256k1RecoveryMethod2020", "controller": place.did,
                                "blockchainAccountId": account_id(place.alice.account)}]}


def test_an_identifier_that_is_a_key(place: Place) -> None:
    did = f"did:ethr:{hex(CHAIN)}:0x{KEY.public.raw.hex()}"
    found = place.method.resolve(did).document
    assert found is not None
    assert [method["id"].partition("#")[2] for method in found["verificationMethod"]] == ["controller", "controllerKey"]
    assert found["verificationMethod"][1]["publicKeyHex"] == KEY.public.raw.hex()
    assert found["authentication"] == [f"{did}#controller", f"{did}#controllerKey"]
    place.registry.act(place.alice, "changeOwner", place.bob.account)
    handed = place.method.resolve(did).document
    assert handed is not None
    assert [method["id"].partition("#")[2] for method in handed["verificationMethod"]] == ["controller"]


def test_a_life(place: Place) -> None:
    ed25519 = bytes(range(32))
    blocks = [place.registry.act(place.alice, "addDelegate", name32("veriKey"), DELEGATES[0], YEAR)]
    place.later()
    blocks.append(place.registry.act(place.alice, "addDelegate", name32("sigAuth"), DELEGATES[1], 600))
    place.later()
    key = name32("did/pub/Ed25519/veriKey/base64")
    blocks.append(place.registry.act(place.alice, "setAttribute", key, ed25519, YEAR))
    place.later()
    blocks.append(place.registry.act(place.alice, "setAttribute", name32("did/pub/X25519/enc/base58"), ed25519, YEAR))
    blocks.append(place.registry.act(place.alice, "setAttribute", name32("did/svc/Hub"), b"https://hub.example", YEAR))
    blocks.append(place.registry.act(place.alice, "setAttribute", name32("did/svc/Two"), b'{"uri": "a"}', YEAR))
    did, found = place.did, place.document()
    methods = {method["id"].partition("#")[2]: method for method in found["verificationMethod"]}
    assert list(methods) == ["controller", "delegate-1", "delegate-2", "delegate-3", "delegate-4"]
    assert methods["delegate-1"]["blockchainAccountId"] == account_id(DELEGATES[0])
    assert (methods["delegate-3"]["type"], methods["delegate-3"]["publicKeyBase64"]) == \
        ("Ed25519VerificationKey2018", base64.b64encode(ed25519).decode())
    assert methods["delegate-4"]["type"] == "X25519KeyAgreementKey2019"
    assert found["authentication"] == [f"{did}#controller", f"{did}#delegate-2"]
    assert found["assertionMethod"] == [f"{did}#{name}" for name in
                                        ("controller", "delegate-1", "delegate-2", "delegate-3")]
    assert found["keyAgreement"] == [f"{did}#delegate-4"]
    assert [(one["type"], one["serviceEndpoint"]) for one in found["service"]] == \
        [("Hub", "https://hub.example"), ("Two", {"uri": "a"})]
    # Ends: a delegate's own, a revoked delegate, revoked attributes. Names are never given again.
    place.later(600)
    assert [one["id"].partition("#")[2] for one in place.document()["verificationMethod"]] == \
        ["controller", "delegate-1", "delegate-3", "delegate-4"]
    place.registry.act(place.alice, "revokeDelegate", name32("veriKey"), DELEGATES[0])
    place.registry.act(place.alice, "revokeAttribute", name32("did/pub/X25519/enc/base58"), ed25519)
    place.registry.act(place.alice, "revokeAttribute", name32("did/svc/Hub"), b"https://hub.example")
    last = place.registry.act(place.alice, "addDelegate", name32("veriKey"), DELEGATES[0], YEAR)
    found = place.document()
    assert [one["id"].partition("#")[2] for one in found["verificationMethod"]] == \
        ["controller", "delegate-3", "delegate-7"]
    assert "keyAgreement" not in found
    assert [one["type"] for one in found["service"]] == ["Two"]
    # History: by block and by time, and what comes next.
    then = place.method.resolve(did, When(str(blocks[0])))
    assert then.document is not None
    assert len(then.document["verificationMethod"]) == 2
    assert (then.metadata["versionId"], then.metadata["nextVersionId"]) == (str(blocks[0]), str(blocks[1]))
    before = place.method.resolve(did, When(str(blocks[0] - 1)))
    assert before.document is not None
    assert len(before.document["verificationMethod"]) == 1
    assert "versionId" not in before.metadata
    timed = place.method.resolve(did, When(time=START + 90))
    assert timed.document is not None
    assert timed.metadata["versionId"] == str(blocks[1])
    assert place.method.resolve(did).metadata["versionId"] == str(last)


def test_owners_and_the_end(place: Place) -> None:
    place.registry.act(place.alice, "changeOwner", place.bob.account)
    assert place.document()["verificationMethod"][0]["blockchainAccountId"] == account_id(place.bob.account)
    place.registry.act(place.bob, "addDelegate", place.alice.account, name32("veriKey"), DELEGATES[0], YEAR)
    held = place.registry.act(place.bob, "changeOwner", place.alice.account, bytes(20))
    found = place.method.resolve(place.did)
    assert found.deactivated
    assert found.document is not None
    assert found.document["verificationMethod"] == found.document["assertionMethod"] == []
    earlier = place.method.resolve(place.did, When(str(held - 1)))
    assert not earlier.deactivated
    # The registry's code lets the account itself act again then; the method does not.
    place.registry.act(place.alice, "addDelegate", name32("veriKey"), DELEGATES[1], YEAR)
    assert place.method.resolve(place.did).deactivated


def test_a_key_revoked_in_this_second_is_gone(place: Place) -> None:
    place.registry.act(place.alice, "addDelegate", name32("veriKey"), DELEGATES[0], YEAR)
    block = place.registry.act(place.alice, "revokeDelegate", name32("veriKey"), DELEGATES[0])
    for when in (NEWEST, When(str(block))):
        assert len(place.document(when)["verificationMethod"]) == 1


def test_names_that_say_nothing_here(place: Place) -> None:
    for name in (b"\xff" * 32, name32("did/other"), name32("did/pub/a/b/c/d"), name32("did/pub/Ed25519/veriKey/rot13"),
                 name32("did/pub/RSA/veriKey/pem")):
        place.registry.act(place.alice, "setAttribute", name, b"\xff\xfe", YEAR)
    place.registry.act(place.alice, "addDelegate", name32("other"), DELEGATES[0], YEAR)
    place.registry.act(place.alice, "setAttribute", name32("did/svc/Odd"), b"\xff", YEAR)
    place.registry.act(place.alice, "setAttribute", name32("did/svc/Twice"), b'{"a":1,"a":2}', YEAR)
    found = place.document()
    assert len(found["verificationMethod"]) == 1
    assert [one["serviceEndpoint"] for one in found["service"]] == ['{"a":1,"a":2}']


def test_versions_that_are_not_there(place: Place) -> None:
    with pytest.raises(NotFound):
        place.method.resolve(place.did, When("1000"))
    for wrong in ("-1", "0x1", "01", "latest", "", "1" * 40):
        with pytest.raises(BadInput):
            place.method.resolve(place.did, When(wrong))
    with pytest.raises(Pending):
        place.method.resolve(place.did, When(time=place.clock.now() + 100))


def test_networks() -> None:
    assert [network_id(name) for name in ("mainnet", "0x1", "0xaa36a7", "sepolia")] == [1, 1, 11_155_111, 11_155_111]
    for name in ("goerli", "0x", "0xg", "0x1_0", "0x" + "1" * 30, ""):
        with pytest.raises(MethodNotSupported):
            network_id(name)
    with pytest.raises(Undecidable, match="no chain is set"):
        EthrMethod({}, ManualClock(0)).resolve("did:ethr:0x" + "00" * 20)


@pytest.mark.parametrize("did", [
    "did:ethr:", "did:ethr:0x", "did:ethr:0x" + "0" * 39, "did:ethr:0x" + "0" * 41, "did:ethr:0x" + "0" * 66,
    "did:ethr:0xdCa7EF03e98e0DC2B855bE647C39ABe984fcF21b", "did:ethr:0x02" + "f" * 64, "did:web:0x" + "0" * 40])
def test_identifiers_that_are_refused(did: str) -> None:
    with pytest.raises(BadInput):
        EthrDid.read(did)


def test_an_address_without_a_registry(place: Place) -> None:
    method = EthrMethod({CHAIN: Network(lambda: place.chain, b"\x07" * 20)}, place.clock)
    with pytest.raises(Undecidable, match="no registry"):
        method.resolve(place.did)
    other = EthrMethod({1: Network(lambda: place.chain, place.registry.address)}, place.clock)
    with pytest.raises(OutsideFailed, match="another chain"):
        other.resolve("did:ethr:0x" + "00" * 20)


# -- a node that lies


LIES = ("hide the newest", "hide a middle one", "hide the first", "swap two", "another owner", "a later end",
        "a repeated one", "another previous")


@pytest.mark.parametrize("lie", LIES)
def test_a_node_that_lies_about_events(place: Place, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    place.registry.act(place.alice, "changeOwner", place.bob.account)
    for delegate in DELEGATES:
        place.registry.act(place.bob, "addDelegate", place.alice.account, name32("veriKey"), delegate, YEAR)
    assert len(place.document()["verificationMethod"]) == 3
    truth = ethr._change
    blocks = sorted({change.block for change in ethr.Registry(place.chain.web3, place.registry.address).changes(
        place.alice.account, place.chain.finality().latest)})
    told = ethr.get_logs

    def logs(web3: Any, **named: Any) -> Any:
        hidden = {"hide the newest": blocks[-1], "hide a middle one": blocks[1], "hide the first": blocks[0]}.get(lie)
        if named["first"] == hidden:
            return ()
        if lie == "swap two":  # it shows the third change where the second is, and the other way round
            named["first"] = named["last"] = {blocks[1]: blocks[2], blocks[2]: blocks[1]}.get(named["first"], blocks[0])
        found = told(web3, **named)
        return (*found, *found) if lie == "a repeated one" else found

    def change(event: Any) -> Change:
        found = truth(event)
        if lie == "another owner" and found.kind == OWNER:
            return replace(found, value=b"\x66" * 20)
        if lie == "a later end" and found.kind == DELEGATE:
            return replace(found, valid_to=found.valid_to + YEAR)
        if lie == "another previous" and found.block == blocks[0]:
            return replace(found, previous=blocks[0] - 1)
        return found

    monkeypatch.setattr(ethr, "get_logs", logs)
    monkeypatch.setattr(ethr, "_change", change)
    with pytest.raises(OutsideFailed, match="node"):
        place.method.resolve(place.did)


def test_more_changes_than_are_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for delegate in DELEGATES:
        place.registry.act(place.alice, "addDelegate", name32("veriKey"), delegate, YEAR)
    monkeypatch.setattr(ethr, "MOST_BLOCKS", 1)
    with pytest.raises(Undecidable, match="more changes"):
        place.method.resolve(place.did)


# -- the fold alone


KINDS = st.sampled_from([(DELEGATE, "veriKey"), (DELEGATE, "sigAuth"), (ATTRIBUTE, "did/pub/Ed25519/sigAuth/hex"),
                         (ATTRIBUTE, "did/svc/Hub"), (OWNER, "")])
STEPS = st.lists(st.tuples(KINDS, st.integers(1, 3), st.integers(0, 20), st.booleans()), max_size=12)


def history(steps: list[Any]) -> list[Change]:
    found, previous, block = list[Change](), 0, 1
    for index, ((kind, name), who, end, same) in enumerate(steps):
        block += not same
        found.append(Change(block, index, kind, name32(name), bytes([who]) * 20, end, previous))
        previous = block
    return found


@given(STEPS, st.integers(0, 20))
@settings(max_examples=60)
def test_what_is_in_force_is_what_the_last_word_on_it_says(steps: list[Any], now: int) -> None:
    changes = history(steps)
    check_links(changes, changes[-1].block if changes else 0)
    identity = EthrDid.read("did:ethr:0x" + "aa" * 20)
    document, ended = fold(identity, 1, changes, now)
    assert not ended
    last = {(one.kind, one.name, one.value): one.valid_to for one in changes if one.kind != OWNER}
    good = [place for place, end in last.items() if end > now]
    assert len(document["verificationMethod"]) == 1 + sum(not name.startswith(b"did/svc") for _, name, _ in good)
    assert len(document.get("service", [])) == sum(name.startswith(b"did/svc") for _, name, _ in good)
    owners = [one.value for one in changes if one.kind == OWNER] or [identity.account]
    assert document["verificationMethod"][0]["blockchainAccountId"] == f"eip155:1:{checksum_address(owners[-1])}"
    names = [one["id"] for one in document["verificationMethod"]]
    assert len(set(names)) == len(names)
    assert {name for relation in ("authentication", "assertionMethod") for name in document[relation]} <= set(names)


@given(STEPS.filter(lambda steps: len(steps) > 1), st.data())
@settings(max_examples=60)
def test_links_notice_every_change_left_out_or_moved(steps: list[Any], data: st.DataObject) -> None:
    changes = history(steps)
    newest = changes[-1].block
    at = data.draw(st.integers(0, len(changes) - 1))
    fewer = changes[:at] + changes[at + 1:]
    alone = [one.block for one in changes].count(changes[at].block) == 1
    if alone or at == 0:  # one of several in a block may be missed: storage is what tells then
        with pytest.raises(OutsideFailed):
            check_links(fewer, newest)
    moved = data.draw(st.permutations(changes))
    if moved != changes:
        with pytest.raises(OutsideFailed):
            check_links(moved, newest)
