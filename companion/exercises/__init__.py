"""Exercises: graders, and the failure gallery that they must reject."""

from companion.exercises import (
    cache_mistakes,
    decode_mistakes,
    encoder_decoder_mistakes,
    hugging_face_mistakes,
    llama_mistakes,
    mistakes,
    parallel_mistakes,
    tiling_mistakes,
)
from companion.exercises.attention_graders import (
    check_attention,
    check_causal_mask,
    check_matmul_shape,
    check_split_heads,
)
from companion.exercises.cache_graders import check_decode_step
from companion.exercises.cost_graders import check_decode_bytes
from companion.exercises.encoder_decoder_graders import check_cross_attention
from companion.exercises.fault import Fault
from companion.exercises.gallery import FAULTS
from companion.exercises.grading import Grade
from companion.exercises.hugging_face_graders import check_attention_interface
from companion.exercises.kernel_graders import check_softmax_kernel
from companion.exercises.llama_graders import (
    check_decoder_layer,
    check_mlp,
    check_repeat_kv,
    check_rms_norm,
    check_rope,
)
from companion.exercises.parallel_graders import check_row_parallel
from companion.exercises.quantization_graders import check_quantize_groups
from companion.exercises.sampling_graders import check_top_p
from companion.exercises.tiling_graders import check_merge

__all__ = [
    "FAULTS",
    "Fault",
    "Grade",
    "cache_mistakes",
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
    "decode_mistakes",
    "encoder_decoder_mistakes",
    "hugging_face_mistakes",
    "llama_mistakes",
    "mistakes",
    "parallel_mistakes",
    "tiling_mistakes",
]
