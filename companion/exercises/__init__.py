"""Exercises: graders, and the failure gallery that they must reject."""

from companion.exercises import mistakes
from companion.exercises.gallery import FAULTS, Fault
from companion.exercises.graders import (
    Grade,
    check_attention,
    check_causal_mask,
    check_decode_step,
    check_matmul_shape,
    check_repeat_kv,
    check_rope,
    check_split_heads,
)

__all__ = [
    "FAULTS",
    "Fault",
    "Grade",
    "check_attention",
    "check_causal_mask",
    "check_decode_step",
    "check_matmul_shape",
    "check_repeat_kv",
    "check_rope",
    "check_split_heads",
    "mistakes",
]
