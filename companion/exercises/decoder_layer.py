"""The mistakes in the decoder layer."""

from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from companion.config import LlamaConfig
from companion.decoder import LlamaAttention, LlamaDecoderLayer, PositionEmbeddings
from companion.exercises.adapters import layer_forward as in_a_model
from companion.exercises.gallery import (
    imitates,
    random,
    with_random_weights,
)
from companion.exercises.planting import Planted
from companion.rope import apply_rope


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
    layer = with_random_weights(LlamaDecoderLayer(config, layer_idx=0))
    x = random(1, 5, 16)
    return layer, x, layer.rotary_emb(x, torch.arange(5)[None])


def layer_forward(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The layer as it is."""
    return layer(x, position_embeddings=position_embeddings)


imitates_layer = partial(
    imitates,
    layer_forward,
    layer_arguments,
    "check_decoder_layer",
    planted=Planted({"companion.decoder.LlamaDecoderLayer.forward": in_a_model}),
)
FORWARD = LlamaDecoderLayer.forward
NORM_BEFORE = FORWARD, "self.input_layernorm"


@imitates_layer(instead_of=NORM_BEFORE)
def layer_post_norm(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """Each sum is normed after a half is added, as in 2017, not the half's input.

    One token for ever: after every layer the hidden states have the size that the last
    norm gives them.
    """
    attended = layer.self_attn(x, position_embeddings)
    x = layer.input_layernorm(x + attended)  # wrong
    return layer.post_attention_layernorm(x + layer.mlp(x))


@imitates_layer(instead_of=(FORWARD, "+ attended"))
def layer_residual_forgotten(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """Each half replaces the residual stream instead of adding to it.

    One token for ever: nothing of an embedding reaches the head but through both halves
    of every layer.
    """
    attended = layer.self_attn(layer.input_layernorm(x), position_embeddings)
    return layer.mlp(layer.post_attention_layernorm(attended))  # wrong


@imitates_layer(instead_of=NORM_BEFORE)
def layer_residual_normed(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The residual is taken after the norm, so that the stream itself is normed.

    One token for ever: what a layer adds to is no longer what the layers before have
    summed.
    """
    x = layer.input_layernorm(x)  # wrong
    attended = layer.self_attn(x, position_embeddings)
    x = layer.post_attention_layernorm(x + attended)
    return x + layer.mlp(x)


@imitates_layer(instead_of=(FORWARD, "self.post_attention_layernorm"))
def layer_halves_parallel(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The feed-forward half reads the layer's input, not the sum after attention.

    One character for ever with a Llama's weights; GPT-J and PaLM are built in this way, and
    trained in it.
    """
    attended = layer.self_attn(layer.input_layernorm(x), position_embeddings)
    return x + attended + layer.mlp(layer.post_attention_layernorm(x))  # wrong


@imitates_layer(instead_of=NORM_BEFORE)
def layer_norms_exchanged(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The two norms are exchanged, and with them their weights.

    Nothing in a new model, whose norms have weights of 1; with trained weights noise or
    one character for ever.
    """
    normed = layer.post_attention_layernorm(x)  # wrong
    attended = layer.self_attn(normed, position_embeddings)
    x = x + attended
    return x + layer.mlp(layer.input_layernorm(x))


@imitates_layer(instead_of=(LlamaAttention.rotate, "return"))
def layer_rope_on_value(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """RoPE turns the values too, not the queries and keys alone.

    The text is fluent and tells something else. The token at position 0 is right.
    """
    right = layer.self_attn

    def attend(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        turned = apply_rope(value, *position_embeddings)  # wrong
        return right.attend(query, key, turned, **options)

    attention = copy(right)  # shares the weights
    attention.attend = attend
    attended = attention(layer.input_layernorm(x), position_embeddings)
    x = x + attended
    return x + layer.mlp(layer.post_attention_layernorm(x))


@imitates_layer(instead_of=(LlamaAttention.forward, "self.rotate"))
def layer_without_rope(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """RoPE is forgotten: no score knows where its tokens stand.

    The order of the words is not known, and the text repeats itself. The token at
    position 0 is right.
    """
    cos, sin = position_embeddings
    unturned = torch.ones_like(cos), torch.zeros_like(sin)  # wrong
    return layer(x, position_embeddings=unturned)


@imitates_layer(instead_of=(LlamaAttention.who_sees_whom, '"is_causal": q_len > 1'))
def layer_not_causal(
    layer: LlamaDecoderLayer, x: Tensor, position_embeddings: PositionEmbeddings
) -> Tensor:
    """The mask is forgotten: each token sees those after it.

    In one layer the last token is right and no other; in a whole model none is.
    """
    everything = torch.ones(
        x.shape[1], x.shape[1], dtype=torch.bool, device=x.device
    )  # wrong
    return layer(x, everything, position_embeddings=position_embeddings)
