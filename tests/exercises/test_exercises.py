import re

import pytest
import torch
import torch.nn.functional as F

from companion import (
    apply_rope,
    causal_mask,
    explain_matmul,
    merge_heads,
    repeat_kv,
    rms_norm,
    scaled_dot_product_attention,
    show,
    split_heads,
    swiglu,
)
from companion.exercises import (
    FAULTS,
    cache_mistakes,
    check_attention,
    check_causal_mask,
    check_cross_attention,
    check_decode_step,
    check_decoder_layer,
    check_matmul_shape,
    check_mlp,
    check_repeat_kv,
    check_rms_norm,
    check_rope,
    check_split_heads,
    decode_mistakes,
    encoder_decoder_mistakes,
    hugging_face_mistakes,
    llama_mistakes,
    mistakes,
    parallel_mistakes,
    tiling_mistakes,
)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_keeps_the_shape_and_changes_the_numbers(name):
    wrong, right = FAULTS[name].run()
    assert wrong.shape == right.shape
    assert wrong.dtype == right.dtype
    assert (wrong.double() - right.double()).abs().max() > 5e-3


def test_every_mistake_is_in_the_gallery():
    written = {
        name
        for module in (
            mistakes,
            llama_mistakes,
            cache_mistakes,
            encoder_decoder_mistakes,
            hugging_face_mistakes,
            tiling_mistakes,
            decode_mistakes,
            parallel_mistakes,
        )
        for name, each in vars(module).items()
        if getattr(each, "__module__", "") == module.__name__
    }
    assert written == set(FAULTS)


def decode_step(model, token, cache):
    return model(token, past_key_values=cache)[:, -1]


