"""Exercises: for each chapter its mistakes, which keep every shape and are the failure
gallery, and the graders that must reject them.
"""

from importlib import import_module

from companion.exercises.gallery import CHAPTERS, FAULTS, Fault, of_chapter
from companion.exercises.graders.attention import check_attention, check_softmax
from companion.exercises.graders.cached_attention import check_cached_attention
from companion.exercises.graders.costs import (
    check_batch_rate,
    check_decode_bytes,
    check_least_seconds,
)
from companion.exercises.graders.decode_loop import (
    check_int4_product,
    check_int8_product,
    check_quantize_groups,
    check_static_cache,
)
from companion.exercises.graders.decoder_layer import (
    check_decoder_layer,
    check_layer_of_tensors,
    check_self_attention,
)
from companion.exercises.graders.drop_in import (
    check_additive_mask,
    check_attention_interface,
    check_who_sees_whom,
)
from companion.exercises.graders.encoder_decoder import (
    check_cross_attention,
    check_encoder_decoder,
    check_encoder_layer,
    check_sinusoids,
)
from companion.exercises.graders.gpu import check_softmax_kernel
from companion.exercises.graders.gqa import (
    check_group_means,
    check_grouped_attention,
    check_repeat_kv,
)
from companion.exercises.graders.grading import Grade
from companion.exercises.graders.heads import (
    check_head_contributions,
    check_merge_heads,
    check_multi_head,
    check_split_heads,
)
from companion.exercises.graders.kv_cache import (
    check_decode_step,
    check_decoding,
    check_draft,
)
from companion.exercises.graders.map import (
    check_batch,
    check_next_tokens,
    check_position_ids,
)
from companion.exercises.graders.mask import (
    check_batch_mask,
    check_causal_mask,
    check_window_mask,
)
from companion.exercises.graders.matmul import (
    check_each_vector,
    check_matmul_flops,
    check_matmul_shape,
)
from companion.exercises.graders.merged_outputs import check_merge_outputs
from companion.exercises.graders.norm_kernel import check_norm_kernel
from companion.exercises.graders.norm_swiglu import (
    check_fused_mlp,
    check_mlp,
    check_rms_norm,
)
from companion.exercises.graders.online_softmax import (
    check_causal_attention,
    check_merge,
)
from companion.exercises.graders.parallel import (
    check_parallel_argmax,
    check_parallel_embedding,
    check_parallel_gate,
    check_parallel_heads,
    check_parallel_o_proj,
    check_row_parallel,
)
from companion.exercises.graders.real_llama import check_top_p
from companion.exercises.graders.rope import (
    check_cos_sin,
    check_moved_keys,
    check_permuted_rows,
    check_rope,
)
from companion.exercises.graders.whole_llama import check_llama

__all__ = [
    "CHAPTERS",
    "FAULTS",
    "Fault",
    "Grade",
    "check_additive_mask",
    "check_attention",
    "check_attention_interface",
    "check_batch",
    "check_batch_mask",
    "check_batch_rate",
    "check_cached_attention",
    "check_causal_attention",
    "check_causal_mask",
    "check_cos_sin",
    "check_cross_attention",
    "check_decode_bytes",
    "check_decode_step",
    "check_decoder_layer",
    "check_decoding",
    "check_draft",
    "check_each_vector",
    "check_encoder_decoder",
    "check_encoder_layer",
    "check_fused_mlp",
    "check_group_means",
    "check_grouped_attention",
    "check_head_contributions",
    "check_int4_product",
    "check_int8_product",
    "check_layer_of_tensors",
    "check_least_seconds",
    "check_llama",
    "check_matmul_flops",
    "check_matmul_shape",
    "check_merge",
    "check_merge_heads",
    "check_merge_outputs",
    "check_mlp",
    "check_moved_keys",
    "check_multi_head",
    "check_next_tokens",
    "check_norm_kernel",
    "check_parallel_argmax",
    "check_parallel_embedding",
    "check_parallel_gate",
    "check_parallel_heads",
    "check_parallel_o_proj",
    "check_permuted_rows",
    "check_position_ids",
    "check_quantize_groups",
    "check_repeat_kv",
    "check_rms_norm",
    "check_rope",
    "check_row_parallel",
    "check_self_attention",
    "check_sinusoids",
    "check_softmax",
    "check_softmax_kernel",
    "check_split_heads",
    "check_static_cache",
    "check_top_p",
    "check_who_sees_whom",
    "check_window_mask",
]

for (
    chapter
) in CHAPTERS:  # each enters its mistakes into FAULTS; then in the book's order
    import_module(f"companion.exercises.{chapter}")
    for name in of_chapter(chapter):
        FAULTS[name] = FAULTS.pop(name)
