"""What RoPE refuses."""

from torch import Tensor


def half_from_interleaved(weight: Tensor, num_heads: int) -> None:
    """Refuse rows that are not pairs of features in each head."""
    if weight.shape[0] % (2 * num_heads):
        raise ValueError(
            f"the weight is {tuple(weight.shape)}: its {weight.shape[0]} rows are "
            f"not {num_heads} heads of an even head_dim"
        )
