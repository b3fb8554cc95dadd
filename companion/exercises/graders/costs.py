"""The graders of the exercises on what a decode step reads, and on least times."""

import math
from collections.abc import Callable

import torch

from companion.config import LlamaConfig
from companion.exercises.graders.grading import graded

SLACK = 0.002  # norms and one row of the embedding may be counted or not


TIED = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    tie_word_embeddings=True,
)
UNTIED = LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
)


def layer_weights(config: LlamaConfig) -> int:
    """The numbers in the seven matrices of one layer."""
    q_width = config.num_attention_heads * config.head_dim
    kv_width = config.num_key_value_heads * config.head_dim
    rows = 2 * q_width + 2 * kv_width + 3 * config.intermediate_size
    return config.hidden_size * rows


def cached_numbers(config: LlamaConfig, kv_len: int) -> int:
    """The numbers in the keys and values of `kv_len` tokens, all layers."""
    width = config.num_key_value_heads * config.head_dim
    return 2 * config.num_hidden_layers * width * kv_len


def known_mistakes(config: LlamaConfig, kv_len: int) -> dict[str, int]:
    """Wrong counts of numbers, each with what is wrong about it."""
    layer, cache = layer_weights(config), cached_numbers(config, kv_len)
    layers, table = config.num_hidden_layers, config.vocab_size * config.hidden_size
    right = layers * layer + table + cache
    group = config.num_attention_heads // config.num_key_value_heads
    again = (
        "the tied head is the embedding"
        if config.tie_word_embeddings
        else ("of the embedding a token looks up one row")
    )
    return {
        "the cache holds key/value heads, not query heads": right + (group - 1) * cache,
        "the cache holds keys and values: twice as many numbers": right - cache // 2,
        "every layer has a cache of its own": right - cache + cache // layers,
        "the cache grows with kv_len: it holds that many tokens": (
            right - cache + cache // kv_len
        ),
        "the cache is read too": right - cache,
        "the weights are read too": cache,
        "the head is multiplied for every token too": right - table,
        f"the vocabulary's matrix counts once: {again}": right + table,
        "every layer has weights of its own": right - (layers - 1) * layer,
        "the feed-forward half has three matrices: gate, up and down": (
            right - layers * config.hidden_size * config.intermediate_size
        ),
    }


@graded
def check_decode_bytes(decode_bytes: Callable[..., int]) -> str | None:
    """Grade `decode_bytes(config, kv_len, dtype)`: the bytes of the weights that one new
    token is multiplied with, and of the keys and values of `kv_len` tokens.
    """
    for config in (TIED, UNTIED):
        for kv_len in (1000, 8000):
            for dtype in (torch.float32, torch.bfloat16):
                problem = check_case(decode_bytes, config, kv_len, dtype)
                if problem:
                    return problem
    return None


def check_case(
    decode_bytes: Callable[..., int],
    config: LlamaConfig,
    kv_len: int,
    dtype: torch.dtype,
) -> str | None:
    """What is wrong with the answer for one model, if anything is."""
    answer = decode_bytes(config, kv_len, dtype)
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return f"it returned a {type(answer).__name__}, not a number of bytes"
    cache = cached_numbers(config, kv_len)
    table = config.vocab_size * config.hidden_size
    expected = config.num_hidden_layers * layer_weights(config) + table + cache
    size = dtype.itemsize
    if near(answer, expected * size):
        return None
    for other in (1, 2, 4, 8 * size):
        if other != size and near(answer, expected * other):
            return f"a number in {dtype} has {size} bytes, and this takes {other}"
    where = (
        f"{config.num_hidden_layers} layers, kv_len {kv_len}, {dtype}: {answer:,.0f} "
        f"bytes, and it should be {expected * size:,}"
    )
    mistakes = known_mistakes(config, kv_len)
    mistake = min(mistakes, key=lambda each: abs(answer - mistakes[each] * size))
    if near(answer, mistakes[mistake] * size):
        return f"{where}: {mistake}"
    return where


def near(answer: int | float, expected: int) -> bool:
    """Whether two counts are equal up to the norms' weights."""
    return abs(answer - expected) <= SLACK * expected


Steps = list[tuple[float, float]]


@graded
def check_least_seconds(least: Callable[[Steps, float, float], float]) -> str | None:
    """Grade `least(steps, flops_per_second, bytes_per_second)`: the least seconds of steps of
    (FLOPs, bytes) that run one after the other.
    """
    flops_per_second, bytes_per_second = 100.0, 10.0
    cases = {
        "for one step of 500 FLOPs and 20 bytes": [(500.0, 20.0)],
        "for one step of 0 FLOPs and 20 bytes": [(0.0, 20.0)],
        "for two steps, (500, 20) and (100, 80)": [(500.0, 20.0), (100.0, 80.0)],
    }
    for where, steps in cases.items():
        times = [(f / flops_per_second, b / bytes_per_second) for f, b in steps]
        expected = sum(max(each) for each in times)
        computing, reading = (sum(x) for x in zip(*times, strict=True))
        answer = least(list(steps), flops_per_second, bytes_per_second)
        known = {
            "each step for itself waits for the slower of the two: take the maximum step "
            "by step, and then the sum": max(computing, reading),
            "a machine computes while it reads: the slower of the two decides, not their "
            "sum": computing + reading,
            "the slower of the two decides, not the faster": sum(map(min, times)),
            "the bytes are left out": computing,
            "the FLOPs are left out": reading,
        }
        if problem := check_number(answer, expected, known, "seconds"):
            return f"{where}: {problem}"
    return None


@graded
def check_batch_rate(rate: Callable[[float, float, int, float], float]) -> str | None:
    """Grade `rate(weight_bytes, cache_bytes, batch, bytes_per_second)`: the tokens a second of
    all texts of a batch, if bytes alone decide.
    """
    weights, cache, speed = 1000.0, 50.0, 1e5
    for batch in (1, 2, 64):
        step = (weights + batch * cache) / speed
        known = {
            "every text has a cache of its own, and a step reads all of them": (
                batch * speed / (weights + cache)
            ),
            "the weights are read once for all texts of the batch": (
                speed / (weights + cache)
            ),
            "a step writes one token for each text, so the batch writes as many": 1
            / step,
            "the caches are read too": batch * speed / weights,
            "it is the seconds of a step": step,
        }
        answer = rate(weights, cache, batch, speed)
        if problem := check_number(answer, batch / step, known, "tokens a second"):
            return f"with {batch} in the batch: {problem}"
    return None


def check_number(
    answer: object, expected: float, known: dict[str, float], unit: str
) -> str | None:
    """What is wrong with a single number, if anything is."""
    if isinstance(answer, torch.Tensor) and answer.numel() == 1:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return f"it returned a {type(answer).__name__}, not a number"
    if math.isclose(answer, expected, rel_tol=1e-4):
        return None
    for mistake, number in known.items():
        if math.isclose(answer, number, rel_tol=1e-4):
            return mistake
    return f"{answer:,.4g} {unit}, and it should be {expected:,.4g}"
