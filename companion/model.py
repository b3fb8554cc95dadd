"""The whole model, ids to hidden states to logits, under Hugging Face's names."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.attention import Attend, scaled_dot_product_attention
from companion.cache import KVCache
from companion.config import HuggingFaceConfig, LlamaConfig, as_config
from companion.decoder import LlamaDecoderLayer, next_positions
from companion.masks import causal_mask, padding_mask
from companion.norm import LlamaRMSNorm
from companion.refusals import guarded_by
from companion.refusals import model as refusals
from companion.rope import LlamaRotaryEmbedding

Ids = Int[Tensor, "batch q_len"]
AttentionMask = Int[Tensor, "batch kv_len"] | Bool[Tensor, "batch kv_len"]


class LlamaModel(nn.Module):
    """Embedding, decoder layers and a last norm: ids in, hidden states out."""

    def __init__(
        self,
        config: LlamaConfig | HuggingFaceConfig,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        self.config = config = as_config(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            LlamaDecoderLayer(config, layer_idx, attend)
            for layer_idx in range(config.num_hidden_layers)
        )
        self.norm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config)

    @guarded_by(refusals.model)
    def forward(
        self,
        input_ids: Ids,
        attention_mask: AttentionMask | None = None,
        position_ids: Int[Tensor, "#batch q_len"] | None = None,
        past_key_values: KVCache | None = None,
    ) -> Float[Tensor, "batch q_len hidden"]:
        """Hidden states after the last norm; angles are made once for all layers.

        `attention_mask` marks real tokens with 1, cached ones included; with it one mask
        is made for all layers, without it each layer is causal by itself.
        `position_ids` go on from the cache unless given. Where they start again within a
        row, its texts still read one another: the mask does not look at them.

        Raises: ValueError for ids outside the vocabulary, a mask of the wrong width,
        a full cache, one of another kind, or one that a failed step has left uneven.
        """
        past = 0 if past_key_values is None else past_key_values.length
        if position_ids is None:
            position_ids = next_positions(input_ids.shape[1], past, input_ids.device)
        mask = None
        if attention_mask is not None:
            mask = layer_mask(attention_mask, input_ids, past)

        hidden_states = self.embed_tokens(input_ids)
        position_embeddings = self.rotary_emb(hidden_states, position_ids)
        for layer in self.layers:
            hidden_states = layer(
                hidden_states,
                mask,
                past_key_values=past_key_values,
                position_embeddings=position_embeddings,
            )
        return self.norm(hidden_states)


class LlamaForCausalLM(nn.Module):
    """`LlamaModel` and the head: a score for each token of the vocabulary.

    With `tie_word_embeddings` the head has no weight of its own: it is the
    embedding's, used in forward.
    """

    def __init__(
        self,
        config: LlamaConfig | HuggingFaceConfig,
        attend: Attend = scaled_dot_product_attention,
    ):
        super().__init__()
        self.config = config = as_config(config)
        self.model = LlamaModel(config, attend)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.model.embed_tokens.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.embed_tokens.weight.device

    def logits(
        self, hidden_states: Float[Tensor, "*batch hidden"]
    ) -> Float[Tensor, "*batch vocab"]:
        """`hidden_states @ headᵀ`, the scores of every token of the vocabulary."""
        if self.config.tie_word_embeddings:
            return F.linear(hidden_states, self.model.embed_tokens.weight)
        return self.lm_head(hidden_states)

    def forward(
        self,
        input_ids: Ids,
        attention_mask: AttentionMask | None = None,
        position_ids: Int[Tensor, "#batch q_len"] | None = None,
        past_key_values: KVCache | None = None,
    ) -> Float[Tensor, "batch q_len vocab"]:
        """Logits of the token after each input token. Arguments, errors: `LlamaModel`."""
        return self.logits(
            self.model(input_ids, attention_mask, position_ids, past_key_values)
        )


def layer_mask(
    attention_mask: AttentionMask, input_ids: Ids, past: int
) -> Bool[Tensor, "batch 1 q_len kv_len"]:
    """Causal and not padding, to broadcast onto (batch, heads, q_len, kv_len)."""
    q_len, device = input_ids.shape[1], input_ids.device
    causal = causal_mask(q_len, past + q_len, device=device)
    return causal & padding_mask(attention_mask).to(device)
