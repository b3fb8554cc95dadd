"""Our decoder layer in Hugging Face's place: a subclass of theirs, with our forward.

Being a subclass of theirs it is what their model looks for by class: hidden states and
attention weights are recorded from it, and their gradient checkpointing is around it.
"""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.models.llama import modeling_llama

from companion import decoder
from companion.cache import Cache
from companion.config import as_config
from companion.decoder import Mask, PositionEmbeddings, cached_length
from companion.heads import merge_heads, split_heads
from companion.hugging_face import refusals
from companion.hugging_face.attention import Weights, attention_and_weights
from companion.hugging_face.names import cache_by_either_name
from companion.mlp import LlamaMLP
from companion.norm import LlamaRMSNorm
from companion.refusals import guarded_by

HiddenStates = Float[Tensor, "batch q_len hidden"]


class LlamaAttention(modeling_llama.LlamaAttention):
    """Their projections and attributes, `companion.LlamaAttention`'s steps, and the weights
    beside the output.

    Raises: ValueError for a config, a mask or a cache that `companion.LlamaAttention`
    refuses, and for an option that is not computed here.
    """

    rotate = decoder.LlamaAttention.rotate
    who_sees_whom = decoder.LlamaAttention.who_sees_whom

    def __init__(self, config: LlamaConfig, layer_idx: int):
        as_config(config)
        super().__init__(config, layer_idx)

    @cache_by_either_name
    @guarded_by(refusals.attention)
    def forward(
        self,
        hidden_states: HiddenStates,
        position_embeddings: PositionEmbeddings,
        attention_mask: Mask | None = None,
        past_key_values: Cache | None = None,
        **options: Any,
    ) -> tuple[HiddenStates, Weights]:
        """(output, weights); the new keys and values are written to the cache."""
        heads = self.config.num_attention_heads, self.config.num_key_value_heads
        query = split_heads(self.q_proj(hidden_states), heads[0])
        key = split_heads(self.k_proj(hidden_states), heads[1])
        value = split_heads(self.v_proj(hidden_states), heads[1])

        query, key = self.rotate(query, key, *position_embeddings)
        past = cached_length(past_key_values, self.layer_idx)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        output, weights = attention_and_weights(
            query,
            key,
            value,
            dropout_p=self.attention_dropout if self.training else 0.0,
            enable_gqa=True,
            **self.who_sees_whom(query, key, attention_mask, past),
        )
        return self.o_proj(merge_heads(output)), weights


class LlamaDecoderLayer(modeling_llama.LlamaDecoderLayer):
    """`companion.LlamaDecoderLayer` by their calling convention.

    `position_ids` and `use_cache` are not read: their model hands over the angles, and a
    cache or none.

    Raises: ValueError for what `companion.LlamaDecoderLayer` refuses, and for an option
    that is not computed here.
    """

    def __init__(self, config: LlamaConfig, layer_idx: int):
        nn.Module.__init__(self)  # theirs would make their parts
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.hidden_size = hidden
        self.self_attn = LlamaAttention(config, layer_idx)
        self.mlp = LlamaMLP(config)
        self.input_layernorm = LlamaRMSNorm(hidden, eps)
        self.post_attention_layernorm = LlamaRMSNorm(hidden, eps)

    @cache_by_either_name
    @guarded_by(refusals.layer)
    def forward(
        self,
        hidden_states: HiddenStates,
        attention_mask: Mask | None = None,
        position_ids: Int[Tensor, "#batch q_len"] | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        position_embeddings: PositionEmbeddings | None = None,
        **options: Any,
    ) -> HiddenStates:
        """Hidden states with the layer's two halves added to them."""
        normed = self.input_layernorm(hidden_states)
        attended, _ = self.self_attn(
            normed, position_embeddings, attention_mask, past_key_values, **options
        )
        hidden_states = hidden_states + attended

        normed = self.post_attention_layernorm(hidden_states)
        transformed = self.mlp(normed)
        return hidden_states + transformed
