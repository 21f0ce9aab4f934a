"""The same private training for PyTorch modules: Opacus computes each record's gradient, the rest is `training`.

Opacus (extra ``opacus``) refuses layers that mix records (batch normalisation), and gives per-record gradients of the
others. Its own optimiser adds float noise to float sums, from a generator that is not secret; it is not used: clipping,
summing and noise are the integer ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from troth.core.errors import BadInput, OutsideFailed
from troth.fixed.numbers import FloatArray, IntArray
from troth.learn.privacy import training
from troth.learn.privacy.noise import Source
from troth.learn.privacy.training import PrivateSteps


def _libraries() -> tuple[Any, Any, Any]:
    try:
        # Imported here: an optional extra, and seconds of start-up.
        import torch
        from opacus import GradSampleModule
        from opacus.validators import ModuleValidator
    except ImportError as missing:
        raise OutsideFailed("private training of PyTorch modules needs Opacus, which is not installed",
                            do="Run: pip install 'troth[opacus]'") from missing
    return torch, GradSampleModule, ModuleValidator


def train(module: Any, loss: Callable[[Any, Any], Any], inputs: Any, targets: Any, how: PrivateSteps,
          source: Source = os.urandom) -> None:
    """Train the module's parameters in place, in training mode, on tensors whose first axis is the records.

    loss: (outputs, targets) -> each record's loss, (b,): without a mean, as ``reduction="none"`` gives it. The number
    of parameters that learn is ``dimension`` of what is spent: ``how.mechanism(dimension(module))``. Buffers must not
    depend on records. Raises BadInput for a module that mixes records or has nothing to learn, OutsideFailed without
    the extra.
    """
    torch, wrapped, validator = _libraries()
    faults = validator.validate(module.train(), strict=False)
    if faults:
        raise BadInput("this module cannot be trained privately", actual="; ".join(map(str, faults))[:300],
                       do="Replace layers that mix records (batch normalisation by group normalisation).")
    parameters = _learning(module)
    sampled = wrapped(module, loss_reduction="sum")

    def gradients(vector: FloatArray, chosen: IntArray) -> FloatArray:
        """Each chosen record's own gradient at this vector."""
        _write(torch, parameters, vector)
        sampled.zero_grad()
        index = torch.from_numpy(chosen)
        found = loss(sampled(inputs[index]), targets[index])
        if found.shape != (len(chosen),):
            raise BadInput("a loss for each record is needed", expected=f"({len(chosen)},)", actual=tuple(found.shape))
        found.sum().backward()
        rows = [one.grad_sample.reshape(len(chosen), -1).double().numpy(force=True) for one in parameters]
        return np.concatenate(rows, axis=1)

    try:
        start = np.concatenate([one.detach().double().numpy(force=True).reshape(-1) for one in parameters])
        after = training.descend(gradients, start, len(inputs), how, source)
        _write(torch, parameters, after)
    finally:
        sampled.to_standard_module()
    # The last per-record gradients must not leave with the module.
    module.zero_grad(set_to_none=True)
    for one in parameters:
        one.grad_sample = None


def dimension(module: Any) -> int:
    """How many numbers of a module learn."""
    return sum(int(one.numel()) for one in _learning(module))


def _learning(module: Any) -> list[Any]:
    found = [one for one in module.parameters() if one.requires_grad]
    if not found:
        raise BadInput("a module without anything to learn")
    return found


def _write(torch: Any, parameters: list[Any], vector: FloatArray) -> None:
    at = 0
    with torch.no_grad():
        for one in parameters:
            size = int(one.numel())
            one.copy_(torch.from_numpy(vector[at:at + size].reshape(tuple(one.shape))))
            at += size
