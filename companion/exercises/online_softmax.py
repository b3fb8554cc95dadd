"""The mistakes in online softmax. Each is causal attention in tiles, wrong in the step that
takes a tile in.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.adapters import ATTEND
from companion.exercises.adapters import causal_attention as in_a_layer
from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted
from companion.fast.tiled import attend_to_blocks
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


def tiling_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 8, 16) with scores far enough apart to need a maximum."""
    query, key, value = random(3, 1, 2, 8, 16)
    return 2 * query, key, value


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention with all scores at once."""
    return scaled_dot_product_attention(query, key, value, is_causal=True)


imitates_tiled = partial(
    imitates,
    causal_attention,
    tiling_arguments,
    "check_causal_attention",
    planted=Planted({ATTEND: in_a_layer}),
)


@imitates_tiled(instead_of=(attend_to_blocks, "acc * rescale"))
def tiled_without_rescale(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The maximum grows, and neither the sum nor the output is rescaled to it.

    The weights still sum to 1. The queries are wrong whose largest score is not in the
    first tile; the text stays fluent.
    """

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        scores = scores.masked_fill(~seen, -math.inf)
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc + terms @ value)  # wrong

    return in_tiles(query, key, value, step)


@imitates_tiled(instead_of=(attend_to_blocks, "row_sum * rescale"))
def tiled_sum_not_rescaled(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The output is rescaled when the maximum grows, the sum is not.

    The weights of some queries sum to less than 1, here to 0.88: those whose largest
    score is not in the first tile.
    """

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        scores = scores.masked_fill(~seen, -math.inf)
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        rescale = torch.exp(so_far.row_max - row_max)
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum + terms.sum(dim=-1, keepdim=True)  # wrong
        return Partial(row_max, row_sum, so_far.acc * rescale + terms @ value)

    return in_tiles(query, key, value, step)


@imitates_tiled(instead_of=(attend_to_blocks, "torch.exp(scores"))
def tiled_max_of_the_block(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A block's terms are taken against its own maximum, what came before against the
    running one.

    The weights still sum to 1, but a tile counts too much, the more the smaller its
    scores are.
    """

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        scores = scores.masked_fill(~seen, -math.inf)
        block_max = scores.amax(dim=-1, keepdim=True)
        row_max = so_far.row_max.maximum(block_max)
        rescale = torch.exp(so_far.row_max - row_max)
        # a query that sees nothing of the block has no maximum in it
        terms = torch.exp(
            scores - block_max.masked_fill(block_max.isneginf(), 0.0)
        )  # wrong
        row_sum = so_far.row_sum * rescale + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc * rescale + terms @ value)

    return in_tiles(query, key, value, step)


@imitates_tiled(instead_of=(attend_to_blocks, "masked("))
def tiled_mask_after_exp(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The mask zeroes the terms after they were summed, so that the future counts in
    the sum.

    The weights of queries with a future in their tile sum to less than 1, here to as little as 0.15
    and more.
    """

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        rescale = torch.exp(so_far.row_max - row_max)
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum * rescale + terms.sum(dim=-1, keepdim=True)
        return Partial(
            row_max, row_sum, so_far.acc * rescale + terms * seen @ value
        )  # wrong

    return in_tiles(query, key, value, step)


@imitates_tiled(instead_of=(attend_to_blocks, "seen ="))
def tiled_skips_the_diagonal(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A tile is skipped when the first query of its block sees none of it, although the
    last one does.

    The weights sum to 1, and the last queries of a block miss keys that they should
    see, themselves among them.
    """

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        if not seen[0].any():  # wrong
            return so_far
        scores = scores.masked_fill(~seen, -math.inf)
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        rescale = torch.exp(so_far.row_max - row_max)
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum * rescale + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc * rescale + terms @ value)

    return in_tiles(query, key, value, step)
