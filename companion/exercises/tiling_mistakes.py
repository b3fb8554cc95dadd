"""The mistakes of the gallery in online softmax: each is causal attention in tiles,
wrong in the step that takes a tile in.
"""

import math

import torch
from torch import Tensor

from companion.exercises.tiling import Partial, in_tiles


def tiled_without_rescale(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The maximum grows, and neither the sum nor the output is rescaled to it."""

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        scores = scores.masked_fill(~seen, -math.inf)
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc + terms @ value)

    return in_tiles(query, key, value, step)


def tiled_sum_not_rescaled(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The output is rescaled when the maximum grows, the sum is not."""

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        scores = scores.masked_fill(~seen, -math.inf)
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        rescale = torch.exp(so_far.row_max - row_max)
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc * rescale + terms @ value)

    return in_tiles(query, key, value, step)


def tiled_max_of_the_block(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A block's terms are taken against its own maximum, what came before against the
    running one.
    """

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        scores = scores.masked_fill(~seen, -math.inf)
        block_max = scores.amax(dim=-1, keepdim=True)
        row_max = so_far.row_max.maximum(block_max)
        rescale = torch.exp(so_far.row_max - row_max)
        # a query that sees nothing of the block has no maximum in it
        terms = torch.exp(scores - block_max.masked_fill(block_max.isneginf(), 0.0))
        row_sum = so_far.row_sum * rescale + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc * rescale + terms @ value)

    return in_tiles(query, key, value, step)


def tiled_mask_after_exp(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The mask zeroes the terms after they were summed, so that the future counts in
    the sum.
    """

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        rescale = torch.exp(so_far.row_max - row_max)
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum * rescale + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc * rescale + terms * seen @ value)

    return in_tiles(query, key, value, step)


def tiled_skips_the_diagonal(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A tile is skipped when the first query of its block sees none of it, although
    the last one does.
    """

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        if not seen[0].any():
            return so_far
        scores = scores.masked_fill(~seen, -math.inf)
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        rescale = torch.exp(so_far.row_max - row_max)
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum * rescale + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc * rescale + terms @ value)

    return in_tiles(query, key, value, step)
