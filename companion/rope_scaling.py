"""How fast RoPE turns each pair of features, and the ways to slow it down for longer texts.

A model has seen angles only up to `original_max_position_embeddings`. Each scaling
below keeps the angles of a longer text within what was seen, at another price.
"""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor


def inverse_frequencies(
    head_dim: int, theta: float | Tensor, device: torch.device | None = None
) -> Float[Tensor, " pairs"]:
    """Radians per position of each pair: `theta^(-2i / head_dim)`, from 1 downwards."""
    exponent = (
        torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    )
    return 1.0 / theta**exponent


@dataclass(frozen=True)
class RopeScaling:
    """No scaling; the class that the others extend.

    `magnitude` multiplies cos and sin, and so every score by its square.

    Raises: ValueError for a number that is not above 0.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if (value is None and field.default is None) or field.type is bool:
                continue
            if type(value) not in (int, float) or not 0 < value < math.inf:
                raise ValueError(
                    f"{type(self).__name__} has {field.name} = {value!r}: it must be a "
                    "finite number greater than 0"
                )

    @property
    def magnitude(self) -> float:
        """1, which leaves cos and sin as they are."""
        return 1.0

    def frequencies(
        self, head_dim: int, theta: float, position_ids: Int[Tensor, "*batch length"]
    ) -> Float[Tensor, " pairs"]:
        """Radians per position of each pair, for a text at these positions."""
        return inverse_frequencies(head_dim, theta, position_ids.device)


@dataclass(frozen=True)
class LinearScaling(RopeScaling):
    """Position interpolation: every pair turns `factor` times slower.

    Source: Chen et al. 2023, "Extending Context Window of Large Language Models via
    Positional Interpolation".
    """

    factor: float

    def frequencies(
        self, head_dim: int, theta: float, position_ids: Int[Tensor, "*batch length"]
    ) -> Float[Tensor, " pairs"]:
        """`frequency / factor`, as if the positions were 1/factor apart."""
        return super().frequencies(head_dim, theta, position_ids) / self.factor


@dataclass(frozen=True)
class DynamicNTKScaling(RopeScaling):
    """A larger theta once the text is longer than the original length, growing with it.

    Raises: ValueError for a number that is not above 0.
    Source: bloc97 and emozilla 2023, as described in Peng et al. 2023, "YaRN: Efficient
    Context Window Extension of Large Language Models", section 3.
    """

    factor: float
    original_max_position_embeddings: int

    def frequencies(
        self, head_dim: int, theta: float, position_ids: Int[Tensor, "*batch length"]
    ) -> Float[Tensor, " pairs"]:
        """Plain frequencies of `theta · (factor·length/original - (factor-1))^(d/(d-2))`.

        The length is the largest position plus one: with a cache, keys keep the
        frequencies of the length at which they were stored.
        """
        if not position_ids.numel():
            return super().frequencies(head_dim, theta, position_ids)
        original = self.original_max_position_embeddings
        length = (position_ids.max() + 1).clamp(min=original)
        stretch = self.factor * length / original - (self.factor - 1)
        theta_now = theta * stretch ** (head_dim / (head_dim - 2))
        return inverse_frequencies(head_dim, theta_now, position_ids.device)


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
    rope_type "llama3".
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

    def frequencies(
        self, head_dim: int, theta: float, position_ids: Int[Tensor, "*batch length"]
    ) -> Float[Tensor, " pairs"]:
        """`(1 - stay) · frequency / factor + stay · frequency`, stay from 0 to 1."""
        plain = super().frequencies(head_dim, theta, position_ids)
        turns = self.original_max_position_embeddings / (2 * math.pi / plain)
        width = self.high_freq_factor - self.low_freq_factor
        stay = ((turns - self.low_freq_factor) / width).clamp(0, 1)
        return (1 - stay) * plain / self.factor + stay * plain


@dataclass(frozen=True)
class FrequencyFactors(RopeScaling):
    """Each pair turns slower by a factor of its own: how a GGUF stores Llama 3's scaling.

    Raises: ValueError when a factor is not above 0.
    """

    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.factors, tuple):
            raise ValueError(
                f"FrequencyFactors takes a tuple and got a {type(self.factors).__name__}"
                ": tuple(factors)?"
            )
        wrong = [factor for factor in self.factors if not 0 < factor < math.inf]
        if wrong:
            raise ValueError(
                f"FrequencyFactors has {wrong[0]}: every factor must be a finite "
                "number greater than 0"
            )

    def frequencies(
        self, head_dim: int, theta: float, position_ids: Int[Tensor, "*batch length"]
    ) -> Float[Tensor, " pairs"]:
        """`frequency / factors`, element by element."""
        plain = super().frequencies(head_dim, theta, position_ids)
        return plain / torch.tensor(self.factors, device=plain.device)


def yarn_magnitude(factor: float, mscale: float = 1.0) -> float:
    """YaRN's `0.1 · mscale · ln(factor) + 1`, and 1 where nothing is stretched."""
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0
