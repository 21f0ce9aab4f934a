"""Agents in the identity registry of ERC-8004, bound both ways with an identity here.

The registry is an ERC-721: whoever owns the token is the agent's account. Its ABI is used as it is (see the README of
tests/vectors/erc8004). The two ways:

- The registry names the identity: its metadata ``troth.did``, and in the registration file a service ``DID``.
- The identity names the account that owns the token: its ``binding`` claim, which both signed.

A token can be sold. The binding to the account stays, so the check asks who owns the token *now*.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core.encoding import decode_object, encode, jcs, keccak256
from troth.core.errors import ActRefused, BadInput, OutsideFailed, Refuted, Undecidable
from troth.core.terms import Account
from troth.identity.did import checksum_address
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.rpc import request
from troth.ledger.evmcodec import account_of, decode
from troth.ledger.sending import Acting, Receipt, call

if TYPE_CHECKING:
    from web3 import Web3

TYPE = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"
METADATA = "troth.did"
DATA = "data:application/json;base64,"
MAX_FILE = 1 << 16
_REGISTERED = keccak256(b"Registered(uint256,string,address)")


@dataclass(frozen=True, slots=True)
class Agent:
    """What the registry says of an agent. wallet: where it is paid, by its own word; zeros for none. uri: of its
    registration file. did: the identity that it names, empty for none.
    """

    id: int
    owner: Account
    wallet: Account
    uri: str
    did: str


def registration_file(name: str, description: str, did: str, services: Mapping[str, str] | None = None, *,
                      agent: tuple[int, str] | None = None, trust: Sequence[str] = ()) -> bytes:
    """An agent's registration file (ERC-8004), canonical JSON. services: endpoints by name; DID is added.

    agent: its number and its registry's name (``AgentRegistry.name``), once it has one. trust: how it may be trusted.
    """
    listed = [{"name": one, "endpoint": endpoint} for one, endpoint in (services or {}).items()]
    return encode({
        "type": TYPE, "name": name, "description": description, "active": True, "x402Support": False,
        "services": [*listed, {"name": "DID", "endpoint": did, "version": "v1"}],
        "registrations": [] if agent is None else [{"agentId": agent[0], "agentRegistry": agent[1]}],
        "supportedTrust": list(trust)})


def inline(file: bytes) -> str:
    """The URI of a registration file that is its own content: nothing to host, and nothing to change behind it."""
    return DATA + base64.b64encode(file).decode()


def inlined(uri: str) -> dict[str, Any] | None:
    """The registration file in such a URI; None for a URI of another kind. Raises BadInput where it is none."""
    if not uri.startswith(DATA):
        return None
    try:
        data = base64.b64decode(uri[len(DATA):], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("an agent's file that is not base64", actual=error) from None
    if len(data) > MAX_FILE:
        raise BadInput("an agent's file too long", expected=f"at most {MAX_FILE} bytes", actual=len(data))
    return decode_object(jcs(data))


class AgentRegistry:
    """One deployment of ERC-8004's ``IdentityRegistry``. Whether it is that contract is for the caller to know."""

    def __init__(self, web3: Web3, address: Account) -> None:
        self.web3, self.address = web3, address
        self.chain_id = quantity(request(web3, "eth_chainId"))

    @property
    def name(self) -> str:
        """How a registration file names it: ``eip155:<chain>:<address>``."""
        return f"eip155:{self.chain_id}:{checksum_address(self.address)}"

    def register(self, sender: Acting, did: str, uri: str = "") -> int:
        """A new agent of the sender's account that names an identity; its number. Raises ActRefused."""
        receipt = self._do(sender, "register(string,(string,bytes)[])", ("string", "(string,bytes)[]"), uri,
                           [(METADATA, did.encode())])
        for event in receipt.logs:
            if event.log.address == self.address and event.log.topics[:1] == (_REGISTERED,):
                return int.from_bytes(event.log.topics[1], "big")
        raise OutsideFailed("the registry says nothing of the agent it made", do="Is this an ERC-8004 registry?")

    def set_uri(self, sender: Acting, agent: int, uri: str) -> Receipt:
        """Say where an agent's registration file lies. Raises ActRefused for who is not its owner."""
        return self._do(sender, "setAgentURI(uint256,string)", ("uint256", "string"), agent, uri)

    def set_did(self, sender: Acting, agent: int, did: str) -> Receipt:
        """Name another identity, or none. Raises ActRefused for who is not its owner."""
        return self._do(sender, "setMetadata(uint256,string,bytes)", ("uint256", "string", "bytes"), agent, METADATA,
                        did.encode())

    def agent(self, agent: int) -> Agent:
        """What the registry says of an agent. Raises Undecidable for one that is not there."""
        try:
            (owner,) = decode(("address",), self._ask("ownerOf(uint256)", ("uint256",), agent))
        except ActRefused:
            raise Undecidable("no such agent in this registry", actual=agent, expected=self.name) from None
        (wallet,) = decode(("address",), self._ask("getAgentWallet(uint256)", ("uint256",), agent))
        (uri,) = decode(("string",), self._ask("tokenURI(uint256)", ("uint256",), agent))
        (did,) = decode(("bytes",), self._ask("getMetadata(uint256,string)", ("uint256", "string"), agent, METADATA))
        return Agent(agent, account_of(owner), account_of(wallet), uri, did.decode(errors="replace"))

    def check(self, agent: int, did: str, accounts: Sequence[Account]) -> tuple[Agent, bool]:
        """Whether an agent and an identity name each other: the agent, and whether its file was looked at.

        accounts: those that the identity bound itself to on this chain, by claims that were verified. A file that is
        not inline is not fetched. Raises Refuted where one of the two does not name the other, BadInput for a file
        that cannot be read, Undecidable for an agent that is not there.
        """
        found = self.agent(agent)
        if found.did != did:
            raise Refuted("the agent names another identity, or none", expected=did, actual=found.did or "none")
        if found.owner not in accounts:
            raise Refuted("the identity is not bound to the account that owns the agent", expected=found.owner.hex(),
                          actual=", ".join(one.hex() for one in accounts) or "no account")
        file = inlined(found.uri)
        if file is not None:
            self._check_file(file, agent, did)
        return found, file is not None

    def _check_file(self, file: Mapping[str, Any], agent: int, did: str) -> None:
        services, places = file.get("services"), file.get("registrations")
        named = [one.get("endpoint") for one in services if isinstance(one, dict) and one.get("name") == "DID"] \
            if isinstance(services, list) else []
        if file.get("type") != TYPE or named != [did]:
            raise Refuted("the agent's file names another identity, or none", expected=did, actual=named)
        if not isinstance(places, list) or {"agentId": agent, "agentRegistry": self.name} not in places:
            raise Refuted("the agent's file is another agent's", expected=f"{agent} in {self.name}", actual=places)

    def _ask(self, signature: str, types: Sequence[str], *values: Any) -> bytes:
        return call(self.web3, self.address, _encoded(signature, types, values))

    def _do(self, sender: Acting, signature: str, types: Sequence[str], *values: Any) -> Receipt:
        data = _encoded(signature, types, values)
        if not sender.owes(self.address, data):
            call(self.web3, self.address, data, sender=sender.account)
        return sender.send(self.address, data)


def _encoded(signature: str, types: Sequence[str], values: Sequence[Any]) -> bytes:
    from eth_abi.abi import encode as encode_abi  # takes 0.2 s to load
    from eth_abi.exceptions import EncodingError

    try:
        return keccak256(signature.encode())[:4] + encode_abi(types, values)
    except (EncodingError, OverflowError, TypeError) as error:
        raise BadInput(f"{signature}: not what the registry takes", actual=error) from None
