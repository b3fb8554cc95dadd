"""The two interfaces to Hugging Face's models: an attention function for any of them, and
weights beside the output for those who record them.

Nothing here imports transformers: the interfaces are calling conventions.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion.attention import (
    Attend,
    attention_weights,
    repeat_for_query_heads,
    scaled_dot_product_attention,
)
from companion.refusals.attention import check_key_and_value
from companion.refusals.decoder import PASSED_OVER, check_weights, quoted

Weights = Float[Tensor, "batch heads q_len kv_len"]
Attended = tuple[Float[Tensor, "batch q_len heads value_dim"], Weights | None]


def as_hugging_face_attention(attend: Attend) -> Callable[..., Attended]:
    """`attend` as a function for Hugging Face's `AttentionInterface`.

    It takes query, key and value as their attention modules hand them over, (batch,
    heads, length, head_dim), and returns (output, weights): the output as (batch,
    q_len, heads, head_dim), the weights None unless `attend` returns them too. Register
    their `sdpa_mask` under the same name with `AttentionMaskInterface`: the mask is
    then bool, or None where the plain causal rule is enough. Without it no mask
    arrives at all: padding is attended to, and several tokens after a cache see only
    its beginning.
    """

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
        check_attention_options(options, attention_mask, key.shape[-2])
        # under autocast their rotation leaves float32 beside a narrower value
        query, key = query.to(value.dtype), key.to(value.dtype)
        if is_causal is None:
            is_causal = getattr(module, "is_causal", True)
        # One query sees every key. Several without a mask are the first tokens, and
        # keys beyond them the empty places of a static cache: top-left, as is_causal is.
        is_causal = is_causal and attention_mask is None and query.shape[-2] > 1
        output = attend(
            query,
            key,
            value,
            attn_mask=attention_mask,
            dropout_p=dropout,
            is_causal=is_causal,
            scale=scaling,
            enable_gqa=True,
        )
        output, weights = output if isinstance(output, tuple) else (output, None)
        check_weights(options, weights)
        return output.transpose(1, 2).contiguous(), weights

    return attention_interface


attention_interface = as_hugging_face_attention(scaled_dot_product_attention)


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
    """`scaled_dot_product_attention` and the weights, dropped ones at 0, that gave it.

    A layer made with `attend=attention_and_weights` returns weights as Hugging Face's
    eager attention does, for `output_attentions=True`.

    Raises: ValueError when sizes, dtypes, devices or the mask do not fit together.
    """
    check_key_and_value(key, value)
    if enable_gqa:
        key, value = repeat_for_query_heads(query, key, value)
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    if dropout_p:
        weights = F.dropout(weights, dropout_p)
    return weights @ value, weights


def check_attention_options(
    options: Mapping[str, Any], attention_mask: Tensor | None, kv_len: int
) -> None:
    """Refuse options that change the result; a sliding window may come as a mask."""
    for name, value in options.items():
        if name in PASSED_OVER or value is None:
            continue
        if name == "sliding_window":
            if attention_mask is None and kv_len > value:
                raise ValueError(
                    f"sliding_window = {value} and {kv_len} keys came without a mask: "
                    "register Hugging Face's sdpa_mask under the same name with "
                    "AttentionMaskInterface"
                )
            continue
        raise ValueError(
            f"{name} = {quoted(value)} was passed to attention, which does not compute "
            "it: this model needs Hugging Face's own attn_implementation"
        )
