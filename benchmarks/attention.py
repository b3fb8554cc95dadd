"""Time and peak memory of causal attention from 1k to 16k tokens, in every form that there is.

The forms are those of `companion.fast.attention`, torch's own
`F.scaled_dot_product_attention` and its compiled flex_attention. Prints a line for each case and
writes everything to benchmarks/results/. Linux only.
"""

import argparse
import ctypes
import gc
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from harness import Sentinel, interleaved, ratio
from machine import machine, write
from peak_memory import in_a_process_of_its_own, status
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from companion import fast

# heads, kv_heads, head_dim, then lengths, and the last one that plain attention has room for
SMOLLM2 = (9, 3, 64), (1024, 2048, 4096, 8192, 16384), 8192
LLAMA_1B = (32, 8, 64), (1024, 2048, 4096), 4096
DTYPES = (torch.float32, torch.bfloat16)
OURS = ("plain", "tiled", "blocks", "sdpa")
ROUNDS = {1024: 5, 2048: 5, 4096: 3, 8192: 3, 16384: 3}
LONG, SLOW = 4096, ("plain", "tiled")  # from that length on, these have one round


def flex(query: Tensor, key: Tensor, value: Tensor) -> Callable[[], Tensor]:
    """Compiled flex_attention; the block mask is made once, as a caller would keep it."""
    length = query.shape[-2]
    seen = create_block_mask(
        lambda batch, head, q, k: q >= k, None, None, length, length, device="cpu"
    )
    compiled = torch.compile(flex_attention, dynamic=False)
    return partial(compiled, query, key, value, block_mask=seen, enable_gqa=True)


def call(form: str, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """Causal attention over these inputs in one form, ready to be called."""
    if form == "flex":
        return flex(*inputs)
    attend = F.scaled_dot_product_attention if form == "torch" else fast.attention[form]
    return partial(attend, *inputs, is_causal=True, enable_gqa=True)


def random(sizes: tuple[int, ...], length: int, dtype: torch.dtype) -> tuple:
    """Query, key and value of one sequence."""
    heads, kv_heads, head_dim = sizes
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(1, n, length, head_dim, generator=generator).to(dtype)
        for n in (heads, kv_heads, kv_heads)
    )


@torch.inference_mode()
def peak_bytes(form: str, sizes: tuple, length: int, dtype: torch.dtype) -> int:
    """What one call holds at most beyond its inputs, its output included.

    An earlier call is not counted: it starts the threads and loads kernels, for which
    a short text is enough, and compiles, for which it is not.
    """
    run = call(form, random(sizes, length, dtype))
    if form == "flex":
        run()
    else:
        call(form, random(sizes, min(length, 1024), dtype))()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    run()
    return status("VmHWM") - before


@torch.inference_mode()
def measure(
    sizes: tuple, length: int, dtype: torch.dtype, forms: list[str], options: dict
) -> dict:
    """Seconds and peak bytes of each form, and how many times torch's speed that is."""
    torch.compiler.reset()  # each length is a recompilation, and they are limited
    inputs = random(sizes, length, dtype)
    runs = {form: call(form, inputs) for form in forms}
    outputs: dict[str, Tensor] = {}
    keeping = {form: partial(keep, outputs, form, run) for form, run in runs.items()}
    samples = interleaved(keeping, **options)
    expected = outputs["torch"].float()
    apart = {form: (x.float() - expected).abs().max() for form, x in outputs.items()}
    return {
        **dict(zip(("heads", "kv_heads", "head_dim"), sizes, strict=True)),
        "length": length,
        "dtype": str(dtype).removeprefix("torch."),
        "output_bytes": inputs[0].nbytes,
        "peak_bytes": {
            form: in_a_process_of_its_own(peak_bytes, form, sizes, length, dtype)
            for form in forms
        },
        "seconds": {form: statistics.median(samples[form]) for form in forms},
        "times_torch": {form: ratio(samples, form, "torch") for form in forms},
        "largest_difference": {form: far.item() for form, far in apart.items()},
        "raw_seconds": samples,
    }


def keep(outputs: dict[str, Tensor], form: str, run: Callable[[], Tensor]) -> None:
    """Run, and keep what came out, which is compared when the clock has stopped."""
    outputs[form] = run()


def line(case: dict) -> str:
    """A case in one line: milliseconds, times torch's speed, MiB."""
    cells = [
        f"{form} {1e3 * seconds:.0f} ms {case['times_torch'][form]['median']:.2f}x "
        f"{case['peak_bytes'][form] / 2**20:.0f} MiB"
        for form, seconds in case["seconds"].items()
    ]
    where = f"{case['heads']}/{case['kv_heads']} {case['dtype']} {case['length']}"
    return f"{where}: {', '.join(cells)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--longest", type=int, default=16384)
    parser.add_argument("--rounds", type=int, default=9, help="at most so many")
    parser.add_argument("--retries", type=int, default=2)
    parser.add_argument(
        "--goals", action="store_true", help="only what goals.py judges, in a minute"
    )
    arguments = parser.parse_args()
    sentinel = Sentinel()
    options: dict = {"sentinel": sentinel, "retries": arguments.retries}
    result: dict = {**machine(), "cases": []}
    for sizes, length, dtype, forms in asked(arguments.goals):
        if length > arguments.longest:
            continue
        options["rounds"] = min(ROUNDS[length], arguments.rounds)
        options["once"] = SLOW if length >= LONG else ()
        case = measure(sizes, length, dtype, forms, options)
        result["cases"].append(case)
        print(line(case), flush=True)
    name = "attention-goals" if arguments.goals else "attention"
    write(name, {**result, "sentinel": sentinel.report()})


def asked(only_goals: bool) -> Iterator[tuple[tuple, int, torch.dtype, list[str]]]:
    """Sizes, length, dtype and forms of each case."""
    if only_goals:
        for length in (2048, 16384):
            yield SMOLLM2[0], length, torch.bfloat16, ["blocks", "torch"]
        return
    for sizes, lengths, room in (SMOLLM2, LLAMA_1B):
        for dtype in DTYPES:
            for length in lengths:
                ours = [form for form in OURS if form != "plain" or length <= room]
                yield sizes, length, dtype, [*ours, "torch", "flex"]


if __name__ == "__main__":
    main()
