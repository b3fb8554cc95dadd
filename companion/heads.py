"""Multi-head attention: cut the last axis into heads, attend in all, join them again.

Source: Vaswani et al. 2017, section 3.2.2.
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion.attention import Attend, scaled_dot_product_attention


def split_heads(
    x: Float[Tensor, "*batch length hidden"], num_heads: int
) -> Float[Tensor, "*batch {num_heads} length hidden//{num_heads}"]:
    """Cut the last axis into `num_heads` pieces and bring them before the length.

    Head h takes features h·head_dim to (h+1)·head_dim of every token; nothing is
    computed.

    Raises: ValueError when `num_heads` does not divide the last axis.
    """
    if x.ndim < 2:
        raise ValueError(
            f"x is {tuple(x.shape)}: split_heads needs the axes (..., length, hidden)"
        )
    if num_heads < 1 or x.shape[-1] % num_heads:
        raise ValueError(
            f"the last axis has {x.shape[-1]} features, which {num_heads} heads do "
            f"not divide (x {tuple(x.shape)}): hidden must be num_heads * head_dim"
        )
    return rearrange(
        x, "... length (heads head_dim) -> ... heads length head_dim", heads=num_heads
    )


def merge_heads(
    x: Float[Tensor, "*batch heads length head_dim"],
) -> Float[Tensor, "*batch length heads*head_dim"]:
    """Undo `split_heads`: each token's heads side by side again, head 0 first.

    Raises: ValueError when there is no heads axis.
    """
    if x.ndim < 3:
        raise ValueError(
            f"x is {tuple(x.shape)}: merge_heads needs the axes (..., heads, length, "
            "head_dim)"
        )
    return rearrange(x, "... heads length head_dim -> ... length (heads head_dim)")


def attend_head_by_head(
    query: Float[Tensor, "*batch q_len hidden"],
    key: Float[Tensor, "*batch kv_len hidden"],
    value: Float[Tensor, "*batch kv_len hidden"],
    num_heads: int,
) -> Float[Tensor, "*batch q_len hidden"]:
    """Multi-head attention as the paper writes it: one head after the other, joined.

    The slow spelling of `merge_heads(attention(split_heads(query), split_heads(key),
    split_heads(value)))`.
    """
    head_dim = query.shape[-1] // num_heads
    outputs = []
    for head in range(num_heads):
        columns = slice(head * head_dim, (head + 1) * head_dim)
        outputs.append(
            scaled_dot_product_attention(
                query[..., columns], key[..., columns], value[..., columns]
            )
        )
    return torch.cat(outputs, dim=-1)


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
        if num_heads < 1 or (head_dim is None and hidden_size % num_heads):
            raise ValueError(
                f"hidden_size {hidden_size} is not a multiple of num_heads "
                f"{num_heads}: choose a num_heads that divides it, or give head_dim"
            )
        width = num_heads * (head_dim or hidden_size // num_heads)
        self.num_heads = num_heads
        self.attend = attend
        self.q_proj = nn.Linear(hidden_size, width, bias=bias)
        self.k_proj = nn.Linear(hidden_size, width, bias=bias)
        self.v_proj = nn.Linear(hidden_size, width, bias=bias)
        self.o_proj = nn.Linear(width, hidden_size, bias=bias)

    def forward(
        self,
        hidden_states: Float[Tensor, "*batch length hidden_size"],
        attn_mask: Bool[Tensor, "*#mask #length #length"]
        | Float[Tensor, "*#mask #length #length"]
        | None = None,
        is_causal: bool = False,
    ) -> Float[Tensor, "*batch length hidden_size"]:
        """Attend to the tokens themselves, under a mask if there is one."""
        check_hidden_size(hidden_states, self.q_proj.in_features)
        query = split_heads(self.q_proj(hidden_states), self.num_heads)
        key = split_heads(self.k_proj(hidden_states), self.num_heads)
        value = split_heads(self.v_proj(hidden_states), self.num_heads)
        output = self.attend(
            query, key, value, attn_mask=attn_mask, is_causal=is_causal
        )
        return self.o_proj(merge_heads(output))


def check_hidden_size(hidden_states: Tensor, hidden_size: int) -> None:
    """Refuse hidden states whose last axis is not the layer's hidden_size."""
    if hidden_states.ndim < 2 or hidden_states.shape[-1] != hidden_size:
        raise ValueError(
            f"hidden_states is {tuple(hidden_states.shape)} and the layer's "
            f"hidden_size is {hidden_size}: it needs the axes (..., length, "
            "hidden_size)"
        )
