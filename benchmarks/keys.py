"""Keys that last: what changing, dating and recovering cost, against the raw signatures inside, in the same run.

One thread. A change of keys with its crash safety is one keystore read and one written (scrypt at its default cost:
that is most of it) and one claim of a log. Gas on the embedded chain, beside ERC-1056 ``setAttribute`` of 32 bytes,
51,600, stated and not measured here.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.registries import PEER
from troth.app import Settings, Troth, file_subject
from troth.app.guarding import approve, execute, open_case, propose, recover, set_guardians
from troth.app.keys import date, good, rotate
from troth.core.claims import Statement
from troth.identity.devices import READING, device_subject, follow, reading_body
from troth.identity.keystore import DEFAULT_COST, MIN_COST
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.guardians import MIN_DELAY, Guardians, Quorum, proposal_for

PASSPHRASE = "a passphrase for measuring"
READINGS = 20_000


def run(quick: bool = False) -> dict[str, Any]:
    """Milliseconds by act, ratios, readings checked a second, and gas. ``quick``: fewer repetitions."""
    again = 3 if quick else 20
    with tempfile.TemporaryDirectory() as folder:
        clock = ManualClock(1_700_000_000)
        chain = EmbeddedChain(None, clock=clock)

        def make(name: str, cost: int = MIN_COST) -> Troth:
            return Troth.init(Path(folder) / name, PASSPHRASE, Settings(name, "", str(Path(folder) / "exchange")),
                              cost=cost, clock=clock, chain=chain)

        parties = [make(name) for name in ("alice", "one", "two")]
        cheap, plain = make("cheap"), make("plain", DEFAULT_COST)
        try:
            times = _times(parties[0], cheap, plain, again)
            gas = _gas(parties, clock, Path(folder))
        finally:
            for party in (*parties, cheap, plain):
                party.close()
            chain.close()
    return {"milliseconds": times, "gas": gas, "readings_checked_per_second": _readings(quick),
            "ratio_to_erc1056": {name: round(used / PEER, 2) for name, used in gas.items()},
            "rotate_to_hybrid_signature": round(times["rotate, scrypt at 2^14"] / times["hybrid signature"], 1),
            "good_to_hybrid_verification": round(times["good, with the registry"] / times["hybrid verification"], 1)}


def _ms(act: Callable[[], object], again: int) -> float:
    """The best of ``again``: milliseconds of one."""
    best = float("inf")
    for _ in range(again):
        start = time.perf_counter()
        act()
        best = min(best, time.perf_counter() - start)
    return round(best * 1000, 2)


def _times(alice: Troth, cheap: Troth, plain: Troth, again: int) -> dict[str, float]:
    alice.deploy()
    claim = alice.attest("dataset", [file_subject("x", b"x")], {"rows": 1})
    alice.register()
    alice.anchor()
    dated, message = date(alice, claim), b"m" * 1024
    signed = alice.identity.signer().sign(message)
    return {"hybrid signature": _ms(lambda: alice.identity.signer().sign(message), again),
            "hybrid verification": _ms(lambda: alice.keybook.verify(alice.did, message, signed), again),
            "date": _ms(lambda: date(alice, claim), again),
            "good, with the registry": _ms(lambda: good(alice, dated), again),
            "rotate, scrypt at 2^14": _ms(lambda: rotate(cheap, PASSPHRASE), again),
            "rotate, scrypt at 2^15": _ms(lambda: rotate(plain, PASSPHRASE), min(again, 5))}


def _gas(parties: list[Troth], clock: ManualClock, folder: Path) -> dict[str, int]:
    alice, one, two = parties
    gas: dict[str, int] = {}

    def used(name: str, act: Callable[[], object]) -> None:
        before = alice.chain.web3.eth.block_number
        act()
        after = alice.chain.web3.eth.block_number
        gas[name] = sum(alice.chain.web3.eth.get_block(at)["gasUsed"] for at in range(before + 1, after + 1))

    quorum = Quorum.of(2, MIN_DELAY, (one.account, two.account, bytes([255]) * 20))
    cards = []
    used("change keys and name guardians", lambda: cards.append(set_guardians(alice, PASSPHRASE, quorum)[1]))
    used("change keys", lambda: rotate(alice, PASSPHRASE))
    card = cards[0]
    assert card is not None
    for party in (one, two):
        party.use_contracts(alice.contracts)
        party.meet(alice.introduction())
    new, case = recover(open_case(one, card), folder / "new", PASSPHRASE, Settings("new", "", str(folder / "exchange")),
                        cost=MIN_COST, clock=clock, chain=alice.chain)
    with new:
        new.use_contracts(alice.contracts)
        signed = [approve(party, case) for party in (one, two)]
        used("propose, 2 of 3 guardians", lambda: propose(new, case, signed))
        clock.advance(MIN_DELAY)
        used("execute", lambda: execute(new, case))
        assert Guardians(new.identities).recovered(case.entry(), proposal_for(new.identity).version) is not None
    return gas


def _readings(quick: bool) -> int:
    count = READINGS // 10 if quick else READINGS
    subject = (device_subject("did:key:zDevice"),)
    said = [Statement(READING, "did:key:zDevice", n, subject, reading_body(n, n, {"mC": n})) for n in range(count)]
    start = time.perf_counter()
    follow("did:key:zDevice", said)
    return round(count / (time.perf_counter() - start))
