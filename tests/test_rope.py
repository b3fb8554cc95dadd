import math

import pytest
import tiny
import tiny_files
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import LlamaRotaryEmbedding, apply_rope, rotate_half
from companion.rope import half_from_interleaved, rope_cos_sin
from companion.rope_scaling.scaling import inverse_frequencies


def rotated(x, position, theta=10000.0):
    """One head of one token at a position."""
    cos, sin = rope_cos_sin(torch.tensor([[position]]), x.shape[-1], theta, x.dtype)
    return apply_rope(x.view(1, 1, 1, -1), cos, sin).flatten()


def test_frequencies_by_hand():
    torch.testing.assert_close(
        inverse_frequencies(8, 10000.0), torch.tensor([1.0, 0.1, 0.01, 0.001])
    )


def test_cos_and_sin_by_hand():
    cos, sin = rope_cos_sin(torch.tensor([[0, 3]]), 4, 100.0)
    angles = torch.tensor([[[0.0, 0, 0, 0], [3, 0.3, 3, 0.3]]])
    torch.testing.assert_close(cos, angles.cos())
    torch.testing.assert_close(sin, angles.sin())


def test_rotate_half_by_hand():
    assert rotate_half(torch.tensor([1.0, 2, 3, 4])).tolist() == [-3, -4, 1, 2]


@given(st.integers(1, 8))
def test_two_quarter_turns_are_half_a_turn(pairs):
    x = torch.randn(2, 3, 2 * pairs)
    assert torch.equal(rotate_half(rotate_half(x)), -x)


def test_each_pair_turns_by_its_own_angle():
    turned = rotated(torch.tensor([1.0, 0, 0, 1]), 2, theta=100.0)
    expected = torch.tensor([math.cos(2), -math.sin(0.2), math.sin(2), math.cos(0.2)])
    torch.testing.assert_close(turned, expected)


def test_position_zero_changes_nothing():
    x = torch.randn(8)
    assert torch.equal(rotated(x, 0), x)


def test_length_is_kept():
    x = torch.randn(64, dtype=torch.float64)
    torch.testing.assert_close(rotated(x, 1000).norm(), x.norm())


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_scores_depend_on_the_distance_alone(i, j, shift):
    query, key = torch.randn(2, 16)
    score = rotated(query, i) @ rotated(key, j)
    torch.testing.assert_close(
        rotated(query, i + shift) @ rotated(key, j + shift), score, atol=2e-4, rtol=1e-4
    )


def test_all_heads_turn_alike():
    cos, sin = rope_cos_sin(torch.arange(5)[None], 8, 1e4)
    x = torch.randn(1, 1, 5, 8).expand(2, 3, 5, 8)
    turned = apply_rope(x, cos, sin)
    assert torch.equal(turned, turned[:1, :1].expand(2, 3, 5, 8))


def test_each_sequence_may_have_its_own_positions():
    x = torch.randn(2, 3, 4, 8)
    positions = torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8]])
    turned = apply_rope(x, *rope_cos_sin(positions, 8, 1e4))
    for row in range(2):
        alone = apply_rope(
            x[row : row + 1], *rope_cos_sin(positions[row : row + 1], 8, 1e4)
        )
        assert torch.equal(turned[row], alone[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_angles_are_computed_in_float32_and_cast_last(dtype):
    positions = torch.tensor([[4096, 4097]])
    cos, sin = rope_cos_sin(positions, 8, 1e4, dtype)
    assert cos.dtype == sin.dtype == dtype
    wide_cos, wide_sin = rope_cos_sin(positions, 8, 1e4)
    assert torch.equal(cos, wide_cos.to(dtype))
    assert torch.equal(sin, wide_sin.to(dtype))
    assert not torch.equal(cos[0, 0], cos[0, 1])


# ---- the other pairing


def interleaved_rope(x, position, theta=10000.0):
    """RoPE as the paper writes it: features 2i and 2i + 1 are one complex number."""
    numbers = torch.view_as_complex(x.view(-1, 2))
    angles = position * inverse_frequencies(x.shape[-1], theta)
    return torch.view_as_real(
        numbers * torch.polar(torch.ones_like(angles), angles)
    ).flatten()


def test_reorders_rows_by_hand():
    rows = torch.arange(8.0)[:, None]
    assert half_from_interleaved(rows, 1).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert half_from_interleaved(rows, 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_reorders_a_bias_too():
    assert half_from_interleaved(torch.arange(4.0), 1).tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_undoes_the_permutation_of_a_gguf(heads):
    weight = torch.randn(heads * 8, 5)
    stored = torch.tensor(tiny_files.permuted(weight.numpy(), heads))
    assert torch.equal(half_from_interleaved(stored, heads), weight)


def test_both_pairings_give_the_same_scores():
    weight_q, weight_k, x, y = (
        torch.randn(8, 5),
        torch.randn(8, 5),
        torch.randn(5),
        torch.randn(5),
    )
    interleaved = interleaved_rope(weight_q @ x, 7) @ interleaved_rope(weight_k @ y, 3)
    half = rotated(half_from_interleaved(weight_q, 1) @ x, 7) @ rotated(
        half_from_interleaved(weight_k, 1) @ y, 3
    )
    torch.testing.assert_close(half, interleaved)


# ---- the module


def test_module_takes_theta_and_head_dim_from_the_config(device):
    rotary = LlamaRotaryEmbedding(tiny.config(rope_theta=500.0, head_dim=6))
    positions = torch.tensor([[0, 1, 7]], device=device)
    cos, sin = rotary(torch.empty(1, 3, 16, device=device), positions)
    expected = rope_cos_sin(positions, 6, 500.0)
    assert torch.equal(cos, expected[0])
    assert torch.equal(sin, expected[1])
    assert cos.device.type == device


def test_module_gives_the_dtype_of_its_input():
    rotary = LlamaRotaryEmbedding(tiny.config())
    assert (
        rotary(
            torch.empty(1, dtype=torch.bfloat16), torch.zeros(1, 1, dtype=torch.long)
        )[0].dtype
        == torch.bfloat16
    )


def test_module_holds_no_tensors():
    rotary = LlamaRotaryEmbedding(tiny.config())
    assert not list(rotary.buffers())
    assert not list(rotary.parameters())
