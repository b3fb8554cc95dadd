"""The grader for the exercise on Hugging Face's attention interface."""

from collections.abc import Callable
from typing import Any

from companion.exercises.grading import (
    RIGHT,
    Grade,
    check_tensor,
    diagnosis,
    graded,
    same,
    wrong,
)
from companion.exercises.hugging_face_faults import (
    CALLS,
    HUGGING_FACE_FAULTS,
    call,
    output_of,
)
from companion.hugging_face.attention import attention_interface


@graded
def check_attention_interface(interface: Callable[..., Any]) -> Grade:
    """Grade `interface(module, query, key, value, attention_mask, scaling=None,
    dropout=0.0, **options)`, which returns (output (batch, q_len, heads, head_dim),
    None).
    """
    answer = interface(*call(2, 5))
    if not isinstance(answer, tuple) or len(answer) != 2:
        return wrong(
            f"it returned a {type(answer).__name__}; their modules unpack (output, "
            "weights or None)"
        )
    for situation, arguments in CALLS.items():
        output = output_of(interface)(*arguments())
        expected = output_of(attention_interface)(*arguments())
        if problem := check_tensor(f"{situation}, the output", output, expected):
            return problem
        if not same(output, expected):
            known = {
                fault.title: result
                for fault in HUGGING_FACE_FAULTS
                if (result := fault.wrong(*arguments())).shape == expected.shape
            }
            return wrong(f"{situation}: {diagnosis(output, expected, known)}")
    return RIGHT
