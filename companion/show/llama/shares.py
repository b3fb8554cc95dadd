"""What heads attend: the first token, the same, the one before, what followed before."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def shares_of_heads(
    weights: Float[Tensor, "layers heads q_len kv_len"], ids: Sequence[int]
) -> dict[str, Float[Tensor, "layers heads"]]:
    """How much of a head's weights goes to the first token, the token itself and the one
    before, and to what followed the same token when it last was there, if any was.

    The second query is left out of "before", whose token before is the first.
    """
    places = {
        "first": [(i, 0) for i in range(1, len(ids))],
        "itself": [(i, i) for i in range(1, len(ids))],
        "before": [(i, i - 1) for i in range(2, len(ids))],
        "followed": repetitions(ids),
    }
    return {
        name: torch.stack([weights[..., i, j] for i, j in cells]).mean(0)
        for name, cells in places.items()
        if cells
    }


def repetitions(ids: Sequence[int]) -> list[tuple[int, int]]:
    """Each place whose token was there before, and the place after the last time."""
    found = []
    for i, token in enumerate(ids):
        earlier = [j for j in range(i - 1) if ids[j] == token]
        found += [(i, earlier[-1] + 1)] if earlier else []
    return found
