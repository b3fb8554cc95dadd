"""The mistakes in splitting heads."""

from einops import rearrange
from torch import Tensor

from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted, as_it_is
from companion.heads import split_heads


def heads_arguments() -> tuple[Tensor, int]:
    """X (1, 5, 8) for two heads."""
    return random(1, 5, 8), 2


@imitates(
    split_heads,
    heads_arguments,
    "check_split_heads",
    instead_of=(split_heads, "(heads head_dim)"),
    planted=Planted({"companion.decoder.split_heads": as_it_is}),
)
def heads_by_view(x: Tensor, num_heads: int) -> Tensor:
    """The heads are made by one reshape to (batch, heads, length, head_dim), without a
    transpose.

    A text of one token is right, and every longer one is noise.
    """
    batch, length, hidden = x.shape
    return x.reshape(batch, num_heads, length, hidden // num_heads)  # wrong


@imitates(
    split_heads,
    heads_arguments,
    "check_split_heads",
    instead_of=(split_heads, "(heads head_dim)"),
    planted=Planted({"companion.decoder.split_heads": as_it_is}),
)
def heads_interleaved(x: Tensor, num_heads: int) -> Tensor:
    """Head h takes every num_heads-th feature, not a run of neighbors.

    Noise or one character from the first token on, for a text of one token too: each head
    has features of all heads.
    """
    return rearrange(
        x,
        "... length (head_dim heads) -> ... heads length head_dim",
        heads=num_heads,  # wrong
    )
