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
    """Refuse logits of other axes or of no numbers, and options out of range."""
    check_logits(logits)
    check_sampling(temperature, top_k, top_p, logits.shape[-1])
    check_chosen_from(logits)


def choose(
    logits: Tensor,
    temperature: float,
    generator: torch.Generator | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
) -> None:
    """Refuse logits without a likeliest; those to draw from, their probabilities refuse."""
    if temperature == 0:
        check_logits(logits)
        check_chosen_from(logits)


def check_logits(logits: Tensor) -> None:
    """Refuse logits that are not (batch, vocab)."""
    if logits.ndim != 2:
        raise ValueError(
            f"logits is {tuple(logits.shape)}: it must be (batch, vocab); of a model's "
            "logits (batch, length, vocab) take the last row, logits[:, -1]"
        )


def check_sampling(
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
    vocab_size: int | float = math.inf,
) -> None:
    """Refuse what cannot be sampled by, and beside temperature 0 what would limit a draw.

    Raises: ValueError that names the option and its range.
    """
    if not is_number(temperature) or not 0 <= temperature < math.inf:
        raise ValueError(
            f"temperature is {temperature!r}: it must be a number that is not "
            "negative, 0 for the likeliest token"
        )
    if top_k is not None and (not is_integer(top_k) or top_k < 0):
        raise ValueError(
            f"top_k is {top_k!r}: it must be an integer, 1 or more, or 0 or None to "
            "keep every token"
        )
    if top_p is not None and (not is_number(top_p) or not 0 < top_p <= 1):
        raise ValueError(
            f"top_p is {top_p!r}: it must be above 0 and at most 1, or None to keep "
            "every token"
        )
    limited = 0 < (top_k or 0) < vocab_size or (top_p is not None and top_p < 1)
    if temperature == 0 and limited:
        raise ValueError(
            f"temperature is 0, which takes the likeliest token whatever top_k "
            f"({top_k}) and top_p ({top_p}) are: set a temperature above 0, or leave "
            "them out"
        )


def check_chosen_from(logits: Tensor) -> None:
    """Refuse a row whose largest logit is no number: NaN makes it NaN, and where all is
    -inf no token is left.

    Raises: ValueError that names the row, and says where to look.
    """
    if torch.compiler.is_compiling() or logits.is_meta:
        return
    largest = logits.amax(dim=-1)
    wrong = ~largest.isfinite()
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"the largest logit of the next token is {largest[row].item()}, in row {row} of "
            f"{len(logits)}, {logits.dtype}, and NaN or infinity choose no token: "
            f"{where_to_look(logits.dtype)}"
        )


def where_to_look(dtype: torch.dtype) -> str:
    """What to do about logits that are no numbers."""
    if dtype == torch.float16:
        return (
            "float16 ends at 65504; load the model with dtype=torch.bfloat16 or "
            "torch.float32, and let no torch.autocast make it float16"
        )
    return (
        "look for them in the weights, [name for name, x in model.named_parameters() "
        "if not x.isfinite().all()], or in what was done to the logits"
    )
