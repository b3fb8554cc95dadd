"""What a model refuses, before anything is computed."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from companion.cache import KVCache
from companion.refusals.cache import check_room, check_whole


def model(
    self: Any,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    past_key_values: KVCache | None = None,
) -> None:
    """Refuse ids without an embedding, a mask of other tokens, and a cache without room."""
    check_ids(input_ids, self.config.vocab_size)
    check_computable(self.embed_tokens.weight.dtype)
    past, q_len = 0, input_ids.shape[1]
    if past_key_values is not None:
        check_own_cache(past_key_values)
        check_whole(past_key_values)
        past = past_key_values.length
        check_room(past, past_key_values.max_length, q_len)
    if not isinstance(position_ids, Tensor | None):
        raise ValueError(
            f"position_ids is a {type(position_ids).__name__}: pass a tensor, "
            "torch.tensor([positions]), (batch, length)"
        )
    if attention_mask is not None:
        check_tokens_marked(attention_mask, input_ids, past)


def check_tokens_marked(attention_mask: Tensor, input_ids: Tensor, past: int) -> None:
    """Refuse a mask that does not say of every token, cached ones too, whether it is real;
    what is no mask at all, `padding_mask` refuses.
    """
    batch, q_len = input_ids.shape
    expected = (batch, past + q_len)
    is_mask = isinstance(attention_mask, Tensor) and attention_mask.ndim == 2
    if is_mask and attention_mask.shape != expected:
        raise ValueError(
            f"attention_mask is {tuple(attention_mask.shape)} and there are {batch} "
            f"sequences of {past + q_len} tokens, {past} of them cached: it must "
            f"be (batch, kv_len) = {expected}"
        )


def check_own_cache(past_key_values: object) -> None:
    """Refuse other caches, which a layer takes but whose lengths a model does not know."""
    if not isinstance(past_key_values, KVCache):
        raise ValueError(
            f"past_key_values is a {type(past_key_values).__name__}: this model takes "
            "a companion.KVCache(model.config, batch_size, max_length)"
        )


def check_computable(dtype: torch.dtype) -> None:
    """Refuse weights that torch keeps and does not compute with."""
    if dtype.itemsize < 2:
        raise ValueError(
            f"the weights are {dtype}, which torch stores and does not compute with: "
            "model.to(torch.bfloat16)"
        )


def check_ids(input_ids: Tensor, vocab_size: int) -> None:
    """Refuse ids that the embedding has no row for, before a GPU kernel trips on them."""
    if not isinstance(input_ids, Tensor):
        raise ValueError(
            f"input_ids is a {type(input_ids).__name__}: pass a tensor of ids, (batch, "
            f"length), {as_tensor(input_ids)}"
        )
    if input_ids.ndim != 2 or input_ids.dtype not in (torch.int32, torch.int64):
        raise ValueError(
            f"input_ids is {input_ids.dtype} {tuple(input_ids.shape)}: it must be "
            f"integers, int64 or int32, (batch, length): {as_ids(input_ids)}"
        )
    if torch.compiler.is_compiling() or input_ids.is_meta or not input_ids.numel():
        return
    low, high = input_ids.aminmax()
    if low < 0 or high >= vocab_size:
        wrong = low if low < 0 else high
        raise ValueError(
            f"input_ids contains {wrong.item()}: the vocabulary has {vocab_size} "
            f"tokens, 0 to {vocab_size - 1}"
        )


def as_tensor(ids: Any) -> str:
    """How ids in something else than a tensor become one."""
    if isinstance(ids, str):
        return "torch.tensor([tokenizer.encode(text)])"
    if isinstance(ids, Mapping):
        return (
            "inputs['input_ids'], and attention_mask=inputs['attention_mask'] beside it"
        )
    if hasattr(ids, "ids"):
        return "torch.tensor([encoding.ids])"
    if hasattr(ids, "ndim"):  # numpy's
        return f"torch.as_tensor(ids){as_batch(ids.ndim)}"
    rows = isinstance(ids, Sequence) and len(ids) and isinstance(ids[0], Sequence)
    return f"torch.tensor({'ids' if rows else '[ids]'})"


def as_ids(x: Tensor) -> str:
    """How a tensor of another kind or of other axes becomes one of ids."""
    if x.dtype == torch.bool:
        return "is it the attention_mask?"
    kind = "" if x.dtype in (torch.int32, torch.int64) else ".long()"
    return f"pass input_ids{as_batch(x.ndim)}{kind}"


def as_batch(ndim: int) -> str:
    """How ids with so many axes become (batch, length)."""
    return {0: "[None, None]", 1: "[None]", 2: ""}.get(ndim, ".flatten(0, -2)")
