"""Where the gas of whole deals goes: by kind of instruction and by whose code runs it, for ``gas``'s stories.

Every instruction of the embedded chain is measured as it runs. A call's own cost is what is left of it without what the
called code used. The parts of a transaction sum exactly to its gas.

Run: python -m benchmarks parts
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import gas
from troth.core.encoding import keccak256
from troth.ledger.chains import engine
from troth.ledger.sending import call

KINDS = {
    "SSTORE": "storage written", "SLOAD": "storage read", "KECCAK256": "hashing", "SHA3": "hashing",
    "TLOAD": "transient guard", "TSTORE": "transient guard",
    **dict.fromkeys((f"LOG{n}" for n in range(5)), "events"),
    **dict.fromkeys(("CALL", "STATICCALL", "DELEGATECALL", "EXTCODEHASH", "EXTCODESIZE", "EXTCODECOPY"), "calls"),
}
TRANSACTION = 21_000


class Parts:
    """The gas of every story so far, by whose code and which kind of instruction."""

    def __init__(self, bench: gas.Bench) -> None:
        self.bench = bench
        self.names = {one.address: one.contract for one in bench.contracts.named.values()}
        self.names[call(bench.chain.web3, bench.book.address, keccak256(b"shape()")[:4])[-20:]] = "Shape"
        self.found: dict[str, Counter[str]] = {}
        self._now: Counter[str] | None = None  # of the transaction that runs, if it counts
        self._sum = 0

    def step(self, mnemonic: str, run: Callable[..., Any]) -> Callable[..., Any]:
        """The instruction, which also notes what it used by itself."""
        kind = KINDS.get(mnemonic, "instructions and memory")

        def stepped(computation: Any) -> Any:
            if self._now is None:
                return run(computation=computation)
            before, below = computation.get_gas_remaining(), self._sum
            try:
                return run(computation=computation)
            finally:
                used = before - computation.get_gas_remaining() - (self._sum - below)
                self._sum += used
                whose = self.names.get(bytes(computation.msg.code_address), "others")
                self._now[f"{whose}: {kind}"] += used

        return stepped

    def apply(self, run: Callable[..., Any], *arguments: Any) -> Any:
        """A transaction. Its parts go to the whole that its sender's meter names, and a challenge's to its own too."""
        tx = arguments[-1]
        meter = self.bench.senders.get(tx.sender)
        if meter is None or not meter.sum:
            return run(*arguments)
        self._now, self._sum = Counter(), 0
        try:
            done = run(*arguments)
        finally:
            now, self._now = self._now, None
        now["transactions"] += TRANSACTION
        now["calldata"] += tx.intrinsic_gas - TRANSACTION
        # What a refund gave back, or the floor of calldata took (EIP-7623).
        now["refunds and floor"] += done[1].gas - tx.intrinsic_gas - self._sum
        for name in (meter.sum, meter.name):
            if name.startswith(("whole", "challenge")):
                self.found.setdefault(name, Counter()).update(now)
        return done


@contextmanager
def watched(parts: Parts) -> Iterator[None]:
    """The embedded chain with every instruction measured."""
    computation, plain, applied = engine._Computation, engine._Computation.opcodes, engine.Engine.apply
    computation.opcodes = {code: parts.step(getattr(one, "mnemonic", ""), one) for code, one in plain.items()}
    engine.Engine.apply = lambda *arguments: parts.apply(applied, *arguments)  # type: ignore[method-assign]
    try:
        yield
    finally:
        computation.opcodes, engine.Engine.apply = plain, applied  # type: ignore[method-assign]


def run(quick: bool = False) -> dict[str, Any]:
    """The parts of every whole of ``gas``, largest first (``quick`` changes nothing)."""
    bench = gas.Bench()
    parts = Parts(bench)
    with watched(parts):
        for story in (gas.two_party, gas.whole_jobs, gas.challenged, gas.cheaper_challenges,
                      gas.simple_sale):
            story(bench)
    bench.chain.close()
    whole = bench.notes | bench.sums
    for name, found in parts.found.items():
        if found.total() != whole[name]:
            raise AssertionError(f"{name}: the parts sum to {found.total()}, not to {whole[name]}")
    return {name: dict(found.most_common()) for name, found in parts.found.items()}
