"""Feedback in the reputation registry of ERC-8004, with proof of payment; its ABI is used as it is.

The registry takes anything from anybody but the agent's owner: a number there proves that somebody wrote it. So what
is written here names the deals that paid, in a file that is the URI itself, and what is read here is held against the
chain (``troth.app.reputation``). ``getSummary`` is not called: it loops over all there is, and averages strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core.encoding import MAX_INT, amount, encode, from_hex, keccak256, take
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.terms import Account
from troth.identity.did import checksum_address
from troth.identity.jsondoc import time_text
from troth.ledger.agents import inline, inlined
from troth.ledger.chains.rpc import request
from troth.ledger.evmcodec import account_of, decode
from troth.ledger.sending import Acting, call

if TYPE_CHECKING:
    from web3 import Web3

TAG = "troth-paid"
"""Tag 1: the value is what the client's own payments let the agent show, in the token's smallest unit."""
MOST_DEALS = 64
MOST_VALUE = 10**38
_GIVEN = keccak256(b"NewFeedback(uint256,address,uint64,int128,uint8,string,string,string,string,string,bytes32)")
_GIVE = "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)"


@dataclass(frozen=True, slots=True)
class Proven:
    """What a feedback's file says: that ``client`` paid ``payee`` in these deals of a Book. tx: of the newest close.

    registry: the identity registry's name. value: what the deals count for in all, in the token's smallest unit. as_of:
    hash of the block that it was counted at.
    """

    registry: str
    agent: int
    client: Account
    payee: Account
    chain_id: int
    book: Account
    token: Account
    deals: tuple[bytes, ...]
    tx: bytes
    value: int
    at: int
    as_of: bytes

    def to_bytes(self) -> bytes:
        """The file, canonical JSON, with the fields of ERC-8004 and ours beside them."""
        return encode({
            "agentRegistry": self.registry, "agentId": self.agent,
            "clientAddress": f"eip155:{self.chain_id}:{checksum_address(self.client)}",
            "createdAt": time_text(self.at), "value": self.value if self.value <= MAX_INT else str(self.value),
            "valueDecimals": 0, "tag1": TAG, "tag2": "",
            "proofOfPayment": {"fromAddress": checksum_address(self.client), "chainId": str(self.chain_id),
                               "toAddress": checksum_address(self.payee), "txHash": "0x" + self.tx.hex()},
            "troth": {"asOf": self.as_of.hex(), "book": self.book.hex(), "client": self.client.hex(),
                      "deals": [deal.hex() for deal in self.deals], "payee": self.payee.hex(), "at": self.at,
                      "token": self.token.hex(), "tx": self.tx.hex(), "chain": str(self.chain_id),
                      "value": str(self.value)}})

    @classmethod
    def of(cls, uri: str) -> Proven:
        """Read one from its URI. Raises Undecidable for a file that lies elsewhere, BadInput for one that says
        otherwise than ``to_bytes``.
        """
        file = inlined(uri)
        if file is None:
            raise Undecidable("this feedback's file lies elsewhere, and is not fetched", actual=uri[:120])
        said = file.get("troth")
        if not isinstance(said, dict):
            raise BadInput("feedback without the deals that paid", expected="an object named troth")
        as_of, at, book, chain, client, deals, payee, token, tx, value = take(
            said, asOf=str, at=int, book=str, chain=str, client=str, deals=list, payee=str, token=str, tx=str,
            value=str)
        agent, registry = file.get("agentId"), file.get("agentRegistry")
        if not 1 <= len(deals) <= MOST_DEALS or type(agent) is not int or not isinstance(registry, str):
            raise BadInput("not a feedback's file", expected=f"1 to {MOST_DEALS} deals, and an agent")
        found = cls(registry, agent, from_hex(client, 20), from_hex(payee, 20), amount(chain), from_hex(book, 20),
                    from_hex(token, 20), tuple(from_hex(deal, 32) for deal in deals), from_hex(tx, 32), amount(value),
                    at, from_hex(as_of, 32))
        if inline(found.to_bytes()) != uri:
            raise BadInput("a feedback's file in another than its one form")
        return found


@dataclass(frozen=True, slots=True)
class Given:
    """What the registry holds of one feedback."""

    agent: int
    client: Account
    index: int
    value: int
    decimals: int
    tag: str
    revoked: bool


class ReputationRegistry:
    """One deployment of ERC-8004's ``ReputationRegistry``. Whether it is that contract is for the caller to know."""

    def __init__(self, web3: Web3, address: Account) -> None:
        self.web3, self.address = web3, address

    def identities(self) -> Account:
        """The identity registry that it knows agents from."""
        (found,) = decode(("address",), self._ask("getIdentityRegistry()", ()))
        return account_of(found)

    def give(self, sender: Acting, said: Proven) -> int:
        """Write feedback; its index. Raises ActRefused for the agent's own owner, or an agent that is not there."""
        file = said.to_bytes()
        if not 0 <= said.value <= MOST_VALUE:
            raise BadInput("more than the registry takes", expected=f"at most {MOST_VALUE}", actual=said.value)
        data = _data(_GIVE, ("uint256", "int128", "uint8", "string", "string", "string", "string", "bytes32"),
                     (said.agent, said.value, 0, TAG, "", "", inline(file), keccak256(file)))
        if not sender.owes(self.address, data):
            call(self.web3, self.address, data, sender=sender.account)
        sender.send(self.address, data)
        return self.last(said.agent, sender.account)

    def last(self, agent: int, client: Account) -> int:
        """How often a client wrote about an agent: indices are 1 to this."""
        (found,) = decode(("uint64",), self._ask("getLastIndex(uint256,address)", ("uint256", "address"), agent,
                                                 client))
        return int(found)

    def read(self, agent: int, client: Account, index: int) -> Given:
        """One feedback as it stands. Raises ActRefused for one that is not there."""
        value, decimals, tag, _, revoked = decode(("int128", "uint8", "string", "string", "bool"), self._ask(
            "readFeedback(uint256,address,uint64)", ("uint256", "address", "uint64"), agent, client, index))
        return Given(agent, client, index, int(value), int(decimals), str(tag), bool(revoked))

    def file(self, agent: int, client: Account, index: int, first_block: int = 0) -> str:
        """The URI that was written with a feedback, from its event, under the hash that was written with it.

        first_block: where to look from. Raises Undecidable where the node has no such event, Refuted where the hash is
        another file's.
        """
        topics = ["0x" + _GIVEN.hex(), "0x" + agent.to_bytes(32, "big").hex(),
                  "0x" + client.rjust(32, b"\0").hex()]
        logs = request(self.web3, "eth_getLogs", {"address": "0x" + self.address.hex(), "topics": topics,
                                                  "fromBlock": hex(first_block), "toBlock": "latest"})
        for log in logs if isinstance(logs, list) else ():
            number, _, _, _, _, _, uri, digest = decode(
                ("uint64", "int128", "uint8", "string", "string", "string", "string", "bytes32"),
                bytes.fromhex(log["data"][2:]))
            if number == index:
                file = inlined(uri)
                if file is not None and keccak256(encode(file)) != digest:
                    raise Refuted("a feedback whose file is not what its hash says", expected=bytes(digest).hex())
                return str(uri)
        raise Undecidable("the node has no such feedback", actual=f"agent {agent}, index {index}")

    def _ask(self, signature: str, types: Sequence[str], *values: Any) -> bytes:
        return call(self.web3, self.address, _data(signature, types, values))


def _data(signature: str, types: Sequence[str], values: Sequence[Any]) -> bytes:
    # Imported here: eth_abi takes 0.2 s to load.
    from eth_abi.abi import encode as encode_abi

    return keccak256(signature.encode())[:4] + encode_abi(types, values)

