import torch
import torch.nn.functional as F
from grades import accepts, rejects, rejects_each
from torch import nn

from companion import merge_heads, scaled_dot_product_attention, split_heads
from companion.exercises import (
    check_head_contributions,
    check_merge_heads,
    check_multi_head,
    check_split_heads,
    heads,
)
from companion.exercises.graders.heads import (
    CONTRIBUTED_WRONGLY,
    MERGED_WRONGLY,
    MULTI_HEAD_WRONGLY,
    multi_head,
)

test_accepts = accepts(
    check_split_heads,
    split_heads,
    lambda x, n: x.unflatten(-1, (n, -1)).transpose(1, 2),
    lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=1),
)

test_rejects = rejects(
    check_split_heads,
    (heads.heads_by_view, "mixes tokens and heads"),
    (heads.heads_interleaved, "head 0 of token 0"),
    (lambda x, n: x, "has shape"),
)  # fmt: skip

test_accepts_merged = accepts(
    check_merge_heads,
    merge_heads,
    lambda x: torch.cat(x.unbind(1), dim=-1),
    lambda x: x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1),
    lambda x: x.transpose(1, 2).contiguous().view(len(x), x.shape[2], -1),
)

test_rejects_merged = rejects(
    check_merge_heads,
    (lambda x: x.transpose(1, 2).flatten(1), "has shape"),
    (lambda x: x.transpose(1, 2).view(len(x), x.shape[2], -1), "view size is not"),
    (lambda x: torch.cat(x.unbind(1)[::-1], dim=-1), "off by"),
)  # fmt: skip
test_rejects_known_merges = rejects_each(check_merge_heads, MERGED_WRONGLY)


def head_by_head(x, q_proj, k_proj, v_proj, o_proj, num_heads):
    out = 0
    for q, k, v, o in zip(
        *(W.chunk(num_heads) for W in (q_proj, k_proj, v_proj)),
        o_proj.chunk(num_heads, dim=1),
        strict=True,
    ):
        weights = (x @ q.T @ (x @ k.T).mT / len(q) ** 0.5).softmax(dim=-1)
        out = out + weights @ (x @ v.T) @ o.T
    return out


def by_modules(x, q_proj, k_proj, v_proj, o_proj, num_heads):
    query, key, value = (
        F.linear(x, W).view(*x.shape[:2], num_heads, -1).transpose(1, 2)
        for W in (q_proj, k_proj, v_proj)
    )
    merged = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    return F.linear(merged.flatten(2), o_proj)


def by_torch(x, q_proj, k_proj, v_proj, o_proj, num_heads):
    if len(q_proj) != x.shape[-1]:  # torch has no heads that are wider than hidden
        return head_by_head(x, q_proj, k_proj, v_proj, o_proj, num_heads)
    module = nn.MultiheadAttention(x.shape[-1], num_heads, bias=False, batch_first=True)
    module.in_proj_weight.data = torch.cat([q_proj, k_proj, v_proj])
    module.out_proj.weight.data = o_proj
    return module(x, x, x)[0]


def causal(query, key, value):
    return scaled_dot_product_attention(query, key, value, is_causal=True)


def without_o_proj(x, q, k, v, o, n):
    return multi_head(x, q, k, v, torch.eye(*o.shape), n)


test_accepts_attention = accepts(check_multi_head, head_by_head, by_modules, by_torch)

test_rejects_attention = rejects(
    check_multi_head,
    (lambda *given: multi_head(*given, attend=causal), "off by"),
    (without_o_proj, "off by"),
    (lambda x, *rest: x @ rest[0].T @ rest[3].T[:, :1], "has shape"),
)  # fmt: skip
test_rejects_known_attention = rejects_each(check_multi_head, MULTI_HEAD_WRONGLY)


def columns_by_columns(outputs, o_proj):
    columns = o_proj.chunk(outputs.shape[1], dim=1)
    pairs = zip(outputs.unbind(1), columns, strict=True)
    return torch.stack([head @ W.T for head, W in pairs], dim=1)


def with_the_others_at_zero(outputs, o_proj):
    parts = []
    for head in range(outputs.shape[1]):
        alone = torch.zeros_like(outputs)
        alone[:, head] = outputs[:, head]
        parts.append(merge_heads(alone) @ o_proj.T)
    return torch.stack(parts, dim=1)


def by_broadcasting(outputs, o_proj):
    return outputs @ split_heads(o_proj, outputs.shape[1]).mT


def reversed_parts(outputs, o_proj):
    return by_broadcasting(outputs, o_proj).flip(1)


test_accepts_parts = accepts(
    check_head_contributions,
    columns_by_columns,
    with_the_others_at_zero,
    by_broadcasting,
)

test_rejects_parts = rejects(
    check_head_contributions,
    (reversed_parts, "the sum over heads is right"),
    (lambda h, o: merge_heads(h) @ o.T, "has shape"),
)  # fmt: skip
test_rejects_known_parts = rejects_each(check_head_contributions, CONTRIBUTED_WRONGLY)
