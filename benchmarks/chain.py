"""The embedded chain against eth-tester (py-evm) and anvil, in the same run, with the same signed transactions.

Gas and fees are preset, signing is not counted, each transaction's receipt is read back. Two ways of asking: plain
JSON-RPC, which is the chain's own cost, and web3.py's methods, whose formatting costs as much again. Anvil's figure is
the node's own processor time, without its client's. CPU seconds, not waiting: a file's sync costs time, not CPU.

eth-tester's ``get_logs`` grows faster than the number of events: it is measured on few, and ``logs_at_goal`` compares
our time for all events with the peer's grown only in proportion, which flatters the peer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import coincurve

from ports.contracts import STORE, TOKEN, creation, words
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import get_logs, request
from troth.ledger.chains.transactions import DYNAMIC_FEE, Transaction, account_of

KEY = coincurve.PrivateKey(b"\1" * 32)
ACCOUNT = account_of(KEY.public_key)
ETHER = 10**18
TRANSFER = bytes.fromhex("a9059cbb")
EVENT = creation("7 32 0 LOG1")
COLD = "from troth.ledger.chains.embedded import EmbeddedChain; EmbeddedChain(None).web3.eth.chain_id"
COLD_PEER = "from web3 import Web3, EthereumTesterProvider; Web3(EthereumTesterProvider()).eth.chain_id"


class Subject:
    """A chain under measurement, behind web3.py."""

    def __init__(self, web3: Any, pid: int | None = None) -> None:
        self.web3 = web3
        self.chain_id = web3.eth.chain_id
        self.nonce = web3.eth.get_transaction_count(web3.to_checksum_address(ACCOUNT))
        self.pid = pid

    def spent(self) -> float:
        """CPU seconds so far: of the node where it is a process of its own, else of this one."""
        if self.pid is None:
            return time.process_time()
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signed(self, to: bytes, data: bytes, gas: int = 3_000_000) -> bytes:
        """The next transaction's bytes."""
        tx = Transaction(DYNAMIC_FEE, self.chain_id, self.nonce, 10**9, 10**10, gas, to, 0, data)
        self.nonce += 1
        return tx.signed(KEY, ACCOUNT).encode()

    def send(self, raw: bytes) -> Any:
        """Send and read the receipt."""
        return self.web3.eth.get_transaction_receipt(self.web3.eth.send_raw_transaction(raw))

    def send_plainly(self, raw: bytes) -> bool:
        """The same by plain JSON-RPC; whether it succeeded."""
        tx_hash = request(self.web3, "eth_sendRawTransaction", "0x" + raw.hex())
        receipt = None
        while receipt is None:  # anvil mines a moment later
            receipt = request(self.web3, "eth_getTransactionReceipt", tx_hash)
        return bool(receipt["status"] == "0x1")

    def deploy(self, code: bytes) -> bytes:
        """The new contract's account."""
        tx_hash = self.web3.eth.send_raw_transaction(self.signed(b"", code))
        return bytes.fromhex(self.web3.eth.wait_for_transaction_receipt(tx_hash)["contractAddress"][2:])


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds that ``work`` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def rate(subject: Subject, contract: bytes, payloads: list[bytes], plainly: bool) -> float:
    """Transactions per CPU second."""
    raws = [subject.signed(contract, payload, 200_000) for payload in payloads]
    start = subject.spent()
    for raw in raws:
        if not (subject.send_plainly(raw) if plainly else subject.send(raw)["status"] == 1):
            raise AssertionError("a transaction failed")
    return len(raws) / (subject.spent() - start)


def embedded(path: Path | None) -> EmbeddedChain:
    return EmbeddedChain(path, accounts={ACCOUNT: 10**6 * ETHER})


def peer() -> Subject:
    """eth-tester on py-evm, its first account's ether moved to ours."""
    from eth_tester import EthereumTester, PyEVMBackend
    from web3 import EthereumTesterProvider, Web3

    web3 = Web3(EthereumTesterProvider(EthereumTester(PyEVMBackend())))
    to = web3.to_checksum_address(ACCOUNT)
    web3.eth.send_transaction({"from": web3.eth.accounts[0], "to": to, "value": web3.to_wei(1_000, "ether")})
    return Subject(web3)


def transactions(subject: Subject, count: int, plainly: bool = True) -> dict[str, float]:
    """Transactions per CPU second: token transfers to new and known holders, and writes to fresh slots."""
    token, store = subject.deploy(TOKEN), subject.deploy(STORE)
    holders = [int.from_bytes(bytes((at % 97 + 1,)) * 20, "big") for at in range(count)]
    return {
        "transfer": rate(subject, token, [TRANSFER + words(holder, 5) for holder in holders], plainly),
        "slot": rate(subject, store, [words(at, at + 1) for at in range(count)], plainly),
    }


