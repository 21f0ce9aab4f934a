"""What a round's privacy would cost each site, before anybody chooses it: estimates, measured in benchmarks/masking.py.
"""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from math import prod
from typing import TYPE_CHECKING, Any

from troth.learn.masking.bonawitz import Bonawitz
from troth.learn.masking.ckks import Ckks
from troth.learn.tasks import task_of

if TYPE_CHECKING:
    from troth.app.rounds import Agreed


def costs(agreed: Agreed) -> dict[str, Any]:
    """Bytes and seconds of one site in one round: open updates, masking, and CKKS for comparison.

    largest: seats of the largest sum. Rounds are masked; a sum under CKKS cannot be run again by a verifier, so no deal
    settles one. Its ``installed`` says whether TenSEAL is here.
    """
    length = sum(prod(shape) for _, shape in task_of(agreed.task, agreed.schema).layout)
    size = agreed.masking.size if agreed.masking is not None else 0
    sums = agreed.sites // size if size else 1
    largest = -(-agreed.sites // sums)
    sent = 8 * length * (1 + agreed.verifiers)
    return {
        "privacy": agreed.privacy, "parameters": length, "sites": agreed.sites, "sums": sums, "largest": largest,
        "open": {"sent": sent},
        "masking": asdict(Bonawitz().cost(largest, length)),
        "ckks": {**asdict(Ckks().cost(largest, length)), "installed": importlib.util.find_spec("tenseal") is not None}}

