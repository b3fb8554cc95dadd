"""RMSNorm, RoPE and SwiGLU by kernels: against float64, and the plain forms' error."""

import math

import pytest
import torch
from attention_cases import far_apart

import companion
from companion.fast import kernels
from companion.rope import rope_cos_sin

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
HIDDEN = (1, 5, 40, 576, 1000)
EPS = 0.1  # large enough to be missed


def assert_as_near(output, plain, exact):
    """Within twice the plain form's error, and a little for a result that has none."""
    assert output.shape == exact.shape
    assert output.dtype == plain.dtype
    if exact.numel():
        little = 2 * torch.finfo(output.dtype).eps * exact.abs().max()
        allowed = 2 * (plain - exact).abs().max() + little
        assert (output - exact).abs().max() <= allowed


def randn(*shape, dtype=torch.float32, device="cpu"):
    return torch.randn(shape, device=device).to(dtype)


# ---- RMSNorm


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)], ids=str)
def test_rms_norm(batch, hidden, dtype, device):
    x = randn(*batch, hidden, dtype=dtype, device=device)
    weight = randn(hidden, dtype=dtype, device=device)
    copies = x.clone(), weight.clone()
    output = kernels.rms_norm(x, weight, EPS)
    plain = companion.rms_norm(x, weight, EPS)
    exact = companion.rms_norm(x.double(), weight.double(), EPS)
    assert_as_near(output, plain, exact)
    assert torch.equal(x, copies[0])
    assert torch.equal(weight, copies[1])


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_rms_norm_has_the_plain_bits(dtype, device):
    """It rounds where the plain form does. The sums have another order, so that one number
    of thousands may lie on the other side of a rounding: by the last bit of `normed`.
    """
    x = randn(60, 96, dtype=dtype, device=device)
    weight = randn(96, dtype=dtype, device=device)
    output = kernels.rms_norm(x, weight, EPS)
    plain = companion.rms_norm(x, weight, EPS)
    assert (output != plain).float().mean() < 1e-3
    torch.testing.assert_close(output, plain, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_add_rms_norm(hidden, dtype, device):
    x, residual = (randn(2, 3, hidden, dtype=dtype, device=device) for _ in range(2))
    weight = randn(hidden, dtype=dtype, device=device)
    copies = x.clone(), residual.clone()
    output, total = kernels.add_rms_norm(x, residual, weight, EPS)
    assert torch.equal(total, x + residual)
    assert_as_near(
        output,
        companion.rms_norm(total, weight, EPS),
        companion.rms_norm(total.double(), weight.double(), EPS),
    )
    assert torch.equal(x, copies[0])
    assert torch.equal(residual, copies[1])


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_the_sum_is_normed_as_it_was_rounded(dtype, device):
    x, residual = (randn(60, 96, dtype=dtype, device=device) for _ in range(2))
    weight = randn(96, dtype=dtype, device=device)
    output, _ = kernels.add_rms_norm(x, residual, weight, EPS)
    plain = companion.rms_norm(x + residual, weight, EPS)
    assert (output != plain).float().mean() < 1e-3


def test_norm_of_rows_that_lie_apart(device):
    wide, weight = randn(4, 6, 20, device=device), randn(10, device=device)
    for x in (wide[..., ::2], wide[::2, :, 5:15], wide.mT[:, :10].mT[..., :10]):
        x = x[..., :10]
        expected = companion.rms_norm(x, weight, EPS)
        torch.testing.assert_close(kernels.rms_norm(x, weight, EPS), expected)
        residual = x.flip(0).mT.contiguous().mT
        output, total = kernels.add_rms_norm(x, residual, weight, EPS)
        assert torch.equal(total, x + residual)
        torch.testing.assert_close(output, companion.rms_norm(total, weight, EPS))


def test_a_weight_that_lies_apart(device):
    x, weight = randn(3, 10, device=device), randn(10, 4, device=device)[:, 1]
    expected = companion.rms_norm(x, weight, EPS)
    torch.testing.assert_close(kernels.rms_norm(x, weight, EPS), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_norm_of_zeros_and_of_large_numbers(dtype, device):
    weight = torch.ones(8, dtype=dtype, device=device)
    zeros, large = torch.zeros_like(weight), torch.full_like(weight, 1000)
    assert kernels.rms_norm(zeros, weight, 1e-6).eq(0).all()
    assert kernels.rms_norm(large, weight, 1e-6).eq(1).all()


# ---- RoPE


def rope_inputs(batch, heads, kv_heads, length, head_dim, dtype, device, angles=None):
    query = randn(batch, heads, length, head_dim, dtype=dtype, device=device)
    key = randn(batch, kv_heads, length, head_dim, dtype=dtype, device=device)
    positions = torch.arange(angles or batch, device=device)[:, None] * 7 + 3
    positions = positions + torch.arange(length, device=device)
    return query, key, *rope_cos_sin(positions, head_dim, 10000.0, dtype)


ROPE = {
    "even": (2, 4, 2, 5, 8),
    "three heads": (1, 3, 1, 2, 6),
    "one token": (3, 4, 4, 1, 64),
    "one pair": (1, 2, 1, 3, 2),
    "odd half": (1, 9, 3, 4, 10),
    "wide": (1, 2, 1, 2, 80),
    "no token": (1, 2, 1, 0, 8),
    "no batch": (0, 2, 1, 3, 8),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", ROPE.values(), ids=ROPE)
def test_rope(sizes, dtype, device):
    query, key, cos, sin = inputs = rope_inputs(*sizes, dtype, device)
    copies = [x.clone() for x in inputs]
    outputs = kernels.apply_rope(*inputs)
    for x, output in zip((query, key), outputs, strict=True):
        exact = companion.apply_rope(x.double(), cos.double(), sin.double())
        assert_as_near(output, companion.apply_rope(x, cos, sin), exact)
    assert all(map(torch.equal, inputs, copies))


def assert_rope(query, key, cos, sin):
    outputs = kernels.apply_rope(query, key, cos, sin)
    for x, output in zip((query, key), outputs, strict=True):
        torch.testing.assert_close(output, companion.apply_rope(x, cos, sin))


def test_rope_with_angles_for_the_whole_batch(device):
    sizes = 3, 4, 2, 5, 8, torch.float32, device
    query, key, cos, sin = rope_inputs(*sizes, angles=1)
    assert cos.shape[0] == 1
    assert_rope(query, key, cos, sin)
    assert_rope(query, key, cos.expand(3, 5, 8), sin.expand(3, 5, 8))


def test_rope_of_tensors_that_lie_another_way(device):
    query, key, cos, sin = rope_inputs(2, 4, 2, 5, 8, torch.float32, device)
    split = (
        query.transpose(1, 2).contiguous().transpose(1, 2)
    )  # as split_heads gives it
    assert_rope(split, key, cos, sin)
    assert_rope(query, key.mT.contiguous().mT, cos, sin)
    assert_rope(
        query.repeat_interleave(2, -1)[..., ::2], key[:, :1].expand(key.shape), cos, sin
    )
    assert_rope(query, key, cos.mT.contiguous().mT, sin.repeat_interleave(2, 1)[:, ::2])


@pytest.mark.parametrize("axis", [1, 2], ids=["heads", "tokens"])
def test_rope_of_what_lies_beyond_32_bits(axis, device):
    """As the heads of a million tokens do."""
    query, key, cos, sin = rope_inputs(1, 3, 3, 3, 8, torch.float16, device)
    expected = kernels.apply_rope(query, key, cos, sin)
    for outputs in (
        kernels.apply_rope(far_apart(query, axis), key, cos, sin),
        kernels.apply_rope(query, far_apart(key, axis), cos, sin),
    ):
        assert all(map(torch.equal, outputs, expected))


# ---- SwiGLU


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "shape", [(5,), (2, 3, 40), (3, 1000), (7, 576), (0, 8)], ids=str
)
def test_swiglu(shape, dtype, device):
    gate, up = (randn(*shape, dtype=dtype, device=device) * 4 for _ in range(2))
    copies = gate.clone(), up.clone()
    exact = companion.swiglu(gate.double(), up.double())
    assert_as_near(kernels.swiglu(gate, up), companion.swiglu(gate, up), exact)
    assert torch.equal(gate, copies[0])
    assert torch.equal(up, copies[1])


def test_swiglu_of_tensors_that_lie_another_way(device):
    both = randn(3, 5, 24, device=device)
    gate, up = both.chunk(2, -1)  # one product for both
    for other in (up, up.mT.contiguous().mT, up[:1].expand(up.shape)):
        expected = companion.swiglu(gate, other)
        torch.testing.assert_close(kernels.swiglu(gate, other), expected)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # the interpreter's
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_swiglu_of_extremes(dtype, device):
    gate = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4, math.inf], device=device).to(
        dtype
    )
    up = torch.full_like(gate, 2)
    expected = companion.swiglu(gate, up)
    torch.testing.assert_close(kernels.swiglu(gate, up), expected)


# ---- larger than an interpreter has the time for


@pytest.mark.large
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_larger(dtype, device):
    test_rms_norm((4, 500), 5000, dtype, device)
    test_add_rms_norm(16384, dtype, device)
    test_rms_norm((3,), 65536, dtype, device)
    test_rope((3, 32, 8, 700, 128), dtype, device)
    test_swiglu((4, 300, 14336), dtype, device)
