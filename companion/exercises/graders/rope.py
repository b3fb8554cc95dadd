"""The graders of RoPE: its angles, its rotation, its two pairings, and keys that move."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from companion.exercises.gallery import random
from companion.exercises.graders.cases import Wrong, check_cases
from companion.exercises.graders.grading import check_numbers, check_tensor, graded
from companion.exercises.rope import rope_layout_mixed
from companion.rope import apply_rope, half_from_interleaved, rope_cos_sin


@graded
def check_rope(rope: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str | None:
    """Grade `rope(x, cos, sin)` on x (batch, heads, length, head_dim), in
    rotate-half pairing.
    """
    x = torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(2))
    cos, sin = rope_cos_sin(torch.arange(4)[None], 8, 10000.0)
    expected, answer = apply_rope(x, cos, sin), rope(x, cos, sin)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if torch.allclose(answer, expected, atol=1e-5):
        return None
    if torch.allclose(answer, x, atol=1e-5):
        return "nothing was rotated"
    if torch.allclose(answer, apply_rope(x, cos, -sin), atol=1e-5):
        return "every pair is turned the other way: check the signs in rotate_half"
    if torch.allclose(answer, rope_layout_mixed(x, cos, sin), atol=1e-5):
        return (
            "the halves are rotated by angles for neighbors: cos and sin hold each angle "
            "twice, a b a b, not a a b b"
        )
    if not math.isclose(answer.norm().item(), x.norm().item(), rel_tol=1e-4):
        return (
            "the length of the vectors changed; a rotation keeps it: check the "
            "signs in rotate_half"
        )
    return (
        "a rotation, but not of the pairs (i, i + head_dim / 2): which features are "
        "turned together?"
    )


Frequencies = Callable[[int, float], Tensor]
CosSin = tuple[Tensor, Tensor]


def frequencies(head_dim: int, theta: float) -> Tensor:
    """Radians for each position, of each pair."""
    return theta ** (-torch.arange(0, head_dim, 2) / head_dim)


def cos_sin(
    position_ids: Tensor,
    head_dim: int,
    theta: float,
    paces: Frequencies = frequencies,
    twice: Callable[[Tensor], Tensor] = lambda angles: torch.cat((angles, angles), -1),
) -> CosSin:
    """Cosine and sine of position · frequency, the angles laid out for the halves."""
    angles = twice(position_ids[..., None] * paces(head_dim, theta))
    return angles.cos(), angles.sin()


ANGLES_WRONGLY: dict[str, Callable[..., CosSin]] = {
    "the angles are laid out for neighbors, a a b b: for halves it is a b a b": partial(
        cos_sin, twice=lambda angles: angles.repeat_interleave(2, dim=-1)
    ),
    "pair i turns by theta^(-2i / head_dim), and here the 2 is missing": partial(
        cos_sin, paces=lambda d, theta: theta ** (-torch.arange(d // 2) / d)
    ),
    "pair i turns by theta^(-2i / head_dim), and here 2i is divided by head_dim / 2": (
        partial(cos_sin, paces=lambda d, theta: frequencies(d, theta) ** 2)
    ),
    "the frequencies rise with the pair: the exponent is negative": partial(
        cos_sin, paces=lambda d, theta: 1 / frequencies(d, theta)
    ),
    "the positions are counted from 0 in each call: position_ids says where the tokens "
    "stand": lambda ids, *rest: cos_sin(
        torch.arange(ids.shape[-1]).expand_as(ids), *rest
    ),
    "cosine and sine are exchanged": lambda *given: cos_sin(*given)[::-1],
    "the angles are rounded to bfloat16 before the cosine": lambda ids, *rest: cos_sin(
        ids.bfloat16().float(), *rest
    ),
}


@graded
def check_cos_sin(angles: Callable[[Tensor, int, float], CosSin]) -> str | None:
    """Grade `angles(position_ids, head_dim, theta)`: cos and sin in float32, (batch,
    length, head_dim), from position_ids (batch, length).
    """
    cases = {
        "positions 0 to 4": (torch.arange(5)[None], 8, 10000.0),
        "position 5, after a cache": (torch.tensor([[5]]), 8, 10000.0),
        "two texts": (torch.tensor([[0, 0, 1, 2], [0, 1, 2, 3]]), 16, 500.0),
        "positions near 300": (torch.arange(299, 304)[None], 8, 10000.0),
    }
    for where, given in cases.items():
        answer, right = angles(*given), cos_sin(*given)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            return "it should return two tensors, cos and sin"
        for name, one, other in zip(("cos", "sin"), answer, right, strict=True):
            if problem := check_tensor(f"{where}: {name}", one, other):
                return problem
        made = {name: wrong(*given) for name, wrong in ANGLES_WRONGLY.items()}
        known = {name: torch.stack(both) for name, both in made.items()}
        both = torch.stack(tuple(answer))
        if problem := check_numbers(both, torch.stack(right), known):
            return f"{where}: {problem}"
    return None


PERMUTED_WRONGLY: Wrong = {
    "the whole matrix is reordered as one head: reorder the rows head by head": (
        lambda weight, heads: half_from_interleaved(weight, 1)
    ),
    "this is the way back, from halves to neighbors": lambda weight, heads: (
        weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape)
    ),
    "the heads are exchanged with their features: cut the rows into heads first": (
        lambda weight, heads: weight.unflatten(0, (-1, heads)).mT.reshape(weight.shape)
    ),
}


@graded
def check_permuted_rows(permuted: Callable[[Tensor, int], Tensor]) -> str | None:
    """Grade `permuted(weight, num_heads)`: the rows of a q or k projection, (num_heads ·
    head_dim, hidden), from pairs of neighbors to pairs half a head apart.
    """
    cases = {
        "16 rows as 2 heads": (random(16, 6), 2),
        "16 rows as 4 heads": (random(16, 6), 4),
        "16 rows as 1 head": (random(16, 16), 1),
        "a bias, 16 numbers as 2 heads": (random(16), 2),
    }
    return check_cases(permuted, half_from_interleaved, cases, PERMUTED_WRONGLY)


def moved(key: Tensor, shift: int, theta: float) -> Tensor:
    """Every key turned back by the angles of `shift` positions."""
    back = torch.full((1, key.shape[2]), -shift)
    return apply_rope(key, *rope_cos_sin(back, key.shape[3], theta))


MOVED_WRONGLY: Wrong = {
    "the keys are moved to later positions: turn them back": lambda key, shift, theta: (
        moved(key, -shift, theta)
    ),
    "the keys are turned by angles that grow from key to key: all move by the same "
    "number of positions, so all turn by the same angles": lambda key, shift, theta: (
        apply_rope(
            key,
            *rope_cos_sin(
                torch.arange(key.shape[2])[None] - shift, key.shape[3], theta
            ),
        )
    ),
    "nothing was turned": lambda key, shift, theta: key,
}


@graded
def check_moved_keys(move: Callable[[Tensor, int, float], Tensor]) -> str | None:
    """Grade `move(key, shift, theta)`: keys (batch, kv_heads, length, head_dim) that RoPE
    has turned already, as they would be `shift` positions earlier.
    """
    cases = {
        "10 positions earlier": (random(1, 2, 5, 8), 10, 10000.0),
        "3 earlier, theta 500": (random(2, 1, 4, 16), 3, 500.0),
        "no position earlier": (random(1, 1, 3, 4), 0, 10000.0),
    }
    return check_cases(move, moved, cases, MOVED_WRONGLY)
