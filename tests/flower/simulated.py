"""Flower's own simulation, with Ray, as the carrier: five sites' doors, three simulated nodes; what came back."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from troth.learn.engines.carried import CarriedEngine
from troth.learn.engines.door import Door, door_of
from troth.learn.engines.flower import DOORS, ENGINE, OFF, client_app, server_app

SITES = tuple(f"did:troth:{letter}" for letter in "abcde")
CALLS = (b"one", b"two", bytes(1 << 20))


def main(folder: Path) -> None:
    """folder: for sockets and Flower's own files."""
    os.environ.update(OFF | {DOORS: str(folder), ENGINE: str(folder / "engine"), "FLWR_HOME": str(folder / "home")})
    # Imported here: Flower reads its environment when it is loaded.
    from flwr.simulation import run_simulation

    doors = [Door(door_of(folder, site), lambda call, site=site: site.encode() + call)  # type: ignore[misc]
             for site in SITES]
    said: list[dict[str, object]] = []

    def ask() -> None:
        with CarriedEngine(folder / "engine") as engine:
            for call in CALLS:
                begin = time.monotonic()
                found = engine.ask(call, SITES, 300)
                said.append({"order": list(found), "right": all(found[site] == site.encode() + call for site in found),
                             "seconds": round(time.monotonic() - begin, 2)})

    asking = threading.Thread(target=ask)
    asking.start()
    run_simulation(server_app=server_app(), client_app=client_app(), num_supernodes=3,
                   backend_config={"client_resources": {"num_cpus": 1}})
    asking.join()
    for door in doors:
        door.close()
    print("\n" + json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
