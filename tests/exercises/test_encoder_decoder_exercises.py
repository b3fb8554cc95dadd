import math

import torch
from grades import accepts, rejects

from companion import merge_heads, scaled_dot_product_attention, split_heads
from companion.exercises import (
    check_cross_attention,
    check_encoder_decoder,
    check_encoder_layer,
    check_sinusoids,
    encoder_decoder,
)


def cross_attention(layer, hidden_states, memory):
    query = split_heads(layer.q_proj(hidden_states), layer.num_heads)
    key = split_heads(layer.k_proj(memory), layer.num_heads)
    value = split_heads(layer.v_proj(memory), layer.num_heads)
    return layer.o_proj(merge_heads(scaled_dot_product_attention(query, key, value)))


def only_equal_lengths(layer, hidden_states, memory):
    if hidden_states.shape == memory.shape:
        return cross_attention(layer, hidden_states, memory)
    return cross_attention(layer, hidden_states, memory[:, :-1])


test_accepts = accepts(check_cross_attention, cross_attention)

test_rejects = rejects(
    check_cross_attention,
    (encoder_decoder.cross_roles_exchanged, "memory asks"),
    (encoder_decoder.cross_value_from_decoder, "Only the keys"),
    (encoder_decoder.cross_without_memory, "self-attention once"),
    (encoder_decoder.cross_causal, "is causal"),
    (only_equal_lengths, "^for 3 tokens that read 7, the result is off"),
    (lambda layer, x, memory: layer(memory, x)[:, :2], "has shape"),
    (lambda layer, x, memory: layer(x, memory).double(), "float64"),
)  # fmt: skip


def encoder_layer(layer, x):
    x = layer.norm1(x + layer.self_attn(x))
    return layer.norm2(x + layer.linear2(layer.linear1(x).relu()))


test_accepts_encoder = accepts(check_encoder_layer, encoder_layer)
test_rejects_encoder = rejects(
    check_encoder_layer,
    (
        encoder_decoder.encoder_pre_norm,
        "^with five tokens: Each half's input is normed",
    ),
    (lambda layer, x: layer.norm1(x), "off by"),
)


def decoder_layer(layer, x, memory, memory_mask):
    seen = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).tril()
    x = layer.norm1(x + layer.self_attn(x, seen))
    x = layer.norm2(x + layer.cross_attn(x, memory, memory_mask))
    return layer.norm3(x + layer.linear2(layer.linear1(x).relu()))


test_accepts_decoder = accepts(check_encoder_decoder, decoder_layer)
test_rejects_decoder = rejects(
    check_encoder_decoder,
    (encoder_decoder.decoder_sees_ahead, "^with no padding: .* no causal mask"),
    (encoder_decoder.memory_padding_seen, "^with padding in the memory: The mask"),
    (lambda layer, x, memory, mask: layer(x, x), "off by"),
)


def sinusoids_one_by_one(position_ids, hidden_size):
    out = torch.empty(*position_ids.shape, hidden_size)
    for i in range(0, hidden_size, 2):
        angle = position_ids * math.exp(-math.log(10000.0) * i / hidden_size)
        out[..., i], out[..., i + 1] = angle.sin(), angle.cos()
    return out


test_accepts_sinusoids = accepts(check_sinusoids, sinusoids_one_by_one)
test_rejects_sinusoids = rejects(
    check_sinusoids,
    (encoder_decoder.sinusoids_in_halves, "^for positions 0 to 4: All sines"),
    (lambda ids, size: sinusoids_one_by_one(ids + 1, size), "off by"),
    (
        lambda ids, size: sinusoids_one_by_one(ids.clamp(max=99), size),
        "^for position 100",
    ),
)
