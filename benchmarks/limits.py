"""What a form cannot exceed: how fast this machine reads and multiplies, measured in the
process of the forms, and the bytes and FLOPs that their phases take at least.
"""

import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from harness import Sentinel, quiet

from companion import LlamaConfig, LlamaForCausalLM

LARGE = 2**28  # bytes: no processor's cache holds it
SIDE = 2**13  # of a float32 matrix of that size
ROUNDS = 9
RETRIES = 3

Run = Callable[[], object]


def clock(device: str) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(run: Run, device: str) -> float:
    """How long one call takes."""
    start = clock(device)
    run()
    return clock(device) - start


def best(
    name: str, run: Run, device: str, sentinel: Sentinel, rounds: int = ROUNDS
) -> float:
    """The shortest of several calls, after one that is not timed."""
    run()
    call = partial(seconds, run, device)
    return min(quiet(name, call, sentinel, RETRIES) for _ in range(rounds))


def peak(dtype: str, device: str, sentinel: Sentinel, rounds: int = ROUNDS) -> float:
    """FLOPs per second of a large product in this dtype."""
    rows, side = (2048, 4096) if device == "cpu" else (8192, 8192)
    where = {"dtype": getattr(torch, dtype), "device": device}
    x, weight = torch.ones(rows, side, **where), torch.ones(side, side, **where)
    run = partial(F.linear, x, weight)
    least = best(f"{dtype} peak", run, device, sentinel, rounds)
    return 2 * rows * side * side / least


def reading(device: str, sentinel: Sentinel, rounds: int = ROUNDS) -> float:
    """Bytes per second of the faster of a sum and a product of a matrix with a vector."""
    weight, x = torch.ones(SIDE, SIDE, device=device), torch.ones(SIDE, device=device)
    runs = {"sum": weight.sum, "matrix times vector": partial(F.linear, x, weight)}
    return LARGE / min(
        best(name, run, device, sentinel, rounds) for name, run in runs.items()
    )


def limits(dtype: str, sentinel: Sentinel, rounds: int = 5) -> dict[str, float]:
    """What a CPU reads and multiplies in a second now: numbers of 16 bits may be multiplied
    in float32 too.
    """
    peaks = [peak(name, "cpu", sentinel, rounds) for name in {dtype, "float32"}]
    return {
        "bytes_per_second": reading("cpu", sentinel, rounds),
        "flops_per_second": max(peaks),
    }


def highest(*found: dict[str, float]) -> dict[str, float]:
    """The best of several measurements of the same limits."""
    return {name: max(each[name] for each in found) for name in found[0]}


def weight_bytes(model: LlamaForCausalLM) -> int:
    """Bytes of the weights that every new token is multiplied with: all but an embedding
    in which a row is looked up, and that is not the head too.
    """
    looked_up = 0
    if not model.config.tie_word_embeddings:
        looked_up = model.model.embed_tokens.weight.nbytes
    return sum(weight.nbytes for weight in model.parameters()) - looked_up


def cache_bytes(config: LlamaConfig, tokens: int, element: int) -> int:
    """Bytes of the keys and values of so many tokens, with `element` bytes a number."""
    layers, heads = config.num_hidden_layers, config.num_key_value_heads
    return 2 * layers * heads * config.head_dim * tokens * element


def prefill_flops(config: LlamaConfig, tokens: int) -> int:
    """FLOPs of a prefill: every matrix with every token, the head with the last alone,
    and the half of the scores and weighted values that is causal.
    """
    layers, hidden = config.num_hidden_layers, config.hidden_size
    heads, head_dim = config.num_attention_heads, config.head_dim
    projected = 2 * (heads + config.num_key_value_heads) * head_dim
    matrices = layers * hidden * (projected + 3 * config.intermediate_size)
    head = config.vocab_size * hidden
    attention = 4 * layers * heads * head_dim * tokens * tokens // 2
    return 2 * matrices * tokens + 2 * head + attention
