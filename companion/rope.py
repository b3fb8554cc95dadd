"""Rotary position embedding: turn pairs of features by angles that grow with position.

Source: Su et al. 2021, "RoFormer", section 3.2.2, equation (34). The paper pairs
features (0, 1), (2, 3) ...; Hugging Face's checkpoints pair (0, d/2), (1, d/2 + 1)
..., the "rotate-half" form used here.
"""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.config import HuggingFaceConfig, LlamaConfig, as_config
from companion.refusals import guarded_by
from companion.refusals import rope as refusals
from companion.rope_scaling import RopeScaling


def rope_cos_sin(
    position_ids: Int[Tensor, "*batch length"],
    head_dim: int,
    theta: float,
    dtype: torch.dtype = torch.float32,
    scaling: RopeScaling | None = None,
) -> tuple[
    Float[Tensor, "*batch length {head_dim}"], Float[Tensor, "*batch length {head_dim}"]
]:
    """Cosine and sine of every position's angles, once for either half of a head.

    The angles are computed in float32, where neighboring positions stay apart, and
    cast to `dtype` last. `scaling` changes the frequencies for longer texts.
    """
    scaling = scaling or RopeScaling()
    frequencies = scaling.frequencies(head_dim, theta, position_ids)
    angles = position_ids[..., None].float() * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    cos, sin = angles.cos() * scaling.magnitude, angles.sin() * scaling.magnitude
    return cos.to(dtype), sin.to(dtype)


def rotate_half(
    x: Float[Tensor, "*batch head_dim"],
) -> Float[Tensor, "*batch head_dim"]:
    """A quarter turn of every pair: the halves (x₁, x₂) become (-x₂, x₁)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def apply_rope(
    x: Float[Tensor, "batch heads length head_dim"],
    cos: Float[Tensor, "#batch length head_dim"],
    sin: Float[Tensor, "#batch length head_dim"],
) -> Float[Tensor, "batch heads length head_dim"]:
    """`x · cos + rotate_half(x) · sin` in the dtype of `x`: each pair turned by its angle,
    in all heads.
    """
    cos, sin = cos[:, None], sin[:, None]
    return (x * cos + rotate_half(x) * sin).to(x.dtype)


@guarded_by(refusals.half_from_interleaved)
def half_from_interleaved(
    weight: Float[Tensor, "rows *columns"], num_heads: int
) -> Float[Tensor, "rows *columns"]:
    """Reorder the rows of a q or k projection from pairs (0, 1) to pairs (0, d/2).

    Llama GGUF files store the first order. Queries and keys are permuted alike, so
    their products do not change.

    Raises: ValueError when the rows are not `num_heads` heads of an even head_dim.
    """
    return rearrange(
        weight, "(heads pair two) ... -> (heads two pair) ...", heads=num_heads, two=2
    )


class LlamaRotaryEmbedding(nn.Module):
    """`rope_cos_sin` for a config; `x` only gives the dtype. Holds no tensors."""

    def __init__(self, config: LlamaConfig | HuggingFaceConfig):
        super().__init__()
        config = as_config(config)
        self.head_dim, self.theta = config.head_dim, config.rope_theta
        self.scaling = config.rope_scaling

    def forward(
        self, x: Float[Tensor, "..."], position_ids: Int[Tensor, "batch length"]
    ) -> tuple[
        Float[Tensor, "batch length head_dim"], Float[Tensor, "batch length head_dim"]
    ]:
        """Cosine and sine of these positions, in the dtype of `x`."""
        return rope_cos_sin(
            position_ids, self.head_dim, self.theta, x.dtype, self.scaling
        )
