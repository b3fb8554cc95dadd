"""The failure gallery: mistakes that pass every shape check, next to the function
each one imitates.

Every fault is run, not described: `Fault.run` computes both and measures how far
apart they are.
"""

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises import mistakes
from companion.exercises.cache_faults import CACHE_FAULTS
from companion.exercises.decode_faults import DECODE_FAULTS
from companion.exercises.encoder_decoder_faults import ENCODER_DECODER_FAULTS
from companion.exercises.fault import Fault, random
from companion.exercises.hugging_face_faults import HUGGING_FACE_FAULTS
from companion.exercises.llama_faults import LLAMA_FAULTS
from companion.exercises.parallel_faults import PARALLEL_FAULTS
from companion.exercises.tiling_faults import TILING_FAULTS
from companion.gqa import repeat_kv
from companion.heads import split_heads
from companion.masks import causal_mask
from companion.rope import apply_rope, rope_cos_sin


def attention_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 5, 8) and a causal mask."""
    query, key, value = random(3, 1, 2, 5, 8)
    return query, key, value, causal_mask(5)


def square_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 8, 8): as many tokens as features."""
    query, key, value = random(3, 1, 2, 8, 8)
    return query, key, value, causal_mask(8)


def rope_arguments() -> tuple[Tensor, ...]:
    """A query (1, 2, 5, 8) at positions 3 to 7."""
    return random(1, 2, 5, 8), *rope_cos_sin(torch.arange(3, 8)[None], 8, 10000.0)


FAULTS: dict[str, Fault] = {
    fault.wrong.__name__: fault
    for fault in (
        Fault(mistakes.no_scale, scaled_dot_product_attention, attention_arguments),
        Fault(
            mistakes.scale_without_root,
            scaled_dot_product_attention,
            attention_arguments,
        ),
        Fault(
            mistakes.softmax_over_queries,
            scaled_dot_product_attention,
            attention_arguments,
        ),
        Fault(
            mistakes.mask_upside_down, scaled_dot_product_attention, attention_arguments
        ),
        Fault(
            mistakes.mask_after_softmax,
            scaled_dot_product_attention,
            attention_arguments,
        ),
        Fault(
            mistakes.key_not_transposed, scaled_dot_product_attention, square_arguments
        ),
        Fault(mistakes.heads_by_view, split_heads, lambda: (random(1, 5, 8), 2)),
        Fault(mistakes.heads_interleaved, split_heads, lambda: (random(1, 5, 8), 2)),
        Fault(mistakes.mask_off_by_one, causal_mask, lambda: (5, None)),
        Fault(mistakes.mask_top_left, causal_mask, lambda: (2, 5)),
        Fault(mistakes.mask_reversed, causal_mask, lambda: (5, None)),
        Fault(mistakes.rope_interleaved, apply_rope, rope_arguments),
        Fault(mistakes.rope_layout_mixed, apply_rope, rope_arguments),
        Fault(mistakes.rope_backwards, apply_rope, rope_arguments),
        Fault(mistakes.rope_from_zero, apply_rope, rope_arguments),
        Fault(mistakes.kv_tiled, repeat_kv, lambda: (random(1, 2, 5, 8), 2)),
        *LLAMA_FAULTS,
        *CACHE_FAULTS,
        *ENCODER_DECODER_FAULTS,
        *HUGGING_FACE_FAULTS,
        *TILING_FAULTS,
        *DECODE_FAULTS,
        *PARALLEL_FAULTS,
    )
}
