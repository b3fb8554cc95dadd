"""What drawing the next token refuses."""

import math

import torch
from torch import Tensor

from companion.refusals.numbers import is_integer, is_number


def next_token_probabilities(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> None:
    """Refuse logits of other axes, and options out of range."""
    check_logits(logits)
    check_sampling(temperature, top_k, top_p)


def check_logits(logits: Tensor) -> None:
    """Refuse logits that are not (batch, vocab)."""
    if logits.ndim != 2:
        raise ValueError(
            f"logits is {tuple(logits.shape)}: it must be (batch, vocab); of a model's "
            "logits (batch, length, vocab) take the last row, logits[:, -1]"
        )


def check_sampling(
    temperature: float, top_k: int | None = None, top_p: float | None = None
) -> None:
    """Refuse what cannot be sampled by.

    Raises: ValueError that names the option and its range.
    """
    if not is_number(temperature) or not 0 <= temperature < math.inf:
        raise ValueError(
            f"temperature is {temperature!r}: it must be a number that is not "
            "negative, 0 for the likeliest token"
        )
    if top_k is not None and (not is_integer(top_k) or top_k < 1):
        raise ValueError(
            f"top_k is {top_k!r}: it must be an integer, 1 or more, or None to keep "
            "every token"
        )
    if top_p is not None and (not is_number(top_p) or not 0 < top_p <= 1):
        raise ValueError(
            f"top_p is {top_p!r}: it must be above 0 and at most 1, or None to keep "
            "every token"
        )
    if temperature == 0 and (top_k is not None or top_p is not None):
        raise ValueError(
            f"temperature is 0, which takes the likeliest token whatever top_k "
            f"({top_k}) and top_p ({top_p}) are: set a temperature above 0, or leave "
            "them out"
        )


def check_drawable(probabilities: Tensor, dtype: torch.dtype) -> None:
    """Refuse probabilities that are no numbers, as NaN among the logits makes them all."""
    if probabilities.isnan().any():
        raise ValueError(
            f"the logits of the next token ({dtype}) hold NaN or infinity, and "
            "nothing can be drawn from them: look for NaN in the weights, or load the "
            "model with dtype=torch.float32"
        )
