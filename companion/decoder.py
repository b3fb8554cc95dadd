"""The Llama decoder layer: attention and feed-forward on a residual stream.

Source: Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models",
section 2.2; names and calling convention of Hugging Face's modeling_llama.py.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.attention import Attend, scaled_dot_product_attention
from companion.cache import Cache
from companion.config import LlamaConfig
from companion.heads import check_hidden_size, merge_heads, split_heads
from companion.masks import causal_mask
from companion.mlp import LlamaMLP
from companion.norm import LlamaRMSNorm
from companion.rope import LlamaRotaryEmbedding, apply_rope

PositionEmbeddings = tuple[
    Float[Tensor, "#batch q_len head_dim"], Float[Tensor, "#batch q_len head_dim"]
]
Mask = Bool[Tensor, "*#mask #q_len #kv_len"] | Float[Tensor, "*#mask #q_len #kv_len"]


class LlamaAttention(nn.Module):
    """Grouped-query self-attention with RoPE, through a cache if there is one.

    `attend` is any function with the signature of `scaled_dot_product_attention`.
    Without a mask the attention is causal, the last query seeing the last key.
    """

    def __init__(
        self,
        config: LlamaConfig,
        layer_idx: int,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        self.layer_idx = layer_idx
        self.attend = attend
        self.num_heads = config.num_attention_heads
        self.num_kv_heads = config.num_key_value_heads
        hidden, bias = config.hidden_size, config.attention_bias
        q_width = self.num_heads * config.head_dim
        kv_width = self.num_kv_heads * config.head_dim
        self.q_proj = nn.Linear(hidden, q_width, bias=bias)
        self.k_proj = nn.Linear(hidden, kv_width, bias=bias)
        self.v_proj = nn.Linear(hidden, kv_width, bias=bias)
        self.o_proj = nn.Linear(q_width, hidden, bias=bias)

    def forward(
        self,
        hidden_states: Float[Tensor, "batch q_len hidden"],
        position_embeddings: PositionEmbeddings,
        attention_mask: Mask | None = None,
        past_key_values: Cache | None = None,
    ) -> Float[Tensor, "batch q_len hidden"]:
        """Attend to cached and new tokens; what is new is written to the cache."""
        query = split_heads(self.q_proj(hidden_states), self.num_heads)
        key = split_heads(self.k_proj(hidden_states), self.num_kv_heads)
        value = split_heads(self.v_proj(hidden_states), self.num_kv_heads)

        cos, sin = position_embeddings
        query, key = apply_rope(query, cos, sin), apply_rope(key, cos, sin)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        if attention_mask is None:
            attention_mask = causal_mask(
                query.shape[-2], key.shape[-2], device=query.device
            )
        output = self.attend(
            query, key, value, attn_mask=attention_mask, enable_gqa=True
        )
        return self.o_proj(merge_heads(output))


class LlamaDecoderLayer(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`: the shape stays.

    Parameter names and call are Hugging Face's. `attention_mask` is bool (True = may
    attend) or additive, and broadcasts onto (batch, heads, q_len, kv_len); without it
    the layer is causal. `position_embeddings` is the (cos, sin) pair of
    `LlamaRotaryEmbedding`; without it, it is made from `position_ids`, and without
    those from the positions that follow the cache. `past_key_values` is written to;
    the caller advances it.

    Raises: ValueError when hidden_states, positions, mask or cache do not fit the
    config.
    """

    def __init__(
        self,
        config: LlamaConfig,
        layer_idx: int,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        self.self_attn = LlamaAttention(config, layer_idx, attend)
        self.mlp = LlamaMLP(config)
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = LlamaRMSNorm(
            config.hidden_size, config.rms_norm_eps
        )
        self.rotary_emb = LlamaRotaryEmbedding(config)

    def forward(
        self,
        hidden_states: Float[Tensor, "batch q_len hidden"],
        attention_mask: Mask | None = None,
        position_ids: Int[Tensor, "#batch q_len"] | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        position_embeddings: PositionEmbeddings | None = None,
    ) -> Float[Tensor, "batch q_len hidden"]:
        """Hidden states with the layer's two halves added to them."""
        check_layer_input(hidden_states, self.self_attn.q_proj.in_features)
        if position_embeddings is None:
            if position_ids is None:
                position_ids = next_positions(
                    hidden_states.shape[1],
                    past_key_values,
                    hidden_states.device,
                    self.self_attn.layer_idx,
                )
            position_embeddings = self.rotary_emb(hidden_states, position_ids)
        check_positions(position_embeddings[0], hidden_states)

        residual = hidden_states
        hidden_states = self.input_layernorm(hidden_states)
        hidden_states = self.self_attn(
            hidden_states, position_embeddings, attention_mask, past_key_values
        )
        hidden_states = residual + hidden_states

        residual = hidden_states
        hidden_states = self.post_attention_layernorm(hidden_states)
        hidden_states = self.mlp(hidden_states)
        return residual + hidden_states


def next_positions(
    q_len: int,
    past_key_values: Cache | None,
    device: torch.device | None = None,
    layer_idx: int = 0,
) -> Int[Tensor, "1 {q_len}"]:
    """The positions of the next `q_len` tokens: they go on where the cache ends."""
    past = 0 if past_key_values is None else past_key_values.get_seq_length(layer_idx)
    return torch.arange(past, past + q_len, device=device)[None]


def check_layer_input(hidden_states: Tensor, hidden_size: int) -> None:
    """Refuse hidden states that are not (batch, length, hidden_size)."""
    if hidden_states.ndim != 3:
        raise ValueError(
            f"hidden_states is {tuple(hidden_states.shape)}: a decoder layer takes "
            "(batch, length, hidden_size); hidden_states[None] adds a batch of one"
        )
    check_hidden_size(hidden_states, hidden_size)


def check_positions(cos: Tensor, hidden_states: Tensor) -> None:
    """Refuse positions that do not match the tokens."""
    batch, q_len, _ = hidden_states.shape
    if cos.ndim != 3 or cos.shape[0] not in (1, batch) or cos.shape[1] != q_len:
        raise ValueError(
            f"the positions are for (batch, length) = {tuple(cos.shape[:-1])} and "
            f"hidden_states is {tuple(hidden_states.shape)}: position_ids must be "
            f"({batch}, {q_len}) or (1, {q_len})"
        )
