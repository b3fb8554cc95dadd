"""Scalings that slow only the slow pairs of RoPE, with a ramp from those that stay.

A pair that turned many times over the original length has shown all its angles, and
stays as it is; one that never came round is slowed, so that it meets no new ones.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.rope_scaling.scaling import RopeScaling


@dataclass(frozen=True)
class YarnScaling(RopeScaling):
    """Fast pairs stay, slow pairs turn `factor` times slower, a ramp lies between.

    `beta_fast` and `beta_slow` are turns over the original length: a pair that makes
    more than beta_fast stays, one that makes fewer than beta_slow is slowed.
    `truncate` rounds the ends of the ramp to whole pairs. `attention_factor` is
    0.1·ln(factor) + 1 unless given.

    Raises: ValueError for a number that is not above 0, and beta_fast <= beta_slow.
    Source: Peng et al. 2023, "YaRN: Efficient Context Window Extension of Large
    Language Models", section 3.
    """

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta_fast <= self.beta_slow:
            raise ValueError(
                f"YarnScaling has beta_fast {self.beta_fast} and beta_slow "
                f"{self.beta_slow}: beta_fast must be the larger"
            )

    def check(self, head_dim: int, theta: float) -> None:
        """Refuse a theta with which no pair turns slower than another."""
        if theta <= 1:
            raise ValueError(
                f"YarnScaling needs a rope_theta above 1 and it is {theta}: with it no "
                "pair turns slower than another"
            )

    def max_positions(self, trained: int) -> int:
        """`factor` times the original length, or `trained` if that is more."""
        return max(trained, int(self.factor * self.original_max_position_embeddings))

    @property
    def magnitude(self) -> float:
        """`attention_factor`, or the paper's 0.1·ln(factor) + 1."""
        if self.attention_factor is not None:
            return self.attention_factor
        return yarn_magnitude(self.factor)

    def frequencies(
        self, head_dim: int, theta: float, position_ids: Int[Tensor, "*batch length"]
    ) -> Float[Tensor, " pairs"]:
        """`(1 - ramp) · frequency + ramp · frequency / factor`, a ramp over the pairs."""

        def pair_with(turns: float) -> float:
            """Index of the pair that makes this many turns over the original length."""
            wavelength = self.original_max_position_embeddings / (turns * 2 * math.pi)
            return head_dim * math.log(wavelength) / (2 * math.log(theta))

        low, high = pair_with(self.beta_fast), pair_with(self.beta_slow)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, head_dim - 1)
        pair = torch.arange(
            head_dim // 2, dtype=torch.float32, device=position_ids.device
        )
        ramp = ((pair - low) / (high - low or 0.001)).clamp(0, 1)
        plain = super().frequencies(head_dim, theta, position_ids)
        return (1 - ramp) * plain + ramp * plain / self.factor


@dataclass(frozen=True)
class Llama3Scaling(RopeScaling):
    """YaRN's idea as Llama 3.1 has it: the ramp runs over turns, and cos and sin stay.

    A pair whose wavelength fits `high_freq_factor` times into the original length
    stays; one that does not fit `low_freq_factor` times is slowed by `factor`.

    Raises: ValueError for a number that is not above 0, and high_freq_factor <=
    low_freq_factor.
    Source: apply_scaling in Meta's llama_models reference code; Hugging Face's
    `rope_type` `"llama3"`.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.high_freq_factor <= self.low_freq_factor:
            raise ValueError(
                f"Llama3Scaling has high_freq_factor {self.high_freq_factor} and "
                f"low_freq_factor {self.low_freq_factor}: high_freq_factor must be "
                "the larger"
            )

    def max_positions(self, trained: int) -> int:
        """`trained`, which Meta's configs have stretched, unless it is the original length:
        then `factor` times that.
        """
        original = self.original_max_position_embeddings
        return (
            trained if trained > original else max(trained, int(self.factor * original))
        )

    def frequencies(
        self, head_dim: int, theta: float, position_ids: Int[Tensor, "*batch length"]
    ) -> Float[Tensor, " pairs"]:
        """`(1 - stay) · frequency / factor + stay · frequency`, stay from 0 to 1."""
        plain = super().frequencies(head_dim, theta, position_ids)
        turns = self.original_max_position_embeddings / (2 * math.pi / plain)
        width = self.high_freq_factor - self.low_freq_factor
        stay = ((turns - self.low_freq_factor) / width).clamp(0, 1)
        return (1 - stay) * plain / self.factor + stay * plain


def yarn_magnitude(factor: float, mscale: float = 1.0) -> float:
    """YaRN's `0.1 · mscale · ln(factor) + 1`, and 1 where nothing is stretched."""
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0
