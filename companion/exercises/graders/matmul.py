"""The grader of the exercise on the shapes of torch.matmul."""

from collections.abc import Callable

from companion.broadcasting import explain_matmul
from companion.exercises.graders.grading import graded


@graded
def check_matmul_shape(answer: Callable[[tuple, tuple], tuple]) -> str | None:
    """Grade `answer(a_shape, b_shape)`: the shape that torch.matmul gives, as a
    tuple.
    """
    cases = [((3,), (3,)), ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,))]
    cases += [
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)),
        ((2, 3), (5, 3, 4)),
    ]
    for a, b in cases:
        expected, given = explain_matmul(a, b).shape, tuple(answer(a, b))
        if given != expected:
            return f"{a} @ {b} has shape {expected}; the answer was {given}"
    return None
