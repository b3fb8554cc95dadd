"""What RMSNorm refuses."""

from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> None:
    """Refuse a weight of another width than the tokens."""
    if x.shape[-1:] != weight.shape:
        raise ValueError(
            f"x is {tuple(x.shape)} and weight {tuple(weight.shape)}: the last axis "
            f"of x must be {weight.shape[0]}"
        )
