"""The mistakes of the gallery in a Llama's norm, its feed-forward half, and the layer
that joins all parts: each imitates a function and keeps its shapes.
"""

from copy import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.decoder import LlamaDecoderLayer, PositionEmbeddings
from companion.norm import rms_norm
from companion.rope import apply_rope


def norm_cast_late(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMSNorm multiplies by its weight in float32 and casts after, not before."""
    return rms_norm(x.float(), weight.float(), eps).to(x.dtype)


def norm_eps_outside(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The eps is added to the root, not to the mean of squares under it."""
    root = x.float().pow(2).mean(dim=-1, keepdim=True).sqrt()
    return weight * (x.float() / (root + eps)).to(x.dtype)


def norm_mean_subtracted(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The mean of the features is subtracted first, as LayerNorm does."""
    wide = x.float()
    return rms_norm((wide - wide.mean(dim=-1, keepdim=True)).to(x.dtype), weight, eps)


def norm_not_widened(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The squares are taken in the dtype of x: in float16 that of 256 overflows."""
    return weight * (x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps))


def gate_and_up_exchanged(gate: Tensor, up: Tensor) -> Tensor:
    """The places of gate and up are exchanged, so that silu falls on up."""
    return gate * F.silu(up)


def silu_of_product(gate: Tensor, up: Tensor) -> Tensor:
    """The silu is taken of the product gate · up, not of gate alone."""
    return F.silu(gate * up)


def sigmoid_for_silu(gate: Tensor, up: Tensor) -> Tensor:
    """The gate is sigmoid(gate), as in the first GLU, not gate · sigmoid(gate)."""
    return torch.sigmoid(gate) * up


def layer_post_norm(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """Each sum is normed after a half is added, as in 2017, not the half's input."""
    attended, _ = layer.self_attn(x, position_embeddings)
    x = layer.input_layernorm(x + attended)
    return layer.post_attention_layernorm(x + layer.mlp(x))


def layer_residual_forgotten(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """Each half replaces the residual stream instead of adding to it."""
    attended, _ = layer.self_attn(layer.input_layernorm(x), position_embeddings)
    return layer.mlp(layer.post_attention_layernorm(attended))


def layer_residual_normed(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The residual is taken after the norm, so that the stream itself is normed."""
    x = layer.input_layernorm(x)
    attended, _ = layer.self_attn(x, position_embeddings)
    x = layer.post_attention_layernorm(x + attended)
    return x + layer.mlp(x)


def layer_halves_parallel(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The feed-forward half reads the layer's input, not the sum after attention."""
    attended, _ = layer.self_attn(layer.input_layernorm(x), position_embeddings)
    return x + attended + layer.mlp(layer.post_attention_layernorm(x))


def layer_norms_exchanged(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The two norms are exchanged, and with them their weights."""
    normed = layer.post_attention_layernorm(x)
    attended, _ = layer.self_attn(normed, position_embeddings)
    x = x + attended
    return x + layer.mlp(layer.input_layernorm(x))


def layer_rope_on_value(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """RoPE turns the values too, not the queries and keys alone."""
    right = layer.self_attn

    def attend(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        turned = apply_rope(value, *position_embeddings)
        return right.attend(query, key, turned, **options)

    attention = copy(right)  # shares the weights
    attention.attend = attend
    attended, _ = attention(layer.input_layernorm(x), position_embeddings)
    x = x + attended
    return x + layer.mlp(layer.post_attention_layernorm(x))


def layer_without_rope(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """RoPE is forgotten: no score knows where its tokens stand."""
    cos, sin = position_embeddings
    unturned = torch.ones_like(cos), torch.zeros_like(sin)
    return layer(x, position_embeddings=unturned)


def layer_not_causal(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The mask is forgotten: each token sees those after it."""
    everything = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device)
    return layer(x, everything, position_embeddings=position_embeddings)
