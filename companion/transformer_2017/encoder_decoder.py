"""The 2017 Transformer: its encoder layer, and its decoder layer with cross-attention.

Source: Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 to 3.5. The
projections of attention have biases, as torch's layers do and the paper's do not.
"""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion.attention import Attend, scaled_dot_product_attention
from companion.heads import MultiHeadAttention, merge_heads, split_heads
from companion.masks import causal_mask
from companion.refusals import guarded_by
from companion.refusals import transformer_2017 as refusals

SelfMask = Bool[Tensor, "*#mask #q_len #q_len"] | Float[Tensor, "*#mask #q_len #q_len"]
MemoryMask = (
    Bool[Tensor, "*#memory_mask #q_len #kv_len"]
    | Float[Tensor, "*#memory_mask #q_len #kv_len"]
)


class CrossAttention(nn.Module):
    """Queries from one sequence, keys and values from another, the *memory*.

    The keys and values do not depend on the queries: `keys_and_values` makes them
    once for a memory, `attend_to` reads them as often as there are new queries.
    `attend` is any function with the signature of `scaled_dot_product_attention`.

    Raises: ValueError when num_heads does not divide hidden_size, or memory does not
    fit the layer or the hidden states.
    Source: Vaswani et al. 2017, section 3.2.3.
    """

    @guarded_by(refusals.cross_attention)
    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        self.hidden_size, self.num_heads = hidden_size, num_heads
        self.attend = attend
        self.q_proj = nn.Linear(hidden_size, hidden_size)
        self.k_proj = nn.Linear(hidden_size, hidden_size)
        self.v_proj = nn.Linear(hidden_size, hidden_size)
        self.o_proj = nn.Linear(hidden_size, hidden_size)

    def keys_and_values(
        self, memory: Float[Tensor, "*batch kv_len hidden"]
    ) -> tuple[
        Float[Tensor, "*batch heads kv_len head_dim"],
        Float[Tensor, "*batch heads kv_len head_dim"],
    ]:
        """Keys and values of the memory, in heads."""
        key = split_heads(self.k_proj(memory), self.num_heads)
        value = split_heads(self.v_proj(memory), self.num_heads)
        return key, value

    def attend_to(
        self,
        hidden_states: Float[Tensor, "*batch q_len hidden"],
        key: Float[Tensor, "*batch heads kv_len head_dim"],
        value: Float[Tensor, "*batch heads kv_len head_dim"],
        attn_mask: MemoryMask | None = None,
    ) -> Float[Tensor, "*batch q_len hidden"]:
        """Read keys and values that are already there."""
        query = split_heads(self.q_proj(hidden_states), self.num_heads)
        output = self.attend(query, key, value, attn_mask=attn_mask)
        return self.o_proj(merge_heads(output))

    @guarded_by(refusals.attend_to_memory)
    def forward(
        self,
        hidden_states: Float[Tensor, "*batch q_len hidden"],
        memory: Float[Tensor, "*batch kv_len hidden"],
        attn_mask: MemoryMask | None = None,
    ) -> Float[Tensor, "*batch q_len hidden"]:
        """Attend to the memory: to all of it, unless a mask says otherwise."""
        key, value = self.keys_and_values(memory)
        return self.attend_to(hidden_states, key, value, attn_mask)


class TransformerEncoderLayer(nn.Module):
    """`norm(x + attention(x))`, then `norm(x + feed_forward(x))`: the shape stays.

    Every token sees every other, unless `attn_mask` (bool, True = may attend, or
    additive; it broadcasts onto (..., heads, length, length)) hides padding.

    Raises: ValueError when sizes, hidden states or mask do not fit.
    Source: Vaswani et al. 2017, sections 3.1 and 3.3, without dropout.
    """

    @guarded_by(refusals.transformer_layer)
    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        intermediate_size: int,
        *,
        eps: float = 1e-5,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        self.self_attn = MultiHeadAttention(
            hidden_size, num_heads, bias=True, attend=attend
        )
        self.linear1 = nn.Linear(hidden_size, intermediate_size)
        self.linear2 = nn.Linear(intermediate_size, hidden_size)
        self.norm1 = nn.LayerNorm(hidden_size, eps=eps)
        self.norm2 = nn.LayerNorm(hidden_size, eps=eps)

    def forward(
        self,
        hidden_states: Float[Tensor, "*batch q_len hidden"],
        attn_mask: SelfMask | None = None,
    ) -> Float[Tensor, "*batch q_len hidden"]:
        """Hidden states after both halves, each added and then normed."""
        attended = self.self_attn(hidden_states, attn_mask)
        hidden_states = self.norm1(hidden_states + attended)
        transformed = self.linear2(F.relu(self.linear1(hidden_states)))
        return self.norm2(hidden_states + transformed)


class TransformerDecoderLayer(nn.Module):
    """The encoder layer, causal, with cross-attention between its two halves.

    `memory` is the encoder's output. Without `attn_mask` the self-attention is
    causal (torch's layer then sees everything); `memory_mask` hides what is padding
    in the memory. Masks: bool, True = may attend, or additive.

    Raises: ValueError when sizes, hidden states, memory or masks do not fit.
    Source: Vaswani et al. 2017, sections 3.1 to 3.3, without dropout.
    """

    @guarded_by(refusals.transformer_layer)
    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        intermediate_size: int,
        *,
        eps: float = 1e-5,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        self.self_attn = MultiHeadAttention(
            hidden_size, num_heads, bias=True, attend=attend
        )
        self.cross_attn = CrossAttention(hidden_size, num_heads, attend=attend)
        self.linear1 = nn.Linear(hidden_size, intermediate_size)
        self.linear2 = nn.Linear(intermediate_size, hidden_size)
        self.norm1 = nn.LayerNorm(hidden_size, eps=eps)
        self.norm2 = nn.LayerNorm(hidden_size, eps=eps)
        self.norm3 = nn.LayerNorm(hidden_size, eps=eps)

    @guarded_by(refusals.decoder_layer)
    def forward(
        self,
        hidden_states: Float[Tensor, "*batch q_len hidden"],
        memory: Float[Tensor, "*batch kv_len hidden"],
        attn_mask: SelfMask | None = None,
        memory_mask: MemoryMask | None = None,
    ) -> Float[Tensor, "*batch q_len hidden"]:
        """Hidden states after the three parts, each added and then normed."""
        if attn_mask is None:
            attn_mask = causal_mask(
                hidden_states.shape[-2], device=hidden_states.device
            )
        attended = self.self_attn(hidden_states, attn_mask)
        hidden_states = self.norm1(hidden_states + attended)
        read = self.cross_attn(hidden_states, memory, memory_mask)
        hidden_states = self.norm2(hidden_states + read)
        transformed = self.linear2(F.relu(self.linear1(hidden_states)))
        return self.norm3(hidden_states + transformed)
