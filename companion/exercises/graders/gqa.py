"""The grader of grouped-query attention."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.graders.grading import check_tensor, graded
from companion.gqa import repeat_kv


@graded
def check_repeat_kv(repeated: Callable[[Tensor, int], Tensor]) -> str | None:
    """Grade `repeated(x, n_rep)` on x (batch, kv_heads, length, head_dim)."""
    x = torch.arange(2.0)[None, :, None, None].expand(1, 2, 3, 4).contiguous()
    expected, answer = repeat_kv(x, 3), repeated(x, 3)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if not torch.equal(answer, expected):
        order = [int(head) for head in answer[0, :, 0, 0]]
        return (
            f"the heads come as {order}; query head h belongs to key/value head h // "
            "n_rep: [0, 0, 0, 1, 1, 1]"
        )
    return None
