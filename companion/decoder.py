"""The Llama decoder layer: attention and feed-forward on a residual stream.

Source: Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models",
section 2.2; names of Hugging Face's modeling_llama.py.
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
from companion.refusals import decoder as refusals
from companion.refusals import guarded_by
from companion.rope import LlamaRotaryEmbedding, apply_rope

PositionEmbeddings = tuple[
    Float[Tensor, "#batch q_len head_dim"], Float[Tensor, "#batch q_len head_dim"]
]
Mask = Bool[Tensor, "*#mask #q_len #kv_len"] | Float[Tensor, "*#mask #q_len #kv_len"]
Query = Float[Tensor, "batch heads q_len head_dim"]
Key = Float[Tensor, "batch kv_heads kv_len head_dim"]


class LlamaAttention(nn.Module):
    """Grouped-query self-attention with RoPE, through a cache if there is one.

    `attend` is any function with the signature of `scaled_dot_product_attention`.
    Without a mask a query sees the cached tokens, and the new ones up to itself. In
    training each weight is dropped with the probability `attention_dropout`.

    Raises: ValueError when hidden_states, angles, mask or cache do not fit the config.
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
        self.hidden_size = hidden = config.hidden_size
        bias = config.attention_bias
        q_width = self.num_heads * self.head_dim
        kv_width = self.num_kv_heads * self.head_dim
        self.q_proj = nn.Linear(hidden, q_width, bias=bias)
        self.k_proj = nn.Linear(hidden, kv_width, bias=bias)
        self.v_proj = nn.Linear(hidden, kv_width, bias=bias)
        self.o_proj = nn.Linear(q_width, hidden, bias=bias)

    @guarded_by(refusals.attention)
    def forward(
        self,
        hidden_states: Float[Tensor, "batch q_len hidden"],
        position_embeddings: PositionEmbeddings,
        attention_mask: Mask | None = None,
        past_key_values: Cache | None = None,
    ) -> Float[Tensor, "batch q_len hidden"]:
        """What each token has read; the new keys and values are written to the cache."""
        query = split_heads(self.q_proj(hidden_states), self.num_heads)
        key = split_heads(self.k_proj(hidden_states), self.num_kv_heads)
        value = split_heads(self.v_proj(hidden_states), self.num_kv_heads)

        query, key = self.rotate(query, key, *position_embeddings)
        past = cached_length(past_key_values, self.layer_idx)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        output = self.attend(
            query,
            key,
            value,
            dropout_p=self.attention_dropout if self.training else 0.0,
            enable_gqa=True,
            **self.who_sees_whom(query, key, attention_mask, past),
        )
        return self.o_proj(merge_heads(output))

    def rotate(
        self, query: Query, key: Key, cos: Tensor, sin: Tensor
    ) -> tuple[Query, Key]:
        """RoPE of queries and keys; values stay as they are."""
        return apply_rope(query, cos, sin), apply_rope(key, cos, sin)

    def who_sees_whom(
        self,
        query: Query,
        key: Key,
        attention_mask: Mask | None,
        past: int | Int[Tensor, ""],
    ) -> dict[str, Any]:
        """What `attend` is told, for queries that follow `past` cached tokens: the mask
        that was given, or the cheapest that is causal.

        The first call needs no more than `is_causal`. One new token, which sees every
        key, needs nothing. Several new tokens after a cache need a mask, and so does a
        static cache, whose keys include its empty slots.
        """
        if attention_mask is not None:
            return {"attn_mask": attention_mask, "is_causal": False}
        q_len, kv_len = query.shape[-2], key.shape[-2]
        if (
            isinstance(past, int)
            and past + q_len == kv_len
            and not (past and q_len > 1)
        ):
            return {"attn_mask": None, "is_causal": q_len > 1}
        query_pos = torch.arange(q_len, device=query.device) + past
        key_pos = torch.arange(kv_len, device=key.device)
        return {"attn_mask": may_attend(query_pos, key_pos), "is_causal": False}


class LlamaDecoderLayer(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`: the shape stays.

    Parameter names are Hugging Face's. `attention_mask` is bool (True = may attend) or
    additive, and broadcasts onto (batch, heads, q_len, kv_len); without it the layer is
    causal. `position_embeddings` is the (cos, sin) pair of `LlamaRotaryEmbedding`;
    without it, it is made from `position_ids`, and without those from the positions that
    follow the cache. `past_key_values` is written to.

    Raises: ValueError when hidden_states, positions, mask or cache do not fit the config.
    """

    def __init__(
        self,
        config: LlamaConfig | HuggingFaceConfig,
        layer_idx: int,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        config = as_config(config)
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = LlamaAttention(config, layer_idx, attend)
        self.mlp = LlamaMLP(config)
        self.input_layernorm = LlamaRMSNorm(hidden, eps)
        self.post_attention_layernorm = LlamaRMSNorm(hidden, eps)
        self.rotary_emb = LlamaRotaryEmbedding(config)

    @guarded_by(refusals.layer)
    def forward(
        self,
        hidden_states: Float[Tensor, "batch q_len hidden"],
        attention_mask: Mask | None = None,
        position_ids: Int[Tensor, "#batch q_len"] | None = None,
        past_key_values: Cache | None = None,
        position_embeddings: PositionEmbeddings | None = None,
    ) -> Float[Tensor, "batch q_len hidden"]:
        """Hidden states with the layer's two halves added to them."""
        angles = position_embeddings
        if angles is None:
            angles = self.angles(hidden_states, position_ids, past_key_values)

        normed = self.input_layernorm(hidden_states)
        attended = self.self_attn(normed, angles, attention_mask, past_key_values)
        hidden_states = hidden_states + attended

        normed = self.post_attention_layernorm(hidden_states)
        transformed = self.mlp(normed)
        return hidden_states + transformed

    def angles(
        self,
        hidden_states: Float[Tensor, "batch q_len hidden"],
        position_ids: Int[Tensor, "#batch q_len"] | None,
        past_key_values: Cache | None,
    ) -> PositionEmbeddings:
        """(cos, sin) of the tokens' positions, which go on from the cache unless given."""
        if position_ids is None:
            past = cached_length(past_key_values, self.self_attn.layer_idx)
            position_ids = next_positions(
                hidden_states.shape[1], past, hidden_states.device
            )
        return self.rotary_emb(hidden_states, position_ids)


def next_positions(
    q_len: int, past: int | Int[Tensor, ""] = 0, device: torch.device | None = None
) -> Int[Tensor, "1 {q_len}"]:
    """The positions of the next `q_len` tokens behind `past` cached ones."""
    return torch.arange(q_len, device=device)[None] + past


def cached_length(
    past_key_values: Cache | None, layer_idx: int
) -> int | Int[Tensor, ""]:
    """How many tokens a cache holds; as a tensor where it counts in one, static caches do."""
    if past_key_values is None:
        return 0
    past = past_key_values.get_seq_length(layer_idx)
    return past.clone() if isinstance(past, Tensor) else past  # update counts in place
