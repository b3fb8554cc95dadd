"""Exercises: for each chapter its mistakes, which keep every shape, and the graders that
must reject them.
"""

from companion.exercises.attention import check_attention
from companion.exercises.costs import check_decode_bytes
from companion.exercises.decode_loop import check_quantize_groups
from companion.exercises.decoder_layer import check_decoder_layer
from companion.exercises.drop_in import check_attention_interface
from companion.exercises.encoder_decoder import check_cross_attention
from companion.exercises.gallery import FAULTS, Fault
from companion.exercises.gpu import check_softmax_kernel
from companion.exercises.gqa import check_repeat_kv
from companion.exercises.grading import Grade
from companion.exercises.heads import check_split_heads
from companion.exercises.kv_cache import check_decode_step
from companion.exercises.mask import check_causal_mask
from companion.exercises.matmul import check_matmul_shape
from companion.exercises.norm_swiglu import check_mlp, check_rms_norm
from companion.exercises.online_softmax import check_merge
from companion.exercises.parallel import check_row_parallel
from companion.exercises.real_llama import check_top_p
from companion.exercises.rope import check_rope

__all__ = [
    "FAULTS",
    "Fault",
    "Grade",
    "check_attention",
    "check_attention_interface",
    "check_causal_mask",
    "check_cross_attention",
    "check_decode_bytes",
    "check_decode_step",
    "check_decoder_layer",
    "check_matmul_shape",
    "check_merge",
    "check_mlp",
    "check_quantize_groups",
    "check_repeat_kv",
    "check_rms_norm",
    "check_rope",
    "check_row_parallel",
    "check_softmax_kernel",
    "check_split_heads",
    "check_top_p",
]
