"""What the masks refuse."""

import torch
from torch import Tensor


def causal_mask(
    q_len: int, kv_len: int | None = None, *, device: torch.device | str | None = None
) -> None:
    """Refuse more queries than keys."""
    kv_len = q_len if kv_len is None else kv_len
    if not 0 <= q_len <= kv_len:
        raise ValueError(
            f"q_len is {q_len} and kv_len {kv_len}: the queries are the last q_len "
            "of the kv_len positions, so 0 <= q_len <= kv_len (is the cache's "
            "length missing from kv_len?)"
        )


def padding_mask(attention_mask: Tensor) -> None:
    """Refuse what does not mark each token with 1 or 0."""
    if not isinstance(attention_mask, Tensor):
        raise ValueError(
            f"attention_mask is a {type(attention_mask).__name__}: pass a tensor of 0 "
            "and 1, (batch, kv_len)"
        )
    if attention_mask.ndim != 2:
        raise ValueError(
            f"attention_mask is {tuple(attention_mask.shape)}: it must be (batch, "
            "kv_len), 1 for a real token and 0 for padding, counting the cached "
            "tokens too"
        )
    if torch.compiler.is_compiling() or attention_mask.is_meta:
        marks = not attention_mask.is_floating_point()
    else:
        marks = bool(((attention_mask == 0) | (attention_mask == 1)).all())
    if not marks:
        raise ValueError(
            f"attention_mask of {attention_mask.dtype} holds values other than 0 and 1: "
            "1 marks a real token and 0 padding; an additive mask goes to the layer, "
            "not to the model"
        )
    if attention_mask.is_floating_point():
        raise ValueError(
            f"attention_mask is {attention_mask.dtype}: pass its 0 and 1 as integers, "
            "attention_mask.long()"
        )
