"""What any form gives, whoever wrote it: tokens with their times, and logits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Written:
    """New tokens, of a batch step by step; the seconds until the first, and from there to
    the last.
    """

    tokens: list[int]
    prefill: float
    decode: float


Write = Callable[[list[int], int], Written]


def written(tokens: list[int], times: list[float]) -> Written:
    """From the clock's reading at the start and after each token."""
    return Written(tokens, times[1] - times[0], times[-1] - times[1])


def check_tokens(tokens: dict[str, list[int]], reference: str) -> None:
    """Refuse figures of a form of ours that does not write the reference's tokens.

    Raises:
        ValueError: names the form and the first token that differs.
    """
    expected = tokens[reference]
    for name, found in tokens.items():
        if name.startswith("companion") and found != expected:
            pairs = zip(found, expected, strict=False)
            at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(found))
            raise ValueError(
                f"{name} leaves the tokens of {reference} at new token {at}: its speed "
                "does not count"
            )


def distance(found: torch.Tensor, expected: torch.Tensor) -> dict[str, float]:
    """Mean cosine of the rows of two tables of logits, and their largest difference."""
    return {
        "cosine": torch.cosine_similarity(found, expected, dim=-1).mean().item(),
        "max_difference": (found - expected).abs().max().item(),
    }


def perplexity(logits: torch.Tensor, following: torch.Tensor) -> float:
    """`exp` of the mean cross-entropy of what follows each row of logits."""
    return F.cross_entropy(logits, following).exp().item()
