"""Grouped-query attention: its mistake, and the grader that rejects it."""

from collections.abc import Callable

import torch
from einops import repeat
from torch import Tensor

from companion.exercises.gallery import imitates, random
from companion.exercises.grading import check_tensor, graded
from companion.gqa import repeat_kv


@imitates(repeat_kv, lambda: (random(1, 2, 5, 8), 2))
def kv_tiled(x: Tensor, n_rep: int) -> Tensor:
    """Key/value heads are tiled 0 1 0 1, not repeated 0 0 1 1."""
    return repeat(
        x, "batch kv_heads length dim -> batch (group kv_heads) length dim", group=n_rep
    )


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
