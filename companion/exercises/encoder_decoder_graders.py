"""The grader for the exercise on cross-attention."""

from collections.abc import Callable

from torch import Tensor

from companion.exercises.encoder_decoder_faults import (
    CROSS_FAULTS,
    cross_arguments,
    cross_forward,
)
from companion.exercises.grading import (
    RIGHT,
    Grade,
    check_tensor,
    diagnosis,
    graded,
    same,
    wrong,
)


@graded
def check_cross_attention(forward: Callable[..., Tensor]) -> Grade:
    """Grade `forward(layer, hidden_states, memory)`: what a CrossAttention does, put
    together from its four projections. Two lengths that are equal, then two that are
    not.
    """
    arguments = cross_arguments(5, 5)
    expected, answer = cross_forward(*arguments), forward(*arguments)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if not same(answer, expected):
        known = {each.title: each.wrong(*arguments) for each in CROSS_FAULTS}
        return wrong(diagnosis(answer, expected, known))
    arguments = cross_arguments(3, 7)
    expected, answer = cross_forward(*arguments), forward(*arguments)
    unequal = "for 3 tokens that read 7, the result"
    if problem := check_tensor(unequal, answer, expected):
        return problem
    return RIGHT if same(answer, expected) else wrong(f"{unequal} is off")
