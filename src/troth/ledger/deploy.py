"""Putting Troth's contracts on a chain, and saying where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core import encoding
from troth.core.encoding import keccak256
from troth.core.errors import BadInput, OutsideFailed
from troth.core.terms import Account
from troth.core.typed_data import domain_of
from troth.ledger.artefacts import NAMES, artefact, code_hash
from troth.ledger.chains.blocks import hex_bytes, quantity
from troth.ledger.chains.rpc import request
from troth.ledger.sending import Sender

if TYPE_CHECKING:
    from web3 import Web3

VERSION = 1
SUPPLY = 10**15
"""Of the demonstration token, in its smallest unit (six decimals: a thousand million)."""


CALLED = {
    "accounts": "PolicyAccounts", "anchor": "Anchor", "anchored": "Anchored", "assumed": "Assumed",
    "ballots": "Ballots", "book": "Book", "court": "Court", "forwarder": "Forwarder", "identities": "Identities",
    "jobs": "Jobs", "jury": "Jury", "keys": "Keys", "licences": "Licences", "logs": "LogOwners", "mandated": "Mandated",
    "median": "Median", "preimage": "Preimage", "programs": "Programs", "proof": "Proof", "quorum": "Quorum",
    "quote": "Quote", "rerun": "Rerun", "revocations": "Revocations", "royalties": "Royalties", "signed": "Signed",
    "token": "Credits", "vote": "Vote"}
"""Which contract each name (before its colon) is. Other names may be any contract of ours."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """One contract on the chain: which of ours it is, where, and the hash of its code (what deals pin policies by)."""

    contract: str
    address: Account
    codehash: bytes


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts of one Book, by what they are called there: ``book``, ``anchor``, ``identities``, ``logs``,
    ``keys``, ``programs``, ``licences``, ``token``, ``forwarder``, and policies such as ``assumed``, ``proof`` or
    ``rerun:2``. chain_id: the chain they are on. block: the first block that may hold an event of theirs.
    """

    chain_id: int
    block: int
    named: Mapping[str, Deployed]

    def __getitem__(self, name: str) -> Deployed:
        """The contract called ``name``. Raises BadInput."""
        found = self.named.get(name)
        if found is None:
            raise BadInput("no such contract here", expected=", ".join(sorted(self.named)), actual=name)
        return found

    def encode(self) -> bytes:
        """Canonical JSON; addresses and hashes in lowercase hex."""
        named = {name: {"address": one.address.hex(), "codehash": one.codehash.hex(), "contract": one.contract}
                 for name, one in self.named.items()}
        return encoding.encode({"block": self.block, "chain": self.chain_id, "contracts": named, "version": VERSION})

    @classmethod
    def decode(cls, data: bytes) -> Contracts:
        """Read exactly what ``encode`` writes. Raises BadInput."""
        version, chain_id, block, contracts = encoding.take(
            encoding.decode_object(data), version=int, chain=int, block=int, contracts=dict)
        if version != VERSION:
            raise BadInput("contracts of another version", expected=VERSION, actual=version)
        named = {}
        for name, one in contracts.items():
            if not isinstance(one, dict):
                raise BadInput("not a contract", expected="an object", actual=one)
            contract, address, codehash = encoding.take(one, contract=str, address=str, codehash=str)
            if contract not in NAMES:
                raise BadInput("not one of our contracts", expected=", ".join(NAMES), actual=contract)
            named[name] = Deployed(contract, encoding.from_hex(address, 20), encoding.from_hex(codehash, 32))
        return cls(chain_id, block, named)

    def check(self, web3: Web3) -> None:
        """Refuse a chain that holds other code at these addresses, contracts that trust other code, and what a name
        promises and the contract was not made with: another contract, other voices than ``:k``, a tick.

        Raises OutsideFailed.
        """
        for name, one in self.named.items():
            kind, _, number = name.partition(":")
            _equal(name, CALLED.get(kind, one.contract), one.contract)
            _same(web3, one.contract, one.address, one.codehash, f"{name} is not the contract it should be")
            if kind in ("rerun", "signed", "anchored"):
                _equal(name, number, str(number_of(web3, one.address, "k()")))
            if kind in ("assumed", "rerun", "signed"):
                _equal(name, 0, number_of(web3, one.address, "tick()"))
            if one.contract == "Book":
                check_book(web3, one.address, {})
            if one.contract in ("Anchor", "Identities", "LogOwners"):  # a forwarder can speak for anybody
                _same(web3, "Forwarder", _answer(web3, one.address, "trustedForwarder()")[12:], None)
            if one.contract == "Proof":
                _same(web3, "Keys", _answer(web3, one.address, "keys()")[12:], None)


