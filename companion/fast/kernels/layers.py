"""The decoder layer with kernels between its matrix products, and a model made of it.

Beside the seven products a layer launches two norms, one RoPE, one attention (two for a
single query), one SwiGLU, the cache's two writes and the last addition.
"""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.attention import Attend
from companion.cache import Cache
from companion.decoder import (
    Key,
    LlamaAttention,
    LlamaDecoderLayer,
    Mask,
    PositionEmbeddings,
    Query,
)
from companion.fast import kernels
from companion.fast.copies import in_the_same_memory
from companion.fast.kernels.refusals import DTYPES, installed
from companion.fast.refusals.models import check_kernels
from companion.mlp import LlamaMLP
from companion.model import LlamaForCausalLM
from companion.norm import LlamaRMSNorm
from companion.refusals import decoder as refusals
from companion.refusals import guarded_by


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

    def rotate(
        self, query: Query, key: Key, cos: Tensor, sin: Tensor
    ) -> tuple[Query, Key]:
        """RoPE of queries and keys."""
        return kernels.apply_rope(query, key, cos, sin)

    def who_sees_whom(
        self,
        query: Query,
        key: Key,
        attention_mask: Mask | None,
        past: int | Int[Tensor, ""],
    ) -> dict[str, Any]:
        """`past` in place of a mask; a static cache, which counts in a tensor that no
        launch waits for, keeps one.
        """
        if attention_mask is None and isinstance(past, int):
            return {"is_causal": True, "past": past}
        return super().who_sees_whom(query, key, attention_mask, past)


class KernelDecoderLayer(LlamaDecoderLayer):
    """`LlamaDecoderLayer` in which the first addition and the second norm are one launch."""

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
        norm = self.post_attention_layernorm
        normed, hidden_states = kernels.add_rms_norm(
            attended, hidden_states, norm.weight, norm.eps
        )
        transformed = self.mlp(normed)
        return hidden_states + transformed


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
    other = in_the_same_memory(model)
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
