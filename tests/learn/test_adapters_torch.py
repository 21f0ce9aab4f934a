"""PyTorch modules as states; low-rank adapters that learn together."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from troth.core.errors import BadInput, Refuted
from troth.learn import arrays
from troth.learn.adapters import adapt, into, lora, to_state
from troth.learn.adapters.partial import Partial
from troth.learn.aggregate import Update, aggregate


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


class Tied(nn.Module):
    """Two layers that are one, a batch norm, a buffer in half precision, and one that no state dict shows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("Scale", torch.tensor(1.5, dtype=torch.bfloat16))
        self.register_buffer("hidden", torch.ones(2), persistent=False)

    def forward(self, x):
        return self.norm(self.second(self.first(x))) * self.Scale


def test_a_module_comes_back_with_its_ties_types_and_buffers() -> None:
    module = Tied()
    module(torch.randn(8, 4))
    seen = adapt(module)
    assert seen.tied == {"second.weight": "first.weight"}
    assert seen.form.kept == ("norm.num_batches_tracked",)
    state = to_state(module)
    assert sorted(state) == ["first.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.weight",
                             "q._53cale"]
    other = Tied()
    weight = other.first.weight
    into(other, state)
    assert other.first.weight is weight
    assert other.second.weight is weight
    assert weight.requires_grad
    assert other.Scale.dtype == torch.bfloat16
    assert other.Scale.shape == ()
    assert other.norm.num_batches_tracked == 0, "a count of this module's own batches"
    assert arrays.equal(to_state(other), state)
    x = torch.randn(16, 4)
    assert (other.eval()(x) - module.eval()(x)).abs().max() < 1e-3


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_every_float_type_is_quantised_exactly_and_filled_to_the_nearest(dtype: str) -> None:
    kind = getattr(torch, dtype)
    module = nn.Linear(3, 1, bias=False).to(kind)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.1, -200.0, 2.0**-17]]))
    assert to_state(module)["weight"].tolist() == [
        [round(float(value) * 65536) for value in module.weight.detach().double().flatten()]]
    into(module, {"weight": np.array([[65537, -3, 256]], np.int64)})
    assert module.weight.dtype == kind
    assert torch.equal(module.weight, (torch.tensor([[65537, -3, 256]], dtype=torch.float64) / 65536).to(kind))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_a_module_on_an_accelerator_stays_there() -> None:
    module = Tied().to("cuda").to(torch.bfloat16)
    module(torch.randn(8, 4, device="cuda", dtype=torch.bfloat16))
    state = to_state(module)
    assert arrays.equal(to_state(into(Tied().to("cuda").to(torch.bfloat16), state)), state)
    weight = module.first.weight
    into(module, {name: array // 2 for name, array in state.items()})
    assert module.first.weight is weight is module.second.weight
    assert {tensor.device.type for tensor in module.state_dict().values()} == {"cuda"}
    part = Partial.of(module, ["norm.bias"])
    sent = part.to_state(module)
    assert arrays.equal(part.to_state(part.into(module, sent)), sent)


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    features, labels = load_digits(return_X_y=True)
    return torch.tensor(features / 16, dtype=torch.float32), torch.tensor(labels)


def _fit(module, x, y, steps: int, rate: float = 0.01) -> None:
    """Adam by hand: torch.optim's first step loads a compiler, which takes longer than all of this."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    first, second = [torch.zeros_like(p) for p in trained], [torch.zeros_like(p) for p in trained]
    for step in range(1, steps + 1):
        gradients = torch.autograd.grad(nn.functional.cross_entropy(module(x), y), trained)
        with torch.no_grad():
            for p, g, m, v in zip(trained, gradients, first, second, strict=True):
                m.lerp_(g, 0.1)
                v.lerp_(g * g, 0.01)
                p -= rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.99**step)).sqrt() + 1e-8)


def test_a_quantised_network_labels_digits_as_the_float_one() -> None:
    x, y = _digits()
    module = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    _fit(module, x[:900], y[:900], 60)
    module.eval()
    before = module(x).argmax(dim=1)
    into(module, to_state(module))
    assert (module(x).argmax(dim=1) == before).float().mean() >= 0.999
    assert (before[900:] == y[900:]).float().mean() > 0.9


def _lazy() -> nn.Module:
    return nn.LazyLinear(2)


def _meta() -> nn.Module:
    return nn.Linear(2, 2, device="meta")


def _sparse() -> nn.Module:
    module = nn.Module()
    module.register_buffer("s", torch.eye(2).to_sparse())
    return module


def _complex() -> nn.Module:
    module = nn.Module()
    module.register_buffer("c", torch.ones(1, dtype=torch.complex64))
    return module


def _eight() -> nn.Module:
    module = nn.Module()
    module.register_buffer("f", torch.ones(1).to(torch.float8_e4m3fn))
    return module


class _Extra(nn.Linear):
    def get_extra_state(self):
        return {"more": 1}

    def set_extra_state(self, state) -> None:
        pass


def _extra() -> nn.Module:
    return _Extra(2, 2)


def _nan() -> nn.Module:
    module = nn.Linear(2, 2)
    nn.init.constant_(module.bias, float("nan"))
    return module


@pytest.mark.parametrize("make", [_lazy, _meta, _sparse, _complex, _eight, _extra, _nan, nn.Identity])
def test_modules_without_plain_values_are_refused(make) -> None:
    with pytest.raises(BadInput):
        to_state(make())


def test_a_hostile_state_leaves_the_module_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    good = to_state(module)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    hostile = [
        {name: array for name, array in good.items() if name != "q.0.bias"}, good | {"x": np.ones(1, np.int64)},
        good | {"q.0.weight": np.ones(4, np.int64)}, good | {"q.0.weight": np.ones((2, 2))},
        good | {"q.1.running_var": np.array([-1, 5], np.int64)}, good | {"q.0.bias": np.array([1 << 40, 0])},
    ]
    for state in hostile:
        with pytest.raises(BadInput):
            into(module, state)
        assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


class Reader(nn.Module):
    """A small transformer that reads a digit as eight rows of eight."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.place = nn.Linear(8, 32), nn.Parameter(torch.randn(8, 32) * 0.1)
        self.block = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.block(self.rows(x.reshape(-1, 8, 8)) + self.place).mean(dim=1))


MATRICES = ("block.self_attn.in_proj_weight", "block.linear1.weight", "block.linear2.weight", "head.weight")


@pytest.fixture(scope="module")
def six_digits() -> Reader:
    """A base that has seen the digits below six."""
    torch.manual_seed(0)
    (x, y), base = _digits(), Reader()
    known = y[:600] < 6
    _fit(base, x[:600][known], y[:600][known], 60)
    return base


@pytest.mark.parametrize("trained", ["both", "b"])
def test_adapters_learn_together_and_send_a_fraction(six_digits: Reader, trained: str) -> None:
    x, y = _digits()
    test, base = slice(1200, None), copy.deepcopy(six_digits)
    whole = len(arrays.encode(to_state(base)))
    before = float((base(x[test]).argmax(dim=1) == y[test]).float().mean())
    assert before < 0.65, "it never saw a six"
    plain = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    part = lora.attach(base, MATRICES, rank=4, seed=1, train=trained)
    start = part.to_state(base)
    state, sites = dict(start), [slice(index, 450, 3) for index in range(3)]
    for _ in range(3):
        updates = []
        for index, rows in enumerate(sites):
            _fit(part.into(base, state), x[rows], y[rows], 15, 0.03)
            after = part.to_state(base)
            updates.append(Update(f"site-{index}", 1, {name: after[name] - state[name] for name in state}))
        moved = aggregate("mean", updates)
        state = {name: state[name] + moved[name] for name in state}
    part.into(base, state)
    x_test = x[test]
    with_adapters = base(x_test)
    after = float((with_adapters.argmax(dim=1) == y[test]).float().mean())
    assert after > before + 0.2, (before, after)
    assert whole / len(arrays.encode(state)) > (4 if trained == "both" else 7)
    base.rows.bias.data[0] += 1e-6
    with pytest.raises(Refuted, match="frozen"):
        part.to_state(base)
    base.rows.bias.data.copy_(plain["rows.bias"])
    assert lora.merge(base) == len(MATRICES)
    assert set(base.state_dict()) == set(plain)
    assert torch.equal(base.block.self_attn.out_proj.weight, plain["block.self_attn.out_proj.weight"])
    assert (base(x_test) - with_adapters).abs().max() < 1e-4


def test_adapters_are_refused_where_they_have_no_place() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    before = list(module.state_dict())
    for names, words in (((), "distinct"), (("0.bias",), "matrix"), (("9.weight",), "matrix"),
                         (("0.weight", "0.weight"), "distinct"), (("1.bias", "0.weight"), "matrix")):
        with pytest.raises(BadInput, match=words):
            lora.attach(module, names)
    with pytest.raises(BadInput, match="rank"):
        lora.attach(module, ["0.weight"], rank=4)
    with pytest.raises(BadInput, match="tied"):
        lora.attach(Tied(), ["second.weight"])
    assert list(module.state_dict()) == before
    assert all(parameter.requires_grad for parameter in module.parameters())
    part = lora.attach(module, ["0.weight"], rank=1)
    with pytest.raises(BadInput, match="matrix"):
        lora.attach(module, ["0.parametrizations.weight.original"], rank=1)
    assert Partial.of(module, part.names) == part
