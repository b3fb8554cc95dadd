"""The decoder layer with kernels between its matrix products, and a model made of it.

Beside the seven products a layer launches two norms, one RoPE, one attention (two for a
single query), one SwiGLU, the cache's two writes and the last addition.
"""

from copy import deepcopy
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.attention import Attend
from companion.cache import Cache
from companion.decoder import (
    LlamaAttention,
    LlamaDecoderLayer,
    Mask,
    PositionEmbeddings,
    Weights,
    cached_length,
    causal_rule,
    next_positions,
)
from companion.fast import kernels
from companion.fast.kernels.refusals import DTYPES, installed
from companion.fast.refusals.models import check_kernels
from companion.heads import merge_heads, split_heads
from companion.mlp import LlamaMLP
from companion.model import LlamaForCausalLM
from companion.norm import LlamaRMSNorm
from companion.refusals.decoder import (
    check_layer_input,
    check_layer_mask,
    check_options,
    check_positions,
    check_weights,
)


class KernelRMSNorm(LlamaRMSNorm):
    """`LlamaRMSNorm` in one launch."""

    def forward(
        self, hidden_states: Float[Tensor, "*batch hidden"]
    ) -> Float[Tensor, "*batch hidden"]:
        """Norm each token by itself."""
        return kernels.rms_norm(hidden_states, self.weight, self.eps)


class KernelMLP(LlamaMLP):
    """`LlamaMLP` with SwiGLU in one launch."""

    def forward(
        self, x: Float[Tensor, "*batch hidden"]
    ) -> Float[Tensor, "*batch hidden"]:
        """Transform each token by itself."""
        return self.down_proj(kernels.swiglu(self.gate_proj(x), self.up_proj(x)))


class KernelAttention(LlamaAttention):
    """`LlamaAttention` with RoPE in one launch, and without a mask behind a cache: the
    kernel knows how many tokens came before.
    """

    def forward(
        self,
        hidden_states: Float[Tensor, "batch q_len hidden"],
        position_embeddings: PositionEmbeddings,
        attention_mask: Mask | None = None,
        past_key_values: Cache | None = None,
        **options: Any,
    ) -> tuple[Float[Tensor, "batch q_len hidden"], Weights | None]:
        """(output, None); the new keys and values are written to the cache."""
        check_options(options)
        check_layer_input(hidden_states, self.q_proj.in_features, past_key_values)
        check_positions(position_embeddings, hidden_states, self.head_dim)
        query = split_heads(self.q_proj(hidden_states), self.num_heads)
        key = split_heads(self.k_proj(hidden_states), self.num_kv_heads)
        value = split_heads(self.v_proj(hidden_states), self.num_kv_heads)

        query, key = kernels.apply_rope(query, key, *position_embeddings)
        past = cached_length(past_key_values, self.layer_idx)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        rule: dict[str, Any] = {"attn_mask": attention_mask}
        if attention_mask is not None:
            check_layer_mask(attention_mask, query.shape[-2])
        elif isinstance(past, int):
            rule = {"is_causal": True, "past": past}
        else:  # a static cache counts in a tensor, which no launch waits for
            rule["attn_mask"], rule["is_causal"] = causal_rule(query, key, past)
        dropout_p = self.attention_dropout if self.training else 0.0
        output = self.attend(
            query, key, value, dropout_p=dropout_p, enable_gqa=True, **rule
        )
        check_weights(options, None)
        return self.o_proj(merge_heads(output)), None


class KernelDecoderLayer(LlamaDecoderLayer):
    """`LlamaDecoderLayer` in which the first addition and the second norm are one launch."""

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

        attended, _ = self.self_attn(
            self.input_layernorm(hidden_states),
            position_embeddings,
            attention_mask,
            past_key_values,
            **options,
        )
        norm = self.post_attention_layernorm
        normed, residual = kernels.add_rms_norm(
            attended, hidden_states, norm.weight, norm.eps
        )
        return residual + self.mlp(normed)


FORMS: dict[type[nn.Module], type[nn.Module]] = {
    LlamaRMSNorm: KernelRMSNorm,
    LlamaMLP: KernelMLP,
    LlamaAttention: KernelAttention,
    LlamaDecoderLayer: KernelDecoderLayer,
}


def with_kernels(
    model: LlamaForCausalLM, attend: Attend = kernels.attention
) -> LlamaForCausalLM:
    """The same model on kernels: attention, RMSNorm, RoPE and SwiGLU; weights are shared.

    It runs on a CUDA GPU, or slowly in Triton's interpreter. `compile_decode` records
    its decode step as one CUDA graph.

    Raises: ValueError for a model whose device or dtype the kernels do not take, and for
    one that has kernels already.
    """
    check_kernels(model)
    other = deepcopy(model, {id(x): x for x in model.parameters()})
    for module in other.modules():
        if type(module) in FORMS:
            # the same parameters and attributes, another forward
            module.__class__ = FORMS[type(module)]
        if isinstance(module, KernelAttention):
            module.attend = attend
    return other


def with_kernels_if_possible(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """`with_kernels`, or the model as it is where Triton is not installed or the kernels
    do not take the dtype.
    """
    possible = installed() and model.dtype in DTYPES
    return with_kernels(model) if possible else model


def has_kernels(model: LlamaForCausalLM) -> bool:
    """Whether `with_kernels` made it."""
    return isinstance(model.model.norm, KernelRMSNorm)
