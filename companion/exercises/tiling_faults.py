"""The gallery's faults in online softmax."""

from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises import tiling_mistakes as mistakes
from companion.exercises.fault import Fault, random


def tiling_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 8, 16) with scores far enough apart to need a maximum."""
    query, key, value = random(3, 1, 2, 8, 16)
    return 2 * query, key, value


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention with all scores at once."""
    return scaled_dot_product_attention(query, key, value, is_causal=True)


TILING_FAULTS = tuple(
    Fault(wrong, causal_attention, tiling_arguments)
    for wrong in (
        mistakes.tiled_without_rescale,
        mistakes.tiled_sum_not_rescaled,
        mistakes.tiled_max_of_the_block,
        mistakes.tiled_mask_after_exp,
        mistakes.tiled_skips_the_diagonal,
    )
)
