import pytest
import torch
from exchanged import with_our_layers
from transformers import DynamicCache
from transformers.models.llama.modeling_llama import (
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
    repeat_kv,
)

import companion
from companion import KVCache, LlamaConfig, apply_rope, causal_mask

EXACT = {"atol": 0, "rtol": 0}


def test_config_of_hugging_faces_defaults(hf_llama):
    theirs = hf_llama(num_hidden_layers=1).config
    for config in (theirs.to_dict(), theirs.to_diff_dict()):
        ours = LlamaConfig.from_hf({"rope_theta": 10000.0, **config})
        assert ours.head_dim == theirs.head_dim
        assert ours.rms_norm_eps == theirs.rms_norm_eps
        assert ours.rope_theta == theirs.rope_parameters["rope_theta"]
    assert LlamaConfig.from_hf({}) == LlamaConfig.from_hf(type(theirs)().to_dict())


# ---- parts: the same operations in the same order, so the same bits


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str
)
def test_norm(hf_llama, as_ours, dtype):
    theirs = hf_llama(dtype=dtype, rms_norm_eps=1e-5)
    ours = as_ours(theirs)
    x = torch.randn(2, 64, 64, dtype=dtype)
    torch.testing.assert_close(ours.model.norm(x), theirs.model.norm(x), **EXACT)


@pytest.mark.parametrize("bias", [False, True])
def test_mlp(hf_llama, as_ours, bias):
    theirs = hf_llama(mlp_bias=bias)
    ours = as_ours(theirs)
    x = torch.randn(2, 64, 64)
    torch.testing.assert_close(
        ours.model.layers[0].mlp(x), theirs.model.layers[0].mlp(x), **EXACT
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("theta", [10000.0, 5e5])
def test_rotary_embedding(hf_llama, dtype, theta):
    config = hf_llama(head_dim=16, rope_theta=theta).config
    positions = torch.tensor([[0, 1, 2, 3], [7, 100, 1000, 8191]])
    x = torch.empty(1, dtype=dtype)
    ours = companion.LlamaRotaryEmbedding(LlamaConfig.from_hf(config.to_dict()))(
        x, positions
    )
    theirs = LlamaRotaryEmbedding(config)(x, positions)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, **EXACT)


def test_apply_rotary(hf_llama):
    query, key = torch.randn(2, 8, 4, 8), torch.randn(2, 2, 4, 8)
    cos, sin = LlamaRotaryEmbedding(hf_llama().config)(
        query, torch.tensor([[0, 1, 2, 3], [4, 9, 30, 31]])
    )
    their_query, their_key = apply_rotary_pos_emb(query, key, cos, sin)
    torch.testing.assert_close(apply_rope(query, cos, sin), their_query, **EXACT)
    torch.testing.assert_close(apply_rope(key, cos, sin), their_key, **EXACT)


def test_repeat_kv():
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(companion.repeat_kv(x, 4), repeat_kv(x, 4), **EXACT)


# ---- the decoder layer

CONFIGS = {
    "GQA 8:2": {},
    "MQA 8:1": {"num_key_value_heads": 1},
    "MHA 8:8": {"num_key_value_heads": 8},
    "head_dim apart": {"head_dim": 20},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "theta and eps": {"rope_theta": 5e5, "rms_norm_eps": 1e-3},
}


def both_layers(hf_llama, as_ours, **options):
    theirs = hf_llama(**options)
    return (
        as_ours(theirs).model.layers[1],
        theirs.model.layers[1],
        theirs.model.rotary_emb,
    )


