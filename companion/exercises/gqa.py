"""The mistake in grouped-query attention."""

from einops import repeat
from torch import Tensor

from companion.exercises.adapters import repeated_heads
from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted
from companion.gqa import repeat_kv


@imitates(
    repeat_kv,
    lambda: (random(1, 2, 5, 8), 2),
    "check_repeat_kv",
    instead_of=(repeat_kv, "(kv_heads group)"),
    planted=Planted({"companion.attention.repeat_for_query_heads": repeated_heads}),
)
def kv_tiled(x: Tensor, n_rep: int) -> Tensor:
    """Key/value heads are tiled 0 1 0 1, not repeated 0 0 1 1.

    Noise from the first token on; nothing where there is one KV head, or one for each
    query head.
    """
    return repeat(
        x,
        "batch kv_heads length dim -> batch (group kv_heads) length dim",
        group=n_rep,  # wrong
    )
