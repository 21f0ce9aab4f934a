"""``did:ethr`` from a chain: an identity's changes, walked back from the registry's newest, and what is stored beside.

A node that hides, adds or reorders changes is noticed: the registry stores the block of the last one, each names the
block of the one before, and the owner and each delegate's end are stored, too. Not noticed: one that lies about events
and storage alike, and about the order of two attributes within one block. Ask several, or run one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core.encoding import keccak256
from troth.core.errors import BadInput, OutsideFailed, Pending, Undecidable
from troth.core.ports import Clock
from troth.identity.ethr import ATTRIBUTE, DELEGATE, OWNER, Change, EthrDid, check_links, fold
from troth.identity.resolution import NEWEST, MethodNotSupported, NotFound, Resolution, When, write_time
from troth.ledger.chains import Chain, Place
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.rpc import Event, get_logs, place_of, request, understood
from troth.ledger.evmcodec import account_of, decode

if TYPE_CHECKING:
    from web3 import Web3

KNOWN_REGISTRY = bytes.fromhex("dca7ef03e98e0dc2b855be647c39abe984fcf21b")
"""Where the registry is on the main network and most others."""
NETWORKS = {"mainnet": 1, "sepolia": 11_155_111}
"""Names of networks in identifiers; every other one is its chain id in hex."""
MOST_BLOCKS = 1_024
"""Blocks with changes of one identity that are walked."""
_OWNER = keccak256(b"DIDOwnerChanged(address,address,uint256)")
_DELEGATE = keccak256(b"DIDDelegateChanged(address,bytes32,address,uint256,uint256)")
_ATTRIBUTE = keccak256(b"DIDAttributeChanged(address,bytes32,bytes,uint256,uint256)")


@dataclass(frozen=True, slots=True)
class Network:
    """A chain with a registry of ERC-1056. open: the chain, when it is first asked."""

    open: Callable[[], Chain]
    registry: bytes = KNOWN_REGISTRY


class EthrMethod:
    """``Resolver`` of ``did:ethr`` on the networks it is given, by chain id.

    clock: what now is, for keys that end; never before the chain's head.
    """

    def __init__(self, networks: Mapping[int, Network], clock: Clock) -> None:
        self._networks, self._clock = dict(networks), clock

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The document at the head of the chain, at a block (``version_id``) or at a time.

        Raises BadInput for an identifier or version that cannot be read, Undecidable for a network that nobody here
        reads, NotFound for a block that is not there, Pending for a time that is not over, OutsideFailed where the node
        contradicts itself.
        """
        identity = EthrDid.read(did)
        chain_id = network_id(identity.network)
        network = self._networks.get(chain_id)
        if network is None:
            raise Undecidable("no chain is set for this identifier's network", expected=f"chain {chain_id}",
                              actual=", ".join(map(str, self._networks)) or "none",
                              do="Name one: [did] ethr in troth.toml, or TROTH_DID_ETHR.")
        chain = network.open()
        if chain.chain_id != chain_id:
            raise OutsideFailed("the node is on another chain", expected=chain_id, actual=chain.chain_id)
        registry = Registry(chain.web3, network.registry)
        # Twice: a block between the questions is no contradiction.
        try:
            return self._resolved(registry, identity, chain_id, when)
        except OutsideFailed:
            return self._resolved(registry, identity, chain_id, when)

    def _resolved(self, registry: Registry, identity: EthrDid, chain_id: int, when: When) -> Resolution:
        head = registry.head()
        changes = registry.changes(identity.account, head)
        times = {block: registry.time_of(block) for block in {change.block for change in changes}}
        now, last = max(self._clock.now(), head.timestamp), head.number
        if when.time is not None:
            if when.time > now:
                raise Pending("this moment is not over", expected=f"at most {now}", actual=when.time)
            now, last = when.time, max((block for block, time in times.items() if time <= when.time), default=0)
        elif when.version_id is not None:
            last = _block_number(when.version_id)
            if last > head.number:
                raise NotFound("no such block on this chain", expected=f"up to {head.number}", actual=last)
            now = registry.time_of(last)
        held = [change for change in changes if change.block <= last]
        document, ended = fold(identity, chain_id, held, now)
        metadata: dict[str, Any] = {"deactivated": True} if ended else {}
        if held:
            metadata |= {"versionId": str(held[-1].block), "updated": write_time(times[held[-1].block])}
        if len(held) < len(changes):
            following = changes[len(held)].block
            metadata |= {"nextVersionId": str(following), "nextUpdate": write_time(times[following])}
        return Resolution(identity.did, document, metadata)


