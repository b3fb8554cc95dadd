from grades import accepts, rejects

from companion import merge_heads, scaled_dot_product_attention, split_heads
from companion.exercises import check_cross_attention, encoder_decoder


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
