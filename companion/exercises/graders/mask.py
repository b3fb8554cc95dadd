"""The grader of the causal mask."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.graders.grading import check_tensor, graded
from companion.masks import causal_mask


@graded
def check_causal_mask(mask: Callable[[int, int], Tensor]) -> str | None:
    """Grade `mask(q_len, kv_len)`: bool, the queries being the last of the keys'
    positions.
    """
    for q_len, kv_len in ((4, 4), (2, 5), (1, 3)):
        expected, answer = causal_mask(q_len, kv_len), mask(q_len, kv_len)
        if problem := check_tensor(
            f"the mask for q_len {q_len}, kv_len {kv_len}", answer, expected
        ):
            return problem
        if torch.equal(answer, expected):
            continue
        if torch.equal(answer, ~expected):
            return "True and False are exchanged: True means may attend"
        if not answer[-1, -1]:
            return (
                f"for q_len {q_len}, kv_len {kv_len} the last query does not see the "
                "last key, which is itself"
            )
        return (
            f"for q_len {q_len}, kv_len {kv_len} row 0 is {answer[0].tolist()}; it "
            f"should be {expected[0].tolist()}"
        )
    return None
