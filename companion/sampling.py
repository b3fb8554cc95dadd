"""From logits to the next token: the likeliest, or one drawn from what temperature, top-k and top-p leave."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.refusals import guarded_by
from companion.refusals import sampling as refusals

Logits = Float[Tensor, "batch vocab"]
COLDEST = 1e-30  # logits divided by less could overflow float32


@guarded_by(refusals.next_token_probabilities)
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

    Raises: ValueError for logits of other axes, a row whose largest is no number, and a
    temperature, top_k or top_p out of range.
    """
    if temperature == 0:
        likeliest = logits.argmax(dim=-1)
        return torch.nn.functional.one_hot(likeliest, logits.shape[-1]).float()
    scaled = logits.float() / max(temperature, COLDEST)
    if top_k:
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


@guarded_by(refusals.choose)
def choose(
    logits: Logits,
    temperature: float,
    generator: torch.Generator | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Int[Tensor, " batch"]:
    """The likeliest token at temperature 0, else one drawn by `next_token_probabilities`.

    The rows of a batch draw from one generator, one after the other.

    Raises: ValueError for logits that hold NaN or infinity.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]
