"""``troth.train``: the same verb as ``troth train``, from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.core.errors import Misuse, OutsideFailed

if TYPE_CHECKING:
    from troth.learn.arrays import State


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A finished training. model: named integer arrays at 2**16. losses: nats, a round each; scores: 0 to 1.

    result: what ``troth train --json`` prints. folder: where the bundle, the trust file and the parties lie.
    """

    model: State
    losses: tuple[float, ...]
    scores: tuple[float, ...]
    result: Mapping[str, Any]
    folder: Path


def train(rounds: Path | str | Mapping[str, Any], out: Path | str = "training", *, passphrase: str | None = None,
          files: Path | str = ".", say: Callable[[str], None] | None = None, patience: float = 3600.0) -> Trained:
    """Train the rounds of a ROUND.toml, or of a mapping with the same tables, and publish the model.

    out: the folder of this training; one that was cut off goes on there. passphrase: of the parties' keys;
    TROTH_PASSPHRASE by default. files: where a mapping's file names are relative to. say: told each step.
    Raises BadInput for what cannot be read before anything is made, Pending where seats stay empty.
    """
    # Imported here: training loads chains, stores and numpy.
    from troth.app.rounds import load, read
    from troth.app.training import train as whole
    from troth.learn import arrays

    secret = passphrase or os.environ.get("TROTH_PASSPHRASE")
    if not secret:
        raise Misuse("no passphrase", do="Set TROTH_PASSPHRASE, or pass one.")
    file = read(rounds, Path(files) / "ROUND.toml") if isinstance(rounds, Mapping) else load(Path(rounds))
    result = whole(file, Path(out), secret, say=say or _nobody, patience=patience)
    try:
        model = arrays.decode((Path(out) / "model.params").read_bytes())
    except OSError as error:
        raise OutsideFailed("the model cannot be read", actual=error.strerror) from None
    rows = result["rounds"]
    return Trained(model, tuple(row["loss"] / 65536 for row in rows), tuple(row["score_ppm"] / 1e6 for row in rows),
                   result, Path(out))


def _nobody(text: str) -> None:
    """Told to nobody."""
