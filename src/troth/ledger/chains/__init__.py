"""Chains by address: ``embedded:PATH``, ``embedded:`` in memory, ``anvil:PATH`` and ``anvil:`` for a development node
that Troth starts and ends, ``http(s)://…`` for a node that runs elsewhere.

What each promises and does not is in docs/reference/chains.md. A backend is one file and one line in
:data:`BACKENDS`; it is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from troth.core.errors import Misuse, OutsideFailed
from troth.core.ports import Clock

if TYPE_CHECKING:
    from web3 import Web3

BACKENDS: dict[str, tuple[str, str]] = {
    "embedded": ("troth.ledger.chains.embedded", "pip install py-evm web3"),
    "anvil": ("troth.ledger.chains.anvil", "pip install web3"),
    "http": ("troth.ledger.chains.rpc", "pip install web3"),
    "https": ("troth.ledger.chains.rpc", "pip install web3"),
}
"""Scheme -> (module with ``open_url``, how to get what it needs)."""


CHAIN_ID = 7_407
"""Of the chains that Troth makes itself, unless another is asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """A block: its number, its 32-byte hash, and its timestamp, Unix seconds."""

    number: int
    hash: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class Finality:
    """How far a chain is, in three degrees; never falling from ``latest`` to ``finalized``.

    latest: the head, which may be replaced. safe: not expected to be. finalized: cannot be, by the chain's own rules,
    and the only degree on which something leaves the chain. None: the node knows of no such block yet, which is no
    reason to take another.
    """

    latest: Place
    safe: Place | None
    finalized: Place | None


class Chain(Protocol):
    """A chain one can send to and read from."""

    @property
    def chain_id(self) -> int:
        """What transactions are signed for (EIP-155)."""
        ...

    @property
    def genesis_hash(self) -> bytes:
        """The 32-byte hash of block 0, which tells apart chains that share an id."""
        ...

    @property
    def web3(self) -> Web3:
        """A web3.py instance on this chain."""
        ...

    def now(self) -> int:
        """The timestamp the next block carries, as far as can be told; Unix seconds."""
        ...

    def finality(self) -> Finality:
        """How far the chain is. Raises OutsideFailed if it does not answer."""
        ...

    def close(self) -> None:
        """Let go of the file or the connection, end a program that was started for it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_chain(
    url: str,
    *,
    chain_id: int | None = None,
    genesis_hash: bytes | None = None,
    genesis_time: int | None = None,
    accounts: Mapping[bytes, int] | None = None,
    clock: Clock | None = None,
) -> Chain:
    """The chain at ``url``.

    chain_id, genesis_hash: what they must be; None takes the default of a chain made here, or whatever the node says.
    genesis_time, accounts, clock: for a chain made here, see ``EmbeddedChain`` and ``AnvilChain``.

    Raises Misuse for an unknown scheme, another chain than was asked for, or an argument the backend has no use for;
    OutsideFailed if the backend's packages or program are missing or the node does not answer.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in BACKENDS:
        raise Misuse("unknown kind of chain", expected=", ".join(f"{name}:…" for name in BACKENDS), actual=url)
    module, hint = BACKENDS[scheme]
    try:
        backend = importlib.import_module(module)
    except ImportError as error:
        raise OutsideFailed(f"the {scheme} chain needs a package that is missing: {error}", do=hint) from error
    chain: Chain = backend.open_url(url, chain_id, genesis_time, accounts, clock)
    if genesis_hash is not None and chain.genesis_hash != genesis_hash:
        actual = chain.genesis_hash.hex()
        chain.close()
        raise Misuse(f"{url} is another chain", expected=f"genesis {genesis_hash.hex()}", actual=actual,
                     do="Correct the address, or find out who put another chain behind it")
    return chain
