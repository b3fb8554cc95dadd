"""transformers 5.24 calls `cache` what was `past_key_values`: our layer takes either."""

import pytest
import tiny
import torch
from transformers import DynamicCache, LlamaConfig

import companion
from companion import KVCache
from companion.hugging_face import LlamaDecoderLayer

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2}
NAMES = "past_key_values", "cache"
CACHES = [lambda: KVCache(tiny.config(), 2, 3), lambda: DynamicCache()]


@pytest.fixture
def layer():
    return LlamaDecoderLayer(LlamaConfig(**SIZES), 0)


@pytest.fixture
def x():
    return torch.randn(2, 3, 16)


@pytest.fixture
def angles(x):
    return companion.LlamaRotaryEmbedding(tiny.config())(x, torch.arange(3)[None])


def one_by_one(part, x, angles, cache, name):
    """What a layer or an attention makes of three tokens, one after another."""
    made = [
        part(
            x[:, i : i + 1],
            position_embeddings=tuple(each[:, i : i + 1] for each in angles),
            **{name: cache},
        )
        for i in range(3)
    ]
    return torch.cat([each[0] if isinstance(each, tuple) else each for each in made], 1)


@torch.no_grad()
@pytest.mark.parametrize("make", CACHES, ids=["KVCache", "DynamicCache"])
@pytest.mark.parametrize("which", ["layer", "attention"])
def test_either_name_fills_the_cache_and_reads_it(layer, x, angles, which, make):
    part = layer if which == "layer" else layer.self_attn
    whole = part(x, position_embeddings=angles)
    for name in NAMES:
        cache = make()
        made = one_by_one(part, x, angles, cache, name)
        assert cache.get_seq_length(0) == 3
        torch.testing.assert_close(
            made, whole if which == "layer" else whole[0], atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("which", ["layer", "attention"])
def test_both_names_are_refused(layer, x, angles, which):
    part = layer if which == "layer" else layer.self_attn
    caches = {name: KVCache(tiny.config(), 2, 3) for name in NAMES}
    with pytest.raises(ValueError, match="cache and past_key_values both came"):
        part(x, position_embeddings=angles, **caches)
    assert [each.length for each in caches.values()] == [0, 0]


@torch.no_grad()
def test_no_cache_by_the_new_name_is_none(layer, x, angles):
    assert torch.equal(
        layer(x, position_embeddings=angles, cache=None),
        layer(x, position_embeddings=angles),
    )


def test_our_cache_takes_what_their_layers_hand_to_it():
    key = torch.randn(2, 2, 3, 4)
    keys, values = KVCache(tiny.config(), 2, 3).update(key, key, 0, kwargs={"a": 1})
    assert torch.equal(keys, key)
    assert torch.equal(values, key)
