"""Prefill and decode of SmolLM2-135M beside Hugging Face and llama.cpp: `make bench`.

Batch 1, greedy, all forms in turn in one process for each family of dtypes, with
llama.cpp in processes of its own. Prints tokens per second and ratios with their
spread, and writes everything to benchmarks/results/.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import cache, partial
from pathlib import Path

import hugging_face
import llama
import ours
import torch
from gguf_copies import write_copy
from harness import Sentinel, interleaved
from machine import machine, write
from report import table
from written import Write, check_tokens, distance, perplexity

from companion import LlamaForCausalLM, fast, load
from companion.checkpoints import bundled_path
from companion.generate import decode

TEXT = (
    "The keys and values of the earlier tokens do not change, so a cache keeps them. "
)
NEW = 64
SCORED = ours.PREFILL + 256  # ids of the text whose logits are compared with float32's
LENGTHS = {"decode": 32, "prefill_512": 512, "prefill_2048": 2048}
GGUF = {"float32": ["F32"], "bfloat16": ["BF16"], "quantized": ["Q8_0", "Q4_1"]}
Form = tuple[LlamaForCausalLM, object]  # a model, and what runs one token of it


def companions(family: str) -> dict[str, Form]:
    """Our forms of a family: a model each, and its step in decode."""
    if family == "quantized":
        model, _ = load(dtype=torch.float32, device="cpu")
        small = {"int8": fast.int8(model), "int4": fast.int4(model)}
        return {
            f"companion {name} compiled": (x, fast.compile_decode(x))
            for name, x in small.items()
        }
    model, _ = load(dtype=getattr(torch, family), device="cpu")
    blocks = ours.with_attention(model, fast.attention["blocks"])
    return {
        "companion plain": (model, decode),
        "companion blocks": (blocks, decode),
        "companion packed": (fast.packed(blocks), decode),
        "companion compiled": (model, fast.compile_decode(model)),
    }


def peers(family: str, phase: str, model: LlamaForCausalLM) -> dict[str, Write]:
    """Hugging Face's forms of a family for one phase."""
    if family == "quantized":
        return {}
    forms = {
        f"hugging face {name}": hugging_face.writer(model, name)
        for name in ("eager", "sdpa")
    }
    if phase != "prefill_2048":  # a minute of compiling that no goal needs
        q_len = 1 if phase == "decode" else LENGTHS[phase]
        forms["hugging face compiled"] = hugging_face.compiled(model, q_len)
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


def measure(forms: dict[str, Write], phase: str, ids: list[int], **options) -> dict:
    """Tokens of each form, and seconds of each round."""
    new, part = (NEW + 1, "decode") if phase == "decode" else (1, "prefill")
    given = ids[: LENGTHS[phase]]
    tokens: dict[str, list[int]] = {}

    def sample(name: str) -> float:
        run = forms[name](given, new)
        tokens[name] = run.tokens
        return getattr(run, part)

    seconds = interleaved({name: partial(sample, name) for name in forms}, **options)
    count = NEW if phase == "decode" else len(given)
    return {"count": count, "tokens": tokens, "seconds": seconds}


def quality(forms: dict, processes: dict, ids: list[int], folder: str) -> dict:
    """How far the logits of each form of ours, and of llama.cpp, are from float32's, and
    how surprised each is by the text.
    """
    expected = ours.logits(load(device="cpu")[0], ids)
    found = {name: ours.logits(x, ids, step) for name, (x, step) in forms.items()}
    for name, process in processes.items():
        found[name] = process.logits(ids, Path(folder, "logits.npy"))
    following = torch.tensor(ids[ours.PREFILL :])
    return {
        name: {**distance(x, expected), "perplexity": perplexity(x[:-1], following)}
        for name, x in {"float32": expected, **found}.items()
    }


def turns(family: str, phase: str, forms: dict[str, Form]) -> dict[str, Write]:
    """Our forms and Hugging Face's that take part in one phase."""
    runs = {name: ours.writer(*form) for name, form in forms.items()}
    if phase != "decode" and family != "quantized":  # only decode is compiled
        del runs["companion compiled"]
    model, _ = next(iter(forms.values()))
    return runs | peers(family, phase, model)


def run(family: str, **options) -> None:
    """Measure one family and keep it."""
    version = llama.installed_version()
    result: dict = {**machine(), "llama_cpp_python": version, "family": family}
    with tempfile.TemporaryDirectory() as folder:
        forms = companions(family)
        processes = llamas(family, folder) if version else {}
        result["quality"] = quality(forms, processes, scored(), folder)
        for phase in LENGTHS:
            runs = turns(family, phase, forms) | processes
            result[phase] = case = measure(runs, phase, prompt(), **options)
            if family == "float32":
                check_tokens(case["tokens"], "companion plain")
            print(table(f"{phase}, {family}", case), flush=True)
        for process in processes.values():
            process.close()
    for name, figures in result["quality"].items():
        line = "  {}: cosine {cosine:.5f}, {max_difference:.3g}, perplexity {perplexity:.2f}"
        print(line.format(name, **figures))
    sentinel = options["sentinel"].report()
    write(f"generation-{family}", {**result, "sentinel": sentinel})


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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--retries", type=int, default=5)
    asked = parser.parse_args()
    if asked.family:
        options = {"rounds": asked.rounds, "retries": asked.retries}
        run(asked.family, sentinel=Sentinel(), **options)
        return
    for family in GGUF:
        options = ["--rounds", str(asked.rounds), "--retries", str(asked.retries)]
        subprocess.run([sys.executable, __file__, family, *options], check=True)


if __name__ == "__main__":
    main()
