"""Private training of PyTorch modules: Opacus's gradients are ours, and modules that mix records are refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from troth.core.errors import BadInput, OutsideFailed
from troth.learn.privacy import torch as private
from troth.learn.privacy.training import BOUND, PrivateSteps

RNG = np.random.default_rng(4)
X = torch.from_numpy(RNG.normal(size=(60, 5)).astype(np.float32))
Y = (X[:, 0] > 0).long()
LOSS = nn.CrossEntropyLoss(reduction="none")


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))


def test_with_little_noise_it_is_gradient_descent() -> None:
    ours, plain = net(), net()
    how = PrivateSteps(10, BOUND // 5, norm=5.0, rate=0.5)  # a bound no gradient reaches
    private.train(ours, LOSS, X, Y, how, np.random.default_rng(1).bytes)
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.5)
    for _ in range(10):
        optimiser.zero_grad()
        LOSS(plain(X), Y).mean().backward()
        optimiser.step()
    gap = max(float((a - b).detach().abs().max()) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))
    assert gap < 0.5 * 6 * 10**0.5 / 60
    assert all(one.grad is None and one.grad_sample is None for one in ours.parameters())


def test_a_private_module_still_learns_and_says_how_many_numbers_it_has() -> None:
    module = net()
    assert private.dimension(module) == 5 * 8 + 8 + 8 * 2 + 2
    private.train(module, LOSS, X, Y, PrivateSteps(60, BOUND, rate=1.0))
    assert float((module(X).argmax(1) == Y).float().mean()) > 0.75


def test_modules_that_mix_records_and_wrong_losses_are_refused() -> None:
    how = PrivateSteps(1, BOUND)
    with pytest.raises(BadInput, match="cannot be trained privately"):
        private.train(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)), LOSS, X, Y, how)
    with pytest.raises(BadInput, match="a loss for each record"):
        private.train(net(), nn.CrossEntropyLoss(), X, Y, how)
    frozen = net()
    for one in frozen.parameters():
        one.requires_grad_(False)
    with pytest.raises(BadInput, match="anything to learn"):
        private.dimension(frozen)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(OutsideFailed, match="troth\\[opacus\\]"):
        private.train(net(), LOSS, X, Y, PrivateSteps(1, BOUND))