def network_id(name: str) -> int:
    """The chain id of a network as an identifier names it. Raises MethodNotSupported for a name that is not known."""
    if name in NETWORKS:
        return NETWORKS[name]
    if name.startswith("0x") and 2 < len(name) < 20 and name[2:].isalnum():
        try:
            return int(name, 16)
        except ValueError:
            pass
    raise MethodNotSupported("a network whose chain is not known", expected=f"{', '.join(NETWORKS)}, or 0x and its id",
                             actual=name[:40])


class Registry:
    """ERC-1056's registry on a chain, read only."""

    def __init__(self, web3: Web3, address: bytes) -> None:
        self._web3, self._address = web3, address

    def head(self) -> Place:
        """The newest block."""
        with understood("eth_getBlockByNumber"):
            return place_of(request(self._web3, "eth_getBlockByNumber", "latest", False))

    def time_of(self, block: int) -> int:
        """A block's timestamp. Raises NotFound."""
        found = request(self._web3, "eth_getBlockByNumber", hex(block), False)
        if found is None:
            raise NotFound("no such block on this chain", actual=block)
        with understood("eth_getBlockByNumber"):
            return place_of(found).timestamp

    def changes(self, account: bytes, head: Place) -> tuple[Change, ...]:
        """Every change of an identity up to a block, oldest first, compared with what the registry stores there.

        Raises OutsideFailed where the two differ, Undecidable where there are more than are walked, or no registry.
        """
        word, at = account.rjust(32, b"\0"), hex(head.number)
        newest = self._number("changed(address)", at, word)
        found, block = list[Change](), newest
        for _ in range(MOST_BLOCKS):
            if not block:
                break
            events = get_logs(self._web3, addresses=(self._address,), topics=((_OWNER, _DELEGATE, _ATTRIBUTE), word),
                              first=block, last=block)
            here = [_change(event) for event in events]
            if not here or here[0].previous >= block:
                raise OutsideFailed("the node lacks a change that the registry stores", actual=len(here),
                                    expected=f"one in block {block}",
                                    do="Ask another node, or one that keeps all events.")
            found[:0] = here
            block = here[0].previous
        if block:
            raise Undecidable("an identity with more changes than are read", expected=f"{MOST_BLOCKS} blocks of them")
        check_links(found, newest)
        self._compare(found, account, word, at)
        return tuple(found)

    def _compare(self, changes: Sequence[Change], account: bytes, word: bytes, at: str) -> None:
        """Hold the events against what the registry stores of the owner and of each delegate."""
        owners = [change.value for change in changes if change.kind == OWNER]
        stored = self._number("owners(address)", at, word).to_bytes(32, "big")[12:]
        if stored != (owners[-1] if owners else bytes(20)):
            raise OutsideFailed("the node's events and storage name two owners", expected=stored.hex(),
                                actual=owners[-1].hex() if owners else account.hex(), do="Ask another node.")
        ends = {(change.name, change.value): change.valid_to for change in changes if change.kind == DELEGATE}
        for (kind, delegate), end in ends.items():
            known = self._number("delegates(address,bytes32,address)", at, word, keccak256(kind),
                                 delegate.rjust(32, b"\0"))
            if known != end:
                raise OutsideFailed("the node's events and storage disagree about a delegate", expected=known,
                                    actual=end, do="Ask another node.")

    def _number(self, signature: str, at: str, *words: bytes) -> int:
        data = keccak256(signature.encode())[:4] + b"".join(words)
        fields = {"to": "0x" + self._address.hex(), "data": "0x" + data.hex()}
        answer = request(self._web3, "eth_call", fields, at)
        if answer == "0x":
            raise Undecidable("there is no registry at this address", actual="0x" + self._address.hex(),
                              do="Name it in [did] ethr.")
        with understood("eth_call"):
            if not isinstance(answer, str) or len(answer) != 66:
                raise BadInput("not a word", actual=str(answer)[:80])
            return quantity(answer)


def _change(event: Event) -> Change:
    topic, place = event.log.topics[0], (event.block_number, event.log_index)
    if topic == _OWNER:
        owner, previous = decode(("address", "uint256"), event.log.data)
        return Change(*place, OWNER, b"", account_of(owner), 0, previous)
    if topic == _DELEGATE:
        name, delegate, end, previous = decode(("bytes32", "address", "uint256", "uint256"), event.log.data)
        return Change(*place, DELEGATE, bytes(name), account_of(delegate), end, previous)
    name, value, end, previous = decode(("bytes32", "bytes", "uint256", "uint256"), event.log.data)
    return Change(*place, ATTRIBUTE, bytes(name), bytes(value), end, previous)


def _block_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and str(int(text)) == text):
        raise BadInput("a version of a did:ethr is a block's number", expected="digits", actual=text[:40])
    return int(text)
