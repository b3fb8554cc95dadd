"""Grouped-query attention: several query heads share one key/value head.

Source: Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer
Models".
"""

from einops import repeat
from jaxtyping import Float
from torch import Tensor

from companion.refusals import gqa as refusals
from companion.refusals import guarded_by


@guarded_by(refusals.repeat_kv)
def repeat_kv(
    x: Float[Tensor, "batch kv_heads length head_dim"], n_rep: int
) -> Float[Tensor, "batch kv_heads*{n_rep} length head_dim"]:
    """Repeat each key or value head for its group of `n_rep` query heads: 0 1 to 0 0 1 1.

    The copies are neighbors, because query head h belongs to key/value head h //
    n_rep.

    Raises: ValueError when `x` is not (batch, kv_heads, length, head_dim) or `n_rep`
    is below 1.
    """
    return repeat(
        x, "batch kv_heads length dim -> batch (kv_heads group) length dim", group=n_rep
    )
