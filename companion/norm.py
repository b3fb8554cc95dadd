"""RMSNorm: divide each token by its root mean square, then scale each feature.

Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", equation (4).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.refusals import guarded_by
from companion.refusals import norm as refusals


@guarded_by(refusals.rms_norm)
def rms_norm(
    x: Float[Tensor, "*batch hidden"], weight: Float[Tensor, " hidden"], eps: float
) -> Float[Tensor, "*batch hidden"]:
    """`x / sqrt(mean(x²) + eps) · weight`, the mean over the last axis.

    Computed in float32 (float64 stays) and cast back *before* the weight multiplies,
    as the reference implementation does: in bfloat16 the other order gives other
    numbers.

    Raises: ValueError when `x` and `weight` differ in their last axis.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    normed = wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + eps)
    return weight * normed.to(x.dtype)


class LlamaRMSNorm(nn.Module):
    """`rms_norm` with a learned weight, one number for each feature."""

    def __init__(self, hidden_size: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps = eps

    def forward(
        self, hidden_states: Float[Tensor, "*batch hidden"]
    ) -> Float[Tensor, "*batch hidden"]:
        """Norm each token by itself."""
        return rms_norm(hidden_states, self.weight, self.eps)
