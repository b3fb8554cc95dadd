"""The gallery's faults in a Llama's norm, feed-forward half and joined layer."""

import torch
from torch import Tensor

from companion.config import LlamaConfig
from companion.decoder import LlamaDecoderLayer, PositionEmbeddings
from companion.exercises import llama_mistakes as mistakes
from companion.exercises.fault import Fault, random
from companion.mlp import swiglu
from companion.norm import rms_norm


def norm_arguments(
    dtype: torch.dtype = torch.float32, scale: float = 1.0
) -> tuple[Tensor, Tensor, float]:
    """X (1, 5, 64) of that size, a weight and eps."""
    x = (random(1, 5, 64) * scale).to(dtype)
    return x, random(64, dtype=dtype), 1e-6


def gate_arguments() -> tuple[Tensor, Tensor]:
    """Gate and up (1, 5, 16)."""
    gate, up = random(2, 1, 5, 16)
    return gate, up


def mlp_arguments() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """X (1, 5, 16) and the weights of gate, up and down, 24 features between."""
    gate_proj, up_proj = random(2, 24, 16) / 4
    return random(1, 5, 16), gate_proj, up_proj, random(16, 24) / 4


def layer_arguments() -> tuple[LlamaDecoderLayer, Tensor, PositionEmbeddings]:
    """A decoder layer with random weights, norms included, x (1, 5, 16) and its
    positions.
    """
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    layer = LlamaDecoderLayer(config, layer_idx=0).requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in layer.named_parameters():
        mean = 1.0 if "norm" in name else 0.0
        parameter.normal_(mean, 0.3, generator=generator)
    x = random(1, 5, 16)
    return layer, x, layer.rotary_emb(x, torch.arange(5)[None])


def layer_forward(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The layer as it is."""
    return layer(x, position_embeddings=position_embeddings)


NORM_FAULTS = (
    Fault(mistakes.norm_cast_late, rms_norm, lambda: norm_arguments(torch.bfloat16)),
    Fault(mistakes.norm_eps_outside, rms_norm, lambda: norm_arguments(scale=1e-3)),
    Fault(mistakes.norm_mean_subtracted, rms_norm, norm_arguments),
    Fault(
        mistakes.norm_not_widened,
        rms_norm,
        lambda: norm_arguments(torch.float16, scale=300.0),
    ),
)

GATE_FAULTS = tuple(
    Fault(wrong, swiglu, gate_arguments)
    for wrong in (
        mistakes.gate_and_up_exchanged,
        mistakes.silu_of_product,
        mistakes.sigmoid_for_silu,
    )
)

LAYER_FAULTS = tuple(
    Fault(wrong, layer_forward, layer_arguments)
    for wrong in (
        mistakes.layer_post_norm,
        mistakes.layer_residual_forgotten,
        mistakes.layer_residual_normed,
        mistakes.layer_halves_parallel,
        mistakes.layer_norms_exchanged,
        mistakes.layer_rope_on_value,
        mistakes.layer_without_rope,
        mistakes.layer_not_causal,
    )
)

LLAMA_FAULTS = NORM_FAULTS + GATE_FAULTS + LAYER_FAULTS
