import pytest
import torch
from refusal import said

from companion import (
    MultiHeadAttention,
    causal_mask,
    explain_matmul,
    merge_heads,
    padding_mask,
    repeat_kv,
    rms_norm,
    split_heads,
)
from companion.rope import half_from_interleaved

# ---- heads


@pytest.mark.parametrize(
    ("shape", "heads"), [((3, 8), 3), ((2, 3, 8), 16), ((3, 8), 0), ((3, 8), -2)]
)
def test_split_heads_that_do_not_divide(shape, heads):
    with pytest.raises(
        ValueError,
        match=said("8 features", f"{heads} heads", shape, "num_heads * head_dim"),
    ):
        split_heads(torch.zeros(shape), heads)


@pytest.mark.parametrize("shape", [(8,), ()])
def test_split_heads_without_a_length(shape):
    with pytest.raises(ValueError, match=said(shape, "length, hidden")):
        split_heads(torch.zeros(shape), 2)


@pytest.mark.parametrize("shape", [(8,), (3, 8)])
def test_merge_heads_without_heads(shape):
    with pytest.raises(ValueError, match=said(shape, "heads, length, head_dim")):
        merge_heads(torch.zeros(shape))


@pytest.mark.parametrize("heads", [3, 0, -2, 16])
def test_multi_head_attention_with_heads_that_do_not_divide(heads):
    with pytest.raises(
        ValueError, match=said("hidden_size 8", f"num_heads {heads}", "head_dim")
    ):
        MultiHeadAttention(8, heads)


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 9), (8,), (2, 8, 3)])
def test_multi_head_attention_of_another_hidden_size(shape):
    with pytest.raises(
        ValueError, match=said(shape, "hidden_size is 8", "length, hidden_size")
    ):
        MultiHeadAttention(8, 2)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("shape", "n_rep"),
    [
        ((2, 3, 4), 2),
        ((1, 2, 3, 4, 5), 2),
        ((1, 2, 3, 4), 0),
        ((1, 2, 3, 4), -1),
    ],
)
def test_repeat_kv(shape, n_rep):
    with pytest.raises(
        ValueError,
        match=said(shape, f"n_rep {n_rep}", "batch, kv_heads, length, head_dim"),
    ):
        repeat_kv(torch.zeros(shape), n_rep)


# ---- masks


@pytest.mark.parametrize(("q_len", "kv_len"), [(3, 2), (-1, 4), (1, 0)])
def test_causal_mask_with_more_queries_than_keys(q_len, kv_len):
    with pytest.raises(
        ValueError,
        match=said(f"q_len is {q_len}", f"kv_len {kv_len}", "cache's length"),
    ):
        causal_mask(q_len, kv_len)


@pytest.mark.parametrize("shape", [(5,), (2, 1, 5)])
def test_padding_mask_of_other_axes(shape):
    with pytest.raises(ValueError, match=said(shape, "batch, kv_len")):
        padding_mask(torch.ones(shape, dtype=torch.long))


@pytest.mark.parametrize(
    "mask",
    [
        torch.tensor([[0, 2]]),
        torch.tensor([[-1, 1]]),
        torch.tensor([[0.0, float("-inf")]]),
    ],
)
def test_padding_mask_of_other_values(mask):
    with pytest.raises(ValueError, match=said(mask.dtype, "0 and 1", "real token")):
        padding_mask(mask)


def test_padding_mask_of_floats_that_are_0_and_1():
    mask = torch.tensor([[0.0, 1.0]])
    with pytest.raises(ValueError, match=said(mask.dtype, "attention_mask.long()")):
        padding_mask(mask)
    assert padding_mask(mask.long()).tolist() == [[[[False, True]]]]


def test_padding_mask_without_data():
    marks = torch.ones(2, 3, dtype=torch.long, device="meta")
    assert padding_mask(marks).shape == (2, 1, 1, 3)
    with pytest.raises(ValueError, match=said("torch.float32", "0 and 1")):
        padding_mask(marks.float())


# ---- norm and RoPE


@pytest.mark.parametrize("size", [2, 4])
def test_rms_norm_of_another_size(size):
    with pytest.raises(
        ValueError, match=said("x is (2, 3)", f"weight ({size},)", f"must be {size}")
    ):
        rms_norm(torch.zeros(2, 3), torch.ones(size), 1e-6)


@pytest.mark.parametrize(("rows", "heads"), [(6, 2), (8, 3), (3, 1)])
def test_half_from_interleaved_of_an_odd_head_dim(rows, heads):
    with pytest.raises(
        ValueError,
        match=said(f"({rows}, 5)", f"{rows} rows", f"{heads} heads", "even head_dim"),
    ):
        half_from_interleaved(torch.zeros(rows, 5), heads)


# ---- matmul


@pytest.mark.parametrize(
    ("a", "b", "quotes"),
    [
        (
            (2, 3),
            (4, 5),
            ("last axis of a (2, 3) is 3", "second-to-last axis of b (4, 5) is 4"),
        ),
        ((2, 3), (2, 3), ("is 3", "is 2", "b.mT would fit")),
        ((3,), (4,), ("last axis of a (3,) is 3", "only axis of b (4,) is 4")),
        ((2, 3), (2,), ("last axis of a (2, 3) is 3", "only axis of b (2,) is 2")),
        ((5, 2, 3), (4, 3, 6), ("batch axis -3", "5 in a", "4 in b", "(5,)", "(4,)")),
        (
            (5, 7, 2, 3),
            (4, 1, 3, 6),
            ("batch axis -4", "5 in a", "4 in b", "(5, 7)", "(4, 1)"),
        ),
        ((0, 2, 3), (2, 3, 6), ("batch axis -3", "0 in a", "2 in b")),
        ((), (3, 4), ("a has no axes", "scalar")),
        ((3, 4), (), ("b has no axes", "scalar")),
        ((2, -3), (-3, 4), ("a is (2, -3)", "negative")),
    ],
    ids=str,
)
def test_explain_matmul(a, b, quotes):
    with pytest.raises(RuntimeError):
        torch.matmul(torch.zeros(a), torch.zeros(b))
    with pytest.raises(ValueError, match=said(*quotes)):
        explain_matmul(a, b)


def test_explain_matmul_proposes_a_transpose_only_where_it_fits():
    with pytest.raises(ValueError, match=r"must be equal$"):
        explain_matmul((2, 3), (4, 5))
    with pytest.raises(ValueError, match=r"must be equal$"):
        explain_matmul((2, 3), (4,))
