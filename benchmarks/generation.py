"""Prefill and decode of SmolLM2-135M beside Hugging Face and llama.cpp: `make bench`.

Greedy, a sequence at a time, all forms in turn in one process for each family of dtypes, with
llama.cpp in processes of its own, and decode of 8 sequences at once. Prints tokens per
second, times and ratios with their spread, and writes everything to benchmarks/results/.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from functools import cache, partial
from pathlib import Path

import hugging_face
import llama
import ours
import torch
from gguf_copies import weight_bytes as gguf_bytes
from gguf_copies import write_copy
from harness import RETRIES, Sentinel, interleaved
from limits import highest, limits, weight_bytes
from machine import machine, write
from phases import COMPILED, PHASES, SDPA, Phase, phases, work
from report import table
from written import Write, check_tokens, distance, perplexity

from companion import LlamaForCausalLM, fast, load
from companion.checkpoints import bundled_path
from companion.generate import decode

TEXT = (
    "The keys and values of the earlier tokens do not change, so a cache keeps them. "
)
SCORED = ours.PREFILL + 256  # ids of the text whose logits are compared with float32's
GGUF = {"float32": ["F32"], "bfloat16": ["BF16"], "quantized": ["Q8_0", "Q4_1"]}
Form = tuple[LlamaForCausalLM, object]  # a model, and what runs one token of it


def compiled(model: LlamaForCausalLM) -> Form:
    """Prompts and single tokens through compiled programs."""
    model = fast.compile_prefill(model)
    return model, fast.compile_decode(model)


def companions(family: str) -> dict[str, Form]:
    """Our forms of a family: a model each, and its step in decode."""
    if family == "quantized":
        model, _ = load(dtype=torch.float32, device="cpu")
        return {
            "companion int8 compiled": compiled(fast.int8(model)),
            "companion int4 compiled": compiled(fast.int4(model)),
        }
    model, _ = load(dtype=getattr(torch, family), device="cpu")
    return {
        "companion plain": (model, decode),
        "companion compiled": compiled(model),
    }


def others(family: str, name: str, model: LlamaForCausalLM) -> dict[str, Write]:
    """What is measured beside them in one phase: Hugging Face's forms, and those of ours
    that are for prompts alone.
    """
    phase = PHASES[name]
    if family == "quantized":  # what floating point weights would take
        dense = {"companion float32 compiled": ours.writer(fast.compile_prefill(model))}
        return {} if phase.new else dense
    forms = {SDPA: hugging_face.writer(model, "sdpa", phase.batch)}
    if name == "prefill_512":  # compiling takes half a minute for each length
        blocks = ours.with_attention(model, fast.attention["blocks"])
        forms["companion packed"] = ours.writer(fast.packed(blocks))
        forms[COMPILED] = hugging_face.compiled(model, phase.length)
    return forms


def llamas(family: str, folder: str) -> dict[str, llama.Llama]:
    """llama.cpp with the same weights, a process for each file."""
    source = bundled_path()
    return {
        f"llama.cpp {kind}": llama.Llama(
            source
            if kind == "Q4_1"
            else write_copy(source, Path(folder, f"{kind}.gguf"), kind)
        )
        for kind in GGUF[family]
    }


def measure(forms: dict[str, Write], phase: Phase, ids: list[int], **options) -> dict:
    """Tokens of each form, and seconds of each round."""
    part = "decode" if phase.new else "prefill"
    given = ids[: phase.length]
    tokens: dict[str, list[int]] = {}

    def sample(name: str) -> float:
        run = forms[name](given, phase.new + 1)
        tokens[name] = run.tokens
        return getattr(run, part)

    runs = {name: partial(sample, name) for name in forms}
    seconds = interleaved(runs, once=phase.once, **options)
    return {
        "count": phase.count,
        **phase.wait(),
        "tokens": tokens,
        "seconds": seconds,
    }


def sizes(forms: dict[str, Form], processes: dict[str, llama.Llama]) -> dict:
    """Bytes of the weights of each form that decodes, and of a number in its cache."""
    found = {
        name: (weight_bytes(x), x.dtype.itemsize) for name, (x, _) in forms.items()
    }
    if "companion plain" in found:
        found[SDPA] = found["companion plain"]
    # llama.cpp's cache is in float16 whatever the file
    return found | {name: (gguf_bytes(x.path), 2) for name, x in processes.items()}


@torch.inference_mode()
def at_once(model: LlamaForCausalLM, ids: list[int]) -> torch.Tensor:
    """The logits of `ours.logits`, from one prefill."""
    hidden_states = model.model(torch.tensor([ids]))
    return model.logits(hidden_states[0, ours.PREFILL - 1 :]).float()


def quality(forms: dict, processes: dict, ids: list[int], folder: str) -> dict:
    """How far the logits of each form of ours, and of llama.cpp, are from float32's, and
    how surprised each is by the text; token by token, but for the plain form.
    """
    expected = at_once(load(device="cpu")[0], ids)
    found = {
        name: at_once(x, ids) if step is decode else ours.logits(x, ids, step)
        for name, (x, step) in forms.items()
    }
    for name, process in processes.items():
        found[name] = process.logits(ids, Path(folder, "logits.npy"))
    following = torch.tensor(ids[ours.PREFILL :])
    return {
        name: {**distance(x, expected), "perplexity": perplexity(x[:-1], following)}
        for name, x in {"float32": expected, **found}.items()
    }


def measured(
    family: str, forms: dict, processes: dict, rounds: int | None, **options
) -> dict:
    """Every phase of a family, each printed when it is done, and the limits of that time."""
    dtype = "float32" if family == "quantized" else family
    before = limits(dtype, options["sentinel"])
    weights = sizes(forms, processes)
    model, _ = load(dtype=getattr(torch, dtype), device="cpu")
    result = {}
    for name, phase in phases(family).items():
        runs = {key: ours.writer(*form, phase.batch) for key, form in forms.items()}
        runs |= others(family, name, model)
        if phase.batch == 1:
            runs |= processes
        asked = {"rounds": rounds or phase.rounds, **options}
        case = measure(runs, phase, prompt(), **asked)
        if family == "float32":
            check_tokens(case["tokens"], "companion plain")
        result[name] = {**case, **work(phase, model.config, weights)}
        print(table(f"{name}, {family}", case), flush=True)
    result["limits"] = highest(before, limits(dtype, options["sentinel"]))
    return result


def run(family: str, **options) -> None:
    """Measure one family and keep it."""
    start = time.perf_counter()
    version = llama.installed_version()
    result: dict = {**machine(), "llama_cpp_python": version, "family": family}
    with tempfile.TemporaryDirectory() as folder:
        forms = companions(family)
        processes = llamas(family, folder) if version else {}
        result["quality"] = quality(forms, processes, scored(), folder)
        result |= measured(family, forms, processes, **options)
        for process in processes.values():
            process.close()
    for name, figures in result["quality"].items():
        line = "  {}: cosine {cosine:.5f}, {max_difference:.3g}, perplexity {perplexity:.2f}"
        print(line.format(name, **figures))
    read, multiplied = (rate / 1e9 for rate in result["limits"].values())
    print(f"  limits: {read:.1f} GB/s read, {multiplied:.0f} GFLOP/s multiplied")
    result["sentinel"] = options["sentinel"].report()
    result["took_seconds"] = round(time.perf_counter() - start)
    print(f"  {family} took {result['took_seconds']} s", flush=True)
    write(f"generation-{family}", result)


@cache
def prompt() -> list[int]:
    """2048 ids of a text; each phase takes as many from their beginning as it needs."""
    _, tokenizer = load(device="cpu")
    return (tokenizer.encode(TEXT) * 2048)[:2048]


def scored() -> list[int]:
    """The first ids of "Alice's Adventures in Wonderland" (Lewis Carroll, 1865)."""
    _, tokenizer = load(device="cpu")
    return tokenizer.encode(Path(__file__).with_name("alice.txt").read_text())[:SCORED]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", nargs="?", choices=list(GGUF))
    parser.add_argument("--rounds", type=int, help="in place of each phase's own")
    parser.add_argument("--retries", type=int, default=RETRIES)
    asked = parser.parse_args()
    if asked.family:
        options = {"rounds": asked.rounds, "retries": asked.retries}
        run(asked.family, sentinel=Sentinel(), **options)
        return
    options = ["--retries", str(asked.retries)]
    if asked.rounds:
        options += ["--rounds", str(asked.rounds)]
    for family in GGUF:
        subprocess.run([sys.executable, __file__, family, *options], check=True)


if __name__ == "__main__":
    main()
