"""Masks: which key each query may attend to. Bool everywhere, True = may attend."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from companion.refusals import guarded_by
from companion.refusals import masks as refusals


def may_attend(
    query_pos: Int[Tensor, "*batch q_len"], key_pos: Int[Tensor, "*batch kv_len"]
) -> Bool[Tensor, "*batch q_len kv_len"]:
    """The causal rule: a query sees the keys at or before its own position."""
    return key_pos[..., None, :] <= query_pos[..., :, None]


@guarded_by(refusals.causal_mask)
def causal_mask(
    q_len: int, kv_len: int | None = None, *, device: torch.device | str | None = None
) -> Bool[Tensor, "{q_len} kv_len"]:
    """The causal mask of `q_len` queries that are the last of `kv_len` positions.

    The last query sees every key: this is the lower-right alignment that a cache
    needs, where torch's `is_causal` is aligned top-left. The two agree when q_len ==
    kv_len.

    Raises: ValueError when there are more queries than keys.
    """
    kv_len = q_len if kv_len is None else kv_len
    key_pos = torch.arange(kv_len, device=device)
    return may_attend(key_pos[kv_len - q_len :], key_pos)


@guarded_by(refusals.padding_mask)
def padding_mask(
    attention_mask: Int[Tensor, "batch kv_len"] | Bool[Tensor, "batch kv_len"],
) -> Bool[Tensor, "batch 1 1 kv_len"]:
    """A tokenizer's attention_mask (1 = real token) as a mask over heads and queries.

    Raises: ValueError when it is not (batch, kv_len), or holds anything but 0 and 1.
    """
    return attention_mask.bool()[:, None, None, :]


def position_ids_from_mask(
    attention_mask: Int[Tensor, "batch kv_len"],
) -> Int[Tensor, "batch kv_len"]:
    """Positions of the real tokens, left padding not counted: 0 0 0 1 2 for 0 0 1 1 1."""
    return (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)
