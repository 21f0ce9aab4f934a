"""A small training of three hospitals, whose calls go through a carrier."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.rounds_parts import MONEY
from troth.app.rounds import RoundFile, load
from troth.learn.engines import Engine
from troth.learn.sets import consortium

SITES = ("hospital-1", "hospital-2", "hospital-3")
CALL_PATIENCE = 120.0


class Both:
    """The sites over Flower, the verifiers in this process."""

    def __init__(self, far: Engine, sites: Sequence[str], near: Engine) -> None:
        self.far, self.sites, self.near = far, frozenset(sites), near
        self.seconds: list[float] = []

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        there = [site for site in sites if site in self.sites]
        found: dict[str, bytes] = {}
        if there:
            begin = time.monotonic()
            found |= self.far.ask(call, there, min(patience, CALL_PATIENCE))
            self.seconds.append(time.monotonic() - begin)
        return found | dict(self.near.ask(call, [site for site in sites if site not in self.sites], patience))


def round_file(folder: Path, rounds: int = 1) -> RoundFile:
    """Three hospitals with real records."""
    split = consortium(1, sites=len(SITES))
    schema = split.validation.schema
    for name, part in (*zip(SITES, split.sites, strict=True), ("validation", split.validation)):
        lines = [",".join((*schema.columns, schema.label))]
        for row, label in zip(part.features.tolist(), part.labels.tolist(), strict=True):
            shown = [f"{value // 10**schema.decimals}.{value % 10**schema.decimals:0{schema.decimals}d}"
                     for value in row]
            lines.append(",".join((*shown, schema.classes[label])))
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "round.toml").write_text(f"""
[round]
name = "three hospitals over Flower"
rounds = {rounds}
[schema]
columns = {json.dumps(schema.columns)}
decimals = {schema.decimals}
label = {json.dumps(schema.label)}
classes = {json.dumps(schema.classes)}
{MONEY.strip()}
[validation]
file = "validation.csv"
[verifiers]
count = 3
[sites]
""" + "".join(f'{name} = "{name}.csv"\n' for name in SITES))
    return load(folder / "round.toml")
