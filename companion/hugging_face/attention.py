"""Attention for Hugging Face's models: a function for their `AttentionInterface`.

Nothing here imports transformers: the interface is a calling convention.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion.attention import (
    Attend,
    attention_weights,
    repeat_for_query_heads,
)
from companion.hugging_face import refusals
from companion.refusals import attention as attention_refusals
from companion.refusals import guarded_by

Weights = Float[Tensor, "batch heads q_len kv_len"]
Attended = tuple[Float[Tensor, "batch q_len heads value_dim"], Weights | None]


@guarded_by(attention_refusals.scaled_dot_product_attention)
def attention_and_weights(
    query: Float[Tensor, "batch heads q_len head_dim"],
    key: Float[Tensor, "#batch kv_heads kv_len head_dim"],
    value: Float[Tensor, "#batch kv_heads kv_len value_dim"],
    attn_mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Float[Tensor, "batch heads q_len value_dim"], Weights]:
    """`scaled_dot_product_attention` and the weights, dropped ones at 0, that gave it: what
    their eager attention returns, for `output_attentions=True`.

    Raises: ValueError when sizes, dtypes, devices or the mask do not fit together.
    """
    if enable_gqa:
        key, value = repeat_for_query_heads(query, key, value)
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    weights = torch.dropout(weights, dropout_p, train=True)
    return weights @ value, weights


def as_attention_interface(
    attend: Attend | Callable[..., tuple[Tensor, Tensor]],
) -> Callable[..., Attended]:
    """`attend` as a function for Hugging Face's `AttentionInterface`.

    It takes query, key and value as their attention modules hand them over, (batch,
    heads, length, head_dim), and returns (output, weights): the output as (batch,
    q_len, heads, head_dim), the weights None unless `attend` is one that returns them
    too. Register their `sdpa_mask` under the same name with `AttentionMaskInterface`:
    the mask is then bool, or None where the plain causal rule is enough. Without it no
    mask arrives at all: padding is attended to, and several tokens after a cache see
    only its beginning.
    """

    @guarded_by(refusals.attention_interface)
    def attention_interface(
        module: nn.Module,
        query: Float[Tensor, "batch heads q_len head_dim"],
        key: Float[Tensor, "#batch kv_heads kv_len head_dim"],
        value: Float[Tensor, "#batch kv_heads kv_len value_dim"],
        attention_mask: Bool[Tensor, "..."] | Float[Tensor, "..."] | None = None,
        scaling: float | None = None,
        dropout: float = 0.0,
        is_causal: bool | None = None,
        **options: Any,
    ) -> Attended:
        """Attention as `module` asks for it.

        Raises: ValueError for an option that would change the result and is not
        computed here: softcap, sinks, a sliding window without its mask ...
        """
        # under autocast their rotation leaves float32 beside a narrower value
        query, key = query.to(value.dtype), key.to(value.dtype)
        if is_causal is None:
            is_causal = getattr(module, "is_causal", True)
        # One query sees every key. Several without a mask are the first tokens, and
        # keys beyond them the empty places of a static cache: top-left, as is_causal is.
        is_causal = is_causal and attention_mask is None and query.shape[-2] > 1
        attended = attend(
            query,
            key,
            value,
            attn_mask=attention_mask,
            dropout_p=dropout,
            is_causal=is_causal,
            scale=scaling,
            enable_gqa=True,
        )
        output, weights = attended if isinstance(attended, tuple) else (attended, None)
        refusals.check_weights(options, weights)
        return output.transpose(1, 2).contiguous(), weights

    return attention_interface


attention_interface = as_attention_interface(attention_and_weights)
