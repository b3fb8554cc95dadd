"""One decoder layer, 2048 wide with 32 heads over 8, beside Hugging Face's: `make bench`.

Time at 512 and 2048 tokens in float32 and bfloat16, and what each form holds at most
beyond its input and weights. Everything is written to benchmarks/results/. Linux only.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from harness import Sentinel, interleaved
from hugging_face import hugging_face
from machine import machine, write
from peak_memory import extra_peak, in_a_process_of_its_own
from report import table

from companion import LlamaConfig, LlamaForCausalLM, LlamaRotaryEmbedding, fast

CONFIG = LlamaConfig(
    vocab_size=32,
    hidden_size=2048,
    intermediate_size=5632,
    num_hidden_layers=1,
    num_attention_heads=32,
    num_key_value_heads=8,
    tie_word_embeddings=True,
)
LENGTHS = (512, 2048)
DTYPES = ("float32", "bfloat16")
FORMS: dict[str, Callable] = {
    "companion plain": lambda model: model,
    "companion compiled": fast.compile_prefill,
    "hugging face sdpa": lambda model: hugging_face(model, "sdpa"),
}


def random_model(dtype: torch.dtype) -> LlamaForCausalLM:
    """A model of this one layer, with the same weights each time."""
    torch.manual_seed(0)
    return LlamaForCausalLM(CONFIG).to(dtype).requires_grad_(False).eval()


def layer(model: torch.nn.Module, length: int, dtype: torch.dtype) -> Callable:
    """Its layer, ready to be called on a random input of that length."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, length, CONFIG.hidden_size, generator=generator).to(dtype)
    angles = LlamaRotaryEmbedding(CONFIG)(x, torch.arange(length)[None])
    return partial(model.model.layers[0], x, position_embeddings=angles)


@torch.inference_mode()
def peak_bytes(form: str, length: int, dtype: str) -> int:
    """What a call holds at most beyond what was held before, its output included."""
    kind = getattr(torch, dtype)
    return extra_peak(layer(FORMS[form](random_model(kind)), length, kind))


@torch.inference_mode()
def measure(length: int, dtype: str, **options) -> dict:
    """Seconds of every form in each round, distance of its output, peak bytes."""
    kind = getattr(torch, dtype)
    model = random_model(kind)
    runs = {name: layer(form(model), length, kind) for name, form in FORMS.items()}
    expected = runs["hugging face sdpa"]().float()
    apart = {
        name: (run().float() - expected).abs().max().item()
        for name, run in runs.items()
    }
    seconds = interleaved(runs, **options)
    peaks = {
        name: in_a_process_of_its_own(peak_bytes, name, length, dtype) for name in FORMS
    }
    return {"seconds": seconds, "largest_difference": apart, "peak_bytes": peaks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--retries", type=int, default=3)
    asked = parser.parse_args()
    sentinel = Sentinel()
    options = {"rounds": asked.rounds, "sentinel": sentinel, "retries": asked.retries}
    result: dict = {**machine(), "config": vars(CONFIG)}
    for dtype in DTYPES:
        for length in LENGTHS:
            name = f"{dtype}_{length}"
            result[name] = case = measure(length, dtype, **options)
            print(table(f"decoder layer, {length} tokens, {dtype}", case))
            for form, size in case["peak_bytes"].items():
                print(f"  {form:26} {size / 2**20:10.0f} MiB", flush=True)
    write("layer", {**result, "sentinel": sentinel.report()})


if __name__ == "__main__":
    main()
