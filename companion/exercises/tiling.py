"""The loop over tiles that the mistakes of tiled attention are made in: causal
attention in which each tile's step is handed in.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.masks import may_attend

Q_BLOCK, KV_BLOCK = 4, 2


class Partial(NamedTuple):
    """What attention over some of the keys leaves for each query: its largest score,
    the sum of exp(score - row_max), and the values summed with those weights.
    """

    row_max: Float[Tensor, "*batch q_len 1"]
    row_sum: Float[Tensor, "*batch q_len 1"]
    acc: Float[Tensor, "*batch q_len value_dim"]

    @property
    def output(self) -> Float[Tensor, "*batch q_len value_dim"]:
        """Attention over these keys alone: `acc / row_sum`."""
        return self.acc / self.row_sum


Step = Callable[[Partial, Tensor, Tensor, Tensor], Partial]


def partial_attention(
    query: Float[Tensor, "*batch q_len head_dim"],
    key: Float[Tensor, "*batch kv_len head_dim"],
    value: Float[Tensor, "*batch kv_len value_dim"],
    seen: Bool[Tensor, "q_len kv_len"],
) -> Partial:
    """Attention over these keys, not yet divided by its sum. A query that sees none
    of them gets a maximum of -inf and zeros.
    """
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    scores = scores.masked_fill(~seen, -math.inf)
    row_max = scores.amax(dim=-1, keepdim=True)
    terms = torch.exp(scores - row_max.masked_fill(row_max.isneginf(), 0.0))
    return Partial(row_max, terms.sum(dim=-1, keepdim=True), terms @ value)


def in_tiles(
    query: Float[Tensor, "*batch length head_dim"],
    key: Float[Tensor, "*batch length head_dim"],
    value: Float[Tensor, "*batch length value_dim"],
    step: Step,
) -> Float[Tensor, "*batch length value_dim"]:
    """Causal attention in tiles of 4 queries by 2 keys: `step(so_far, scores, seen,
    value)` takes in one after the other.
    """
    positions = torch.arange(query.shape[-2], device=query.device)
    scale, outputs = 1 / math.sqrt(query.shape[-1]), []
    for rows in positions.split(Q_BLOCK):
        block = query[..., rows, :]
        zero = block.new_zeros(*block.shape[:-1], 1)
        so_far = Partial(zero - math.inf, zero, zero.expand_as(value[..., rows, :]))
        for keys in positions[: int(rows[-1]) + 1].split(KV_BLOCK):
            scores = block @ key[..., keys, :].mT * scale
            seen = may_attend(rows, keys)
            so_far = step(so_far, scores, seen, value[..., keys, :])
        outputs.append(so_far.output)
    return torch.cat(outputs, dim=-2)
