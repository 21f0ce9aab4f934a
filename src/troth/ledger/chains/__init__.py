"""Chains by address: ``embedded:PATH``, ``embedded:`` in memory, ``http(s)://…`` to a node that runs elsewhere.

A backend is one file and one line in :data:`BACKENDS`; it is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from troth.core.errors import Misuse, OutsideFailed
from troth.core.ports import Clock

if TYPE_CHECKING:
    from web3 import Web3

BACKENDS: dict[str, tuple[str, str]] = {
    "embedded": ("troth.ledger.chains.embedded", "pip install py-evm web3"),
    "http": ("troth.ledger.chains.rpc", "pip install web3"),
    "https": ("troth.ledger.chains.rpc", "pip install web3"),
}
"""Scheme -> (module with ``open_url``, how to get what it needs)."""


class Chain(Protocol):
    """A chain one can send to and read from."""

    @property
    def web3(self) -> Web3:
        """A web3.py instance on this chain."""
        ...

    def now(self) -> int:
        """The timestamp the next block carries, as far as can be told; Unix seconds."""
        ...

    def close(self) -> None:
        """Let go of the file or the connection."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_chain(
    url: str,
    *,
    chain_id: int | None = None,
    genesis_time: int | None = None,
    accounts: Mapping[bytes, int] | None = None,
    clock: Clock | None = None,
) -> Chain:
    """The chain at ``url``.

    chain_id: what it must be; None takes the embedded default, or whatever the node says. genesis_time, accounts,
    clock: for an embedded chain only, see ``EmbeddedChain``.

    Raises Misuse for an unknown scheme, a chain id that differs, or an argument the backend has no use for;
    OutsideFailed if the backend's packages are missing or the node does not answer.
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
    return chain
