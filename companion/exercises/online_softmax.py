"""Online softmax: its mistakes, and the grader of a merge. Each mistake is causal
attention in tiles, wrong in the step that takes a tile in.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.gallery import imitates, random
from companion.exercises.grading import check_numbers, check_tensor, graded
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


@imitates(causal_attention, tiling_arguments)
def tiled_without_rescale(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The maximum grows, and neither the sum nor the output is rescaled to it."""

    def step(so_far: Partial, scores: Tensor, seen: Tensor, value: Tensor) -> Partial:
        scores = scores.masked_fill(~seen, -math.inf)
        row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
        terms = torch.exp(scores - row_max)
        row_sum = so_far.row_sum + terms.sum(dim=-1, keepdim=True)
        return Partial(row_max, row_sum, so_far.acc + terms @ value)

    return in_tiles(query, key, value, step)


@imitates(causal_attention, tiling_arguments)
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


@imitates(causal_attention, tiling_arguments)
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


@imitates(causal_attention, tiling_arguments)
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


@imitates(causal_attention, tiling_arguments)
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


@graded
def check_merge(merge: Callable[[tuple, tuple], tuple]) -> str | None:
    """Grade `merge(first, second)`: two `(row_max, row_sum, acc)`, of the same queries
    over different keys, become that of all these keys.
    """
    for keys_of_the_first in (3, 5, 1):
        first, second, expected = in_two_parts(keys_of_the_first)
        merged = merge(first, second)
        if not isinstance(merged, tuple) or len(merged) != 3:
            return (
                f"merge returned {type(merged).__name__}: it should be the three "
                "tensors (row_max, row_sum, acc)"
            )
        known = merged_wrongly(first, second, expected)
        for name, answer, right in zip(Partial._fields, merged, expected, strict=True):
            if problem := check_tensor(name, answer, right):
                return problem
            if answer.isnan().any():
                return (
                    f"{name} is not a number where a query sees no key of one part: "
                    "that part's row_max is -inf, and exp(its row_max - the new one) 0"
                )
            if problem := check_numbers(answer, right, known[name]):
                return f"{name}: {problem}"
    return None


def in_two_parts(keys_of_the_first: int) -> tuple[Partial, Partial, Partial]:
    """Attention of 4 queries over the first of 6 keys, over the others, and over all.

    Query 0 sees none of the others, query 1 none of the first.
    """
    generator = torch.Generator().manual_seed(2)
    query, key, value = torch.randn(3, 2, 6, 8, generator=generator)
    query, n = 3 * query[:, :4], keys_of_the_first
    seen = torch.ones(4, 6, dtype=torch.bool)
    seen[0, n:], seen[1, :n] = False, False
    first = partial_attention(query, key[:, :n], value[:, :n], seen[:, :n])
    second = partial_attention(query, key[:, n:], value[:, n:], seen[:, n:])
    return first, second, partial_attention(query, key, value, seen)


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


def merged_wrongly(
    first: Partial, second: Partial, merged: Partial
) -> dict[str, dict[str, Tensor]]:
    """For each of the three tensors, what the usual mistakes make of it."""
    one = torch.exp(first.row_max - merged.row_max)
    two = torch.exp(second.row_max - merged.row_max)

    def unscaled(a: Tensor, b: Tensor) -> dict[str, Tensor]:
        return {
            "neither part is rescaled: each is in units of exp(its own row_max), and "
            "counts exp(its row_max - the new row_max) times": a + b,
            "the first part is not rescaled: it counts exp(its row_max - the new "
            "row_max) times, also where the maximum is the second's": a + b * two,
            "the second part is not rescaled: it counts exp(its row_max - the new "
            "row_max) times, also where the maximum is the first's": a * one + b,
        }

    return {
        "row_max": {
            "the new maximum is the larger of the two, this is the second's": second[0],
            "the new maximum is the larger of the two, this is the first's": first[0],
            "the new maximum is the larger of the two, this is the smaller": (
                first.row_max.minimum(second.row_max)
            ),
        },
        "row_sum": unscaled(first.row_sum, second.row_sum),
        "acc": {
            **unscaled(first.acc, second.acc),
            "it is divided by the sum already: a later part could not be added": merged.output,
        },
    }
