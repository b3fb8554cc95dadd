"""The grader of an attention function for Hugging Face's models."""

from collections.abc import Callable
from typing import Any

from companion.exercises.drop_in import PADDED, call, output_of, right_output
from companion.exercises.gallery import mistaken
from companion.exercises.graders.grading import check_numbers, check_tensor, graded

# What their models hand over, by situation.
CALLS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "in a prefill of 4 tokens, mask None": lambda: call(4, 4),
    "in a decoding step, one query and 5 keys, mask None": lambda: call(1, 5),
    "in a prefill of 3 tokens into a static cache of 6, mask None": lambda: call(3, 6),
    "with a bool mask": lambda: call(4, 4, PADDED),
    "for a module that is not causal, mask None": lambda: call(4, 4, is_causal=False),
}


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