def check_book(web3: Web3, book: Account, policies: Mapping[str, tuple[Account, bytes]]) -> None:
    """Refuse a Book, what it runs and trusts, or policies (contract -> address, pinned code hash) that are not Troth's.

    Code alone does not tell: whoever deploys can write anything into its immutables. The forwarder can speak for
    anybody, and the code at ``shape`` runs as the Book's own, so a Book with others could be emptied by its maker. Not
    looked at: the Book's owner, who can stop ``open`` and ``join``. Raises OutsideFailed.
    """
    for contract, (address, pinned) in policies.items():
        _same(web3, contract, address, pinned)
    code = _same(web3, "Book", book, None)
    forwarder, shape, owner = (_answer(web3, book, name) for name in ("trustedForwarder()", "shape()", "owner()"))
    _same(web3, "Forwarder", forwarder[12:], None)
    _same(web3, "Shape", shape[12:], None)
    chain_id = quantity(request(web3, "eth_chainId"))
    name, version = (text.ljust(31, b"\x00") + bytes([len(text)]) for text in (b"Troth", b"1"))  # OpenZeppelin's form
    expected = {forwarder, shape, owner, book.rjust(32, b"\x00"), chain_id.to_bytes(32, "big"), name, version,
                domain_of(chain_id, book), keccak256(b"Troth"), keccak256(b"1")}
    found = artefact("Book").words(code)
    if set(found) != expected:
        raise OutsideFailed(f"0x{book.hex()} was made to take other signatures than Troth's Book",
                            expected=sorted(word.hex() for word in expected), do="Check the chain and the addresses.",
                            actual=sorted(word.hex() for word in found))


def _equal(name: str, promised: object, made: object) -> None:
    if promised != made:
        raise OutsideFailed(f"{name} is not what it is called", expected=promised, actual=made,
                            do="Somebody named it so to be trusted for another. Do not use these contracts.")


def _answer(web3: Web3, to: Account, getter: str) -> bytes:
    asked = {"to": "0x" + to.hex(), "data": "0x" + keccak256(getter.encode())[:4].hex()}
    return hex_bytes(request(web3, "eth_call", asked, "latest"), 32)


def number_of(web3: Web3, to: Account, getter: str) -> int:
    """A number that a contract answers, such as ``k()``. Raises OutsideFailed."""
    return int.from_bytes(_answer(web3, to, getter), "big")


def _same(web3: Web3, contract: str, address: Account, pinned: bytes | None, told: str = "") -> bytes:
    code = code_at(web3, address)
    if not artefact(contract).same_code(code) or pinned not in (None, code_hash(code)):
        raise OutsideFailed(told or f"0x{address.hex()} is not Troth's {contract}",
                            expected=pinned.hex() if pinned else "its code",
                            actual=code_hash(code).hex() if code else "no code",
                            do="Check the chain and the addresses.")
    return code


@dataclass(frozen=True, slots=True)
class Spec:
    """A policy or court to deploy: what it is called, which contract, and (ABI type, value) of what it is made with."""

    name: str
    contract: str
    arguments: tuple[tuple[str, Any], ...] = ()


def quorum(k: int, max_age: int, least: int, tick: int = 0) -> Spec:
    """``quorum:k``: max_age in seconds, least confidence in parts of a million, tick in the values' unit."""
    return Spec(f"quorum:{k}", "Quorum", (("uint256", k), ("uint64", max_age), ("uint32", least), ("uint128", tick)))


def median(k: int, max_age: int, least: int, spread: int = 0, tick: int = 0) -> Spec:
    """``median:k``: as ``quorum``; spread in parts of a million of the median, 0 slashes nobody."""
    return Spec(f"median:{k}", "Median", (("uint256", k), ("uint64", max_age), ("uint32", least), ("uint32", spread),
                                          ("uint128", tick)))


def vote(ballots: Account, quorum: int, threshold: int = 500_000) -> Spec:
    """``vote:quorum:threshold``, both in parts of a million. ballots: where holders cast."""
    return Spec(f"vote:{quorum}:{threshold}", "Vote", (("address", ballots), ("uint32", quorum),
                                                       ("uint32", threshold)))


def quote(k: int, tick: int = 0) -> Spec:
    """``quote:k``: k of n named verifiers of hardware quotes."""
    return Spec(f"quote:{k}", "Quote", (("uint256", k), ("uint128", tick)))


