"""Linear layers: numbers and gradients are the same with MKL and with oneDNN."""

from __future__ import annotations

import pytest
import torch

from triptych.models.common import linear as module
from triptych.models.common.linear import LARGE_PRODUCT, Linear, linear

ROWS, INPUTS, OUTPUTS = 128, 200, 256


@pytest.fixture(params=[False, True], ids=["MKL", "oneDNN"])
def onednn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Set whether the code takes oneDNN as faster on this processor; return the value."""
    monkeypatch.setattr(module, "uses_onednn", lambda: request.param)
    return request.param


@pytest.fixture
def changed_layout(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Return a list that collects the tensors that are converted for oneDNN."""
    seen: list[torch.Tensor] = []
    original = torch.Tensor.to_mkldnn
    monkeypatch.setattr(torch.Tensor, "to_mkldnn", lambda self: (seen.append(self), original(self))[1])
    return seen


def operands(dtype: torch.dtype) -> list[torch.Tensor]:
    """Return x, which is a strided half of a wider tensor, weights and biases."""
    source = torch.Generator().manual_seed(0)
    wide, weight, bias = (
        torch.randn(shape, generator=source, dtype=torch.float64).to(dtype)
        for shape in ((ROWS, 2 * INPUTS), (OUTPUTS, INPUTS), (OUTPUTS,))
    )
    return [part.requires_grad_() for part in (wide[:, INPUTS:].detach(), weight, bias)]


def test_numbers_and_gradients_are_close_to_float64(onednn: bool, changed_layout: list[torch.Tensor]) -> None:
    assert ROWS * INPUTS * OUTPUTS >= LARGE_PRODUCT
    found = []
    for dtype in (torch.float32, torch.float64):
        given = operands(dtype)
        product = linear(*given)
        found.append([product, *torch.autograd.grad(product.tanh().square().sum(), given)])
    assert len(changed_layout) == int(onednn)  # float64 is not converted
    for one, other in zip(*found, strict=True):
        assert (one.double() - other).norm() < 1e-5 * other.norm()


def test_small_products_other_types_and_autocast_use_pytorch(onednn: bool, changed_layout: list[torch.Tensor]) -> None:
    x, weight, bias = operands(torch.float32)
    linear(x[:8], weight, bias)
    linear(x[None], weight, bias)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16
    assert not changed_layout


def test_a_layer_has_the_initial_weights_of_pytorch() -> None:
    torch.manual_seed(0)
    ours = Linear(3, 2)
    torch.manual_seed(0)
    theirs = torch.nn.Linear(3, 2)
    assert {name: value.tolist() for name, value in ours.state_dict().items()} == {
        name: value.tolist() for name, value in theirs.state_dict().items()
    }
    x = torch.ones(1, 3)
    assert torch.equal(ours(x), theirs(x))
