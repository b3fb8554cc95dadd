"""How fast RoPE turns each pair of features, and the ways to slow it down for longer texts.

A model has seen angles only up to `original_max_position_embeddings`. Each scaling
below keeps the angles of a longer text within what was seen, at another price.
"""

import math
from dataclasses import dataclass, fields
from functools import cache

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

    def check(self, head_dim: int, theta: float) -> None:
        """Refuse heads or a theta that this scaling cannot have.

        Raises: ValueError that names what does not fit.
        """

    def max_positions(self, trained: int) -> int:
        """Tokens that a text may have where max_position_embeddings is `trained`."""
        return trained

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

    The original length only says how long a text may be; it changes no angle.

    Source: Chen et al. 2023, "Extending Context Window of Large Language Models via
    Positional Interpolation".
    """

    factor: float
    original_max_position_embeddings: int | None = None

    def max_positions(self, trained: int) -> int:
        """`factor` times the original length, which is `trained` unless given."""
        original = self.original_max_position_embeddings or trained
        return max(trained, int(self.factor * original))

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

    def check(self, head_dim: int, theta: float) -> None:
        """Refuse heads of one pair, for which the exponent below has no value."""
        if head_dim == 2:
            raise ValueError(
                "DynamicNTKScaling needs a head_dim above 2: its exponent is head_dim / "
                "(head_dim - 2)"
            )

    def max_positions(self, trained: int) -> int:
        """`factor` times the original length, or `trained` if that is more."""
        return max(trained, int(self.factor * self.original_max_position_embeddings))

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

    def check(self, head_dim: int, theta: float) -> None:
        """Refuse another number of factors than there are pairs."""
        if len(self.factors) != head_dim // 2:
            raise ValueError(
                f"FrequencyFactors has {len(self.factors)} factors and head_dim is "
                f"{head_dim}: there must be one for each of the {head_dim // 2} pairs"
            )

    def frequencies(
        self, head_dim: int, theta: float, position_ids: Int[Tensor, "*batch length"]
    ) -> Float[Tensor, " pairs"]:
        """`frequency / factors`, element by element."""
        plain = super().frequencies(head_dim, theta, position_ids)
        if torch.compiler.is_compiling():  # which looks through a cache
            return plain / torch.tensor(self.factors, device=plain.device)
        return plain / on_device(self.factors, plain.device)


@cache
def on_device(factors: tuple[float, ...], device: torch.device) -> Float[Tensor, " n"]:
    """The factors as a tensor, made once: a CUDA graph records no copy from the CPU."""
    with torch.inference_mode(False):
        return torch.tensor(factors, device=device)
