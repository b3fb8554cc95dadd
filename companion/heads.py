"""Multi-head attention: cut the last axis into heads, attend in all, join them again.

Source: Vaswani et al. 2017, section 3.2.2.
"""

from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion.attention import Attend, scaled_dot_product_attention
from companion.refusals import guarded_by
from companion.refusals import heads as refusals


@guarded_by(refusals.split_heads)
def split_heads(
    x: Float[Tensor, "*batch length hidden"], num_heads: int
) -> Float[Tensor, "*batch {num_heads} length hidden//{num_heads}"]:
    """Cut the last axis into `num_heads` pieces and bring them before the length.

    Head h takes features h·head_dim to (h+1)·head_dim of every token; nothing is
    computed.

    Raises: ValueError when `num_heads` does not divide the last axis.
    """
    return rearrange(
        x, "... length (heads head_dim) -> ... heads length head_dim", heads=num_heads
    )


@guarded_by(refusals.merge_heads)
def merge_heads(
    x: Float[Tensor, "*batch heads length head_dim"],
) -> Float[Tensor, "*batch length heads*head_dim"]:
    """Undo `split_heads`: each token's heads side by side again, head 0 first.

    Raises: ValueError when there is no heads axis.
    """
    return rearrange(x, "... heads length head_dim -> ... length (heads head_dim)")


class MultiHeadAttention(nn.Module):
    """Self-attention in `num_heads` subspaces, mixed by W_o.

    `head_dim` is hidden_size / num_heads unless given; `attend` is any function with
    the signature of `scaled_dot_product_attention`. Like nn.Linear everywhere, the
    weights are stored (out, in).

    Raises: ValueError when `num_heads` does not divide `hidden_size` and no
    `head_dim` is given.
    Source: Vaswani et al. 2017, section 3.2.2. The projections have no bias unless
    `bias=True`.
    """

    @guarded_by(refusals.multi_head_attention)
    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        head_dim: int | None = None,
        bias: bool = False,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        width = num_heads * (head_dim or hidden_size // num_heads)
        self.hidden_size, self.num_heads = hidden_size, num_heads
        self.attend = attend
        self.q_proj = nn.Linear(hidden_size, width, bias=bias)
        self.k_proj = nn.Linear(hidden_size, width, bias=bias)
        self.v_proj = nn.Linear(hidden_size, width, bias=bias)
        self.o_proj = nn.Linear(width, hidden_size, bias=bias)

    @guarded_by(refusals.self_attention)
    def forward(
        self,
        hidden_states: Float[Tensor, "*batch length hidden_size"],
        attn_mask: Bool[Tensor, "*#mask #length #length"]
        | Float[Tensor, "*#mask #length #length"]
        | None = None,
        is_causal: bool = False,
    ) -> Float[Tensor, "*batch length hidden_size"]:
        """Attend to the tokens themselves, under a mask if there is one."""
        query = split_heads(self.q_proj(hidden_states), self.num_heads)
        key = split_heads(self.k_proj(hidden_states), self.num_heads)
        value = split_heads(self.v_proj(hidden_states), self.num_heads)
        output = self.attend(
            query, key, value, attn_mask=attn_mask, is_causal=is_causal
        )
        return self.o_proj(merge_heads(output))
