"""Royalties as other people's markets ask for them (ERC-2981): the contract ``Royalties``, and shares under its ids.

An id commits to who made it, of what (a claim), the rate and every share, so it cannot be changed and can be computed
before anything is sent. Whether its shares are right is not known on chain: compare it with ``id_of`` the shares that
the lineage gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Misuse
from troth.core.payouts import PayoutTree
from troth.core.terms import Account
from troth.ledger.artefacts import artefact
from troth.ledger.evmcodec import account_of, decode
from troth.ledger.sending import Acting, Receipt, call

if TYPE_CHECKING:
    from web3 import Web3

MILLION = 1_000_000
COIN: Account = bytes(20)
"""In the place of a token: the chain's own coin."""
MAX_WHOLE = (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class Info:
    """What ``royaltyInfo`` answers: where to send how much. receiver: zeros for an id that is not set."""

    receiver: Account
    amount: int


@dataclass(frozen=True)
class Shares:
    """Who has how much of what a thing earns. Accounts ascend, shares are at least 1."""

    thing: bytes
    rate: int
    rows: tuple[tuple[Account, int], ...]

    def __post_init__(self) -> None:
        accounts = [account for account, _ in self.rows]
        if not accounts or accounts != sorted(set(accounts)) or any(len(one) != 20 or not any(one) for one in accounts):
            raise BadInput("not the shares of a royalty", expected="distinct accounts, ascending", actual=len(accounts))
        if not 0 <= self.rate <= MILLION or min(share for _, share in self.rows) < 1 or self.whole > MAX_WHOLE:
            raise BadInput("not the shares of a royalty", actual=f"{self.rate} ppm, {self.whole}",
                           expected=f"a rate of at most {MILLION} ppm, shares of at least 1 that sum to below 2**128")

    @classmethod
    def of(cls, thing: bytes, rate: int, weights: Mapping[Account, int]) -> Shares:
        """The shares of these accounts, those of 0 left out."""
        return cls(thing, rate, tuple(sorted((account, weight) for account, weight in weights.items() if weight)))

    @property
    def whole(self) -> int:
        """The sum of the shares."""
        return sum(share for _, share in self.rows)

    @cached_property
    def tree(self) -> PayoutTree:
        """The tree over the shares."""
        return PayoutTree([_leaf(account, share) for account, share in self.rows])

    def find(self, account: Account) -> tuple[int, tuple[bytes, ...]]:
        """An account's share and its proof. Raises Misuse for an account without one."""
        for place, (one, share) in enumerate(self.rows):
            if one == account:
                return share, self.tree.proof(place)
        raise Misuse("no share of this is this account's", actual="0x" + account.hex())


class Royalties:
    """One deployment of the contract."""

    def __init__(self, web3: Web3, address: Account, chain_id: int) -> None:
        self.web3, self.address, self.chain_id = web3, address, chain_id

    def id_of(self, maker: Account, shares: Shares) -> int:
        """The id of such shares, once their maker has set them."""
        return int.from_bytes(keccak256(_encode(
            ("uint256", "address", "address", "bytes32", "uint32", "uint128", "bytes32"),
            self.chain_id, self.address, maker, shares.thing, shares.rate, shares.whole, shares.tree.root)), "big")

    def set(self, sender: Acting, shares: Shares) -> int:
        """Make shares of the sender's known to markets; their id. Again is a no-op. Raises ActRefused."""
        self._do(sender, "set(bytes32,uint32,uint128,bytes32)", ("bytes32", "uint32", "uint128", "bytes32"),
                 shares.thing, shares.rate, shares.whole, shares.tree.root)
        return self.id_of(sender.account, shares)

    def info(self, number: int, price: int) -> Info:
        """What a market is told to pay of a price."""
        receiver, amount = decode(("address", "uint256"), self._ask(
            "royaltyInfo(uint256,uint256)", ("uint256", "uint256"), number, price))
        return Info(account_of(receiver), amount)

    def purse(self, number: int) -> Account:
        """Where what is owed for an id is sent; the account need not hold code yet."""
        (found,) = decode(("address",), self._ask("purse(uint256)", ("uint256",), number))
        return account_of(found)

    def due(self, number: int, token: Account, account: Account, shares: Shares) -> int:
        """What an account could collect now. Raises ActRefused for an id that is not set."""
        share, _ = shares.find(account)
        (found,) = decode(("uint256",), self._ask("due(uint256,address,address,uint128)", (
            "uint256", "address", "address", "uint128"), number, token, account, share))
        return int(found)

    def release(self, sender: Acting, number: int, token: Account, account: Account, shares: Shares) -> Receipt:
        """Have an account paid what it has not collected, whoever sends. Raises ActRefused where that is nothing."""
        share, proof = shares.find(account)
        return self._do(sender, "release(uint256,address,address,uint128,bytes32[])", (
            "uint256", "address", "address", "uint128", "bytes32[]"), number, token, account, share, proof)

    def _ask(self, signature: str, types: Sequence[str], *values: Any) -> bytes:
        return call(self.web3, self.address, _data(signature, types, values), errors=artefact("Royalties").errors)

    def _do(self, sender: Acting, signature: str, types: Sequence[str], *values: Any) -> Receipt:
        data = _data(signature, types, values)
        if not sender.owes(self.address, data):
            call(self.web3, self.address, data, sender=sender.account, errors=artefact("Royalties").errors)
        return sender.send(self.address, data)


def _leaf(account: Account, share: int) -> bytes:
    return keccak256(keccak256(_encode(("address", "uint128"), account, share)))


def _data(signature: str, types: Sequence[str], values: Sequence[Any]) -> bytes:
    return keccak256(signature.encode())[:4] + _encode(types, *values)


def _encode(types: Sequence[str], *values: Any) -> bytes:
    # Imported here: eth_abi takes 0.2 s to load.
    from eth_abi.abi import encode

    return encode(types, values)
