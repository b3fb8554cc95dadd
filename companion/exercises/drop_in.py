"""An attention function for Hugging Face's models: its mistakes, and the grader that
rejects them. Each imitates `companion.hugging_face.attention.attention_interface` and
returns what their models take.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from companion.attention import scaled_dot_product_attention
from companion.exercises.gallery import imitates, mistaken, random
from companion.exercises.grading import check_numbers, check_tensor, graded
from companion.hugging_face.attention import attention_interface
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

# What their models hand over, by situation.
CALLS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "in a prefill of 4 tokens, mask None": lambda: call(4, 4),
    "in a decoding step, one query and 5 keys, mask None": lambda: call(1, 5),
    "in a prefill of 3 tokens into a static cache of 6, mask None": lambda: call(3, 6),
    "with a bool mask": lambda: call(4, 4, PADDED),
    "for a module that is not causal, mask None": lambda: call(4, 4, is_causal=False),
}


def output_of(interface: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """The first of the two things that an attention function returns."""

    @wraps(interface)
    def output(*arguments: Any) -> Any:
        return interface(*arguments)[0]

    return output


right_output = output_of(attention_interface)


def imitates_interface(
    arguments: Callable[[], tuple[Any, ...]],
) -> Callable[[Interface], Interface]:
    """Puts an interface into the gallery by the output that it returns."""

    def enter(wrong: Interface) -> Interface:
        imitates(right_output, arguments)(output_of(wrong))
        return wrong

    return enter


@imitates_interface(lambda: call(4, 4))
def output_not_transposed(
    module: nn.Module, query: Tensor, *rest: Any, **options: Any
) -> Answer:
    """The output keeps its heads before the tokens, and their reshape to (batch,
    q_len, hidden) mixes the two.
    """
    output, _ = attention_interface(module, query, *rest, **options)
    return output.transpose(1, 2).contiguous(), None


@imitates_interface(lambda: call(4, 4))
def scaling_not_passed_on(module: nn.Module, *tensors: Any, **options: Any) -> Answer:
    """The scores are divided by √head_dim, whatever scaling the model asks for."""
    return attention_interface(module, *tensors[:4], **options)


@imitates_interface(lambda: call(4, 4))
def no_mask_means_everything(
    module: nn.Module, *tensors: Any, **options: Any
) -> Answer:
    """Without a mask every query sees every key, as in torch's function."""
    return attention_interface(module, *tensors, **{**options, "is_causal": False})


@imitates_interface(lambda: call(1, 5))
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


@imitates_interface(lambda: call(3, 6))
def last_query_sees_last_key(
    module: nn.Module, *tensors: Any, **options: Any
) -> Answer:
    """Without a mask the last query sees the last key, and with it the empty places
    of a static cache.
    """
    query, key, value, attention_mask, *scaling = tensors
    if attention_mask is None and module.is_causal:
        attention_mask = causal_mask(query.shape[-2], key.shape[-2])
    return attention_interface(
        module, query, key, value, attention_mask, *scaling, **options
    )


@imitates_interface(lambda: call(4, 4, PADDED))
def bool_mask_added(module: nn.Module, *tensors: Any, **options: Any) -> Answer:
    """A bool mask is added to the scores, as 0 and 1."""
    query, key, value, attention_mask, *scaling = tensors
    if attention_mask is not None:
        attention_mask = attention_mask.to(query.dtype)
    return attention_interface(
        module, query, key, value, attention_mask, *scaling, **options
    )


@graded
def check_attention_interface(interface: Callable[..., Any]) -> str | None:
    """Grade `interface(module, query, key, value, attention_mask, scaling=None,
    dropout=0.0, **options)`, which returns (output (batch, q_len, heads, head_dim),
    None).
    """
    answer = interface(*call(2, 5))
    if not isinstance(answer, tuple) or len(answer) != 2:
        return (
            f"it returned a {type(answer).__name__}; their modules unpack (output, "
            "weights or None)"
        )
    for situation, arguments in CALLS.items():
        output = output_of(interface)(*arguments())
        expected = right_output(*arguments())
        if problem := check_tensor(f"{situation}, the output", output, expected):
            return problem
        known = {
            title: wrong
            for title, wrong in mistaken(right_output, *arguments()).items()
            if wrong.shape == expected.shape
        }
        if problem := check_numbers(output, expected, known):
            return f"{situation}: {problem}"
    return None
