import torch
import torch.nn.functional as F
from grades import accepts, rejects, rejects_each

from companion import repeat_kv, scaled_dot_product_attention
from companion.exercises import (
    check_group_means,
    check_grouped_attention,
    check_repeat_kv,
    gqa,
)
from companion.exercises.graders.gqa import (
    GROUPED_WRONGLY,
    MEANS_WRONGLY,
    group_means,
    grouped_attention,
)

test_accepts = accepts(
    check_repeat_kv,
    repeat_kv,
    lambda x, n: x.repeat_interleave(n, dim=1),
    lambda x, n: x[:, :, None].expand(-1, -1, n, -1, -1).flatten(1, 2),
)

test_rejects = rejects(
    check_repeat_kv,
    (gqa.kv_tiled, r"\[0, 1, 0, 1, 0, 1\]"),
    (lambda x, n: x, "has shape"),
)  # fmt: skip


def folded(query, key, value, mask):
    batch, heads, q_len, head_dim = query.shape
    group = heads // key.shape[1]
    rows = query.reshape(batch, -1, group * q_len, head_dim)
    if mask is not None:
        mask = mask.repeat(group, 1)
    return scaled_dot_product_attention(rows, key, value, mask).reshape(query.shape)


def folded_by_rows(query, key, value, mask):
    group = query.shape[1] // key.shape[1]
    rows = query.reshape(len(query), key.shape[1], -1, query.shape[-1])
    if mask is not None:
        mask = mask.repeat_interleave(group, dim=0)
    return scaled_dot_product_attention(rows, key, value, mask).reshape(query.shape)


def head_by_head(query, key, value, mask):
    group = query.shape[1] // key.shape[1]
    heads = []
    for h in range(query.shape[1]):
        scores = query[:, h] @ key[:, h // group].mT / query.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        heads.append(scores.softmax(-1) @ value[:, h // group])
    return torch.stack(heads, dim=1)


def by_broadcasting(query, key, value, mask):
    grouped = query.unflatten(1, (key.shape[1], -1))
    scores = grouped @ key[:, :, None].mT / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ value[:, :, None]).flatten(1, 2)


def by_torch(query, key, value, mask):
    return F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)


test_accepts_attention = accepts(
    check_grouped_attention, folded, head_by_head, by_broadcasting, by_torch
)

test_rejects_attention = rejects(
    check_grouped_attention,
    (folded_by_rows, "^under a causal mask: the rows of a group"),
    (lambda q, k, v, m: grouped_attention(q, k, k, m), "off by"),
    (lambda q, k, v, m: by_torch(q, k, v, m)[:, : k.shape[1]], "has shape"),
)  # fmt: skip
test_rejects_known_attention = rejects_each(check_grouped_attention, GROUPED_WRONGLY)


def means_by_loops(weight, num_heads, num_kv_heads):
    heads = weight.chunk(num_heads)
    group = num_heads // num_kv_heads
    return torch.cat(
        [sum(heads[h : h + group]) / group for h in range(0, num_heads, group)]
    )


def means_by_einsum(weight, num_heads, num_kv_heads):
    group = num_heads // num_kv_heads
    groups = weight.reshape(num_kv_heads, group, -1, weight.shape[-1])
    return torch.einsum("kgdi->kdi", groups).flatten(0, 1) / group


test_accepts_means = accepts(
    check_group_means, group_means, means_by_loops, means_by_einsum
)

test_rejects_means = rejects(
    check_group_means,
    (lambda weight, heads, kv: weight[: len(weight) * kv // heads], "off by"),
    (lambda weight, heads, kv: weight, "has shape"),
)  # fmt: skip
test_rejects_known_means = rejects_each(check_group_means, MEANS_WRONGLY)
