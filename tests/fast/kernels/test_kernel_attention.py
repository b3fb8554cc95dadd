"""Attention by kernels: the cases of the other fast forms, and those that tiles bring."""

import pytest
import tiny
import torch
from attention_cases import (
    KINDS,
    SHAPES,
    assert_right,
    exact,
    masks,
    naive,
    tensors,
)

from companion import LlamaForCausalLM, causal_mask, fast, generate
from companion.fast import kernels

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
BLOCKS = ((16, 16), (16, 32), (64, 16), (None, None))
SMALL = {"q_block": 16, "kv_block": 16}
SHAPES = {
    **SHAPES,
    "one query, no key": (1, 2, 2, 1, 0),
    "square": (2, 4, 2, 11, 11),
    "longer than a tile": (LONG := (1, 2, 1, 33, 37)),
}
LARGER = {  # on a GPU
    "long": (1, 4, 2, 1000, 1000),
    "long and odd": (2, 3, 1, 333, 777),
    "long cache": (2, 8, 2, 1, 5000),
    "wide batch": (9, 16, 4, 65, 129),
}


def form(**options):
    """A form for `assert_right`, which looks the kernel up when it is called."""
    return lambda *a, **k: kernels.attention(*a, **k), options


def by_past(past, **blocks):
    """Takes the mask that says the same as is_causal with `past`, and ignores it."""

    def attend(query, key, value, attn_mask, enable_gqa):
        return kernels.attention(
            query,
            key,
            value,
            is_causal=True,
            past=past,
            enable_gqa=enable_gqa,
            **blocks,
        )

    return attend, {}


def test_it_is_a_fast_form():
    assert fast.attention["triton"] is kernels.attention


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_equals_torch(shape, kind, device):
    for dtype in DTYPES[shape == LONG :]:  # where it takes long, two
        query, key, value = tensors(shape, dtype, device)
        options = masks(query, key)
        if kind in options:
            assert_right(form(**SMALL), query, key, value, **options[kind])


@pytest.mark.large
@pytest.mark.parametrize("kind", ["none", "is_causal", "bool", "float with -inf"])
@pytest.mark.parametrize("shape", LARGER.values(), ids=LARGER)
def test_larger(shape, kind, device):
    sizes = {"q_block": 64, "kv_block": 32}
    for dtype in DTYPES:
        query, key, value = tensors(shape, dtype, device, head_dim=64, value_dim=64)
        assert_right(form(**sizes), query, key, value, **masks(query, key)[kind])


@pytest.mark.parametrize("blocks", BLOCKS, ids=str)
@pytest.mark.parametrize("kind", ["none", "is_causal", "bool"])
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_any_block_size(dtype, kind, blocks, device):
    sizes = dict(zip(("q_block", "kv_block"), blocks, strict=True))
    query, key, value = tensors((1, 1, 1, 35, 67), dtype, device)
    for some in (query, query[:, :, :1]):
        assert_right(form(**sizes), some, key, value, **masks(some, key)[kind])


WIDTHS = [(3, 3), (16, 16), (40, 40), (64, 64), (80, 80), (128, 128), (256, 256)]
WIDTHS += [(1, 1), (64, 128), (128, 5), (24, 256)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("head_dim", "value_dim"), WIDTHS)
def test_any_width(head_dim, value_dim, dtype, device):
    for q_len, options in ((18, {"is_causal": True}), (1, {})):
        inputs = tensors((1, 2, 1, q_len, 21), dtype, device, head_dim, value_dim)
        assert_right(form(**SMALL), *inputs, **options)


@pytest.mark.parametrize("group", [1, 3, 8])
@pytest.mark.parametrize("q_len", [1, 5])
def test_any_group(group, q_len, device):
    for kind in ("bool", "float"):
        shape = (1, 2 * group, 2, q_len, 7)
        query, key, value = tensors(shape, torch.float32, device)
        options = masks(query, key)[kind]
        assert_right(form(**SMALL), query, key, value, **options)


@pytest.mark.parametrize("scale", [0.0, 0.3, -2.0])
@pytest.mark.parametrize("q_len", [1, 11])
def test_scale(scale, q_len, device):
    query, key, value = tensors((1, 4, 2, q_len, 11), torch.float32, device)
    for kind in ("lower right", "is_causal", "float", "lowest number"):
        options = masks(query, key)[kind]
        assert_right(form(**SMALL), query, key, value, scale=scale, **options)


# ---- behind a cache


