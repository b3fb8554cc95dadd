import math
from dataclasses import replace

import pytest
import torch

import companion
from companion import (
    KVCache,
    generate,
    position_ids_from_mask,
    scaled_dot_product_attention,
)
from companion.rope_scaling.scaling import inverse_frequencies

TOLERANCE = {"atol": 1e-4, "rtol": 0}
CONFIGS = {
    "GQA 8:2": {},
    "GQA 8:4": {"num_key_value_heads": 4},
    "GQA 9:3": {"hidden_size": 72, "num_attention_heads": 9, "num_key_value_heads": 3},
    "MQA 8:1": {"num_key_value_heads": 1},
    "MHA 8:8": {"num_key_value_heads": 8},
    "head_dim wider": {"head_dim": 16},
    "head_dim narrower": {
        "hidden_size": 48,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "head_dim": 6,
    },
    "tied": {"tie_word_embeddings": True},
    "attention_bias": {"attention_bias": True},
    "mlp_bias": {"mlp_bias": True},
    "rope_theta": {"rope_theta": 5e5},
    "rms_norm_eps": {"rms_norm_eps": 1e-3},
    "one layer": {"num_hidden_layers": 1},
}


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_logits(hf_llama, as_ours, options):
    theirs = hf_llama(**options)
    ids = torch.randint(97, (2, 64))
    logits = as_ours(theirs)(ids)
    torch.testing.assert_close(logits, theirs(ids).logits, **TOLERANCE)
    assert logits.std() > 1


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_left_padded_batch(hf_llama, as_ours, attention):
    theirs = hf_llama(attention)
    ids, mask = (
        torch.randint(97, (3, 64)),
        torch.arange(64) >= torch.tensor([[0], [20], [63]]),
    )
    positions = position_ids_from_mask(mask.long())
    logits = as_ours(theirs)(ids, mask, positions)
    expected = theirs(ids, attention_mask=mask.long(), position_ids=positions).logits
    torch.testing.assert_close(logits[mask], expected[mask], **TOLERANCE)


def test_positions_of_ones_own(hf_llama, as_ours):
    theirs = hf_llama()
    ids, positions = torch.randint(97, (2, 64)), torch.randint(0, 4, (2, 64)).cumsum(-1)
    expected = theirs(
        ids, position_ids=positions, attention_mask=torch.ones(2, 64, dtype=torch.long)
    ).logits
    torch.testing.assert_close(
        as_ours(theirs)(ids, position_ids=positions), expected, **TOLERANCE
    )


@pytest.mark.parametrize("chunks", [[60, 1, 1, 1, 1], [16, 16, 32]], ids=str)
def test_logits_through_the_cache(hf_llama, as_ours, chunks):
    theirs = hf_llama()
    ours, ids = as_ours(theirs), torch.randint(97, (2, 64))
    cache = KVCache(ours.config, 2, 64)
    logits = torch.cat(
        [ours(chunk, past_key_values=cache) for chunk in ids.split(chunks, dim=1)],
        dim=1,
    )
    torch.testing.assert_close(logits, theirs(ids).logits, **TOLERANCE)


def test_greedy_generation(hf_llama, as_ours):
    theirs = hf_llama(dtype=torch.float64)
    ids, mask = (
        torch.randint(97, (3, 8)),
        torch.arange(8) >= torch.tensor([[0], [3], [7]]),
    )
    theirs.generation_config.eos_token_id = None
    expected = theirs.generate(
        ids,
        attention_mask=mask.long(),
        max_new_tokens=40,
        do_sample=False,
        pad_token_id=0,
    )
    assert torch.equal(
        generate(as_ours(theirs), ids, 40, attention_mask=mask.long()), expected
    )


# ---- Planted faults. The shapes stay right; the logits must not, or the tolerance above
# would prove nothing.


