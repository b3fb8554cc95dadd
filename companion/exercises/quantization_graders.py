"""Grader for the exercise on weights in 8 bits."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from companion.exercises.grading import (
    RIGHT,
    Grade,
    check_tensor,
    diagnosis,
    graded,
    same,
    wrong,
)

GROUP = 32
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
def check_quantize_groups(quantize: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Grade:
    """Grade `quantize(weight)`: weight (out, in) → int8 (out, in), and a scale (out,
    in / 32) for each 32 weights of a row, so that weight ≈ int8 · scale.
    """
    weight = weights()
    groups = weight.unflatten(-1, (-1, GROUP))
    expected = groups.abs().amax(dim=-1) / 127
    answer = quantize(weight.clone())
    if not isinstance(answer, tuple) or len(answer) != 2:
        return wrong(
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
        return wrong("scale is not finite for a group that is all zeros")
    filled = expected > 0  # the scale of zeros may be anything
    found, right = scale[filled], expected[filled]
    known = {name: each[filled] for name, each in known_scales(groups).items()}
    if not same(found / right, torch.ones_like(right)):
        known = {name: each / right for name, each in known.items()}
        said = diagnosis(found / right, torch.ones_like(right), known)
        return wrong(f"scale: {said}")
    return check_steps(groups, quantized.unflatten(-1, (-1, GROUP)), scale)


def check_steps(groups: Tensor, quantized: Tensor, scale: Tensor) -> Grade:
    """Whether each weight went to the nearest step, whichever way a tie goes."""
    zeros = (groups == 0).all(dim=-1)
    off = (groups / scale[..., None] - quantized)[~zeros].abs()
    if off.max() <= HALF:
        if quantized[zeros].any():
            return wrong(
                "a group of zeros has weights that are not 0: 0 / 0 is no number"
            )
        return RIGHT
    if off.max() < 2 * HALF:
        return wrong(
            "the scales are right, and the weights are cut off, not rounded to the "
            "nearest step: .round() before the cast"
        )
    share = (off > HALF).float().mean().item()
    return wrong(
        f"the scales are right, and {share:.0%} of the weights are not at their nearest "
        "step: is each divided by the scale of its own group?"
    )
