"""RMSNorm and SwiGLU: each token by itself, as Hugging Face rounds, from 1e-38 to 1e38."""

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS
from strategies import assert_close, normal, permutation, seeds, sizes
from transformers.models.llama.modeling_llama import LlamaRMSNorm as TheirRMSNorm

from companion import LlamaMLP, rms_norm, swiglu

epsilons = st.sampled_from([0.0, 1e-6, 1e-5, 0.3])
powers = st.integers(-60, 60)
HALVES = torch.bfloat16, torch.float16


@given(sizes, sizes, epsilons, powers, seeds)
def test_the_scale_of_a_token_does_not_matter_but_for_eps(
    length, width, eps, power, seed
):
    """Exactly, by powers of two: norm(c·x, c²·eps) = norm(x, eps); a negative c turns the sign."""
    x, weight, c = normal(seed, length, width), normal(seed + 1, width), 2.0**power
    normed = rms_norm(x, weight, eps)
    assert torch.equal(rms_norm(c * x, weight, c**2 * eps), normed)
    assert torch.equal(rms_norm(-c * x, weight, c**2 * eps), -normed)


@given(sizes, sizes, epsilons, st.integers(-150, 120), seeds)
def test_the_mean_square_is_at_most_one(length, width, eps, power, seed):
    """It is ms / (ms + eps): 1 without eps, and half where eps is the mean square itself."""
    x = normal(seed, length, width) * 2.0**power
    ones = torch.ones(width, dtype=x.dtype)
    before = x.square().mean(-1)
    after = rms_norm(x, ones, eps).square().mean(-1)
    assert_close(after, before / (before + eps))
    at_half = rms_norm(x[:1], ones, before[0].item()).square().mean()
    assert_close(at_half, torch.tensor(0.5).double())


@given(sizes, st.integers(1, 6), seeds)
def test_features_and_tokens_have_no_order_to_a_norm(length, width, seed):
    x, weight = normal(seed, length, width), normal(seed + 1, width)
    features, tokens = permutation(seed, width), permutation(seed, length)
    normed = rms_norm(x, weight, 1e-6)
    assert_close(rms_norm(x[:, features], weight[features], 1e-6), normed[:, features])
    assert torch.equal(rms_norm(x[tokens], weight, 1e-6), normed[tokens])


@given(
    shape=st.lists(st.integers(0, 3), max_size=3), width=st.integers(1, 9),
    dtype=st.sampled_from([torch.float32, *HALVES]), eps=epsilons.filter(bool),
    layout=st.sampled_from([*LAYOUTS, None]), power=st.integers(-140, 125), seed=seeds,
    wide_weight=st.booleans(),
)  # fmt: skip
def test_norms_are_hugging_face_s_to_the_last_bit(
    shape, width, dtype, eps, layout, power, seed, wide_weight
):
    """In every dtype, size and place in memory: float32 inside, cast, then the weight. What
    overflows there overflows here.
    """
    x = (normal(seed, *shape, width) * 2.0**power).to(dtype)
    x = layout(x) if layout and x.ndim > 1 and x.numel() else x
    theirs = TheirRMSNorm(width, eps)
    theirs.weight.data = normal(seed + 1, width).to(
        torch.float32 if wide_weight else dtype
    )
    expected, before = theirs(x), x.clone()
    output = rms_norm(x, theirs.weight, eps)
    assert output.dtype == expected.dtype
    assert torch.equal(output.nan_to_num(), expected.nan_to_num())
    assert torch.equal(output.isnan(), expected.isnan())
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@given(width=st.integers(1, 64), seed=seeds, power=st.integers(-12, 12))
def test_half_precision_rounds_a_norm_twice_and_no_more(dtype, width, seed, power):
    """Once at the cast and once at the weight: within 1 and a bit of the dtype's step."""
    x, weight = normal(seed, 3, width), normal(seed + 1, width)
    x, weight = (x * 2.0**power).to(dtype), weight.to(dtype)
    exact = rms_norm(x.double(), weight.double(), 1e-6)
    error = (rms_norm(x, weight, 1e-6) - exact).abs()
    step = torch.finfo(dtype)
    assert (error <= 1.01 * step.eps * exact.abs() + 2 * step.smallest_normal).all()


@given(sizes, sizes, st.sampled_from([1.0, 1e-30, 1e3, 1e30]), seeds)
def test_a_gate_passes_between_nothing_and_all(length, width, loud, seed):
    """silu(gate) lies between gate and 0 but for a dip of 0.28; swiglu is linear in `up`."""
    gate, up = loud * normal(seed, length, width), normal(seed + 1, length, width)
    passed = swiglu(gate, torch.ones_like(up))
    assert (passed <= gate.clamp(min=0)).all()
    assert (passed >= gate.clamp(max=0).clamp(min=-0.2785)).all()
    other_way = swiglu(-gate, torch.ones_like(up))
    assert_close(passed - other_way, gate)
    assert_close(passed + other_way, gate * torch.tanh(gate / 2))
    assert_close(swiglu(gate, 3 * up), 3 * swiglu(gate, up))
    assert_close(swiglu(gate, up), passed * up)
    assert swiglu(torch.zeros_like(gate), up).eq(0).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), seeds)
def test_a_feed_forward_block_sees_one_token_at_a_time(shape, seed):
    """Whatever the axes before: alone or among others, in whatever order, it gives the same."""
    mlp = LlamaMLP(tiny.config(mlp_bias=True)).double().requires_grad_(False)
    x = normal(seed, *shape, 16)
    output = mlp(x)
    assert output.shape == x.shape
    tokens, order = x.flatten(0, -2), permutation(seed, x[..., 0].numel())
    assert_close(mlp(tokens[order]), output.flatten(0, -2)[order])
    for token, expected in zip(tokens, output.flatten(0, -2), strict=True):
        assert_close(mlp(token), expected)
