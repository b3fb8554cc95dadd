"""Graders for the exercises: each runs the reader's function and says in words
what is wrong with it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.broadcasting import explain_matmul
from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.gqa import repeat_kv
from companion.heads import split_heads
from companion.masks import causal_mask
from companion.model import LlamaForCausalLM
from companion.rope import apply_rope, rope_cos_sin


@dataclass(frozen=True)
class Grade:
    """Whether an answer is right, and if not, what is wrong with it."""

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.message}"


RIGHT = Grade(True, "right")


def wrong(message: str) -> Grade:
    """A failing grade with its reason."""
    return Grade(False, message)


def graded(check: Callable[[Callable], Grade]) -> Callable[[Callable], Grade]:
    """A grader that also grades an answer that raises."""

    @wraps(check)
    def grade(answer: Callable) -> Grade:
        try:
            return check(answer)
        except Exception as error:  # whatever the reader's function raises
            return wrong(f"it raises {type(error).__name__}: {error}")

    return grade


def check_tensor(name: str, answer: object, expected: Tensor) -> Grade | None:
    """The first thing to be right: a tensor of the right shape and dtype."""
    if not isinstance(answer, Tensor):
        return wrong(f"{name} returned a {type(answer).__name__}, not a tensor")
    if answer.shape != expected.shape:
        return wrong(
            f"{name} has shape {tuple(answer.shape)}; it should be "
            f"{tuple(expected.shape)}"
        )
    if answer.dtype != expected.dtype:
        return wrong(f"{name} is {answer.dtype}; it should be {expected.dtype}")
    return None


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


@graded
def check_repeat_kv(repeated: Callable[[Tensor, int], Tensor]) -> Grade:
    """Grade `repeated(x, n_rep)` on x (batch, kv_heads, length, head_dim)."""
    x = torch.arange(2.0)[None, :, None, None].expand(1, 2, 3, 4).contiguous()
    expected, answer = repeat_kv(x, 3), repeated(x, 3)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if not torch.equal(answer, expected):
        order = [int(head) for head in answer[0, :, 0, 0]]
        return wrong(
            f"the heads come as {order}; query head h belongs to key/value head h // "
            "n_rep: [0, 0, 0, 1, 1, 1]"
        )
    return RIGHT


@graded
def check_rope(rope: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Grade:
    """Grade `rope(x, cos, sin)` on x (batch, heads, length, head_dim), in
    rotate-half pairing.
    """
    x = torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(2))
    cos, sin = rope_cos_sin(torch.arange(4)[None], 8, 10000.0)
    expected, answer = apply_rope(x, cos, sin), rope(x, cos, sin)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if torch.allclose(answer, expected, atol=1e-5):
        return RIGHT
    if torch.allclose(answer, x, atol=1e-5):
        return wrong("nothing was rotated")
    if not math.isclose(answer.norm().item(), x.norm().item(), rel_tol=1e-4):
        return wrong(
            "the length of the vectors changed; a rotation keeps it: check the "
            "signs in rotate_half"
        )
    return wrong(
        "a rotation, but not of the pairs (i, i + head_dim / 2): which features are "
        "turned together?"
    )


@graded
def check_decode_step(decode_step: Callable[..., Tensor]) -> Grade:
    """Grade `decode_step(model, token, cache)`: logits (batch, vocab) after the token."""
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data.normal_(generator=generator)
    ids = torch.tensor([[1, 5, 2, 7, 3]])
    with torch.inference_mode():
        expected = model(ids)[:, -1]
        cache = KVCache(config, batch_size=1, max_length=8)
        model(ids[:, :4], past_key_values=cache)
        answer = decode_step(model, ids[:, 4:], cache)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if cache.length != 5:
        return wrong(f"after the step the cache holds {cache.length} tokens, not 5")
    if torch.allclose(answer, expected, atol=1e-3):
        return RIGHT
    return wrong(
        f"the logits are off by up to {gap(answer, expected)}: the token stands at "
        "position 4, behind the four in the cache"
    )


def gap(answer: Tensor, expected: Tensor) -> str:
    """The largest difference, in one digit or whole."""
    largest = (answer - expected).abs().max().item()
    return f"{largest:.0f}" if largest >= 1 else f"{largest:.1g}"
