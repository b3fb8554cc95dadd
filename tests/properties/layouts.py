"""The same tensor elsewhere in memory: transposed, cut out, expanded."""

import torch
from torch import Tensor


def transposed(x: Tensor) -> Tensor:
    return x.mT.contiguous().mT


def as_split_from_tokens(x: Tensor) -> Tensor:
    """The heads side by side in each token, as `split_heads` leaves them."""
    return x.transpose(-3, -2).contiguous().transpose(-3, -2) if x.ndim > 2 else x


def every_second(x: Tensor) -> Tensor:
    wide = x.new_full((*x.shape[:-1], 2 * x.shape[-1]), 7)
    wide[..., ::2] = x
    return wide[..., ::2]


def part_of_more_rows(x: Tensor) -> Tensor:
    """As the filled part of a cache lies in it."""
    more = x.new_full((*x.shape[:-2], x.shape[-2] + 3, x.shape[-1]), 7)
    more[..., 1:-2, :] = x
    return more[..., 1:-2, :]


def one_place_on(x: Tensor) -> Tensor:
    """Where no address is a multiple of what a vector instruction reads."""
    return torch.cat([x.new_zeros(1), x.flatten()])[1:].view(x.shape)


def one_row_for_all(x: Tensor) -> Tensor:
    """Expanded: the first row stands in memory once, with a stride of 0."""
    return x[..., :1, :].expand(x.shape)


def one_head_for_all(x: Tensor) -> Tensor:
    return x[..., :1, :, :].expand(x.shape) if x.ndim > 2 else x


LAYOUTS = (
    transposed,
    as_split_from_tokens,
    every_second,
    part_of_more_rows,
    one_place_on,
    one_row_for_all,
    one_head_for_all,
)
