"""The graders of attention over a static cache, and of weights in 8 or 4 bits."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from companion.exercises.decode_loop import (
    int8_scale_of_columns,
    int8_to_128,
    over_the_filled,
    product_of_groups,
)
from companion.exercises.gallery import random
from companion.exercises.graders.cases import check_cases
from companion.exercises.graders.grading import (
    check_numbers,
    check_tensor,
    graded,
    same,
)
from companion.fast.quantized import GROUP, quantize_groups

HALF = 0.501  # of a step, and a little for rounding


def weights() -> Float[Tensor, "6 96"]:
    """Random weights in groups of very different size, one of which is all zeros. The
    largest of the first group is negative.
    """
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(6, 96, generator=generator)
    weight = weight * torch.linspace(0.1, 2.0, 18).repeat_interleave(GROUP).view(6, 96)
    weight[2, :GROUP] = 0.0
    weight[0, 5] = -1.5
    return weight


def known_scales(groups: Float[Tensor, "out groups 32"]) -> dict[str, Tensor]:
    """What the usual mistakes take for the scales."""
    largest = groups.abs().amax(dim=-1)
    nearest = "it belongs to the largest of a group's 32 weights, positive or negative"
    return {
        f"{nearest}, and this takes the largest number": groups.amax(dim=-1) / 127,
        f"{nearest}, and this takes the spread from least to largest": (
            groups.amax(dim=-1) - groups.amin(dim=-1)
        )
        / 255,
        f"{nearest}, and this takes the largest of a whole row": (
            largest.amax(dim=-1, keepdim=True).expand_as(largest) / 127
        ),
        f"{nearest}, and this takes the largest of the matrix": (
            largest.amax().expand_as(largest) / 127
        ),
        "the largest weight becomes 127 steps: 128 is no int8": largest / 128,
        "the largest weight becomes 127 steps: 255 is no int8": largest / 255,
        "it is what a step is worth: the largest weight / 127, and this is one over "
        "that": 127 / largest,
        "it is the largest weight itself, not yet divided by 127": largest,
    }


@graded
def check_quantize_groups(
    quantize: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> str | None:
    """Grade `quantize(weight)`: weight (out, in) → int8 (out, in), and a scale (out,
    in / 32) for each 32 weights of a row, so that weight ≈ int8 · scale.
    """
    weight = weights()
    groups = weight.unflatten(-1, (-1, GROUP))
    expected = groups.abs().amax(dim=-1) / 127
    answer = quantize(weight.clone())
    if not isinstance(answer, tuple) or len(answer) != 2:
        return (
            f"it returned a {type(answer).__name__}: it should be two tensors, the int8 "
            "weights and their scales"
        )
    quantized, scale = answer
    steps = (groups / expected.clamp(min=1e-12)[..., None]).round()
    if problem := check_tensor("int8", quantized, steps.flatten(1).to(torch.int8)):
        return problem
    if problem := check_tensor("scale", scale, expected):
        return problem
    if not scale.isfinite().all():
        return "scale is not finite for a group that is all zeros"
    filled = expected > 0  # the scale of zeros may be anything
    found, right = scale[filled], expected[filled]
    known = {name: x[filled] / right for name, x in known_scales(groups).items()}
    if problem := check_numbers(found / right, torch.ones_like(right), known):
        return f"scale: {problem}"
    return check_steps(groups, quantized.unflatten(-1, (-1, GROUP)), scale)


def check_steps(groups: Tensor, quantized: Tensor, scale: Tensor) -> str | None:
    """Whether each weight went to the nearest step, whichever way a tie goes."""
    zeros = (groups == 0).all(dim=-1)
    off = (groups / scale[..., None] - quantized)[~zeros].abs()
    if off.max() <= HALF:
        if quantized[zeros].any():
            return "a group of zeros has weights that are not 0: 0 / 0 is no number"
        return None
    if off.max() < 2 * HALF:
        return (
            "the scales are right, and the weights are cut off, not rounded to the "
            "nearest step: .round() before the cast"
        )
    share = (off > HALF).float().mean().item()
    return (
        f"the scales are right, and {share:.0%} of the weights are not at their nearest "
        "step: is each divided by the scale of its own group?"
    )


@graded
def check_static_cache(attend: Callable[..., Tensor]) -> str | None:
    """Grade `attend(query, keys, values, length)`: one query (batch, heads, 1, head_dim) over
    the first `length` places of a cache with more.
    """
    query, keys, values = random(3, 1, 2, 8, 16)
    cases = {}
    for length in (5, 1, 8):
        filled = torch.arange(8)[:, None] < length
        cache = keys * filled, values * filled
        where = f"with {length} of 8 places filled"
        cases[where] = (query[..., :1, :], *cache, length)
    return check_cases(attend, over_the_filled, cases)


@graded
def check_int8_product(product: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """Grade `product(weight, x)`: the weight (out, in) in int8, a scale for each output, times
    one token; as near to `weight @ x` as such weights can be.
    """
    numbers = random(33, 32)
    for weight in (numbers[:32], numbers[:7]):
        expected, answer = weight @ numbers[32], product(weight, numbers[32])
        where = f"for a weight {tuple(weight.shape)}, the product"
        if problem := check_tensor(where, answer, expected):
            return problem
        step = weight.abs().amax(dim=-1) / 127
        if ((answer - expected).abs() <= HALF * step * numbers[32].abs().sum()).all():
            continue
        if same(answer, int8_to_128(weight, numbers[32])):
            return (
                "128 is no int8: the largest weight of a row has become -128, not 127"
            )
        if len(weight) == 32 and same(
            answer, int8_scale_of_columns(weight, numbers[32])
        ):
            return "the scales are those of the inputs: each row, an output, has one"
        return f"{where} is further off than weights rounded to 127 steps can be"
    return None


@graded
def check_int4_product(product: Callable[..., Tensor]) -> str | None:
    """Grade `product(halves, scale, minimum, x)`: weights in 4 bits, two to a byte (out,
    groups, 16), with a scale and a minimum for each 32, times one token.
    """
    numbers = random(9, 64)
    cases = {
        f"for {rows} rows of {width}": (
            *quantize_groups(numbers[:rows, :width]),
            numbers[8, :width],
        )
        for rows, width in ((8, 64), (1, 32))
    }
    return check_cases(product, product_of_groups, cases)
