"""A small round on files: two sites of a made-up table with two columns, one verifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PASSPHRASE = "x"
SCHEMA = """
[schema]
columns = ["age", "dose"]
decimals = 1
label = "outcome"
classes = ["ill", "well"]
"""
MONEY = """
[money]
reward = 3000
fee = 200
keeper = 50
site_stake = 3100
aggregator_stake = 7000
verifier_stake = 1000
verifier_fee = 300
bond = 500
"""


def table(seed: int, rows: int) -> str:
    """Records whose outcome follows from both columns, but for some noise."""
    random = np.random.default_rng(seed)
    lines = ["outcome,age,dose"]
    for _ in range(rows):
        age, dose = random.uniform(20, 80), random.uniform(0, 10)
        well = dose * 6 - age + random.normal(0, 8) > -20
        lines.append(f"{'well' if well else 'ill'},{age:.1f},{dose:.1f}")
    return "\n".join(lines) + "\n"


def write(folder: Path, *, rounds: int = 2, rest: str | None = None, verifiers: int = 1,
          sites: tuple[str, ...] = ("north", "south"), privacy: str = "open", pay: str | None = None) -> Path:
    """The files of a round; its ROUND.toml. rest: instead of the sites. pay: by worth alone where sites are invited."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate((*sites, "validation")):
        (folder / f"{name}.csv").write_text(table(seed, 40 + seed))
    if rest is None:
        rest = "[sites]\n" + "".join(f'{name} = "{name}.csv"\n' for name in sites)
    path = folder / "ROUND.toml"
    mode = "" if privacy == "open" else f'privacy = "{privacy}"\n'
    if pay is None:
        pay = "worth" if "[invited]" in rest else ""
    mode += f'pay = "{pay}"\n' if pay else ""
    path.write_text(f'[round]\nname = "two clinics"\nrounds = {rounds}\n{mode}{SCHEMA}{MONEY}[validation]\n'
                    f'file = "validation.csv"\n[verifiers]\ncount = {verifiers}\n{rest}')
    return path
