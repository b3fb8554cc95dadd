"""Mistakes in an attention function for Hugging Face's models: each imitates
`companion.hugging_face.attention.attention_interface` and returns what their models take.
"""

from typing import Any

from torch import Tensor, nn

from companion.attention import scaled_dot_product_attention
from companion.hugging_face.attention import attention_interface
from companion.masks import causal_mask

Answer = tuple[Tensor, Tensor | None]


def output_not_transposed(
    module: nn.Module, query: Tensor, *rest: Any, **options: Any
) -> Answer:
    """The output keeps its heads before the tokens, and their reshape to (batch,
    q_len, hidden) mixes the two.
    """
    output, _ = attention_interface(module, query, *rest, **options)
    return output.transpose(1, 2).contiguous(), None


def scaling_not_passed_on(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> Answer:
    """The scores are divided by √head_dim, whatever scaling the model asks for."""
    return attention_interface(module, query, key, value, attention_mask, **options)


def no_mask_means_everything(
    module: nn.Module, *tensors: Any, **options: Any
) -> Answer:
    """Without a mask every query sees every key, as in torch's function."""
    return attention_interface(module, *tensors, **{**options, "is_causal": False})


def one_query_top_left(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> Answer:
    """is_causal is the module's for one query too, which then sees the first key alone."""
    output = scaled_dot_product_attention(
        query,
        key,
        value,
        attention_mask,
        is_causal=attention_mask is None and bool(module.is_causal),
        scale=scaling,
        enable_gqa=True,
    )
    return output.transpose(1, 2).contiguous(), None


def last_query_sees_last_key(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> Answer:
    """Without a mask the last query sees the last key, and with it the empty places
    of a static cache.
    """
    if attention_mask is None and module.is_causal:
        attention_mask = causal_mask(query.shape[-2], key.shape[-2])
    return attention_interface(
        module, query, key, value, attention_mask, scaling, **options
    )


def bool_mask_added(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> Answer:
    """A bool mask is added to the scores, as 0 and 1."""
    if attention_mask is not None:
        attention_mask = attention_mask.to(query.dtype)
    return attention_interface(
        module, query, key, value, attention_mask, scaling, **options
    )
