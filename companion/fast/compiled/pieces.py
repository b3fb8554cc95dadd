"""The two programs of a prefill: what a layer computes before it attends, and after.

They know tokens and no sequences: all that stands around attention is done to each token
by itself. Their number is a symbol, so that any batch of any length is the same program.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.config import LlamaConfig
from companion.decoder import LlamaDecoderLayer
from companion.fast.compiled.programs import ANY, Program
from companion.heads import merge_heads, split_heads

TOKENS = 6  # in the examples, and not 1, which would be taken for an axis to broadcast

Rows = Float[Tensor, "tokens width"]


class BeforeAttention(nn.Module):
    """Norm, projections and RoPE."""

    def __init__(self, layer: LlamaDecoderLayer):
        super().__init__()
        self.norm, self.attention = layer.input_layernorm, layer.self_attn

    def forward(
        self, hidden_states: Rows, cos: Rows, sin: Rows
    ) -> tuple[Rows, Rows, Rows]:
        """Queries, keys and values of each token, heads side by side."""
        attention, normed = self.attention, self.norm(hidden_states)[None]
        query = split_heads(attention.q_proj(normed), attention.num_heads)
        key = split_heads(attention.k_proj(normed), attention.num_kv_heads)
        query, key = attention.rotate(query, key, cos[None], sin[None])
        value = attention.v_proj(normed)
        query, key, value = merge_heads(query)[0], merge_heads(key)[0], value[0]
        return query.contiguous(), key.contiguous(), value.contiguous()


class AfterAttention(nn.Module):
    """What attention read is added, and then what the feed-forward makes of it."""

    def __init__(self, layer: LlamaDecoderLayer):
        super().__init__()
        self.o_proj = layer.self_attn.o_proj
        self.norm, self.mlp = layer.post_attention_layernorm, layer.mlp

    def forward(self, hidden_states: Rows, attended: Rows) -> Rows:
        """Hidden states with the layer's two halves added to them."""
        hidden_states = hidden_states + self.o_proj(attended)
        return (hidden_states + self.mlp(self.norm(hidden_states))).contiguous()


def before_program(
    module: BeforeAttention, config: LlamaConfig, dtype: torch.dtype
) -> Program:
    """What a layer computes before it attends."""
    widths = config.hidden_size, config.head_dim, config.head_dim
    return Program(module, *rows(*widths, dtype=dtype))


def after_program(
    module: AfterAttention, config: LlamaConfig, dtype: torch.dtype
) -> Program:
    """What a layer computes after it attended."""
    widths = config.hidden_size, config.num_attention_heads * config.head_dim
    return Program(module, *rows(*widths, dtype=dtype))


def rows(
    *widths: int, dtype: torch.dtype
) -> tuple[tuple[Tensor, ...], tuple[dict[int, object], ...]]:
    """An example of rows of each width, and their symbols."""
    examples = tuple(torch.zeros(TOKENS, width, dtype=dtype) for width in widths)
    return examples, tuple({0: ANY} for _ in widths)
