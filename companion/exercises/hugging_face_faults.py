"""The gallery's faults in an attention function for Hugging Face's models."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from companion.exercises import hugging_face_mistakes as mistakes
from companion.exercises.fault import Fault, random
from companion.hugging_face.attention import attention_interface


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


PADDED = (torch.arange(4) >= torch.tensor([[0], [1]]))[:, None, None] & torch.ones(
    4, 4, dtype=torch.bool
).tril()

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


HUGGING_FACE_FAULTS = tuple(
    Fault(output_of(wrong), output_of(attention_interface), arguments)
    for wrong, arguments in (
        (mistakes.output_not_transposed, lambda: call(4, 4)),
        (mistakes.scaling_not_passed_on, lambda: call(4, 4)),
        (mistakes.no_mask_means_everything, lambda: call(4, 4)),
        (mistakes.one_query_top_left, lambda: call(1, 5)),
        (mistakes.last_query_sees_last_key, lambda: call(3, 6)),
        (mistakes.bool_mask_added, lambda: call(4, 4, PADDED)),
    )
)