def norm_by_division(x, weight, eps):
    wide = x.float()
    root = (wide.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return weight * (wide / root).to(x.dtype)


def mlp_with(gating):
    def mlp(x, gate_proj, up_proj, down_proj):
        return gating(x @ gate_proj.T, x @ up_proj.T) @ down_proj.T

    return mlp


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


def cross_attention(layer, hidden_states, memory):
    query = split_heads(layer.q_proj(hidden_states), layer.num_heads)
    key = split_heads(layer.k_proj(memory), layer.num_heads)
    value = split_heads(layer.v_proj(memory), layer.num_heads)
    return layer.o_proj(merge_heads(scaled_dot_product_attention(query, key, value)))


def only_equal_lengths(layer, hidden_states, memory):
    if hidden_states.shape == memory.shape:
        return cross_attention(layer, hidden_states, memory)
    return cross_attention(layer, hidden_states, memory[:, :-1])


@pytest.mark.parametrize(
    ("check", "right"),
    [
        (check_rms_norm, rms_norm),
        (check_rms_norm, norm_by_division),
        (check_mlp, mlp_with(swiglu)),
        (check_decoder_layer, layer_with()),
        (check_attention, scaled_dot_product_attention),
        (check_split_heads, split_heads),
        (check_causal_mask, causal_mask),
        (check_matmul_shape, lambda a, b: explain_matmul(a, b).shape),
        (check_repeat_kv, repeat_kv),
        (check_rope, apply_rope),
        (check_decode_step, decode_step),
        (check_cross_attention, cross_attention),
    ],
)
def test_graders_accept_the_right_answer(check, right):
    assert check(right).passed
    assert repr(check(right)) == "✓ right"


def without_cache(model, token, cache):
    return model(token)[:, -1]


def without_positions(model, token, cache):
    zero = torch.zeros_like(token)
    return model(token, position_ids=zero, past_key_values=cache)[:, -1]


REJECTED = [
    (check_decode_step, without_cache, "holds 4 tokens"),
    (check_decode_step, without_positions, "position 4"),
    (check_decode_step, lambda m, token, c: m(token, past_key_values=c), "has shape"),
    (check_attention, mistakes.key_not_transposed, "raises RuntimeError"),
    (check_attention, mistakes.no_scale, "√head_dim"),
    (check_attention, mistakes.scale_without_root, "√head_dim"),
    (check_attention, mistakes.softmax_over_queries, "sum to 1"),
    (check_attention, mistakes.mask_upside_down, "."),
    (check_attention, mistakes.mask_after_softmax, "before the softmax"),
    (check_attention, lambda q, k, v, m: scaled_dot_product_attention(q, k, v), "True means"),
    (check_attention, lambda q, k, v, m: q @ k.mT, "has shape"),
    (check_attention, lambda q, k, v, m: None, "not a tensor"),
    (check_attention, lambda q, k, v, m: scaled_dot_product_attention(q, k, v).double(), "float64"),
    (check_split_heads, mistakes.heads_by_view, "mixes tokens and heads"),
    (check_split_heads, mistakes.heads_interleaved, "head 0 of token 0"),
    (check_split_heads, lambda x, n: x, "has shape"),
    (check_causal_mask, mistakes.mask_off_by_one, "does not see the last key"),
    (check_causal_mask, mistakes.mask_top_left, "does not see the last key"),
    (check_causal_mask, mistakes.mask_reversed, "exchanged"),
    (check_causal_mask, lambda q, k: torch.ones(q, k, dtype=torch.bool), "row 0"),
    (check_causal_mask, lambda q, k: causal_mask(q, k).float(), "torch.float32"),
    (check_matmul_shape, lambda a, b: (*a[:-1], b[-1]), r"has shape \(\)"),
    (check_repeat_kv, mistakes.kv_tiled, r"\[0, 1, 0, 1, 0, 1\]"),
    (check_repeat_kv, lambda x, n: x, "has shape"),
    (check_rope, mistakes.rope_interleaved, "not of the pairs"),
    (check_rope, mistakes.rope_from_zero, "nothing was rotated"),
    (check_rope, lambda x, cos, sin: x * cos[:, None], "length of the vectors"),
    (check_rope, lambda x, cos, sin: x[..., :2], "has shape"),
    (check_rms_norm, llama_mistakes.norm_cast_late, "^in bfloat16: RMSNorm mult"),
    (check_rms_norm, llama_mistakes.norm_eps_outside, "^on numbers near 0.001, .* root"),
    (check_rms_norm, llama_mistakes.norm_mean_subtracted, "mean of the features is"),
    (check_rms_norm, lambda x, w, eps: F.layer_norm(x, w.shape, w, None, eps), "LayerNorm"),
    (check_rms_norm, llama_mistakes.norm_not_widened, "^in bfloat16: The squares are taken in"),
    (check_rms_norm, lambda x, w, eps: rms_norm(x, torch.ones_like(w), eps), "left out"),
    (check_rms_norm, lambda x, w, eps: w * F.normalize(x, dim=-1), "^on random .* off by"),
    (check_rms_norm, lambda x, w, eps: rms_norm(x, w, eps).float(), "bfloat16 is torch.float32"),
    (check_mlp, mlp_with(llama_mistakes.gate_and_up_exchanged), "silu falls on up"),
    (check_mlp, mlp_with(llama_mistakes.silu_of_product), "product gate"),
    (check_mlp, mlp_with(llama_mistakes.sigmoid_for_silu), "first GLU"),
    (check_mlp, mlp_with(lambda gate, up: F.relu(gate) * up), "off by up to"),
    (check_mlp, lambda x, gate, up, down: x @ gate.T, "has shape"),
    (check_mlp, lambda x, gate, up, down: x @ gate, "raises RuntimeError"),
    (check_decoder_layer, layer_with(mistakes.kv_tiled), "off by up to"),
    (check_decoder_layer, layer_with(norm=llama_mistakes.norm_mean_subtracted), "off by"),
    (check_decoder_layer, llama_mistakes.layer_post_norm, "as in 2017"),
    (check_decoder_layer, llama_mistakes.layer_residual_forgotten, "replaces the residual"),
    (check_decoder_layer, llama_mistakes.layer_residual_normed, "stream itself is normed"),
    (check_decoder_layer, llama_mistakes.layer_halves_parallel, "reads the layer's input"),
    (check_decoder_layer, llama_mistakes.layer_norms_exchanged, "two norms are exchanged"),
    (check_decoder_layer, llama_mistakes.layer_rope_on_value, "turns the values too"),
    (check_decoder_layer, llama_mistakes.layer_without_rope, "RoPE is forgotten"),
    (check_decoder_layer, llama_mistakes.layer_not_causal, "mask is forgotten"),
    (check_cross_attention, encoder_decoder_mistakes.cross_roles_exchanged, "memory asks"),
    (check_cross_attention, encoder_decoder_mistakes.cross_value_from_decoder, "Only the keys"),
    (check_cross_attention, encoder_decoder_mistakes.cross_without_memory, "self-attention once"),
    (check_cross_attention, encoder_decoder_mistakes.cross_causal, "is causal"),
    (check_cross_attention, only_equal_lengths, "^for 3 tokens that read 7, the result is off"),
    (check_cross_attention, lambda layer, x, memory: layer(memory, x)[:, :2], "has shape"),
    (check_cross_attention, lambda layer, x, memory: layer(x, memory).double(), "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "wrong", "says"), REJECTED)
def test_graders_reject_wrong_answers_in_words(check, wrong, says):
    grade = check(wrong)
    assert not grade.passed
    assert re.search(says, grade.message)
    assert repr(grade).startswith("✗")


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


def test_the_table_of_faults_tells_shape_and_error():
    table = show.what_goes_wrong("kv_tiled", "no_scale")
    assert all(row[1] == row[2] for row in table.rows)
    assert all(float(row[3]) > 0.1 for row in table.rows)
    [mask] = show.what_goes_wrong("mask_top_left").rows
    assert mask[3] == "6 of 10 entries"
    with pytest.raises(ValueError, match="no fault 'typo'"):
        show.what_goes_wrong("typo")
