"""Prefill and decode of SmolLM2-135M in float32, beside Hugging Face's generate: `make bench`.

Both run interleaved in one process with the same weights, greedy, batch 1. Prints medians
and the ratio of each round, and writes everything to benchmarks/results/.
"""

import argparse
import statistics
import time

import torch
from machine import machine, write
from transformers import LlamaConfig as HFConfig
from transformers import LlamaForCausalLM as HFLlama

from companion import LlamaForCausalLM, generate, load

TEXT = (
    "The keys and values of the earlier tokens do not change, so a cache keeps them. "
)


def hugging_face(model: LlamaForCausalLM) -> HFLlama:
    """Hugging Face's model with the same weights, with torch's SDPA as its attention."""
    rope = {"rope_type": "default", "rope_theta": model.config.rope_theta}
    options = {"rope_parameters": rope, "attn_implementation": "sdpa"}
    theirs = HFLlama(HFConfig(**vars(model.config), **options)).eval()
    theirs.load_state_dict(model.state_dict(), strict=False)
    theirs.generation_config.eos_token_id = None
    return theirs


def seconds(run) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(prompt_length: int, new_tokens: int, rounds: int) -> dict:
    """Time both, round by round, on one prompt."""
    model, tokenizer = load(device="cpu")
    theirs = hugging_face(model)
    ids = torch.tensor([(tokenizer.encode(TEXT) * prompt_length)[:prompt_length]])
    options = {"attention_mask": torch.ones_like(ids), "do_sample": False}
    runs = {
        "companion": lambda n: generate(model, ids, n),
        "hugging_face": lambda n: theirs.generate(ids, max_new_tokens=n, **options),
    }
    tokens = {name: run(new_tokens) for name, run in runs.items()}
    with torch.inference_mode():
        gap = (model(ids) - theirs(ids).logits).abs().max().item()
    raw: dict = {name: {"prefill_s": [], "decode_s": []} for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            prefill = seconds(lambda run=run: run(1))
            whole = seconds(lambda run=run: run(new_tokens + 1))
            raw[name]["prefill_s"].append(prefill)
            raw[name]["decode_s"].append(whole - prefill)
    return {
        "prompt_length": prompt_length,
        "new_tokens": new_tokens,
        "same_tokens": torch.equal(tokens["companion"], tokens["hugging_face"]),
        "max_logit_difference": gap,
        "decode_tokens_per_s": rates(raw, "decode_s", new_tokens),
        "prefill_tokens_per_s": rates(raw, "prefill_s", prompt_length),
        "raw": raw,
    }


def rates(raw: dict, key: str, count: int) -> dict:
    """Median tokens per second of each, and the ratio with its spread over the rounds."""
    pairs = zip(raw["hugging_face"][key], raw["companion"][key], strict=True)
    ratios = sorted(theirs / ours for theirs, ours in pairs)
    result = {name: round(count / statistics.median(raw[name][key]), 1) for name in raw}
    spread = [round(ratios[0], 2), round(ratios[-1], 2)]
    return {
        **result,
        "ratio": round(statistics.median(ratios), 2),
        "ratio_min_max": spread,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    result = {
        **machine(),
        "float32": [measure(32, 64, rounds), measure(512, 8, rounds)],
    }
    for case in result["float32"]:
        print({name: value for name, value in case.items() if name != "raw"})
    write("generation", result)


if __name__ == "__main__":
    main()
