"""Local steps of a PyTorch module: what a worker of a session does between two syncs."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

from troth.core.errors import BadInput
from troth.learn import adapters
from troth.learn.adapters.partial import Partial
from troth.learn.adapters.torch import library
from troth.learn.arrays import State


class ModuleSteps:
    """The `Local` port over a module.

    step: called with (module, number) for each local step; number counts from 0 over the whole session, and the records
    to take follow from it. steps: local steps of a sync, the session's. optimiser: a ``torch.optim`` one whose memory
    outlasts a crash; None for one without memory. part: what is trained and sent, if not all.
    """

    def __init__(self, module: Any, steps: int, step: Callable[[Any, int], None], optimiser: Any = None,
                 part: Partial | None = None) -> None:
        self._module, self._steps, self._step, self._optimiser, self._part = module, steps, step, optimiser, part
        self._anew = None if optimiser is None else copy.deepcopy(optimiser.state_dict())

    def train(self, state: State, sync: int) -> State:
        (self._part or adapters).into(self._module, state)
        for number in range((sync - 1) * self._steps, sync * self._steps):
            self._step(self._module, number)
        return (self._part or adapters).to_state(self._module)

    def memory(self) -> bytes:
        if self._optimiser is None:
            return b""
        kept = io.BytesIO()
        library().save(self._optimiser.state_dict(), kept)
        return kept.getvalue()

    def recall(self, memory: bytes) -> None:
        """Go on with what `memory` gave. Raises BadInput for memory of an optimiser that is not here."""
        if self._optimiser is None:
            if memory:
                raise BadInput("memory of an optimiser, and no optimiser", do="Run the worker as it was run before.")
        elif memory:
            # tensors alone: a file in the folder must not be able to run code
            self._optimiser.load_state_dict(library().load(io.BytesIO(memory), weights_only=True))
        else:
            self._optimiser.load_state_dict(copy.deepcopy(self._anew))
