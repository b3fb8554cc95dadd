import pytest
import torch
from grades import accepts, rejects

from companion import KVCache, LlamaForCausalLM
from companion.exercises import check_decode_bytes
from companion.exercises.graders.costs import (
    TIED,
    UNTIED,
    cached_numbers,
    layer_weights,
)


def parts(config, kv_len):
    """Numbers of all layers, of the head, and of the cache."""
    layers = config.num_hidden_layers * layer_weights(config)
    table = config.vocab_size * config.hidden_size
    return layers, table, cached_numbers(config, kv_len)


def right(config, kv_len, dtype):
    return dtype.itemsize * sum(parts(config, kv_len))


def from_the_models(config, kv_len, dtype):
    """Counted from a model and a cache on the meta device, norms included."""
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(dtype)
        cache = KVCache(config, 1, kv_len, dtype=dtype)
    numbers = sum(weight.numel() for weight in model.parameters())
    if not config.tie_word_embeddings:
        numbers -= model.model.embed_tokens.weight.numel()
    return numbers * dtype.itemsize + cache.nbytes


def with_query_heads(config, kv_len, dtype):
    layers, table, cache = parts(config, kv_len)
    group = config.num_attention_heads // config.num_key_value_heads
    return dtype.itemsize * (layers + table + group * cache)


def keys_alone(config, kv_len, dtype):
    layers, table, cache = parts(config, kv_len)
    return dtype.itemsize * (layers + table + cache // 2)


def one_layers_cache(config, kv_len, dtype):
    layers, table, cache = parts(config, kv_len)
    return dtype.itemsize * (layers + table + cache // config.num_hidden_layers)


def one_tokens_cache(config, kv_len, dtype):
    return right(config, 1, dtype)


def without_cache(config, kv_len, dtype):
    return dtype.itemsize * sum(parts(config, kv_len)[:2])


def without_weights(config, kv_len, dtype):
    return dtype.itemsize * cached_numbers(config, kv_len)


def without_head(config, kv_len, dtype):
    layers, _, cache = parts(config, kv_len)
    return dtype.itemsize * (layers + cache)


def head_and_embedding(config, kv_len, dtype):
    layers, table, cache = parts(config, kv_len)
    return dtype.itemsize * (layers + 2 * table + cache)


def all_parameters(config, kv_len, dtype):
    """Right with a tied head; otherwise the embedding is counted."""
    layers, table, cache = parts(config, kv_len)
    times = 1 if config.tie_word_embeddings else 2
    return dtype.itemsize * (layers + times * table + cache)


def one_layers_weights(config, kv_len, dtype):
    _, table, cache = parts(config, kv_len)
    return dtype.itemsize * (layer_weights(config) + table + cache)


def two_matrices(config, kv_len, dtype):
    forgotten = config.num_hidden_layers * config.hidden_size * config.intermediate_size
    return right(config, kv_len, dtype) - dtype.itemsize * forgotten


def always_float32(config, kv_len, dtype):
    return right(config, kv_len, torch.float32)


def in_bits(config, kv_len, dtype):
    return 8 * right(config, kv_len, dtype)


def in_numbers(config, kv_len, dtype):
    return sum(parts(config, kv_len))


@pytest.mark.parametrize("config", [TIED, UNTIED])
def test_the_closed_form_is_the_models_size(config):
    exact = from_the_models(config, 100, torch.bfloat16)
    assert right(config, 100, torch.bfloat16) == pytest.approx(exact, rel=0.001)


test_accepts = accepts(check_decode_bytes, right, from_the_models)

test_rejects = rejects(
    check_decode_bytes,
    (with_query_heads, "not query heads"),
    (keys_alone, "keys and values"),
    (one_layers_cache, "a cache of its own"),
    (one_tokens_cache, "grows with kv_len"),
    (without_cache, "the cache is read too"),
    (without_weights, "the weights are read too"),
    (without_head, "the head is multiplied"),
    (head_and_embedding, "the tied head is the embedding"),
    (all_parameters, "looks up one row"),
    (one_layers_weights, "weights of its own"),
    (two_matrices, "gate, up and down"),
    (always_float32, "has 2 bytes, and this takes 4"),
    (in_bits, "has 4 bytes, and this takes 32"),
    (in_numbers, "has 4 bytes, and this takes 1"),
    (lambda config, kv_len, dtype: 5, "it should be"),
    (lambda config, kv_len, dtype: None, "NoneType"),
    (lambda config, kv_len, dtype: True, "bool"),
    (lambda config, kv_len, dtype: 1 / 0, "ZeroDivisionError"),
)
