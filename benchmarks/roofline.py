"""The roofline of this machine, and a decoder layer's steps under it: `make roofline`.

Measures how fast memory is read and copied and how fast matrices are multiplied, then
the time of each step of a layer 2048 wide with 32 heads over 8, at a prefill of 512 and
at one token after 511. Its weights are larger than most processors' caches. Everything is
written to benchmarks/results/. Takes a CUDA GPU where there is one.
"""

import statistics
from collections.abc import Iterator
from functools import partial

import torch
from harness import Sentinel, quiet
from limits import LARGE, RETRIES, ROUNDS, Run, best, clock, peak, reading
from machine import machine, write

from companion import (
    KVCache,
    LlamaConfig,
    LlamaDecoderLayer,
    apply_rope,
    merge_heads,
    split_heads,
)
from companion.attention import later, masked_softmax, repeat_for_query_heads
from companion.mlp import swiglu
from companion.show.ledgers.cost import CostCounter
from companion.show.measurements.predictions import predicted_and_measured

CONFIG = LlamaConfig(
    hidden_size=2048,
    intermediate_size=5632,
    num_hidden_layers=1,
    num_attention_heads=32,
    num_key_value_heads=8,
)
LENGTH = 512
CASES = {"prefill": LENGTH, "decode": 1}
DTYPES = ("float32", "bfloat16")


def bandwidth(device: str, sentinel: Sentinel) -> dict[str, float]:
    """Bytes per second: reading only, and copying, where both directions count."""
    source = torch.ones(LARGE // 4, device=device)
    target = torch.empty_like(source)
    copy = partial(target.copy_, source)
    return {
        "read": reading(device, sentinel),
        "copy": 2 * LARGE / best("copy", copy, device, sentinel),
    }


Steps = Iterator[tuple[str, Run]]


def attention_steps(layer: LlamaDecoderLayer, values: dict, cache: KVCache) -> Steps:
    """From the normed hidden states to the output of attention."""
    attn, v = layer.self_attn, values
    q_len, kv_len = v["x"].shape[1], cache.max_length
    cache.lengths = [kv_len - q_len] * len(cache.lengths)  # of every run
    yield "query", lambda: split_heads(attn.q_proj(v["normed"]), attn.num_heads)
    yield "key", lambda: split_heads(attn.k_proj(v["normed"]), attn.num_kv_heads)
    yield "value", lambda: split_heads(attn.v_proj(v["normed"]), attn.num_kv_heads)
    yield "query, rotated", lambda: apply_rope(v["query"], v["cos"], v["sin"])
    yield "key, rotated", lambda: apply_rope(v["key"], v["cos"], v["sin"])
    yield "cached", lambda: cache.update(v["key, rotated"], v["value"], 0)
    yield "repeated", lambda: repeat_for_query_heads(v["query, rotated"], *v["cached"])
    yield "scores", lambda: v["query, rotated"] @ v["repeated"][0].mT
    yield "scaled", lambda: v["scores"].mul_(attn.head_dim**-0.5)
    if q_len == kv_len:
        yield (
            "masked",
            lambda: v["scores"].masked_fill_(later(v["scores"]), -torch.inf),
        )
    yield "softmax", lambda: masked_softmax(v["scores"], None)
    yield "weighted values", lambda: v["softmax"] @ v["repeated"][1]
    yield "merged, projected", lambda: attn.o_proj(merge_heads(v["weighted values"]))


def layer_steps(layer: LlamaDecoderLayer, values: dict, cache: KVCache) -> Steps:
    """The layer's computation taken apart: each step reads what those before it left in
    `values` under their names, where `x`, `cos` and `sin` are from the start.
    """
    mlp, v = layer.mlp, values
    yield "normed", lambda: layer.input_layernorm(v["x"])
    yield from attention_steps(layer, values, cache)
    yield "x + attention", lambda: v["x"] + v["merged, projected"]
    norm = layer.post_attention_layernorm
    yield "normed again", lambda: norm(v["x + attention"])
    yield "gate", lambda: mlp.gate_proj(v["normed again"])
    yield "up", lambda: mlp.up_proj(v["normed again"])
    yield "silu(gate) · up", lambda: swiglu(v["gate"], v["up"])
    yield "down", lambda: mlp.down_proj(v["silu(gate) · up"])
    yield "x + feed-forward", lambda: v["x + attention"] + v["down"]


def prepared(config: LlamaConfig, q_len: int, kv_len: int, **where: object) -> tuple:
    """A layer, its input, and a cache with room for the new tokens after the others."""
    torch.manual_seed(0)
    layer = LlamaDecoderLayer(config, 0).to(**where).requires_grad_(False).eval()
    cache = KVCache(config, 1, kv_len, **where)
    cache.keys.normal_()
    cache.values.normal_()
    x = torch.randn(1, q_len, config.hidden_size).to(**where)
    positions = torch.arange(kv_len - q_len, kv_len, device=x.device)[None]
    cos, sin = layer.rotary_emb(x, positions)
    return layer, {"x": x, "cos": cos, "sin": sin}, cache


@torch.inference_mode()
def costs(layer: LlamaDecoderLayer, values: dict, cache: KVCache) -> list[dict]:
    """Every step with its FLOPs and bytes, counted as the shape ledger counts."""
    found = []
    for name, run in layer_steps(layer, values, cache):
        with CostCounter() as counter:
            values[name] = run()
        found.append({"step": name, **vars(counter.cost)})
    return found


@torch.inference_mode()
def once(setting: tuple, device: str, taken: dict[str, float]) -> None:
    """Seconds of every step, into `taken`. All steps run in their order, so that one finds
    in the processor's cache what it would find there in the layer.
    """
    values = setting[1]
    for name, run in layer_steps(*setting):
        start = clock(device)
        values[name] = run()
        taken[name] = clock(device) - start


def case(name: str, dtype: str, device: str, sentinel: Sentinel) -> dict:
    """One phase in one dtype: what its steps cost, and how long they take."""
    where = {"dtype": getattr(torch, dtype), "device": device}
    setting = prepared(CONFIG, CASES[name], LENGTH, **where)
    steps, taken, samples = costs(*setting), {}, []
    run = partial(once, setting, device, taken)
    run()
    for _ in range(ROUNDS):
        quiet(f"{name} {dtype}", run, sentinel, RETRIES)
        samples.append(dict(taken))
    for step in steps:
        step["raw_seconds"] = [sample[step["step"]] for sample in samples]
        step["seconds"] = statistics.median(step["raw_seconds"])
    sizes = {"q_len": CASES[name], "kv_len": LENGTH}
    return {"name": name, "dtype": dtype, **sizes, "steps": steps}


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sentinel = Sentinel()
    result = {
        **machine(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "bytes_per_second": bandwidth(device, sentinel),
        "flops_per_second": {dtype: peak(dtype, device, sentinel) for dtype in DTYPES},
        "layer": vars(CONFIG),
    }
    for name, rate in result["bytes_per_second"].items():
        print(f"memory, {name}: {rate / 1e9:.1f} GB/s")
    for dtype, rate in result["flops_per_second"].items():
        print(f"products in {dtype}: {rate / 1e9:.0f} GFLOP/s")
    result["cases"] = [
        case(name, dtype, device, sentinel) for dtype in DTYPES for name in CASES
    ]
    for each in result["cases"]:
        print(
            f"\n{each['name']} in {each['dtype']}: {each['q_len']} of {LENGTH} tokens"
        )
        print(predicted_and_measured(result, each["name"], each["dtype"]))
    write("roofline", {**result, "sentinel": sentinel.report()})


if __name__ == "__main__":
    main()
