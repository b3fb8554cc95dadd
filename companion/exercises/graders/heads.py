"""The graders of splitting heads, of merging them, and of what each adds."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.gallery import random
from companion.exercises.graders.cases import Wrong, check_cases
from companion.exercises.graders.grading import check_tensor, graded, same
from companion.exercises.heads import heads_by_view, heads_interleaved
from companion.heads import merge_heads, split_heads


@graded
def check_split_heads(split: Callable[[Tensor, int], Tensor]) -> str | None:
    """Grade `split(x, num_heads)` on x (batch, length, hidden)."""
    x = torch.arange(2 * 3 * 8.0).reshape(2, 3, 8)
    expected, answer = split_heads(x, 2), split(x, 2)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if torch.equal(answer, expected):
        return None
    first = answer[0, 0, 0].tolist()
    if not torch.equal(answer[0, 0, 0], x[0, 0, :4]):
        return (
            f"head 0 of token 0 is {first}; it should be that token's first "
            f"features, {x[0, 0, :4].tolist()}"
        )
    return (
        f"head 0 of token 1 is {answer[0, 0, 1].tolist()}, which mixes tokens and "
        f"heads; it should be {x[0, 1, :4].tolist()}: cut the last axis first, then "
        "bring the heads before the length"
    )


MERGED_WRONGLY: Wrong = {
    "tokens and heads are mixed: bring the length before the heads first, then join the "
    "last two axes": lambda x: x.flatten(1).view(len(x), x.shape[2], -1),
    "the heads are interleaved: a token has all features of head 0 first, then all of "
    "head 1": lambda x: x.permute(0, 2, 3, 1).flatten(2),
}


@graded
def check_merge_heads(merge: Callable[[Tensor], Tensor]) -> str | None:
    """Grade `merge(x)` on x (batch, heads, length, head_dim)."""
    cases = {
        "on heads that lie in memory one after the other": (random(2, 3, 5, 4),),
        "on heads that lie in memory token by token": (
            random(2, 5, 3, 4).transpose(1, 2),
        ),
        "on one sequence of one token": (random(1, 3, 1, 4),),
    }
    return check_cases(merge, merge_heads, cases, MERGED_WRONGLY)


def multi_head(
    x: Tensor,
    q_proj: Tensor,
    k_proj: Tensor,
    v_proj: Tensor,
    o_proj: Tensor,
    num_heads: int,
    split: Callable[[Tensor, int], Tensor] = split_heads,
    attend: Callable[..., Tensor] = scaled_dot_product_attention,
    merge: Callable[[Tensor], Tensor] = merge_heads,
) -> Tensor:
    """Multi-head attention without a mask, from weights (out, in)."""
    query, key, value = (split(x @ W.T, num_heads) for W in (q_proj, k_proj, v_proj))
    return merge(attend(query, key, value)) @ o_proj.T


def unsplit(x: Tensor, num_heads: int) -> Tensor:
    """All heads as one."""
    return x[:, None]


def untransposed(x: Tensor, num_heads: int) -> Tensor:
    """(batch, length, heads, head_dim): the heads stay behind the length."""
    return x.unflatten(-1, (num_heads, -1))


def scaled_by_hidden(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The scores divided by the width of all heads."""
    scale = (query.shape[-1] * query.shape[-3]) ** -0.5
    return scaled_dot_product_attention(query, key, value, scale=scale)


MULTI_HEAD_WRONGLY: Wrong = {
    "the heads of one token score one another, and no token reads another: bring the "
    "heads before the length": partial(
        multi_head, split=untransposed, merge=lambda x: x.flatten(2)
    ),
    "there is one wide head: cut queries, keys and values into heads before the "
    "scores": partial(multi_head, split=unsplit),
    "one reshape to (batch, heads, length, head_dim) mixes tokens and heads": partial(
        multi_head, split=heads_by_view
    ),
    "the features are dealt out to the heads in turn: a head has neighbors": partial(
        multi_head, split=heads_interleaved
    ),
    "the heads are merged without bringing the length before them": partial(
        multi_head, merge=lambda x: x.flatten(1).view(len(x), x.shape[2], -1)
    ),
    "the scores are divided by the root of all heads' features: one head's, head_dim, "
    "is right": partial(multi_head, attend=scaled_by_hidden),
    "the scores are not divided by √head_dim": partial(
        multi_head, attend=partial(scaled_dot_product_attention, scale=1.0)
    ),
    "a weight is stored (out, in): the output is multiplied by o_proj, not by its "
    "transpose": lambda x, q, k, v, o, n: multi_head(x, q, k, v, o.T, n),
    "a weight is stored (out, in): x is multiplied by q_proj, k_proj and v_proj, not by "
    "their transposes": lambda x, q, k, v, o, n: multi_head(x, q.T, k.T, v.T, o, n),
}


@graded
def check_multi_head(forward: Callable[..., Tensor]) -> str | None:
    """Grade `forward(x, q_proj, k_proj, v_proj, o_proj, num_heads)`: attention in heads
    without a mask, the weights (out, in), x (batch, length, hidden).
    """
    square, wide = random(4, 8, 8) / 2, random(4, 12, 8) / 2
    cases = {
        "with 2 heads of 4": (random(2, 5, 8), *square, 2),
        "with 3 heads of 4": (random(2, 5, 8), *wide[:3], wide[3].T, 3),
        "with one token": (random(1, 1, 8), *square, 4),
    }
    return check_cases(forward, multi_head, cases, MULTI_HEAD_WRONGLY)


def contributions(heads: Tensor, o_proj: Tensor) -> Tensor:
    """What each head adds: its outputs times its columns of o_proj (out, in)."""
    columns = o_proj.unflatten(1, (heads.shape[1], -1))
    return torch.einsum("bhld,ohd->bhlo", heads, columns)


CONTRIBUTED_WRONGLY: Wrong = {
    "head h has head_dim neighboring columns of o_proj, not every num_heads-th": (
        lambda heads, o: torch.einsum(
            "bhld,odh->bhlo", heads, o.unflatten(1, (-1, heads.shape[1]))
        )
    ),
    "every head is multiplied by the columns of head 0": lambda heads, o: (
        heads @ o[:, : heads.shape[-1]].T
    ),
}


@graded
def check_head_contributions(parts: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """Grade `parts(heads, o_proj)`: heads (batch, heads, length, head_dim), o_proj
    (hidden, heads · head_dim) → (batch, heads, length, hidden), what each head adds.
    """
    heads, o_proj = random(2, 3, 5, 4), random(6, 12)
    expected, answer = contributions(heads, o_proj), parts(heads, o_proj)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if same(answer.sum(1), expected.sum(1)) and not same(answer, expected):
        return "the sum over heads is right, what the single heads add is not"
    cases = {
        "with 3 heads": (heads, o_proj),
        "with one head": (heads[:, :1], o_proj[:, :4]),
    }
    return check_cases(parts, contributions, cases, CONTRIBUTED_WRONGLY)
