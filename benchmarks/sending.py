"""What remembering costs: acts a second through the outbox, in a file and in memory, against sending without one.

All on an embedded chain in memory, where a block is free, so that what is measured is the sending: elsewhere a block
takes seconds and the outbox's part is lost in it. "plain" does what a script does: read the nonce, sign, send, ask for
the receipt once. Acts are writes of one storage slot, with the gas limit given. Seconds are of wall clock for the
file, since it waits for the disk at each act, and of CPU besides.

Run: python benchmarks/sending.py [--quick]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coincurve

from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import request
from troth.ledger.chains.transactions import DYNAMIC_FEE, Transaction, account_of
from troth.ledger.outbox import Outbox
from troth.ledger.sending import Sender

KEY = b"\x21" * 32
CELL = bytes.fromhex("6005600c60003960056000f3") + bytes.fromhex("5f355f5500")
"""Creation code of a contract that writes its first word to slot 0."""
GAS = 100_000


def plain(chain: EmbeddedChain, cell: bytes, number: int) -> None:
    """One act without a memory."""
    web3, secret = chain.web3, coincurve.PrivateKey(KEY)
    account = account_of(secret.public_key)
    nonce = int(request(web3, "eth_getTransactionCount", "0x" + account.hex(), "pending"), 16)
    unsigned = Transaction(DYNAMIC_FEE, chain.chain_id, nonce, 0, 0, GAS, cell, 0, number.to_bytes(32, "big"))
    raw = unsigned.signed(secret, account).encode()
    tx_hash = request(web3, "eth_sendRawTransaction", "0x" + raw.hex())
    assert request(web3, "eth_getTransactionReceipt", tx_hash)["status"] == "0x1"


def rate(act: Callable[[int], None], count: int) -> dict[str, float]:
    """Acts a second, by the wall clock and by this process's CPU."""
    act(0)  # what is loaded at the first
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(1, count + 1):
        act(number)
    return {"per_second": round(count / (time.perf_counter() - wall), 1),
            "per_cpu_second": round(count / (time.process_time() - cpu), 1)}


def run(quick: bool = False) -> dict[str, Any]:
    """Acts a second each way, and the outbox's share of plain sending."""
    count = 60 if quick else 600
    with tempfile.TemporaryDirectory() as folder, EmbeddedChain(None) as chain:
        memory = Sender(chain.web3, KEY)
        cell = memory.deploy(CELL).contract
        assert cell is not None
        file = Sender(chain.web3, KEY, outbox=Outbox(Path(folder) / "outbox"))
        ways: dict[str, Callable[[int], None]] = {
            "plain": lambda number: plain(chain, cell, number),
            "memory": lambda number: _send(memory, cell, number),
            "file": lambda number: _send(file, cell, number),
        }
        found: dict[str, Any] = {name: rate(act, count) for name, act in ways.items()}
    for name in ("memory", "file"):
        found[f"{name}_to_plain"] = {unit: round(found[name][unit] / found["plain"][unit], 3)
                                     for unit in ("per_second", "per_cpu_second")}
    return found


def _send(sender: Sender, cell: bytes, number: int) -> None:
    sender.send(cell, number.to_bytes(32, "big"), gas=GAS, act=b"%d" % number)


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1))
