"""Anvil for tests: where the pinned one lies, and what tests ask of a node beyond a chain's own port."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from troth.ledger.chains import Chain
from troth.ledger.chains.anvil import BINARY, AnvilChain
from troth.ledger.chains.rpc import request

PROGRAM = Path(__file__).parents[1] / "tools/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"


def anvil(
    *options: str, path: Path | None = None, accounts: Mapping[bytes, int] | None = None,
    genesis_time: int | None = None, chain_id: int = 7_407,
) -> AnvilChain:
    """A started anvil on which ``accounts`` hold their wei. Close it, or use it as a context.

    options: anvil's own, such as ``"--no-mining"`` or ``"--slots-in-an-epoch", "2"``.
    """
    os.environ.setdefault(BINARY, str(PROGRAM))
    return AnvilChain(path, chain_id=chain_id, genesis_time=genesis_time, accounts=accounts, options=options)


def mine(chain: Chain, blocks: int = 1) -> None:
    """Append blocks: of what waits in the pool first."""
    request(chain.web3, "anvil_mine", hex(blocks))


def advance(chain: Chain, seconds: int) -> None:
    """Move the chain's clock forward; the next block shows it."""
    request(chain.web3, "evm_increaseTime", seconds)


def snapshot(chain: Chain) -> str:
    """A name for the chain as it is now."""
    return str(request(chain.web3, "anvil_snapshot"))


def revert(chain: Chain, name: str) -> None:
    """Make the chain what it was; the snapshot is used up."""
    assert request(chain.web3, "anvil_revert", name) is True


def reorg(chain: Chain, depth: int, replacements: list[tuple[bytes, int]] | None = None) -> None:
    """Replace the last ``depth`` blocks. replacements: signed transactions and the new block (from 0) that each is in.

    What the replaced blocks held is gone; it is not put back into the pool.
    """
    pairs = [["0x" + raw.hex(), at] for raw, at in replacements or ()]
    request(chain.web3, "anvil_reorg", depth, pairs)


def drop(chain: Chain, tx_hash: bytes) -> None:
    """Take a transaction out of the pool."""
    request(chain.web3, "anvil_dropTransaction", "0x" + tx_hash.hex())


def block_seconds(chain: Chain, seconds: int) -> None:
    """From now on each block is ``seconds`` after its parent, whatever the clock shows."""
    request(chain.web3, "anvil_setBlockTimestampInterval", seconds)
