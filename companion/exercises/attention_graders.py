"""Graders for the exercises on attention, heads, masks and broadcasting: each runs
the reader's function and says in words what is wrong with it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.broadcasting import explain_matmul
from companion.exercises.grading import (
    RIGHT,
    Grade,
    check_tensor,
    gap,
    graded,
    wrong,
)
from companion.heads import split_heads
from companion.masks import causal_mask


@graded
def check_attention(attend: Callable[..., Tensor]) -> Grade:
    """Grade `attend(query, key, value, attn_mask)`, with attn_mask bool (True =
    may attend) or None.
    """
    generator = torch.Generator().manual_seed(1)
    query, key, value = torch.randn(3, 2, 6, 4, generator=generator)
    expected = scaled_dot_product_attention(query, key, value)
    answer = attend(query, key, value, None)
    if problem := check_tensor("the output", answer, expected):
        return problem
    sums = attend(query, key, torch.ones_like(value), None)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-5):
        return wrong(
            "with values of 1 the output is not 1: the weights of each query must "
            "sum to 1 (softmax over the keys)"
        )
    if not torch.allclose(answer, expected, atol=1e-5):
        return wrong(
            f"the output is off by up to {gap(answer, expected)}: are the scores "
            "divided by √head_dim?"
        )
    mask = causal_mask(6)
    expected = scaled_dot_product_attention(query, key, value, mask)
    answer = attend(query, key, value, mask)
    sums = attend(query, key, torch.ones_like(value), mask)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-5):
        return wrong(
            "with a mask the weights no longer sum to 1: mask the scores with -inf, "
            "before the softmax"
        )
    if not torch.allclose(answer, expected, atol=1e-5):
        return wrong(
            "with a causal mask the first query should return the first value "
            "alone: True means may attend"
        )
    return RIGHT


@graded
def check_split_heads(split: Callable[[Tensor, int], Tensor]) -> Grade:
    """Grade `split(x, num_heads)` on x (batch, length, hidden)."""
    x = torch.arange(2 * 3 * 8.0).reshape(2, 3, 8)
    expected, answer = split_heads(x, 2), split(x, 2)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if torch.equal(answer, expected):
        return RIGHT
    first = answer[0, 0, 0].tolist()
    if not torch.equal(answer[0, 0, 0], x[0, 0, :4]):
        return wrong(
            f"head 0 of token 0 is {first}; it should be that token's first "
            f"features, {x[0, 0, :4].tolist()}"
        )
    return wrong(
        f"head 0 of token 1 is {answer[0, 0, 1].tolist()}, which mixes tokens and "
        f"heads; it should be {x[0, 1, :4].tolist()}: cut the last axis first, then "
        "bring the heads before the length"
    )


@graded
def check_causal_mask(mask: Callable[[int, int], Tensor]) -> Grade:
    """Grade `mask(q_len, kv_len)`: bool, the queries being the last of the keys'
    positions.
    """
    for q_len, kv_len in ((4, 4), (2, 5), (1, 3)):
        expected, answer = causal_mask(q_len, kv_len), mask(q_len, kv_len)
        if problem := check_tensor(
            f"the mask for q_len {q_len}, kv_len {kv_len}", answer, expected
        ):
            return problem
        if torch.equal(answer, expected):
            continue
        if torch.equal(answer, ~expected):
            return wrong("True and False are exchanged: True means may attend")
        if not answer[-1, -1]:
            return wrong(
                f"for q_len {q_len}, kv_len {kv_len} the last query does not see the "
                "last key, which is itself"
            )
        return wrong(
            f"for q_len {q_len}, kv_len {kv_len} row 0 is {answer[0].tolist()}; it "
            f"should be {expected[0].tolist()}"
        )
    return RIGHT


@graded
def check_matmul_shape(answer: Callable[[tuple, tuple], tuple]) -> Grade:
    """Grade `answer(a_shape, b_shape)`: the shape that torch.matmul gives, as a
    tuple.
    """
    cases = [((3,), (3,)), ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,))]
    cases += [
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)),
        ((2, 3), (5, 3, 4)),
    ]
    for a, b in cases:
        expected, given = explain_matmul(a, b).shape, tuple(answer(a, b))
        if given != expected:
            return wrong(f"{a} @ {b} has shape {expected}; the answer was {given}")
    return RIGHT
