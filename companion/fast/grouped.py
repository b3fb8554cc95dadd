"""Grouped-query attention without repeating a key: a group of query heads gets an axis."""

from jaxtyping import Shaped
from torch import Tensor


def group_heads(
    query: Shaped[Tensor, "*batch q_len head_dim"], key: Tensor, enable_gqa: bool
) -> Shaped[Tensor, "*kv_batch group q_len head_dim"]:
    """The query heads that share a KV head on an axis of their own; 1 without GQA."""
    if enable_gqa:
        return query.unflatten(-3, (key.shape[-3], -1))
    return query.unsqueeze(-3)


def group_mask(
    attn_mask: Tensor | None, query: Tensor, key: Tensor
) -> Shaped[Tensor, "*mask q_len kv_len"] | None:
    """The mask of a query that `group_heads` grouped, as a view of its full size."""
    if attn_mask is None:
        return None
    group, q_len, _ = query.shape[-3:]
    mask = attn_mask.expand(*attn_mask.shape[:-2], q_len, key.shape[-2])
    if mask.ndim < 3:
        return mask
    if group > 1 and mask.shape[-3] > 1:
        return mask.unflatten(-3, (-1, group))
    return mask.unsqueeze(-3)


def ungroup(
    output: Shaped[Tensor, "*kv_batch group q_len value_dim"], enable_gqa: bool
) -> Shaped[Tensor, "*batch q_len value_dim"]:
    """All query heads on one axis again."""
    return output.flatten(-4, -3) if enable_gqa else output.squeeze(-3)


def rows_times(
    rows: Shaped[Tensor, "*q_batch group rows inner"],
    columns: Shaped[Tensor, "*k_batch inner outer"],
) -> Shaped[Tensor, "*batch group rows outer"]:
    """`rows @ columns` for each head of a group, as one product of group · rows rows."""
    product = rows.flatten(-3, -2) @ columns
    return product.unflatten(-2, rows.shape[-3:-1])
