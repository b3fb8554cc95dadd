"""What grouped-query attention refuses."""

from torch import Tensor


def repeat_kv(x: Tensor, n_rep: int) -> None:
    """Refuse what has no heads to repeat."""
    if x.ndim != 4 or n_rep < 1:
        raise ValueError(
            f"x is {tuple(x.shape)} and n_rep {n_rep}: x must be (batch, kv_heads, "
            "length, head_dim) and n_rep = q_heads / kv_heads at least 1"
        )
