import torch
from grades import accepts, rejects

from companion import (
    apply_rope,
    causal_mask,
    merge_heads,
    repeat_kv,
    rms_norm,
    scaled_dot_product_attention,
    split_heads,
    swiglu,
)
from companion.exercises import (
    FAULTS,
    check_decoder_layer,
    decoder_layer,
    gqa,
    norm_swiglu,
)


def layer_with(repeated=repeat_kv, norm=rms_norm):
    """The layer's forward pass from the pure functions, as a reader would write it."""

    def forward(layer, x, position_embeddings):
        attention = layer.self_attn
        heads, kv_heads = attention.num_heads, attention.num_kv_heads
        normed = norm(x, layer.input_layernorm.weight, layer.input_layernorm.eps)
        query = split_heads(attention.q_proj(normed), heads)
        key = split_heads(attention.k_proj(normed), kv_heads)
        value = split_heads(attention.v_proj(normed), kv_heads)
        query = apply_rope(query, *position_embeddings)
        key = repeated(apply_rope(key, *position_embeddings), heads // kv_heads)
        value = repeated(value, heads // kv_heads)
        output = scaled_dot_product_attention(
            query, key, value, causal_mask(x.shape[1])
        )
        x = x + attention.o_proj(merge_heads(output))
        weight = layer.post_attention_layernorm.weight
        normed = norm(x, weight, layer.post_attention_layernorm.eps)
        gated = swiglu(layer.mlp.gate_proj(normed), layer.mlp.up_proj(normed))
        return x + layer.mlp.down_proj(gated)

    return forward


test_accepts = accepts(check_decoder_layer, layer_with())

test_rejects = rejects(
    check_decoder_layer,
    (layer_with(gqa.kv_tiled), "off by up to"),
    (layer_with(norm=norm_swiglu.norm_mean_subtracted), "off by"),
    (decoder_layer.layer_post_norm, "as in 2017"),
    (decoder_layer.layer_residual_forgotten, "replaces the residual"),
    (decoder_layer.layer_residual_normed, "stream itself is normed"),
    (decoder_layer.layer_halves_parallel, "reads the layer's input"),
    (decoder_layer.layer_norms_exchanged, "two norms are exchanged"),
    (decoder_layer.layer_rope_on_value, "turns the values too"),
    (decoder_layer.layer_without_rope, "RoPE is forgotten"),
    (decoder_layer.layer_not_causal, "mask is forgotten"),
)  # fmt: skip


def test_no_fault_of_the_layer_changes_the_layer():
    for name in FAULTS:
        if name.startswith("layer_"):
            layer, x, position_embeddings = FAULTS[name].arguments()
            before = layer(x, position_embeddings=position_embeddings)
            FAULTS[name].wrong(layer, x, position_embeddings)
            after = layer(x, position_embeddings=position_embeddings)
            assert torch.equal(before, after), name


def test_without_rope_all_tokens_stand_at_zero():
    fault = FAULTS["layer_without_rope"]
    layer, x, _ = fault.arguments()
    at_zero = layer(x, position_ids=torch.zeros(1, 5, dtype=torch.long))
    torch.testing.assert_close(fault.run()[0], at_zero)