def mandated(name: str, inner: Account, revocations: Account | None, *, slashing: bool) -> Spec:
    """``mandated:name``, around the policy at ``inner``. revocations: where mandates are taken back; None: nowhere.

    slashing: only for deals in which the agent deposits or sits on the bench.
    """
    return Spec(f"mandated:{name}", "Mandated", (("address", inner), ("address", revocations or bytes(20)),
                                                 ("bool", slashing)))


BALLOTS, REVOCATIONS = Spec("ballots", "Ballots"), Spec("revocations", "Revocations")
"""Where holders of tokens vote, and where principals take mandates back. One of each serves everybody."""
ROYALTIES = Spec("royalties", "Royalties")
"""Where markets ask what they owe (ERC-2981). One serves everybody."""


def extend(sender: Sender, contracts: Contracts, *specs: Spec) -> Contracts:
    """Deploy further contracts beside ``contracts``; both together. Raises BadInput for a name that is taken."""
    maker = _Maker(sender)
    for spec in specs:
        if spec.name in contracts.named or spec.name in maker.named:
            raise BadInput("a contract of this name is here", actual=spec.name, do="Give it another name.")
        maker.make(spec.name, spec.contract, *spec.arguments)
    return Contracts(contracts.chain_id, contracts.block, {**contracts.named, **maker.named})


def deploy(sender: Sender, *, reruns: Sequence[int] = (2,), signed: Sequence[int] = (2,),
           anchored: Sequence[int] = (2,), supply: int | None = SUPPLY) -> Contracts:
    """Deploy a Book with its Anchor, registries, forwarder, policies and a demonstration token.

    sender: pays, may stop the Book's ``open`` and ``join``, and holds the token's ``supply`` (None: no token; a deal
    may name any ERC-20). reruns, signed, anchored: the values of k to deploy those policies for, named ``rerun:k``,
    ``signed:k`` and ``anchored:k``. All policies have tick 0. ``extend`` adds those that take more than a number.
    """
    maker = _Maker(sender)
    forwarder = maker.make("forwarder", "Forwarder")
    maker.make("book", "Book", ("address", sender.account), ("address", forwarder))
    maker.make("anchor", "Anchor", ("address", forwarder))
    if supply is not None:
        maker.make("token", "Credits", ("address", sender.account), ("uint256", supply))
    maker.make("assumed", "Assumed", ("uint128", 0))
    for k in reruns:
        maker.make(f"rerun:{k}", "Rerun", ("uint256", k), ("uint128", 0))
    for k in signed:
        maker.make(f"signed:{k}", "Signed", ("uint256", k), ("uint128", 0))
    maker.make("preimage", "Preimage")
    for k in anchored:
        maker.make(f"anchored:{k}", "Anchored", ("uint256", k))
    keys = maker.make("keys", "Keys")
    maker.make("proof", "Proof", ("address", keys))
    maker.make("programs", "Programs")
    maker.make("licences", "Licences", ("address", maker.named["book"].address))
    maker.make("identities", "Identities", ("address", forwarder))
    maker.make("logs", "LogOwners", ("address", forwarder))
    return Contracts(sender.chain_id, maker.block, maker.named)


class _Maker:
    """Deploys one contract after the other and keeps the list."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.named: dict[str, Deployed] = {}
        self.block = 0

    def make(self, name: str, contract: str, *arguments: tuple[str, Any]) -> Account:
        address, block = create(self.sender, artefact(contract).bytecode, *arguments)
        code = code_at(self.sender.web3, address)
        if not artefact(contract).same_code(code):
            raise OutsideFailed(f"the chain holds other code than was deployed for {name}", do="Check the node.")
        self.named[name] = Deployed(contract, address, code_hash(code))
        self.block = self.block or block
        return address


def create(sender: Sender, bytecode: bytes, *arguments: tuple[str, Any]) -> tuple[Account, int]:
    """Deploy creation code with (ABI type, value) constructor arguments: (the contract's account, its block)."""
    from eth_abi.abi import encode  # takes 0.2 s to load

    receipt = sender.deploy(bytecode, encode([kind for kind, _ in arguments], [value for _, value in arguments]))
    if receipt.contract is None:
        raise OutsideFailed("the deployment made no contract", do="Check the node.")
    return receipt.contract, receipt.block_number


def code_at(web3: Web3, address: Account) -> bytes:
    """The code of an account; empty for none."""
    return hex_bytes(request(web3, "eth_getCode", "0x" + address.hex(), "latest"))
