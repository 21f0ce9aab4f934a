"""The contract on an embedded chain, behind the face of ``ports.books``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import encode

from ports.books import (
    KEYS,
    MINT,
    READINGS,
    SPREAD,
    START,
    STEP,
    TELLER,
    UNREADABLE,
    VOTING,
    Addresses,
    World,
    account,
    key,
)
from troth.core.encoding import keccak256
from troth.core.terms import Account
from troth.ledger.artefacts import Artefact, artefact, code_hash
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.deploy import code_at, create
from troth.ledger.erc20 import Erc20
from troth.ledger.evm import EvmBook
from troth.ledger.sending import Receipt, Sender

ARTEFACTS = Path(__file__).parents[1] / "contracts" / "artefacts"
DEPLOYER = account("deployer")


@cache
def hostile(name: str) -> Artefact:
    """A contract that only the tests have."""
    return Artefact.read((ARTEFACTS / f"{name}.json").read_text("utf-8"))


def call_data(signature: str, *values: Any) -> bytes:
    """Calldata of ``name(types)``, for types without commas inside."""
    kinds = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return keccak256(signature.encode())[:4] + encode(kinds, values)


class EvmWorld(World):
    """A chain of its own with the Book, a token with a block list, and every policy of the tests.

    path: an empty place for the chain's file; None keeps it in memory. origin: a chain made by another EvmWorld to
    start from, instead of deploying everything again. accounts: wei at genesis.
    """

    def __init__(self, path: Path | None = None, *, origin: EvmWorld | None = None,
                 accounts: Mapping[Account, int] | None = None) -> None:
        if origin is not None and path is not None:
            assert origin.path is not None
            shutil.copyfile(origin.path, path)
        self.path = path
        self.clock = ManualClock(START)
        self.chain = EmbeddedChain(path, clock=self.clock, accounts=accounts)
        self.web3 = self.chain.web3
        self._senders: dict[Account, Sender] = {}
        self.addresses = self._deploy() if origin is None else origin.addresses
        self.book = EvmBook(self.web3, self.addresses.book, self.sender, chain_id=self.chain.chain_id)
        self.erc20 = Erc20(self.web3, self.token)

    def _deploy(self) -> Addresses:
        deployer = self.sender(DEPLOYER)
        forwarder, _ = create(deployer, artefact("Forwarder").bytecode)
        book, _ = create(deployer, artefact("Book").bytecode, ("address", DEPLOYER), ("address", forwarder))
        self.forwarder = forwarder
        token = self.make("MoodyToken")
        readings = ("uint64", READINGS[0]), ("uint32", READINGS[1])
        policies = {
            "assumed": self.make("Assumed", ("uint128", 0)),
            "rerun1": self.make("Rerun", ("uint256", 1), ("uint128", 0)),
            "rerun2": self.make("Rerun", ("uint256", 2), ("uint128", 0)),
            "signed2": self.make("Signed", ("uint256", 2), ("uint128", 0)),
            "preimage": self.make("Preimage"),
            "quorum2": self.make("Quorum", ("uint256", 2), *readings, ("uint128", 0)),
            "median2": self.make("Median", ("uint256", 2), *readings, ("uint32", SPREAD), ("uint128", STEP)),
            "vote": self.make("Vote", ("address", TELLER), ("uint32", VOTING[0]), ("uint32", VOTING[1])),
            "puppet": self.make("Puppet", ("uint128", 0)),
            "puppet5": self.make("Puppet", ("uint128", 5)),
            "puppetx": self.make("Puppet", ("uint128", UNREADABLE)),
        }
        revocations = self.make("Revocations")
        policies |= {
            "quote2": self.make("Quote", ("uint256", 2), ("uint128", 0)),
            "mandated": self.make("Mandated", ("address", policies["assumed"]), ("address", revocations),
                                  ("bool", True)),
            "mandatedp": self.make("Mandated", ("address", policies["puppet"]), ("address", bytes(20)),
                                   ("bool", False)),
        }
        self.keys = self.make("Keys")
        policies["proof"] = self.make("Proof", ("address", self.keys))
        pinned = {name: (one, code_hash(code_at(self.web3, one))) for name, one in policies.items()}
        return Addresses(self.chain.chain_id, book, DEPLOYER, {"token": token}, pinned)

    def make(self, name: str, *arguments: tuple[str, Any]) -> Account:
        """Deploy one of the contracts; its account."""
        made = hostile(name) if (ARTEFACTS / f"{name}.json").exists() else artefact(name)
        return create(self.sender(DEPLOYER), made.bytecode, *arguments)[0]

    def sender(self, who: Account) -> Sender:
        """Sends as one of the tests' actors."""
        if who not in self._senders:
            self._senders[who] = Sender(self.web3, KEYS[who].reveal_seed(), errors=artefact("Book").errors)
        return self._senders[who]

    def send(self, who: Account, to: Account, signature: str, *values: Any) -> Receipt:
        """One call of any contract by an actor."""
        return self.sender(who).send(to, call_data(signature, *values))

    def now(self) -> int:
        return self.chain.now()

    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def head(self) -> bytes:
        """The newest block's hash."""
        return self.chain.head().hash

    def stored(self, account: Account, slot: int) -> int:
        """A storage slot."""
        return self.chain.storage(account, slot)

    def balance(self, who: Account) -> int:
        return self.erc20.balance(who)

    def fund(self, who: Account, amount: int = MINT, approve: int | None = None) -> None:
        self.send(DEPLOYER, self.token, "mint(address,uint256)", who, amount)
        self.erc20.approve(self.sender(who), self.addresses.book, amount if approve is None else approve)

    def fail(self, who: Account, failing: bool = True) -> None:
        self.send(DEPLOYER, self.token, "fail(address,bool)", who, failing)

    def close(self) -> None:
        """Let go of the chain's file."""
        self.chain.close()


__all__ = ["DEPLOYER", "EvmWorld", "call_data", "hostile", "key"]
