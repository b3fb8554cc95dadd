"""The gallery's faults in decoding with a cache."""

import torch
from torch import Tensor

from companion.exercises import cache_mistakes as mistakes
from companion.exercises.decoding import small_model
from companion.exercises.fault import Fault
from companion.model import LlamaForCausalLM


def decode_arguments() -> tuple[LlamaForCausalLM, Tensor]:
    """That model, and five tokens for it."""
    return small_model(), torch.tensor([[1, 5, 2, 7, 3]])


def logits_at_once(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """The logits of all tokens in one call, without a cache."""
    return model(input_ids)


CACHE_FAULTS = tuple(
    Fault(wrong, logits_at_once, decode_arguments)
    for wrong in (
        mistakes.decode_from_zero,
        mistakes.decode_top_left,
        mistakes.decode_not_advanced,
        mistakes.decode_advanced_by_layer,
        mistakes.decode_rope_after_cache,
    )
)
