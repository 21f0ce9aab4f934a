"""Low-rank adapters for PyTorch (Hu et al., 2021): of a matrix W (out x in) only ``a`` (rank x in) and ``b`` (out x
rank) are trained and sent; what computes is W + b a * strength / rank.

They are attached as a parametrization, so any module that has the matrix works unchanged, attention and its fast path
too. ``b`` starts at zero: with adapters the module computes what it did without.

A mean of products is not the product of means. With ``train="both"`` a round's mean of the ``a`` and the ``b`` is an
approximation; with ``train="b"`` the ``a`` stay as drawn and the mean is exact, at about half of the bytes (as
FFA-LoRA, Sun et al., 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from troth.core.errors import BadInput
from troth.learn.adapters.partial import Partial
from troth.learn.adapters.torch import library


def _class() -> Any:
    torch = library()

    class LowRank(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, weight: Any, rank: int, strength: float, generator: Any, train_a: bool) -> None:
            super().__init__()
            outputs, inputs = weight.shape
            drawn = torch.randn((rank, inputs), generator=generator) / math.sqrt(inputs)
            self.a = torch.nn.Parameter(drawn.to(weight), requires_grad=train_a)
            self.b = torch.nn.Parameter(weight.new_zeros((outputs, rank)))
            self.scale = strength / rank

        def forward(self, weight: Any) -> Any:
            return weight + self.b @ self.a * self.scale

    return LowRank


def attach(module: Any, matrices: Sequence[str], rank: int = 4, *, strength: float = 8.0, seed: int = 0,
           train: str = "both") -> Partial:
    """Freeze a module and put adapters on these matrices, by their names in it; what is sent from now on.

    The ``a`` are drawn from ``seed``. PyTorch may draw otherwise in another version: the start that counts is the
    state that the plan names. With ``train="b"`` the ``a`` belong to the frozen rest, where a difference shows.
    Raises BadInput, with the module as it was, for a name that is no matrix of it, for one that is tied to another,
    for one that has adapters, and for a rank that is none.
    """
    torch = library()
    if train not in ("both", "b") or not matrices or len(set(matrices)) != len(matrices):
        raise BadInput("adapters need distinct matrices, and train both or b", actual=(tuple(matrices), train))
    places = {}
    owners: dict[int, int] = {}
    for _, parameter in module.named_parameters(remove_duplicate=False):
        owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    own = dict(module.named_parameters(remove_duplicate=False))
    for name in matrices:
        weight = own.get(name)
        if weight is None or weight.dim() != 2 or ".parametrizations." in f".{name}":
            raise BadInput("not a matrix to put an adapter on", actual=name, expected="a two-dimensional parameter",
                           do="Names are those of module.named_parameters().")
        if owners[id(weight)] > 1:
            raise BadInput("a tied matrix takes no adapter: the tie would break", actual=name)
        if not 1 <= rank <= min(weight.shape):
            raise BadInput("a rank out of range", expected=f"1 to {min(weight.shape)} for {name}", actual=rank)
        path, _, last = name.rpartition(".")
        places[name] = (path, last, weight)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    generator, low_rank = torch.Generator().manual_seed(seed), _class()
    sent = []
    for path, last, weight in places.values():
        adapter = low_rank(weight, rank, strength, generator, train == "both")
        owner = module.get_submodule(path)
        torch.nn.utils.parametrize.register_parametrization(owner, last, adapter)
        start = f"{path}." if path else ""
        sent += [f"{start}parametrizations.{last}.0.{part}" for part in (("a", "b") if train == "both" else ("b",))]
    return Partial.of(module, sent)


def merge(module: Any) -> int:
    """Add each adapter into its matrix and take it away: a module of the first shape again. How many there were."""
    torch = library()
    count = 0
    for part in list(module.modules()):
        if not torch.nn.utils.parametrize.is_parametrized(part):
            continue
        for name in list(part.parametrizations):
            if type(part.parametrizations[name][0]).__qualname__.endswith("LowRank"):
                torch.nn.utils.parametrize.remove_parametrizations(part, name, leave_parametrized=True)
                count += 1
    return count
