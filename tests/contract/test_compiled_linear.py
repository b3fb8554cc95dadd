"""A linear layer's own branch for one token, which only compiled code takes."""

import pytest
import torch
from torch import nn

from companion.fast.linear import RowLinear
from companion.fast.quantized import Int4Linear, Int8Linear


def linear(width=64, bias=True, dtype=torch.float32):
    return nn.Linear(width, 6, bias=bias, dtype=dtype).requires_grad_(False)


def as_compiled(layer, x):
    torch.compiler.reset()
    return torch.compile(layer, fullgraph=True, backend="aot_eager")(x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(64,), (1, 1, 64), (2, 3, 64)])
@pytest.mark.parametrize("run", [lambda layer, x: layer(x), as_compiled])
def test_rows_compute_what_linear_does(run, shape, bias):
    layer, x = linear(bias=bias), torch.randn(shape)
    torch.testing.assert_close(run(RowLinear(layer), x), layer(x))


def test_rows_of_bfloat16_are_summed_in_float32():
    layer, x = linear(512, dtype=torch.bfloat16), torch.randn(512).bfloat16()
    found = as_compiled(RowLinear(layer), x)
    exact = layer.double()(x.double())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), exact, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("make", [Int8Linear, Int4Linear])
@pytest.mark.parametrize("bias", [True, False])
def test_one_token_meets_the_weights_that_many_meet(make, bias):
    layer = make(linear(bias=bias))
    x = torch.randn(1, 1, 64)
    torch.testing.assert_close(as_compiled(layer, x), layer(x), rtol=1e-5, atol=1e-5)
