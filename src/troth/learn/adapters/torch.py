"""PyTorch: a module's ``state_dict``, parameters and persistent buffers alike.

Values are copied into the module's own tensors, so number type, device, ``requires_grad`` and whatever else holds the
tensor stay. A tensor under several names (tied weights) is carried once, under the first of them. Buffers of floats
(running means) are carried like parameters, those of integers left out. A batch norm's variance below zero is refused:
no training gives it, and the module would answer NaN.

Refused: tensors that are sparse, quantised, complex, 8-bit or without storage (``meta``, lazy), and extra state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from troth.core.errors import BadInput, OutsideFailed
from troth.fixed.numbers import FloatArray
from troth.learn.adapters.form import FLOATS, Form, Raw, Slot


def library() -> Any:
    """The ``torch`` package. Raises OutsideFailed with a hint where it is not installed."""
    try:
        # Imported here: an extra, and seconds to load.
        import torch
    except ImportError:
        raise OutsideFailed("PyTorch is not installed", do="pip install 'troth[torch]'") from None
    return torch


def _kind(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


class Module:
    """The `Model` port over a ``torch.nn.Module``."""

    def __init__(self, module: Any) -> None:
        torch = library()
        if not isinstance(module, torch.nn.Module):
            raise BadInput("no adapter for this", expected="a torch.nn.Module", actual=type(module).__name__)
        self._tensors: dict[str, Any] = {}
        self.tied: dict[str, str] = {}
        slots, kept = [], []
        first: dict[tuple[Any, ...], str] = {}
        # keep_vars: the parameters themselves, so that a tied one is seen to be one
        for name, tensor in module.state_dict(keep_vars=True).items():
            self._check(torch, name, tensor)
            place = (tensor.data_ptr(), str(tensor.device), tensor.shape, tensor.stride(), tensor.dtype)
            if first.setdefault(place, name) != name and tensor.numel():
                self.tied[name] = first[place]
                continue
            self._tensors[name] = tensor
            if tensor.is_floating_point():
                slots.append(Slot(name, tuple(tensor.shape), _kind(tensor)))
            else:
                kept.append(name)
        self.form = Form(tuple(slots), tuple(kept))
        norms = torch.nn.modules.batchnorm._NormBase
        self._variances = {f"{name}.running_var".lstrip(".") for name, part in module.named_modules()
                           if isinstance(part, norms)}

    @staticmethod
    def _check(torch: Any, name: str, tensor: Any) -> None:
        if not isinstance(tensor, torch.Tensor):
            raise BadInput(f"{name} in the module's state is no tensor", expected="tensors alone",
                           actual=type(tensor).__name__)
        lazy = torch.nn.parameter.is_lazy(tensor)
        if lazy or tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise BadInput(f"tensor {name} has no plain values", expected="strided, real, with storage",
                           actual="lazy" if lazy else f"{tensor.layout}, {tensor.dtype}, {tensor.device}",
                           do="Run the module once, or load its weights.")
        if tensor.is_floating_point() and _kind(tensor) not in FLOATS:
            raise BadInput(f"tensor {name} is of a type that no state carries", expected=", ".join(FLOATS),
                           actual=tensor.dtype)

    def read(self, form: Form) -> dict[str, FloatArray]:
        torch = library()
        return {slot.name: np.array(self._tensors[slot.name].detach().to("cpu", torch.float64).numpy())
                for slot in form.slots}

    def write(self, form: Form, values: Mapping[str, FloatArray]) -> None:
        """Put the values in their places. Raises BadInput for a variance below zero."""
        torch = library()
        for slot in form.slots:
            if slot.name in self._variances and float(values[slot.name].min()) < 0:
                raise BadInput(f"{slot.name} is a variance below zero", expected="at least 0",
                               actual=float(values[slot.name].min()))
        with torch.no_grad():
            for slot in form.slots:
                wide = torch.from_numpy(np.array(values[slot.name], order="C"))
                tensor = self._tensors[slot.name]
                tensor.copy_(wide if slot.dtype == "float64" else wide.to(torch.float32))

    def raw(self, names: Iterable[str]) -> dict[str, Raw]:
        torch = library()
        found = {}
        for name in names:
            tensor = self._tensors[name].detach().to("cpu").contiguous()
            data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
            found[name] = Raw(_kind(tensor), tuple(tensor.shape), data)
        return found
