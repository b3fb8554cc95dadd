"""What the fast forms of attention refuse, in words that name what takes it instead."""

import pytest
import torch
from refusal import said

from companion import fast

FAST = ("tiled", "blocks", "sdpa")  # what "triton" alone refuses: test_kernel_refusals
PLAIN = "companion.scaled_dot_product_attention"


def zeros(*shapes, **options):
    return [torch.zeros(shape, **options) for shape in shapes]


SAME = ((2, 4, 3, 8),) * 3


@pytest.mark.parametrize("name", FAST)
def test_dropout(name):
    with pytest.raises(ValueError, match=said("dropout_p is 0.1", name, PLAIN)):
        fast.attention[name](*zeros(*SAME), dropout_p=0.1)


@pytest.mark.parametrize("name", FAST)
def test_float16_on_a_cpu(name):
    tensors = zeros(*SAME, dtype=torch.float16)
    quotes = ("query is torch.float16 on a CPU", name, "torch.bfloat16", PLAIN)
    with pytest.raises(ValueError, match=said(*quotes)):
        fast.attention[name](*tensors)


@pytest.mark.parametrize("name", ["tiled", "blocks"])
@pytest.mark.parametrize("size", [0, -1])
def test_block_that_holds_nothing(name, size):
    with pytest.raises(ValueError, match=said(f"q_block is {size}", "at least 1")):
        fast.attention[name](*zeros(*SAME), q_block=size)


def test_key_block_that_holds_nothing():
    with pytest.raises(ValueError, match=said("kv_block is 0", "at least 1")):
        fast.tiled(*zeros(*SAME), kv_block=0)


def test_sdpa_and_values_of_another_width():
    tensors = zeros((2, 3, 8), (2, 5, 8), (2, 5, 6))
    quotes = ("value_dim 6", "head_dim 8", "'tiled'", PLAIN)
    with pytest.raises(ValueError, match=said(*quotes)):
        fast.sdpa(*tensors)


def test_sdpa_and_five_axes():
    tensors = zeros(*((1, 2, 2, 3, 8),) * 3)
    quotes = ("(1, 2, 2, 3, 8)", "query.flatten(0, -4)", PLAIN)
    with pytest.raises(ValueError, match=said(*quotes)):
        fast.sdpa(*tensors)


def test_sdpa_and_a_mask_that_is_trained():
    mask = torch.zeros(3, 3, requires_grad=True)
    with pytest.raises(ValueError, match=said("attn_mask", "detach()", PLAIN)):
        fast.sdpa(*zeros(*SAME), attn_mask=mask)


@pytest.mark.parametrize("scale", [0.0, -2.0])
def test_sdpa_and_a_causal_scale_that_is_not_positive(scale):
    quotes = (f"scale is {scale}", "is_causal=True", "bool mask", PLAIN)
    with pytest.raises(ValueError, match=said(*quotes)):
        fast.sdpa(*zeros(*SAME), is_causal=True, scale=scale)


WRONG = {
    "head_dim": (((2, 4), (3, 5), (3, 4)), {}, ("head_dim 4", "key 5")),
    "kv_len": (((2, 4), (3, 4), (2, 4)), {}, ("kv_len 3", "value 2")),
    "heads": (
        ((1, 4, 2, 4), (1, 2, 3, 4), (1, 2, 3, 4)), {},
        ("key has 2 heads", "query 4", "enable_gqa=True"),
    ),
    "batch": (((3, 4, 2, 4), (2, 4, 3, 4), (2, 4, 3, 4)), {}, ("broadcast",)),
    "batch of value": (((3, 2, 4), (1, 2, 4), (2, 2, 4)), {}, ("broadcast",)),
    "heads that do not divide": (
        ((1, 6, 2, 4), (1, 4, 3, 4), (1, 4, 3, 4)), {"enable_gqa": True},
        ("query has 6 heads", "4 key heads"),
    ),
    "no heads": (((2, 4), (3, 4), (3, 4)), {"enable_gqa": True}, ("heads axis",)),
    "a mask too small": (
        ((2, 2, 4), (2, 3, 4), (2, 3, 4)), {"attn_mask": torch.ones(2, 2).bool()},
        ("attn_mask (2, 2)", "(2, 2, 3)"),
    ),
    "a mask of numbers": (
        ((2, 4), (3, 4), (3, 4)), {"attn_mask": torch.ones(2, 3, dtype=torch.int64)},
        ("attn_mask is torch.int64", "attn_mask.bool()"),
    ),
    "a mask and is_causal": (
        ((2, 4), (2, 4), (2, 4)),
        {"attn_mask": torch.ones(2, 2).bool(), "is_causal": True},
        ("is_causal=True", "attn_mask"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", fast.attention)
@pytest.mark.parametrize(("shapes", "options", "quotes"), WRONG.values(), ids=WRONG)
def test_what_plain_attention_refuses(name, shapes, options, quotes):
    with pytest.raises(ValueError, match=said(*quotes)):
        fast.attention[name](*zeros(*shapes), **options)


@pytest.mark.parametrize("name", fast.attention)
def test_gqa_that_has_another_batch(name):
    tensors = zeros((3, 4, 2, 8), (2, 2, 3, 8), (2, 2, 3, 8))
    with pytest.raises(ValueError, match=said("broadcast")):
        fast.attention[name](*tensors, enable_gqa=True)


@pytest.mark.parametrize("name", ["plain", *FAST])
@pytest.mark.parametrize("is_causal", [False, True])
def test_compiles_in_one_graph(name, is_causal):
    torch.compiler.reset()
    attend = fast.attention[name]
    query, (key, value) = torch.randn(1, 4, 6, 8), torch.randn(2, 1, 2, 6, 8)
    options = {"is_causal": is_causal, "enable_gqa": True}
    run = torch.compile(attend, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(
        run(query, key, value, **options), attend(query, key, value, **options)
    )
