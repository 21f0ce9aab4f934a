"""Agents in ERC-8004's own registry contract, compiled from its source: registered, read, and bound both ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode
from places import Place, meet

from troth.app import Troth
from troth.app.agents import check, register
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput, Refuted, Undecidable
from troth.ledger.agents import AgentRegistry, inline, inlined, registration_file
from troth.ledger.deploy import create

CONTRACTS = json.loads((Path(__file__).parents[1] / "vectors" / "erc8004" / "contracts.json").read_text())


def selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


@pytest.fixture
def world(place: Place) -> tuple[Troth, Troth, bytes]:
    """An agent, a reader, and the registry behind its proxy, put there as its own deployment does."""
    agent, reader = place.make("agent"), place.make("reader")
    reader.use_contracts(agent.deploy())
    code = {name: bytes.fromhex(text) for name, text in CONTRACTS["bytecode"].items()}
    first, _ = create(agent.sender, code["HardhatMinimalUUPS"])
    begin = selector("initialize(address)") + bytes(32)
    registry, _ = create(agent.sender, code["ERC1967Proxy"], ("address", first), ("bytes", begin))
    logic, _ = create(agent.sender, code["IdentityRegistryUpgradeable"])
    agent.sender.send(registry, selector("upgradeToAndCall(address,bytes)") + encode(
        ("address", "bytes"), (logic, selector("initialize()"))))
    return agent, reader, registry


def test_the_client_speaks_the_published_abi() -> None:
    """Every call and event of the client is in the ABI, with these types."""
    said = {f"{one['name']}({','.join(_kind(part) for part in one['inputs'])})" for one in CONTRACTS["abi"]}
    for signature in ("register(string,(string,bytes)[])", "setAgentURI(uint256,string)", "ownerOf(uint256)",
                      "setMetadata(uint256,string,bytes)", "getAgentWallet(uint256)", "tokenURI(uint256)",
                      "getMetadata(uint256,string)", "Registered(uint256,string,address)"):
        assert signature in said


def _kind(part: dict[str, object]) -> str:
    kind = str(part["type"])
    if not kind.startswith("tuple"):
        return kind
    inside = part["components"]
    assert isinstance(inside, list)
    return f"({','.join(_kind(one) for one in inside)}){kind.removeprefix('tuple')}"


def test_an_agent_and_an_identity_name_each_other(world: tuple[Troth, Troth, bytes], place: Place) -> None:
    agent, reader, registry = world
    register(agent, registry, "the first", {})
    made = register(agent, registry, "adds numbers", {"MCP": "https://agent.example/mcp"})
    assert (made.id, made.owner, made.wallet, made.did) == (1, agent.account, agent.account, agent.did)
    file = inlined(made.uri)
    assert file is not None
    assert (file["name"], file["description"], file["type"].rpartition("#")[2]) == \
        ("agent", "adds numbers", "registration-v1")
    assert file["services"] == [{"name": "MCP", "endpoint": "https://agent.example/mcp"},
                                {"name": "DID", "endpoint": agent.did, "version": "v1"}]
    meet(agent, reader)
    assert check(reader, registry, 1, agent.did) == (made, True)
    # A file elsewhere is not fetched, and the answer says so.
    found = AgentRegistry(agent.chain.web3, registry)
    found.set_uri(agent.sender, 1, "https://agent.example/agent.json")
    assert check(reader, registry, 1, agent.did)[1] is False
    with pytest.raises(Undecidable, match="no such agent"):
        check(reader, registry, 2, agent.did)


def test_who_names_whom(world: tuple[Troth, Troth, bytes], place: Place) -> None:
    """Each half alone is none: a stranger's agent that names Alice, Alice's that names nobody, one that was sold."""
    agent, reader, registry = world
    made = register(agent, registry, "", {})
    meet(agent, reader)
    found = AgentRegistry(reader.chain.web3, registry)
    stranger = found.register(reader.sender, agent.did, made.uri)
    with pytest.raises(Refuted, match="not bound to the account that owns"):
        check(reader, registry, stranger, agent.did)
    with pytest.raises(Refuted, match="names another identity"):
        check(reader, registry, made.id, reader.did)
    for act in (lambda: found.set_did(reader.sender, made.id, reader.did),
                lambda: found.set_uri(reader.sender, made.id, "")):
        with pytest.raises(ActRefused):
            act()
    # A file that names somebody else, or is another agent's.
    for file in (registration_file("a", "", reader.did, agent=(made.id, found.name)),
                 registration_file("a", "", agent.did, agent=(made.id + 1, found.name)),
                 registration_file("a", "", agent.did, agent=(made.id, "eip155:1:0x00")),
                 registration_file("a", "", agent.did, {"DID": reader.did}, agent=(made.id, found.name)),
                 registration_file("a", "", agent.did)):
        found.set_uri(agent.sender, made.id, inline(file))
        with pytest.raises(Refuted, match="file"):
            check(reader, registry, made.id, agent.did)
    for uri in ("data:application/json;base64,%", inline(b"[]"), inline(b'{"a":1,"a":2}')):
        found.set_uri(agent.sender, made.id, uri)
        with pytest.raises(BadInput):
            check(reader, registry, made.id, agent.did)
    with pytest.raises(BadInput, match="too long"):
        inlined(inline(b"x" * (1 << 17)))
    found.set_uri(agent.sender, made.id, made.uri)
    check(reader, registry, made.id, agent.did)
    # Sold: the identity is bound to the seller's account, and the wallet is cleared by the registry.
    agent.sender.send(registry, selector("transferFrom(address,address,uint256)") + encode(
        ("address", "address", "uint256"), (agent.account, reader.account, made.id)))
    assert found.agent(made.id).wallet == bytes(20)
    with pytest.raises(Refuted, match="not bound to the account that owns"):
        check(reader, registry, made.id, agent.did)
    found.set_did(reader.sender, made.id, "")
    with pytest.raises(Refuted, match="names another identity, or none"):
        check(reader, registry, made.id, agent.did)
