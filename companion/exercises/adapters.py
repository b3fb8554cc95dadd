"""From a fault's signature to that of the place in the model where it is planted."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from companion.attention import repeat_for_query_heads, scaled_dot_product_attention
from companion.decoder import LlamaDecoderLayer
from companion.fast.quantized import quantize_groups
from companion.masks import causal_mask

ATTEND = "model.layers.*.self_attn.attend"
Function = Callable[..., Any]


def masked_attention(wrong: Function, layer: nn.Module) -> Function:
    """`wrong(query, key, value, mask)` as a layer's `attend`."""

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        **options: Any,
    ) -> Tensor:
        key, value = repeat_for_query_heads(query, key, value)
        if is_causal:
            attn_mask = causal_mask(query.shape[-2])
        return wrong(query, key, value, attn_mask)

    return attend


def causal_attention(wrong: Function, layer: nn.Module) -> Function:
    """`wrong(query, key, value)`, causal by itself, as a layer's `attend`."""

    def attend(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        return wrong(query, *repeat_for_query_heads(query, key, value))

    return attend


def repeated_heads(wrong: Function, module: Any) -> Function:
    """`wrong(x, n_rep)` for the keys and the values of a layer."""

    def repeat(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        group = query.shape[-3] // key.shape[-3]
        return wrong(key, group), wrong(value, group)

    return repeat


def hidden_keys(wrong: Function, module: Any) -> Function:
    """`wrong(q_len, kv_len)`, True = may attend, for the scores that a layer hides."""
    return lambda scores: ~wrong(*scores.shape[-2:])


def mask_of_a_model(wrong: Function, module: Any) -> Function:
    """`wrong(q_len, kv_len)` for the mask that a model makes for all its layers."""
    return lambda q_len, kv_len, device: wrong(q_len, kv_len).to(device)


def layer_forward(wrong: Function, kind: type[LlamaDecoderLayer]) -> Function:
    """`wrong(layer, x, position_embeddings)` for a layer that is given no mask and no cache.
    What it calls of the layer is right again.
    """
    right = kind.forward

    def forward(
        layer: LlamaDecoderLayer,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *,
        past_key_values: object = None,
        position_embeddings: tuple[Tensor, Tensor],
    ) -> Tensor:
        faulty, kind.forward = kind.forward, right  # type: ignore[method-assign]
        try:
            return wrong(layer, hidden_states, position_embeddings)
        finally:
            kind.forward = faulty  # type: ignore[method-assign]

    return forward


def int8_weight(wrong: Function, linear: nn.Linear) -> Function:
    """`wrong(weight, x)`, of one token, for all tokens of a layer's matrix."""
    return lambda x: each_token(lambda token: wrong(linear.weight, token), x)


def int4_weight(wrong: Function, linear: nn.Linear) -> Function:
    """`wrong(halves, scale, minimum, x)`, of one token, in the place of a matrix."""
    groups = quantize_groups(linear.weight)
    return lambda x: each_token(lambda token: wrong(*groups, token), x)


def each_token(function: Function, x: Tensor) -> Tensor:
    """A function of one token's features, for (batch, length, features)."""
    return torch.vmap(torch.vmap(function))(x)


def over_a_static_cache(wrong: Function, layer: nn.Module) -> Function:
    """`wrong(query, keys, values, length)` for one query, over a cache with 64 places."""

    def attend(
        query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any
    ) -> Tensor:
        if query.shape[-2] > 1:
            return scaled_dot_product_attention(query, key, value, *rest, **options)
        key, value = repeat_for_query_heads(query, key, value)
        return wrong(query, *with_room(key, value), key.shape[-2])

    return attend


def with_room(*tensors: Tensor, places: int = 64) -> list[Tensor]:
    """Keys and values with the empty places of a static cache behind them."""
    return [F.pad(x, (0, 0, 0, places - x.shape[-2])) for x in tensors]


def hugging_face_interface(wrong: Function, layer: nn.Module) -> Function:
    """The output of an attention function for Hugging Face's models, which are told of the
    causal rule by `is_causal` of the module and a mask of None.
    """
    layer.is_causal = True  # type: ignore[assignment]

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        if attn_mask is not None and attn_mask.all():
            attn_mask = None  # as their sdpa_mask leaves it out
        scaling = query.shape[-1] ** -0.5
        output = wrong(layer, query, key, value, attn_mask, scaling)
        batch, heads, q_len, _ = query.shape
        return output.reshape(batch, q_len, heads, -1).transpose(1, 2)

    return attend


def hugging_face_static_cache(wrong: Function, layer: nn.Module) -> Function:
    """The same, where the prompt's keys come with the empty places of a static cache."""
    faulty = hugging_face_interface(wrong, layer)

    def attend(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        if query.shape[-2] > 1:
            key, value = with_room(key, value)
        return faulty(query, key, value, **options)

    return attend
