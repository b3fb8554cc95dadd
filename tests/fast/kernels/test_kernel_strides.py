"""Attention by kernels takes tensors as they lie: any stride, shared axes, large distances."""

import math

import pytest
import torch
import torch.nn.functional as F
from attention_cases import AXES, FAR, assert_right, exact, far_apart, masks, tensors

from companion.fast import kernels
from companion.fast.kernels.launch.attention import launch_decode, launch_forward

SMALL = {"q_block": 16, "kv_block": 16}


def attend(*inputs, **options):
    return kernels.attention(*inputs, **options, **SMALL)


def transposed(x):
    return x.mT.contiguous().mT


def split_from_one(x):
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def strided(x):
    return x.repeat_interleave(2, dim=-1)[..., ::2]


def part_of_longer(x):
    """As the filled places of a static cache lie; the rest is NaN."""
    longer = x.new_full((*x.shape[:2], x.shape[2] + 5, x.shape[3]), math.nan)
    longer[:, :, : x.shape[2]] = x
    return longer[:, :, : x.shape[2]]


LAYOUTS = (transposed, split_from_one, strided, part_of_longer)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("q_len", [1, 18])
def test_strides_do_not_matter(layout, which, q_len, device):
    inputs = list(tensors((1, 4, 2, q_len, 19), torch.float32, device))
    expected = exact(*inputs)
    inputs[which] = layout(inputs[which])
    output = attend(*inputs, enable_gqa=True)
    torch.testing.assert_close(output, expected.float())


@pytest.mark.parametrize("layout", [transposed, split_from_one, strided])
@pytest.mark.parametrize("q_len", [1, 18])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_strides_of_a_mask_do_not_matter(layout, q_len, kind, device):
    query, key, value = tensors((1, 4, 2, q_len, 19), torch.float32, device)
    mask = masks(query, key)[kind]["attn_mask"]
    assert_right((attend, {}), query, key, value, attn_mask=layout(mask))


def test_one_token_for_all_keys(device):
    """Axes of stride 0: the keys of all heads and places are one vector."""
    query, _, value = tensors((2, 4, 4, 5, 7), torch.float32, device)
    key = torch.randn(8, device=device).expand(2, 4, 7, 8)
    for some in (query, query[:, :, :1]):
        output = attend(some, key, value)
        torch.testing.assert_close(output, value.mean(2, True).expand_as(some))


FEW_AXES = {name: axes for name, axes in AXES.items() if name != "5-D"}


@pytest.mark.parametrize("axes", FEW_AXES.values(), ids=FEW_AXES)
@pytest.mark.parametrize("q_len", [1, 5])
def test_leading_axes_broadcast(axes, q_len, device):
    query, key, value = (torch.randn(s, device=device) for s in axes)
    query = query[..., :q_len, :]
    mask = torch.rand(q_len, 7, device=device) < 0.7
    for options in ({}, {"is_causal": True}, {"attn_mask": mask}):
        output = attend(query, key, value, **options)
        wide = (x.double() for x in (query, key, value))
        expected = F.scaled_dot_product_attention(*wide, **options).nan_to_num()
        torch.testing.assert_close(output, expected.float())


@pytest.mark.parametrize("q_len", [1, 5])
def test_gqa_with_three_axes(q_len, device):
    inputs = tensors((1, 6, 2, q_len, 7), torch.float32, device)
    query, key, value = (x[0] for x in inputs)
    output = attend(query, key, value, enable_gqa=True)
    torch.testing.assert_close(output, exact(*inputs)[0].float())


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("which", ["query", "key", "value", "attn_mask"])
def test_heads_beyond_32_bits(which, axis, device):
    shape = (3, 1, 3, 3) if axis == 0 else (1, 3, 3, 3)
    names = ("query", "key", "value")
    inputs = {name: torch.randn(*shape[:3], 8, device=device).half() for name in names}
    inputs["attn_mask"] = torch.rand(shape, device=device) < 0.7
    expected = attend(**inputs)
    inputs[which] = far_apart(inputs[which], axis)
    assert torch.equal(attend(**inputs), expected)
    inputs["query"] = inputs["query"][:, :, -1:]
    inputs["attn_mask"] = inputs["attn_mask"][:, :, -1:]
    torch.testing.assert_close(attend(**inputs), expected[:, :, -1:])


@pytest.mark.parametrize(
    ("which", "axis"),
    [("query", 2), ("key", 2), ("value", 2), ("attn_mask", 2), ("attn_mask", 3)],
)
def test_tiles_beyond_32_bits(which, axis, device):
    """Such as the rows of a mask for 50,000 queries and keys; within a tile it is near."""
    names = ("query", "key", "value")
    inputs = {name: torch.randn(1, 1, 18, 8, device=device).half() for name in names}
    inputs["attn_mask"] = torch.rand(1, 1, 18, 18, device=device) < 0.7
    expected = attend(**inputs)
    inputs[which] = far_apart(inputs[which], axis, 2**27 + 16)
    assert torch.equal(attend(**inputs), expected)
    inputs["query"] = inputs["query"][:, :, -1:]
    inputs["attn_mask"] = inputs["attn_mask"][:, :, -1:]
    torch.testing.assert_close(attend(**inputs), expected[:, :, -1:])


@pytest.mark.parametrize(("axis", "apart"), [(0, FAR), (1, FAR), (2, 2**27 + 16)])
def test_an_output_beyond_32_bits(axis, apart, device):
    """Its rows lie where a row of 2**31 elements and more before them would put them."""
    shape = {0: (3, 1, 3, 8), 1: (1, 3, 3, 8), 2: (1, 1, 18, 8)}[axis]
    inputs = [torch.randn(shape, device=device).half() for _ in range(3)]
    output = far_apart(torch.full_like(inputs[0], math.nan), axis, apart)
    assert (shape[axis] - 1) * output.stride(axis) >= 2**31
    launch_forward(*inputs, None, output, 0.5, **SMALL)
    assert torch.equal(output, attend(*inputs, scale=0.5))
    if axis < 2:
        inputs[0] = inputs[0][:, :, -1:]
        launch_decode(*inputs, None, output[:, :, :1], 0.5, kv_block=16)
        expected = attend(*inputs, scale=0.5)
        torch.testing.assert_close(output[:, :, :1], expected)
