"""From logits to the next token: the likeliest, or one drawn from what temperature, top-k and top-p leave."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Logits = Float[Tensor, "batch vocab"]
COLDEST = 1e-30  # logits divided by less could overflow float32


def next_token_probabilities(
    logits: Logits,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "batch vocab"]:
    """`softmax(logits / temperature)` over the tokens that top-k and then top-p leave.

    In float32; at temperature 0, where that tends, all goes to the likeliest token. A
    temperature between 0 and 1e-30 counts as 1e-30.
    Both limits see what is left of the one before: Hugging Face's order.

    Raises: ValueError for logits of other axes, and a temperature, top_k or top_p out
    of range.
    """
    check_logits(logits)
    check_sampling(temperature, top_k, top_p)
    if temperature == 0:
        likeliest = logits.argmax(dim=-1)
        return torch.nn.functional.one_hot(likeliest, logits.shape[-1]).float()
    scaled = logits.float() / max(temperature, COLDEST)
    if top_k is not None:
        scaled = scaled.masked_fill(~among_top_k(scaled, top_k), -math.inf)
    if top_p is not None:
        scaled = scaled.masked_fill(~among_top_p(scaled, top_p), -math.inf)
    return torch.softmax(scaled, dim=-1)


def among_top_k(logits: Logits, top_k: int) -> Bool[Tensor, "batch vocab"]:
    """The `top_k` largest logits, and any that equal the smallest of them.

    Source: Fan et al. (2018), Hierarchical Neural Story Generation, section 5.4.
    """
    largest = logits.topk(min(top_k, logits.shape[-1])).values
    return logits >= largest[:, -1:]


def among_top_p(logits: Logits, top_p: float) -> Bool[Tensor, "batch vocab"]:
    """The fewest likeliest tokens whose probabilities sum to `top_p` or more.

    At least one stays. The sum runs from the least likely up, as in Hugging Face's, so
    that the float error is in the tail: gone is who, with all below, has at most 1 -
    top_p.

    Source: Holtzman et al. (2020), The Curious Case of Neural Text Degeneration,
    section 3.1.
    """
    ascending, order = logits.sort(dim=-1)
    kept = ascending.softmax(dim=-1).cumsum(dim=-1) > 1 - top_p
    kept[:, -1] = True
    return kept.scatter(-1, order, kept)


def choose(
    logits: Logits,
    temperature: float,
    generator: torch.Generator | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Int[Tensor, " batch"]:
    """The likeliest token at temperature 0, else one drawn by `next_token_probabilities`.

    The rows of a batch draw from one generator, one after the other.

    Raises: ValueError for logits to draw from that hold NaN or infinity.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
    if probabilities.isnan().any():
        raise ValueError(
            f"the logits of the next token ({logits.dtype}) hold NaN or infinity, and "
            "nothing can be drawn from them: look for NaN in the weights, or load the "
            "model with dtype=torch.float32"
        )
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


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
    if top_k is not None and (
        not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1
    ):
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


def is_number(value: object) -> bool:
    """Whether a value is an int or a float, and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)