@pytest.mark.parametrize(
    ("q_len", "past"), [(1, 0), (1, 22), (3, 20), (20, 3), (33, 40)]
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_past_is_the_lower_right_mask(q_len, past, dtype, device):
    query, key, value = tensors((1, 4, 2, q_len, q_len + past), dtype, device)
    mask = causal_mask(q_len, q_len + past, device=device)
    assert_right(by_past(past, **SMALL), query, key, value, attn_mask=mask)


@pytest.mark.parametrize(("q_len", "past"), [(1, 5), (3, 17), (18, 2), (5, 60)])
def test_past_of_another_cache_than_the_keys(q_len, past, device):
    """A static cache has empty places after the last token, or keys were dropped."""
    query, key, value = tensors((1, 2, 2, q_len, 40), torch.float32, device)
    rows, places = (torch.arange(n, device=device) for n in (q_len, 40))
    mask = places <= rows[:, None] + past
    assert_right(by_past(past, **SMALL), query, key, value, attn_mask=mask)


def test_is_causal_lets_one_query_see_the_first_key(device):
    query, key, value = tensors((2, 4, 2, 1, 9), torch.float32, device)
    output = kernels.attention(query, key, value, is_causal=True, enable_gqa=True)
    first = value[:, :, :1].repeat_interleave(2, dim=1)
    torch.testing.assert_close(output, first)


@pytest.mark.parametrize("q_len", [1, 11])
def test_large_scores_do_not_overflow(q_len, device):
    for dtype in (torch.float32, torch.bfloat16):
        query, key, value = tensors((1, 4, 2, q_len, 37), dtype, device)
        for options in ({"is_causal": True}, {}):
            for factor in (300, 5000):
                large = factor * query, factor * key
                assert_right(form(**SMALL), *large, value, **options)


@pytest.mark.parametrize("q_len", [1, 25])
def test_scores_that_grow_and_fall(q_len, device):
    """The maximum moves at every tile, or never after the first."""
    query, key, value = tensors((1, 2, 2, q_len, 90), torch.float32, device)
    query, key = query.abs(), key.abs()
    grow = torch.linspace(-9, 9, 90, device=device)[:, None]
    for slope in (grow, -grow):
        for options in ({}, by_mask(q_len, device)):
            assert_right(form(**SMALL), query, key * slope, value, **options)


def by_mask(q_len, device):
    return {"attn_mask": causal_mask(q_len, 90, device=device)}


@pytest.mark.parametrize("blocks", BLOCKS[:3], ids=str)
def test_later_keys_have_no_influence(blocks, device):
    query, key, value = tensors((1, 4, 2, 41, 41), torch.float32, device)
    sizes = dict(zip(("q_block", "kv_block"), blocks, strict=True))
    options = {"is_causal": True, "enable_gqa": True, **sizes}
    expected = kernels.attention(query, key, value, **options)
    key[..., 26:, :], value[..., 26:, :] = 1e3, 1e6
    output = kernels.attention(query, key, value, **options)
    assert torch.equal(output[..., :26, :], expected[..., :26, :])
    assert not torch.allclose(output[..., 26:, :], expected[..., 26:, :])


def test_inputs_are_left_as_they_are(device):
    for q_len in (1, 11):
        inputs = tensors((2, 6, 2, q_len, 11), torch.float32, device)
        mask = torch.rand(q_len, 11, device=device) < 0.5
        copies = [x.clone() for x in (*inputs, mask)]
        kernels.attention(*inputs, attn_mask=mask, enable_gqa=True, **SMALL)
        kernels.attention(*inputs, is_causal=True, enable_gqa=True, **SMALL)
        assert all(map(torch.equal, (*inputs, mask), copies))


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("q_len", [1, 16])
def test_weights_are_rounded_as_a_gpu_multiplies_them(dtype, q_len, device):
    """The sum in float32, the weights in the values' dtype: two keys, told apart by value."""
    query = torch.ones(1, 2, q_len, 1, dtype=dtype, device=device)
    query *= torch.rand_like(query) * 4
    key = torch.tensor([[0.0], [-1.0]], dtype=dtype, device=device).expand(1, 2, 2, 1)
    value = torch.eye(2, dtype=dtype, device=device).expand(1, 2, 2, 2)
    output = kernels.attention(query, key, value, **SMALL)
    weight = torch.exp(-query[..., 0].float())
    expected = (weight.to(dtype).float() / (1 + weight)).to(dtype)
    assert torch.equal(output[..., 1], expected)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_rounding_has_no_direction(dtype, device):
    """Cut-off bits would make every output too small."""
    query, key, value = tensors((1, 8, 8, 16, 16), dtype, device)
    value = value.abs()
    off = kernels.attention(query, key, value, **SMALL) - exact(query, key, value)
    plain = naive(query, key, value) - exact(query, key, value)
    assert off.mean().abs() < 0.2 * off.abs().mean()
    assert off.abs().mean() < plain.abs().mean()


def test_a_llama_writes_the_same_tokens(device):
    model, ids = tiny.model(std=0.2).to(device), tiny.ids(2, 7).to(device)
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    other = LlamaForCausalLM(model.config, fast.attention["triton"]).requires_grad_(
        False
    )
    other.load_state_dict(model.state_dict(), assign=True)
    for options in ({}, {"attention_mask": mask}):
        expected = generate(model, ids, 5, **options)
        assert torch.equal(generate(other.eval(), ids, 5, **options), expected)
