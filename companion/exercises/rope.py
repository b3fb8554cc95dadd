"""The mistakes in RoPE."""

from functools import partial

import torch
from torch import Tensor

from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted, as_it_is
from companion.rope import apply_rope, rope_cos_sin, rotate_half


def rope_arguments() -> tuple[Tensor, ...]:
    """A query (1, 2, 5, 8) at positions 3 to 7."""
    return random(1, 2, 5, 8), *rope_cos_sin(torch.arange(3, 8)[None], 8, 10000.0)


imitates_rope = partial(
    imitates,
    apply_rope,
    rope_arguments,
    "check_rope",
    planted=Planted({"companion.decoder.apply_rope": as_it_is}),
)


@imitates_rope(instead_of=(rotate_half, "x.chunk"))
def rope_interleaved(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE turns the pairs (0, 1), (2, 3) ... of a checkpoint that pairs (0, d/2), (1,
    d/2 + 1) ...

    The text is fluent and begins rightly, then goes another way. The token at position
    0 is right.
    """
    first, second = x[..., 0::2], x[..., 1::2]  # wrong
    half = x.shape[-1] // 2
    c, s = cos[:, None, :, :half], sin[:, None, :, :half]
    turned = torch.stack((first * c - second * s, first * s + second * c), dim=-1)
    return turned.flatten(-2)


@imitates_rope(instead_of=(rope_cos_sin, "torch.cat"))
def rope_layout_mixed(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The halves are rotated, but with angles laid out for neighbors: a a b b, not a b
    a b.

    The vectors change their length, which a rotation keeps; only the token at position
    0 is right.
    """
    pairs = x.shape[-1] // 2
    cos, sin = (
        angle[..., :pairs].repeat_interleave(2, dim=-1) for angle in (cos, sin)
    )  # wrong
    return apply_rope(x, cos, sin)


@imitates_rope(instead_of=(rotate_half, "torch.cat"))
def rope_backwards(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Every pair is turned the other way: the sign in rotate_half is wrong.

    What came before counts as what comes after, at the same distance. The token at
    position 0 is right.
    """
    return apply_rope(x, cos, -sin)  # wrong


@imitates_rope(instead_of=(rope_cos_sin, "position_ids[..., None]"))
def rope_from_zero(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Every token is rotated as if it stood at the first position (the position of a
    cached step forgotten).

    The order of the words is not known, and the text repeats itself. The token at
    position 0 is right.
    """
    return apply_rope(x, cos[:, :1].expand_as(cos), sin[:, :1].expand_as(sin))  # wrong
