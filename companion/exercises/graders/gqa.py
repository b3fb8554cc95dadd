"""The graders of grouped-query attention: its copies, its whole, and its weights."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.gallery import random
from companion.exercises.gqa import kv_tiled
from companion.exercises.graders.cases import Wrong, check_cases
from companion.exercises.graders.grading import check_tensor, graded
from companion.gqa import repeat_kv
from companion.masks import causal_mask


@graded
def check_repeat_kv(repeated: Callable[[Tensor, int], Tensor]) -> str | None:
    """Grade `repeated(x, n_rep)` on x (batch, kv_heads, length, head_dim)."""
    x = torch.arange(2.0)[None, :, None, None].expand(1, 2, 3, 4).contiguous()
    expected, answer = repeat_kv(x, 3), repeated(x, 3)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if not torch.equal(answer, expected):
        order = [int(head) for head in answer[0, :, 0, 0]]
        return (
            f"the heads come as {order}; query head h belongs to key/value head h // "
            "n_rep: [0, 0, 0, 1, 1, 1]"
        )
    return None


def grouped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    repeated: Callable[[Tensor, int], Tensor] = repeat_kv,
    scale: float | None = None,
) -> Tensor:
    """Attention with fewer key and value heads than query heads."""
    group = query.shape[1] // key.shape[1]
    key, value = repeated(key, group), repeated(value, group)
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=scale)


def folded(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None
) -> Tensor:
    """The query heads of a group as rows, each row of the mask repeated for neighbors."""
    group = query.shape[1] // key.shape[1]
    rows = query.reshape(len(query), key.shape[1], -1, query.shape[-1])
    if attn_mask is not None:
        attn_mask = attn_mask.repeat_interleave(group, dim=0)
    output = scaled_dot_product_attention(rows, key, value, attn_mask)
    return output.reshape_as(query)


GROUPED_WRONGLY: Wrong = {
    "query head h reads key/value head h // group, and here the heads are tiled, 0 1 0 1": (
        partial(grouped_attention, repeated=kv_tiled)
    ),
    "the rows of a group are all queries of its first head, then all of its second: the "
    "mask has to be repeated as a whole, not row by row": folded,
    "the mask is left out": lambda query, key, value, mask: grouped_attention(
        query, key, value, None
    ),
    "the scores are not divided by √head_dim": partial(grouped_attention, scale=1.0),
    "True means may attend, and here it hides": lambda query, key, value, mask: (
        grouped_attention(query, key, value, None if mask is None else ~mask)
    ),
}


@graded
def check_grouped_attention(attend: Callable[..., Tensor]) -> str | None:
    """Grade `attend(query, key, value, attn_mask)`: query (batch, q_heads, q_len,
    head_dim), key and value with kv_heads, attn_mask bool (q_len, kv_len) or None.
    """
    query, key, value = random(2, 6, 4, 8), *random(2, 2, 3, 4, 8)
    cases = {
        "6 query heads, 3 KV heads, no mask": (query, key, value, None),
        "under a causal mask": (query, key, value, causal_mask(4)),
        "2 queries after 2 cached tokens": (
            *(query[:, :, 2:], key, value),
            causal_mask(2, 4),
        ),
        "6 query heads, 1 KV head": (query, key[:, :1], value[:, :1], causal_mask(4)),
        "a KV head for each query head": (query[:, :3], key, value, causal_mask(4)),
        "one query": (query[:, :, 3:], key, value, None),
    }
    return check_cases(attend, grouped_attention, cases, GROUPED_WRONGLY)


def group_means(weight: Tensor, num_heads: int, num_kv_heads: int) -> Tensor:
    """The mean of the projections of the heads of each group, feature by feature."""
    groups = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return groups.mean(dim=1).flatten(0, 1)


MEANS_WRONGLY: Wrong = {
    "a group are neighbors: heads 0 and 1 share a head, not heads 0 and num_kv_heads": (
        lambda weight, heads, kv_heads: (
            weight.unflatten(0, (heads // kv_heads, kv_heads, -1)).mean(0).flatten(0, 1)
        )
    ),
    "neighboring rows are averaged, which are features of one head: the mean is of the "
    "same feature of several heads": lambda weight, heads, kv_heads: weight.unflatten(
        0, (-1, heads // kv_heads)
    ).mean(1),
    "it is the sum of a group, not its mean": lambda weight, heads, kv_heads: (
        group_means(weight, heads, kv_heads) * (heads // kv_heads)
    ),
    "it is the first head of each group": lambda weight, heads, kv_heads: (
        weight.unflatten(0, (kv_heads, heads // kv_heads, -1))[:, 0].flatten(0, 1)
    ),
}


@graded
def check_group_means(means: Callable[[Tensor, int, int], Tensor]) -> str | None:
    """Grade `means(weight, num_heads, num_kv_heads)`: weight (num_heads · head_dim,
    hidden) → (num_kv_heads · head_dim, hidden).
    """
    weight = random(24, 10)
    cases = {
        "6 heads to 2": (weight, 6, 2),
        "6 heads to 3": (weight, 6, 3),
        "6 heads to 1": (weight, 6, 1),
        "4 heads to 4": (weight, 4, 4),
    }
    return check_cases(means, group_means, cases, MEANS_WRONGLY)
