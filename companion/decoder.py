"""The Llama decoder layer: attention and feed-forward on a residual stream.

Source: Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models",
section 2.2; names and calling convention of Hugging Face's modeling_llama.py.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.attention import Attend, scaled_dot_product_attention
from companion.cache import Cache
from companion.config import HuggingFaceConfig, LlamaConfig, as_config
from companion.heads import merge_heads, split_heads
from companion.masks import may_attend
from companion.mlp import LlamaMLP
from companion.norm import LlamaRMSNorm
from companion.refusals.decoder import (
    check_layer_input,
    check_layer_mask,
    check_options,
    check_positions,
    check_weights,
)
from companion.rope import LlamaRotaryEmbedding, apply_rope

PositionEmbeddings = tuple[
    Float[Tensor, "#batch q_len head_dim"], Float[Tensor, "#batch q_len head_dim"]
]
Mask = Bool[Tensor, "*#mask #q_len #kv_len"] | Float[Tensor, "*#mask #q_len #kv_len"]
Weights = Float[Tensor, "batch heads q_len kv_len"]


class LlamaAttention(nn.Module):
    """Grouped-query self-attention with RoPE, through a cache if there is one.

    `attend` is any function with the signature of `scaled_dot_product_attention`; the
    weights of one that returns (output, weights) are returned too. Without a mask a
    query sees the cached tokens, and the new ones up to itself. In training each
    weight is dropped with the probability `attention_dropout`.

    Raises: ValueError when hidden_states, angles, mask or cache do not fit the config,
    and for an option, passed by name, that is not computed here.
    """

    def __init__(
        self,
        config: LlamaConfig | HuggingFaceConfig,
        layer_idx: int,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        config = as_config(config)
        self.layer_idx = layer_idx
        self.attend = attend
        self.attention_dropout = config.attention_dropout
        self.num_heads = config.num_attention_heads
        self.num_kv_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        hidden, bias = config.hidden_size, config.attention_bias
        q_width = self.num_heads * self.head_dim
        kv_width = self.num_kv_heads * self.head_dim
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
        **options: Any,
    ) -> tuple[Float[Tensor, "batch q_len hidden"], Weights | None]:
        """(output, weights or None); the new keys and values are written to the cache."""
        check_options(options)
        check_layer_input(hidden_states, self.q_proj.in_features, past_key_values)
        check_positions(position_embeddings, hidden_states, self.head_dim)
        query = split_heads(self.q_proj(hidden_states), self.num_heads)
        key = split_heads(self.k_proj(hidden_states), self.num_kv_heads)
        value = split_heads(self.v_proj(hidden_states), self.num_kv_heads)

        cos, sin = position_embeddings
        query, key = apply_rope(query, cos, sin), apply_rope(key, cos, sin)
        past = cached_length(past_key_values, self.layer_idx)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        is_causal = False
        if attention_mask is None:
            attention_mask, is_causal = causal_rule(query, key, past)
        else:
            check_layer_mask(attention_mask, query.shape[-2])
        output = self.attend(
            query,
            key,
            value,
            attn_mask=attention_mask,
            dropout_p=self.attention_dropout if self.training else 0.0,
            is_causal=is_causal,
            enable_gqa=True,
        )
        output, weights = output if isinstance(output, tuple) else (output, None)
        check_weights(options, weights)
        return self.o_proj(merge_heads(output)), weights


class LlamaDecoderLayer(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`: the shape stays.

    Parameter names and call are Hugging Face's. `attention_mask` is bool (True = may
    attend) or additive, and broadcasts onto (batch, heads, q_len, kv_len); without it
    the layer is causal. `position_embeddings` is the (cos, sin) pair of
    `LlamaRotaryEmbedding`; without it, it is made from `position_ids`, and without
    those from the positions that follow the cache. `past_key_values` is written to;
    the caller advances it. `use_cache` is not read: whoever wants no cache hands in
    none. Hugging Face's model hands it to every layer, and so it is taken.

    Raises: ValueError when hidden_states, positions, mask or cache do not fit the
    config, and for an option, passed by name, that is not computed here.
    """

    def __init__(
        self,
        config: LlamaConfig | HuggingFaceConfig,
        layer_idx: int,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        config = as_config(config)
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
        **options: Any,
    ) -> Float[Tensor, "batch q_len hidden"]:
        """Hidden states with the layer's two halves added to them."""
        check_layer_input(
            hidden_states, self.self_attn.q_proj.in_features, past_key_values
        )
        if position_embeddings is None:
            if position_ids is None:
                position_ids = next_positions(
                    hidden_states.shape[1],
                    past_key_values,
                    hidden_states.device,
                    self.self_attn.layer_idx,
                )
            position_embeddings = self.rotary_emb(hidden_states, position_ids)

        residual = hidden_states
        hidden_states = self.input_layernorm(hidden_states)
        hidden_states, _ = self.self_attn(
            hidden_states,
            position_embeddings,
            attention_mask,
            past_key_values,
            **options,
        )
        hidden_states = residual + hidden_states

        residual = hidden_states
        hidden_states = self.post_attention_layernorm(hidden_states)
        hidden_states = self.mlp(hidden_states)
        return residual + hidden_states


def causal_rule(
    query: Float[Tensor, "batch heads q_len head_dim"],
    key: Float[Tensor, "batch kv_heads kv_len head_dim"],
    past: int | Int[Tensor, ""],
) -> tuple[Bool[Tensor, "q_len kv_len"] | None, bool]:
    """(attn_mask, is_causal) for queries that follow `past` cached tokens: what is cheapest.

    The first tokens need no mask but `is_causal`, and one new token, which sees every
    key, neither. Several behind a cache need a mask; so do the keys of a static cache,
    whose empty places come with them.
    """
    q_len, kv_len = query.shape[-2], key.shape[-2]
    if isinstance(past, int) and past + q_len == kv_len and (past == 0 or q_len == 1):
        return None, q_len > 1
    query_pos = torch.arange(q_len, device=query.device) + past
    return may_attend(query_pos, torch.arange(kv_len, device=key.device)), False


def next_positions(
    q_len: int,
    past_key_values: Cache | None,
    device: torch.device | None = None,
    layer_idx: int = 0,
) -> Int[Tensor, "1 {q_len}"]:
    """The positions of the next `q_len` tokens: they go on where the cache ends."""
    return torch.arange(q_len, device=device)[None] + cached_length(
        past_key_values, layer_idx
    )


def cached_length(
    past_key_values: Cache | None, layer_idx: int
) -> int | Int[Tensor, ""]:
    """How many tokens a cache holds; as a tensor where it counts in one, static caches do."""
    if past_key_values is None:
        return 0
    past = past_key_values.get_seq_length(layer_idx)
    return past.clone() if isinstance(past, Tensor) else past  # update counts in place