def growth(folder: Path, count: int) -> dict[str, float]:
    """Bytes of the file per transaction: transfers among 997 holders, and writes to fresh slots."""
    found = {}
    for name in ("transfer", "slot"):
        with embedded(folder / name) as chain:
            subject = Subject(chain.web3)
            contract = subject.deploy(TOKEN if name == "transfer" else STORE)
            for at in range(count):
                holder = int.from_bytes(at.to_bytes(20, "big"), "big") % 997 + 1
                data = TRANSFER + words(holder, 1) if name == "transfer" else words(at, at + 1)
                chain.submit(subject.signed(contract, data, 200_000))
        found[name] = (folder / name).stat().st_size / count
    return found


def node(count: int) -> dict[str, Any] | str:
    """Anvil's figures and its cold start; why not, where it is not installed."""
    from ports.anvil import PROGRAM, anvil
    from troth.core.errors import OutsideFailed

    try:
        start = time.perf_counter()
        with anvil(accounts={ACCOUNT: 10**6 * ETHER}) as chain:
            cold = time.perf_counter() - start
            return {**transactions(Subject(chain.web3, chain.pid), count), "cold_start_seconds": cold}
    except OutsideFailed as error:
        return f"{PROGRAM.name}: {error}"


def events(subject: Subject, count: int) -> None:
    """Make ``count`` events, one a block."""
    contract = subject.deploy(EVENT)
    for _ in range(count):
        subject.web3.eth.send_raw_transaction(subject.signed(contract, b"", 100_000))


def log_seconds(subject: Subject, expected: int) -> float:
    """CPU seconds of one ``get_logs`` over all events through web3.py."""
    return cpu(lambda: _check(len(subject.web3.eth.get_logs({"fromBlock": 0, "toBlock": "latest"})), expected))


def _check(found: int, expected: int) -> None:
    if found != expected:
        raise AssertionError(f"{found} events, expected {expected}")


def cold_seconds(source: str) -> float:
    """CPU seconds (user and system) from nothing to the first answer, in a new process; the least of three."""
    script = f"{source}; import os; print(sum(os.times()[:2]))"
    runs = [subprocess.run([sys.executable, "-c", script], capture_output=True, check=True) for _ in range(3)]
    return min(float(run.stdout) for run in runs)


def run(quick: bool = False) -> dict[str, Any]:
    """Figures of the embedded chain on a file and in memory, of eth-tester, and their ratios; goals beside them."""
    count, goal_events, peer_events = (60, 500, 50) if quick else (400, 10_000, 200)
    with tempfile.TemporaryDirectory() as folder:
        with embedded(Path(folder) / "chain") as on_file, embedded(None) as in_memory:
            file_rates = transactions(Subject(on_file.web3), count)
            web3_rates = transactions(Subject(on_file.web3), count, plainly=False)
            memory_rates = transactions(Subject(in_memory.web3), count)
        with embedded(Path(folder) / "logs") as logs, embedded(Path(folder) / "few") as few:
            many, same = Subject(logs.web3), Subject(few.web3)
            events(many, goal_events)
            events(same, peer_events)
            our_goal, our_same = log_seconds(many, goal_events), log_seconds(same, peer_events)
            typed = cpu(lambda: _check(len(get_logs(logs.web3)), goal_events))
            raw = cpu(lambda: _check(len(request(logs.web3, "eth_getLogs", {"fromBlock": "0x0"})), goal_events))
        bytes_each = growth(Path(folder), 200 if quick else 10_000)
    other = peer()
    peer_rates = transactions(other, count, plainly=False)
    anvil_rates = node(count)
    other = peer()
    events(other, peer_events)
    peer_logs = log_seconds(other, peer_events)
    cold, cold_peer = cold_seconds(COLD), cold_seconds(COLD_PEER)
    return {
        "tx_per_cpu_second": {
            "file": file_rates, "memory": memory_rates, "file_through_web3": web3_rates,
            "eth_tester_through_web3": peer_rates, "anvil_node_alone": anvil_rates,
        },
        "tx_per_cpu_second_goal": 400,
        "tx_ratio": {name: web3_rates[name] / peer_rates[name] for name in peer_rates},
        "tx_ratio_goal": 2,
        "logs": {
            "events": goal_events,
            "web3_seconds": our_goal,
            "typed_seconds": typed,
            "raw_seconds": raw,
            "peer_events": peer_events,
            "peer_seconds": peer_logs,
            "ours_at_peer_events_seconds": our_same,
        },
        "logs_ratio_same_events": peer_logs / our_same,
        "logs_at_goal": peer_logs * goal_events / peer_events / our_goal,
        "logs_ratio_goal": 100,
        "cold_start_seconds": {"embedded": cold, "eth_tester": cold_peer},
        "file_bytes_per_transaction": bytes_each,
        "file_megabytes_per_10000_transactions": {name: size * 10_000 / 1e6 for name, size in bytes_each.items()},
    }


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
