"""The mistakes in an attention function for Hugging Face's models. Each imitates
`companion.hugging_face.attention.attention_interface` and returns what their models take.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from companion.attention import masked_softmax, scaled_dot_product_attention
from companion.exercises.adapters import (
    ATTEND,
    hugging_face_interface,
    hugging_face_static_cache,
)
from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted
from companion.exercises.writing import cached, in_a_batch
from companion.hugging_face.attention import (
    as_attention_interface,
    attention_interface,
)
from companion.masks import causal_mask

Answer = tuple[Tensor, Tensor | None]
Interface = TypeVar("Interface", bound=Callable[..., Answer])


class Caller(nn.Module):
    """What an attention function is told of the module that calls it."""

    def __init__(self, is_causal: bool = True):
        super().__init__()
        self.is_causal = is_causal


def call(
    q_len: int, kv_len: int, mask: Tensor | None = None, is_causal: bool = True
) -> tuple[Any, ...]:
    """Four query heads on two key/value heads, head_dim 8, scaling 0.7."""
    query, key, value = (
        random(3, 2, 4, max(q_len, kv_len), 8)[i, :, :heads, :length]
        for i, (heads, length) in enumerate(((4, q_len), (2, kv_len), (2, kv_len)))
    )
    return Caller(is_causal), query, key, value, mask, 0.7


# The second sequence begins with padding.
PADDED = causal_mask(4) & (torch.arange(4) >= torch.tensor([[0], [1]]))[:, None, None]


def output_of(interface: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """The first of the two things that an attention function returns."""

    @wraps(interface)
    def output(*arguments: Any) -> Any:
        return interface(*arguments)[0]

    return output


right_output = output_of(attention_interface)


def interface_of(output: Callable[..., Tensor]) -> Callable[..., Answer]:
    """The attention function whose first output this is."""
    return output.__wrapped__  # type: ignore[attr-defined]


def imitates_interface(
    arguments: Callable[[], tuple[Any, ...]],
    *,
    instead_of: tuple[Callable[..., Any], str],
    planted: Planted | str,
) -> Callable[[Interface], Interface]:
    """Puts an interface into the gallery by the output that it returns."""
    enter_output = imitates(
        right_output,
        arguments,
        "check_attention_interface",
        answer=interface_of,
        instead_of=instead_of,
        planted=planted,
    )

    def enter(wrong: Interface) -> Interface:
        enter_output(output_of(wrong))
        return wrong

    return enter


AT_ONCE = Planted({ATTEND: hugging_face_interface})
CAUSAL = as_attention_interface, "query.shape[-2] > 1"


@imitates_interface(
    lambda: call(4, 4),
    instead_of=(as_attention_interface, "output.transpose"),
    planted=AT_ONCE,
)
def output_not_transposed(
    module: nn.Module, query: Tensor, *rest: Any, **options: Any
) -> Answer:
    """The output keeps its heads before the tokens, and their reshape to (batch, q_len,
    hidden) mixes the two.

    A decode step of one token is right, as there is nothing to mix; a prompt of several
    is noise.
    """
    output, _ = attention_interface(module, query, *rest, **options)
    heads_first = output.transpose(1, 2).contiguous()
    return heads_first, None  # wrong


@imitates_interface(
    lambda: call(4, 4),
    instead_of=(as_attention_interface, "scale=scaling"),
    planted="SmolLM2 asks for 1/√head_dim, which the fault takes too",
)
def scaling_not_passed_on(module: nn.Module, *tensors: Any, **options: Any) -> Answer:
    """The scores are divided by √head_dim, whatever scaling the model asks for.

    Nothing in a Llama, which asks for 1/√head_dim; other numbers in a model that asks
    for another.
    """
    query, key, value, attention_mask, *_ = tensors
    return attention_interface(module, query, key, value, attention_mask)  # wrong


@imitates_interface(
    lambda: call(4, 4),
    instead_of=(as_attention_interface, "getattr(module"),
    planted=AT_ONCE,
)
def no_mask_means_everything(
    module: nn.Module, *tensors: Any, **options: Any
) -> Answer:
    """Without a mask every query sees every key, as in torch's function.

    Decode steps are right, and the prompt is not: its tokens read those after them.
    """
    is_causal = False  # wrong
    return attention_interface(module, *tensors, **{**options, "is_causal": is_causal})


@imitates_interface(
    lambda: call(1, 5), instead_of=CAUSAL, planted=replace(AT_ONCE, write=cached)
)
def one_query_top_left(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> Answer:
    """is_causal is the module's for one query too, which then sees the first key alone.

    The prompt and the first new token are right. From then on each token reads the
    first key alone.
    """
    is_causal = attention_mask is None and bool(module.is_causal)  # wrong
    output = scaled_dot_product_attention(
        query,
        key,
        value,
        attention_mask,
        is_causal=is_causal,
        scale=scaling,
        enable_gqa=True,
    )
    return output.transpose(1, 2).contiguous(), None


@imitates_interface(
    lambda: call(3, 6),
    instead_of=CAUSAL,
    planted=Planted({ATTEND: hugging_face_static_cache}, write=cached),
)
def last_query_sees_last_key(
    module: nn.Module, *tensors: Any, **options: Any
) -> Answer:
    """Without a mask the last query sees the last key, and with it the empty places of
    a static cache.

    Right with a cache that grows; with a static one wrong from the first token on.
    """
    query, key, value, attention_mask, *scaling = tensors
    if attention_mask is None and module.is_causal:
        attention_mask = causal_mask(query.shape[-2], key.shape[-2])  # wrong
    return attention_interface(
        module, query, key, value, attention_mask, *scaling, **options
    )


@imitates_interface(
    lambda: call(4, 4, PADDED),
    instead_of=(masked_softmax, "mask | empty"),
    planted=replace(AT_ONCE, write=in_a_batch),
)
def bool_mask_added(module: nn.Module, *tensors: Any, **options: Any) -> Answer:
    """A bool mask is added to the scores, as 0 and 1.

    Right for one prompt, wrong in a batch with padding: 1 and 0 hide nothing, they add
    1 to some scores.
    """
    query, key, value, attention_mask, *scaling = tensors
    if attention_mask is not None:
        attention_mask = attention_mask.to(query.dtype)  # wrong
    return attention_interface(
        module, query, key, value, attention_mask, *scaling, **options
    )