def assert_layers_agree(ours, theirs, rotary, x, positions, our_mask, their_mask):
    angles = rotary(x, positions)
    output = ours(x, our_mask, position_embeddings=angles)
    expected = theirs(
        x, attention_mask=their_mask, position_ids=positions, position_embeddings=angles
    )
    torch.testing.assert_close(output, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_layer(hf_llama, as_ours, options, attention):
    ours, theirs, rotary = both_layers(
        hf_llama, as_ours, attention=attention, **options
    )
    added = torch.zeros(64, 64).masked_fill(
        ~causal_mask(64), torch.finfo(torch.float32).min
    )[None, None]
    x, positions = torch.randn(2, 64, 64), torch.arange(64)[None]
    assert_layers_agree(ours, theirs, rotary, x, positions, None, added)
    assert_layers_agree(ours, theirs, rotary, x, positions, added, added)


def test_layer_with_a_bool_mask_or_none(hf_llama, as_ours):
    ours, theirs, rotary = both_layers(hf_llama, as_ours)
    x, positions = torch.randn(2, 64, 64), torch.arange(64)[None]
    assert_layers_agree(ours, theirs, rotary, x, positions, None, None)
    padded = causal_mask(64) & (torch.rand(2, 1, 1, 64) < 0.8)
    assert_layers_agree(ours, theirs, rotary, x, positions, padded, padded)


@pytest.mark.parametrize("chunks", [[64], [60, 1, 1, 1, 1], [32, 32]], ids=str)
def test_layer_with_hugging_faces_cache(hf_llama, as_ours, chunks):
    theirs = hf_llama()
    ours = as_ours(theirs)
    our_layer, their_layer = ours.model.layers[0], theirs.model.layers[0]
    caches = (
        KVCache(ours.config, 2, 64),
        DynamicCache(config=theirs.config),
        DynamicCache(config=theirs.config),
    )
    start = 0
    for x in torch.randn(2, 64, 64).split(chunks, dim=1):
        stop = start + x.shape[1]
        positions = torch.arange(start, stop)[None]
        angles, mask = (
            theirs.model.rotary_emb(x, positions),
            causal_mask(x.shape[1], stop)[None, None],
        )
        expected = their_layer(
            x, mask, positions, caches[2], use_cache=True, position_embeddings=angles
        )
        through_our_cache = our_layer(x, past_key_values=caches[0])
        through_their_cache = our_layer(
            x, mask, positions, caches[1], position_embeddings=angles
        )
        torch.testing.assert_close(through_our_cache, expected, atol=2e-5, rtol=0)
        torch.testing.assert_close(through_their_cache, expected, atol=2e-5, rtol=0)
        start = stop
    assert caches[1].get_seq_length() == 64
    torch.testing.assert_close(
        caches[0].keys[0], caches[2].layers[0].keys, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str
)
def test_layer_rounds_as_hugging_faces_eager_layer_does(hf_llama, as_ours, dtype):
    ours, theirs, rotary = both_layers(
        hf_llama, as_ours, attention="eager", dtype=dtype
    )
    x, positions = torch.randn(2, 64, 64, dtype=dtype), torch.arange(64)[None]
    added = torch.zeros(64, 64, dtype=dtype).masked_fill(
        ~causal_mask(64), torch.finfo(dtype).min
    )[None, None]
    angles = rotary(x, positions)
    expected = theirs(
        x, attention_mask=added, position_ids=positions, position_embeddings=angles
    )
    for mask in (None, added):
        torch.testing.assert_close(
            ours(x, mask, position_embeddings=angles), expected, **EXACT
        )


def test_stack_of_layers_finds_its_positions_in_hugging_faces_cache(hf_llama, as_ours):
    theirs = hf_llama()
    layers, cache = as_ours(theirs).model.layers, DynamicCache(config=theirs.config)
    x, outputs = torch.randn(1, 6, 64), []
    for chunk in x.split([4, 1, 1], dim=1):
        for layer in layers:
            chunk = layer(chunk, past_key_values=cache)
        outputs.append(chunk)
    for layer in layers:
        x = layer(x)
    torch.testing.assert_close(torch.cat(outputs, dim=1), x, atol=1e-4, rtol=0)


def test_our_layer_runs_inside_hugging_faces_model(hf_llama):
    theirs = hf_llama()
    ids = torch.randint(97, (2, 64))
    expected = theirs(ids).logits
    generated = theirs.generate(ids[:1, :8], max_new_tokens=16, do_sample=False)
    theirs = with_our_layers(theirs)
    torch.testing.assert_close(theirs(ids).logits, expected, atol=1e-4, rtol=0)
    again = theirs.generate(ids[:1, :8], max_new_tokens=16, do_sample=False)
    assert torch.equal(again, generated)
