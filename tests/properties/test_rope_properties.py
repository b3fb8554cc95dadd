"""RoPE turns: what turning keeps, and what it makes of distances."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, normal, permutation, seeds, sizes

from companion import (
    FrequencyFactors,
    LinearScaling,
    Llama3Scaling,
    RopeScaling,
    YarnScaling,
    apply_rope,
    rotate_half,
)
from companion.rope import half_from_interleaved, rope_cos_sin

FAR = 100_000  # in float32 an angle of so many radians is off by 0.004
positions = st.one_of(st.integers(0, 64), st.integers(0, FAR))
widths = st.integers(1, 8).map(lambda pairs: 2 * pairs)
thetas = st.sampled_from([100.0, 10000.0, 500000.0])


def scalings_for(width):
    return st.sampled_from(
        [
            RopeScaling(),
            LinearScaling(4.0),
            Llama3Scaling(8.0, 1.0, 4.0, 64),
            YarnScaling(4.0, 64),
            FrequencyFactors(tuple(1.0 + n for n in range(width // 2))),
        ]
    )


def turned(x, at, theta=10000.0, scaling=None):
    """Tokens (batch, heads, length, head_dim) at these positions, in float64 but for angles."""
    at = torch.as_tensor(at).expand(x.shape[-2])[None]
    return apply_rope(x, *rope_cos_sin(at, x.shape[-1], theta, x.dtype, scaling))


def rounding(*at):
    """How far float32 may be off in an angle of so many radians, or in a cosine."""
    return torch.finfo(torch.float32).eps * (4 + 2 * max(at))


@given(st.data(), widths, thetas, positions, positions, st.integers(0, FAR), seeds)
def test_scores_depend_on_the_distance_of_positions_alone(
    data, width, theta, m, n, shift, seed
):
    """<R_m q, R_n k> = <R_(m-n) q, k>, with scaled frequencies too."""
    scaling = data.draw(scalings_for(width))
    query, key = normal(seed, 2, 1, 1, 1, width)
    score = (turned(query, m, theta, scaling) * turned(key, n, theta, scaling)).sum()
    later = turned(query, m + shift, theta, scaling)
    later = (later * turned(key, n + shift, theta, scaling)).sum()
    room = query.norm() * key.norm() * scaling.magnitude**2
    assert abs(later - score) <= 2 * rounding(m + shift, n + shift) * room


@given(st.data(), widths, thetas, positions, sizes, seeds)
def test_every_pair_keeps_its_length(data, width, theta, at, length, seed):
    """And so do queries and keys; YaRN's cosines and sines have a magnitude of their own."""
    scaling = data.draw(scalings_for(width))
    x = normal(seed, 2, 3, length, width)
    pairs = turned(x, at, theta, scaling).unflatten(-1, (2, -1)).norm(dim=-2)
    expected = scaling.magnitude * x.unflatten(-1, (2, -1)).norm(dim=-2)
    assert_close(pairs, expected, 1e-6)


@given(widths, thetas, st.integers(0, 500), st.integers(0, 500), seeds)
def test_turning_twice_is_turning_by_the_sum(width, theta, m, n, seed):
    """R_m R_n = R_(m+n); R_0 is exactly nothing."""
    x = normal(seed, 1, 2, 3, width)
    twice = turned(turned(x, m, theta), n, theta)
    assert_close(twice, turned(x, m + n, theta), rounding(m + n) * 8)
    assert torch.equal(turned(x, 0, theta), x)


@given(widths, seeds)
def test_four_quarter_turns_are_none(width, seed):
    """rotate_half is linear, keeps lengths, and is orthogonal to where it came from."""
    x = normal(seed, 3, width)
    quarter = rotate_half(x)
    assert torch.equal(rotate_half(quarter), -x)
    assert torch.equal(quarter.norm(dim=-1), quarter.abs().norm(dim=-1))
    assert_close((quarter * x).sum(dim=-1), torch.zeros(3, dtype=x.dtype))
    assert_close(quarter.square().sum(-1), x.square().sum(-1))


@given(widths, thetas, sizes, st.data(), seeds)
def test_both_pairings_are_one_rotation_in_another_order(
    width, theta, heads, data, seed
):
    """Permuted by `half_from_interleaved`, pairs (0, 1) turned as the paper writes them are
    pairs (0, d/2) turned by `apply_rope`.
    """
    at = data.draw(st.integers(0, 300))
    x = normal(seed, heads * width)
    frequencies = RopeScaling().frequencies(width, theta, torch.tensor([at])).double()
    turn = torch.polar(torch.ones_like(frequencies), at * frequencies)
    pairs = torch.view_as_complex(x.view(heads, -1, 2).contiguous()) * turn
    by_paper = torch.view_as_real(pairs).flatten()
    ours = turned(half_from_interleaved(x, heads).view(1, heads, 1, width), at, theta)
    expected = half_from_interleaved(by_paper, heads).view(1, heads, 1, width)
    assert_close(ours, expected, 10 * rounding(at))


@given(st.data(), widths, sizes, sizes, seeds)
def test_each_token_turns_by_its_own_position_alone(data, width, batch, length, seed):
    """In any order and each sequence by itself; in the middle of others it turns as alone."""
    scaling = data.draw(scalings_for(width))
    x = normal(seed, batch, 2, length, width)
    at = data.draw(
        st.lists(positions, min_size=batch * length, max_size=batch * length)
    )
    at = torch.tensor(at).view(batch, length)
    order = permutation(seed, length)
    cos, sin = rope_cos_sin(at, width, 1e4, x.dtype, scaling)
    output = apply_rope(x, cos, sin)
    permuted = rope_cos_sin(at[:, order], width, 1e4, x.dtype, scaling)
    assert_close(apply_rope(x[:, :, order], *permuted), output[:, :, order], 1e-6)
    alone = turned(x[-1:, :, -1:], at[-1, -1], 1e4, scaling)
    assert_close(alone, output[-1:, :, -1:], 1e-6)


@given(widths, st.lists(positions, min_size=1, max_size=5), seeds)
def test_angles_are_rounded_once(width, at, seed):
    """In bfloat16 and float16 cosines are those of float32, cast: not of rounded angles."""
    at = torch.tensor([at])
    for dtype in (torch.bfloat16, torch.float16):
        half = rope_cos_sin(at, width, 1e4, dtype)
        wide = rope_cos_sin(at, width, 1e4)
        for ours, cast in zip(half, wide, strict=True):
            assert torch.equal(ours, cast.to(dtype))
            exact = cast.double()
            assert (ours.double() - exact).abs().max() <= torch.finfo(dtype).eps / 2
    cos, sin = wide
    assert_close(cos.square() + sin.square(), torch.ones_like(cos), 1e-6)