def interleaved_rope(x, cos, sin):
    """RoPE over the pairs (0, 1), (2, 3) ... instead of (0, d/2), (1, d/2 + 1) ..."""
    cos, sin = (half[:, None, :, : x.shape[-1] // 2] for half in (cos, sin))
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack(
        (even * cos - odd * sin, even * sin + odd * cos), dim=-1
    ).flatten(-2)


def rope_on_queries_only(x, cos, sin):
    return companion.apply_rope(x, cos, sin) if x.shape[1] == 8 else x


def backwards_rope(x, cos, sin):
    return companion.apply_rope(x, cos, -sin)


def tiled_heads(query, key, value):
    """Key/value heads as 0 1 0 1 0 1 0 1 instead of 0 0 0 0 1 1 1 1."""
    group = query.shape[-3] // key.shape[-3]
    return key.repeat(1, group, 1, 1), value.repeat(1, group, 1, 1)


def shifted_mask(offset):
    """What `is_causal` hides, with a diagonal that lies `offset` keys further on; the
    first key stays, because a query without any would show as NaN.
    """

    def later(scores):
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1 + offset)
        hidden[:, 0] = False
        return hidden

    return later


def swapped_swiglu(gate, up):
    return companion.swiglu(up, gate)


def relu_swiglu(gate, up):
    return gate.relu() * up


def post_norm(
    self, hidden_states, attention_mask=None, position_embeddings=None, **options
):
    attended = self.self_attn(
        hidden_states,
        position_embeddings,
        attention_mask,
        options.get("past_key_values"),
    )
    hidden_states = self.input_layernorm(hidden_states + attended)
    return self.post_attention_layernorm(hidden_states + self.mlp(hidden_states))


def norm_that_subtracts_the_mean(x, weight, eps):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, None, eps)


def llama3_frequencies(head_dim, theta, device=None):
    """Slow the pairs that turn less than once in 64 positions, as rope_type llama3 does."""
    frequencies = inverse_frequencies(head_dim, theta, device)
    return torch.where(2 * math.pi / frequencies > 64, frequencies / 8, frequencies)


FAULTS = {
    "interleaved RoPE": ("companion.decoder.apply_rope", interleaved_rope),
    "no RoPE": ("companion.decoder.apply_rope", lambda x, cos, sin: x),
    "RoPE on queries only": ("companion.decoder.apply_rope", rope_on_queries_only),
    "RoPE turned backwards": ("companion.decoder.apply_rope", backwards_rope),
    "Llama 3's scaled RoPE": (
        "companion.rope_scaling.scaling.inverse_frequencies",
        llama3_frequencies,
    ),
    "GQA heads tiled": ("companion.attention.repeat_for_query_heads", tiled_heads),
    "mask lets one later token in": ("companion.attention.later", shifted_mask(1)),
    "mask hides the token itself": ("companion.attention.later", shifted_mask(-1)),
    "gate and up swapped": ("companion.mlp.swiglu", swapped_swiglu),
    "ReLU for SiLU": ("companion.mlp.swiglu", relu_swiglu),
    "norm after instead of before": (
        "companion.decoder.LlamaDecoderLayer.forward",
        post_norm,
    ),
    "norm subtracts the mean": (
        "companion.norm.rms_norm",
        norm_that_subtracts_the_mean,
    ),
}


def assert_differs(logits, expected):
    assert logits.shape == expected.shape
    assert logits.isfinite().all()
    assert (logits - expected).abs().max() > 5e-3


@pytest.mark.parametrize(("target", "fault"), FAULTS.values(), ids=FAULTS)
def test_fault_shows(hf_llama, as_ours, monkeypatch, target, fault):
    theirs = hf_llama()
    ours, ids = as_ours(theirs), torch.randint(97, (2, 64))
    expected = theirs(ids).logits
    torch.testing.assert_close(ours(ids), expected, **TOLERANCE)
    monkeypatch.setattr(target, fault)
    assert_differs(ours(ids), expected)


@pytest.mark.parametrize(
    "scale", [1.0, 64**-0.5], ids=["no scale", "scale by hidden_size"]
)
def test_wrong_scale_shows(hf_llama, as_ours, scale):
    def attend(query, key, value, **options):
        return scaled_dot_product_attention(query, key, value, scale=scale, **options)

    theirs, ids = hf_llama(), torch.randint(97, (2, 64))
    assert_differs(as_ours(theirs, attend=attend)(ids), theirs(ids).logits)


@pytest.mark.parametrize(
    "changes", [{"rope_theta": 20000.0}, {"rms_norm_eps": 1e-5}], ids=str
)
def test_wrong_constant_shows(hf_llama, as_ours, changes):
    theirs = hf_llama(num_hidden_layers=6)
    right, ids = as_ours(theirs), torch.randint(97, (2, 64))
    wrong = companion.LlamaForCausalLM(replace(right.config, **changes))
    wrong.load_state_dict(right.state_dict())
    assert_differs(wrong(ids), theirs(ids).logits)


@pytest.mark.parametrize("one", ["q_proj", "k_proj", "v_proj", "o_proj"])
def test_transposed_weight_shows(hf_llama, as_ours, one):
    theirs = hf_llama(num_key_value_heads=8)
    ours, ids = as_ours(theirs), torch.randint(97, (2, 64))
    projection = getattr(ours.model.layers[0].self_attn, one)
    projection.weight.copy_(projection.weight.T.clone())
    assert_differs(ours(ids), theirs(ids).logits)
