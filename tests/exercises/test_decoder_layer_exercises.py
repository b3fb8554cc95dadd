import torch
import torch.nn.functional as F
from grades import accepts, rejects, rejects_each

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
    check_layer_of_tensors,
    check_self_attention,
    decoder_layer,
    gqa,
    norm_swiglu,
)
from companion.exercises.graders.decoder_layer import ATTENDED_WRONGLY, self_attention


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


def from_its_modules(layer, x, position_embeddings):
    """The layer's forward pass from its parts."""
    x = x + layer.self_attn(layer.input_layernorm(x), position_embeddings)
    return x + layer.mlp(layer.post_attention_layernorm(x))


test_accepts = accepts(
    check_decoder_layer,
    layer_with(),
    from_its_modules,
    lambda layer, x, angles: layer(x, position_embeddings=angles),
)

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


def head_by_head(x, weights, cos, sin):
    q, k, v, o = (weights[f"self_attn.{name}_proj.weight"] for name in "qkvo")
    head_dim, out = cos.shape[-1], 0
    group = len(q) // len(k)
    for h, (query, back) in enumerate(
        zip(q.split(head_dim), o.split(head_dim, dim=1), strict=True)
    ):
        at = h // group * head_dim
        query, key = (
            apply_rope((x @ W.T)[:, None], cos, sin)[:, 0]
            for W in (query, k[at : at + head_dim])
        )
        scores = query @ key.mT / head_dim**0.5
        hidden = ~causal_mask(x.shape[1])
        seen = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        out = out + seen @ (x @ v[at : at + head_dim].T) @ back.T
    return out


def by_torch(x, weights, cos, sin):
    query, key, value = (
        F.linear(x, weights[f"self_attn.{name}_proj.weight"])
        .unflatten(-1, (-1, cos.shape[-1]))
        .transpose(1, 2)
        for name in "qkv"
    )
    turned = apply_rope(query, cos, sin), apply_rope(key, cos, sin)
    heads = F.scaled_dot_product_attention(
        *turned, value, is_causal=True, enable_gqa=True
    )
    merged = heads.transpose(1, 2).flatten(2)
    return F.linear(merged, weights["self_attn.o_proj.weight"])


test_accepts_attention = accepts(
    check_self_attention, self_attention, head_by_head, by_torch
)

test_rejects_attention = rejects(
    check_self_attention,
    (lambda x, weights, cos, sin: by_torch(x, weights, cos, -sin), "backwards"),
    (lambda x, weights, cos, sin: by_torch(2 * x, weights, cos, sin), "off by"),
    (lambda x, weights, cos, sin: x @ weights["self_attn.q_proj.weight"].T, "has shape"),
)  # fmt: skip
test_rejects_known_attention = rejects_each(check_self_attention, ATTENDED_WRONGLY)


def of_tensors(x, weights, cos, sin, eps, attend=by_torch):
    first, second = (
        weights[f"{name}_layernorm.weight"] for name in ("input", "post_attention")
    )
    x = x + attend(rms_norm(x, first, eps), weights, cos, sin)
    gate, up, down = (
        weights[f"mlp.{name}_proj.weight"] for name in ("gate", "up", "down")
    )
    normed = rms_norm(x, second, eps)
    return x + swiglu(normed @ gate.T, normed @ up.T) @ down.T


def of_tensors_by_head(x, weights, cos, sin, eps):
    return of_tensors(x, weights, cos, sin, eps, head_by_head)


def halves_parallel(x, weights, cos, sin, eps):
    whole = of_tensors(x, weights, cos, sin, eps, lambda x, *rest: torch.zeros_like(x))
    normed = rms_norm(x, weights["input_layernorm.weight"], eps)
    return whole + by_torch(normed, weights, cos, sin)


def from_a_stored_layer(x, weights, cos, sin, eps):
    layer, _, _ = decoder_layer.layer_arguments()
    layer.load_state_dict(weights)
    for norm in (layer.input_layernorm, layer.post_attention_layernorm):
        norm.eps = eps
    return layer(x, position_embeddings=(cos, sin))


test_accepts_tensors = accepts(
    check_layer_of_tensors, of_tensors, of_tensors_by_head, from_a_stored_layer
)

test_rejects_tensors = rejects(
    check_layer_of_tensors,
    (halves_parallel, "^features near 1, .* reads the layer's input"),
    (lambda x, w, c, s, eps: of_tensors(x, w, c, s, 1e-6), "eps 0.01: it is off"),
    (lambda x, w, c, s, eps: of_tensors(x, w, c, s, eps)[0], "has shape"),
    (lambda x, w, c, s, eps: of_tensors(x, w, c, s, eps) - x, "off by"),
)  # fmt: skip
