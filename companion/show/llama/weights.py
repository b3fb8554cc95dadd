"""The attention weights of every head, taken while a model runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.attention import Attend, attention_weights
from companion.decoder import LlamaAttention
from companion.gqa import repeat_kv


def weights_of_heads(
    model: nn.Module, input_ids: Int[Tensor, "one length"]
) -> Float[Tensor, "layers heads q_len kv_len"]:
    """Run the model on one sequence; the weights of all its heads, each row a query's."""
    seen: list[Tensor] = []
    with replaced_attends(model, lambda _, attend: keeping_weights(attend, seen)):
        model(input_ids)
    return torch.stack(seen)


def keeping_weights(attend: Attend, seen: list[Tensor]) -> Attend:
    """`attend`, with the weights of the first sequence added to `seen`."""

    def attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        **options: Any,
    ) -> Tensor:
        repeated = repeat_kv(key, query.shape[1] // key.shape[1])
        seen.append(attention_weights(query, repeated, attn_mask, is_causal)[0])
        masks = {"attn_mask": attn_mask, "is_causal": is_causal}
        return attend(query, key, value, **masks, **options)

    return attention


@contextmanager
def replaced_attends(
    model: nn.Module, replace: Callable[[str, Attend], Attend]
) -> Iterator[None]:
    """Until it is left, each attention of the model calls what `replace` makes of its
    name and its `attend`; gradients are off.
    """
    layers = [
        (name, module, module.attend)
        for name, module in model.named_modules()
        if isinstance(module, LlamaAttention)
    ]
    try:
        for name, module, attend in layers:
            module.attend = replace(name, attend)
        with torch.inference_mode():
            yield
    finally:
        for _, module, attend in layers:
            module.attend = attend
