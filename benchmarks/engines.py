"""What carrying costs: the engines of one process against calling the sites' functions, and Flower where it was run.

Three sites answer a call with as many bytes: nothing, 80 KB (10,000 parameters of 8 bytes), 8 MB (1,000,000). *Carried*
goes through a carrier's socket and a door for each site, as over Flower but without Flower; *courier* adds a letter of
that size each way, from folder to folder. Seconds are a call's, the median; each goes after the plain calls in turn.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from troth.learn.engines import Answer, Engine
from troth.learn.engines.carried import CarriedEngine, carry
from troth.learn.engines.courier import CourierEngine, couriered
from troth.learn.engines.door import Door, door_of, knock
from troth.learn.engines.inprocess import InProcessEngine
from troth.ledger.exchange import FolderExchange

SITES = ("did:troth:a", "did:troth:b", "did:troth:c")
SIZES = {"nothing": 0, "80 KB": 80_000, "8 MB": 8_000_000}
FLOWER = Path(__file__).parents[1] / "build" / "flower.json"
PATIENCE = 60.0


def run(quick: bool = False) -> dict[str, Any]:
    """Seconds of a call to three sites by engine and size; of a round over Flower, if ``make flower`` measured one."""
    found: dict[str, Any] = {}
    for name, size in SIZES.items():
        with ExitStack() as stack:
            found[name] = _of(stack, size, 3 if quick else 15)
    if FLOWER.exists():
        found["flower"] = json.loads(FLOWER.read_text())
    return found


def _of(stack: ExitStack, size: int, times: int) -> dict[str, float]:
    call = bytes(size)
    sites: dict[str, Answer] = dict.fromkeys(SITES, lambda got: bytes(memoryview(got)))

    def plain() -> None:
        for answer in sites.values():
            answer(call)

    seconds = {"plain": _median(plain, times)}
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    office = FolderExchange(folder / "office")
    with_letters: dict[str, Answer] = {}
    for site in SITES:
        mail = FolderExchange(folder / site[-1])
        with_letters[site] = couriered(_writing(sites[site], mail, size), mail, site, lambda: ["did:troth:office"])
    engines: dict[str, Engine] = {
        "in turn": InProcessEngine(sites), "in threads": InProcessEngine(sites, threads=3),
        "carried": _carried(stack, folder, sites),
        "courier": CourierEngine(InProcessEngine(with_letters), office)}
    for name, engine in engines.items():
        def one(name: str = name, engine: Engine = engine) -> None:
            if name == "courier":
                for site in SITES:
                    office.put(site, call)
            assert len(engine.ask(call, SITES, PATIENCE)) == len(SITES)

        seconds[name] = _median(one, times)
    return {name: round(value, 6) for name, value in seconds.items()}


def _writing(answer: Answer, mail: FolderExchange, size: int) -> Answer:
    def answered(call: bytes) -> bytes:
        mail.put("did:troth:office", bytes(size))
        return answer(call)

    return answered


def _carried(stack: ExitStack, folder: Path, sites: dict[str, Answer]) -> Engine:
    for site, answer in sites.items():
        stack.enter_context(Door(door_of(folder, site), answer))
    behind = InProcessEngine({site: _through(door_of(folder, site)) for site in sites}, threads=3)
    engine = CarriedEngine(folder / "engine")
    thread = threading.Thread(target=carry, args=(engine.path, behind), daemon=True)
    thread.start()
    stack.callback(thread.join, 10)
    stack.callback(engine.close)
    return engine


def _through(path: Path) -> Answer:
    return lambda call: knock(path, call, PATIENCE)


def _median(act: Callable[[], None], times: int) -> float:
    spent = []
    for _ in range(times):
        begin = time.perf_counter()
        act()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)
