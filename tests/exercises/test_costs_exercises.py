import pytest
import torch
from grades import accepts, rejects

from companion import KVCache, LlamaForCausalLM, show
from companion.exercises import (
    check_batch_rate,
    check_decode_bytes,
    check_least_seconds,
)
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


def step_by_step(steps, flops_per_second, bytes_per_second):
    total = 0.0
    for flops, moved in steps:
        total += max(flops / flops_per_second, moved / bytes_per_second)
    return total


def as_tensors(steps, flops_per_second, bytes_per_second):
    speeds = torch.tensor([flops_per_second, bytes_per_second])
    return (torch.tensor(steps) / speeds).amax(dim=-1).sum()


def by_roofline(steps, flops_per_second, bytes_per_second):
    machine = show.Roofline(flops_per_second, bytes_per_second)
    return sum(machine.seconds(*step) for step in steps)


test_accepts_least_seconds = accepts(
    check_least_seconds, step_by_step, as_tensors, by_roofline
)


def sums(steps, flops_per_second, bytes_per_second):
    flops, moved = (sum(x) for x in zip(*steps, strict=True))
    return flops / flops_per_second, moved / bytes_per_second


test_rejects_least_seconds = rejects(
    check_least_seconds,
    (lambda *given: max(sums(*given)), "^for two steps.* step by step"),
    (lambda *given: sum(sums(*given)), "^for one step of 500.* not their sum"),
    (lambda *given: min(sums(*given)), "not the faster"),
    (lambda *given: sums(*given)[0], "^for one step of 0 .*(left out|not the faster)"),
    (lambda *given: sums(*given)[1], "FLOPs are left out|not the faster"),
    (lambda *given: 3.0, "3 seconds, and it should be 5"),
    (lambda *given: None, "NoneType"),
    (lambda steps, f, b: steps[0] / f, "TypeError"),
)


def rate(weights, cache, batch, speed):
    return batch * speed / (weights + batch * cache)


def rate_of_one(weights, cache, batch, speed):
    """From the time of a step, in whole numbers."""
    seconds = (int(weights) + batch * int(cache)) / int(speed)
    return batch / seconds


test_accepts_batch_rate = accepts(
    check_batch_rate, rate, rate_of_one, lambda *given: torch.tensor(rate(*given))
)

test_rejects_batch_rate = rejects(
    check_batch_rate,
    (lambda w, c, n, s: n * s / (w + c), "^with 2 in the batch: .* a cache of its own"),
    (lambda w, c, n, s: s / (w + c), "weights are read once for all"),
    (lambda w, c, n, s: n * s / (n * w + n * c), "weights are read once for all"),
    (lambda w, c, n, s: s / (w + n * c), "one token for each text"),
    (lambda w, c, n, s: n * s / w, "caches are read too"),
    (lambda w, c, n, s: (w + n * c) / s, "seconds of a step"),
    (lambda w, c, n, s: 1, "1 tokens a second, and it should be"),
    (lambda w, c, n, s: True, "bool"),
)
