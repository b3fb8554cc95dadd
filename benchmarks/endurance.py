"""Memory and time of long use: 10,000 tokens, 1,000 calls, 200 chats: `make endurance`.

What a process holds, its resident memory and its tensors, is read after a warm-up and until
the end. It fails where that grows beyond the bounds here, and prints how long the last tokens
and calls take beside the first. Everything is written to benchmarks/results/.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import psutil
import torch
from machine import machine, write
from torch import Tensor, nn

from companion import Chat, KVCache, LlamaConfig, LlamaForCausalLM, generate, load
from companion.fast import compile_decode
from companion.generate import Decode, decode, generate_stream

TOKENS, CALLS, CHATS = 10_000, 1_000, 200
LAST = 300  # tokens that SmolLM2 writes, up to its last position
SAMPLES = 20
# What may be there at the end beyond what there was after the warm-up. A tensor that each
# step kept would be thousands; the allocator's own pieces come and go.
GROWTH = {"tensors": 8, "tensor_bytes": 2**20, "rss": 24 * 2**20}

SMALL = LlamaConfig(
    vocab_size=512,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=TOKENS + 64,
)


def small_model() -> LlamaForCausalLM:
    """A Llama with random weights, which writes as long a text as is asked for."""
    torch.manual_seed(0)
    return LlamaForCausalLM(SMALL).requires_grad_(False).eval()


def held() -> dict[str, int]:
    """What this process holds now."""
    gc.collect()
    real = Tensor, nn.Parameter  # other types are a compiler's, without memory
    tensors = [x for x in gc.get_objects() if type(x) in real]
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage() for x in tensors}
    return {
        "tensors": len(tensors),
        "tensor_bytes": sum(storage.nbytes() for storage in storages.values()),
        "rss": psutil.Process().memory_info().rss,
    }


def watched(
    run: Iterable[object], times: int, warm_up: int, samples: int = SAMPLES
) -> dict:
    """Go through an iterator of at most so many turns, and see what is held meanwhile; each
    sample has the number of turns before it.
    """
    seconds: list[float] = []
    found: list[dict[str, int]] = []
    every = max(1, (times - warm_up) // samples)
    start = time.perf_counter()
    for turn, _ in enumerate(run, 1):
        seconds.append(time.perf_counter() - start)
        if turn >= warm_up and (turn - warm_up) % every == 0:
            found.append({"turns": turn, **held()})
        start = time.perf_counter()
    return {"turns": len(seconds), "samples": found, **pace(seconds)}


def pace(seconds: list[float]) -> dict[str, float]:
    """The median of the second tenth of the turns, and of the last, in milliseconds."""
    tenth = max(1, len(seconds) // 10)
    parts = {"early_ms": seconds[tenth : 2 * tenth], "late_ms": seconds[-tenth:]}
    return {
        name: round(1000 * statistics.median(part), 3) for name, part in parts.items()
    }


def growth(case: dict) -> dict[str, float]:
    """How much more is held in the last quarter of the samples, by their median, than in the
    first sample; and how much a turn adds, by a straight line through all.
    """
    samples = case["samples"]
    last = samples[-max(1, len(samples) // 4) :]
    turns = [sample["turns"] for sample in samples]
    found: dict[str, float] = {}
    for name in GROWTH:
        values = [sample[name] for sample in samples]
        late = statistics.median(sample[name] for sample in last)
        found[name] = late - values[0]
        slope = statistics.linear_regression(turns, values).slope
        found[f"{name}_per_turn"] = round(slope, 3)
    return found


def judge(name: str, case: dict) -> list[str]:
    """What grows beyond its bound, in words."""
    grown = growth(case)
    return [
        f"{name}: {what} grew by {grown[what]:,.0f} in {case['turns']} turns, "
        f"{grown[f'{what}_per_turn']:,.1f} a turn; at most {bound:,} is flat"
        for what, bound in GROWTH.items()
        if grown[what] > bound
    ]


# ---- what is done


def text(
    model: LlamaForCausalLM, prompt: int, tokens: int, decode: Decode = decode
) -> Iterator[Tensor]:
    """The tokens of one text after a prompt, which is run 256 tokens at a time."""
    ids = torch.randint(model.config.vocab_size, (1, prompt))
    cache = KVCache(model.config, 1, prompt + tokens, dtype=model.dtype)
    for written in (cache.keys, cache.values):
        written.fill_(0)  # or its memory would be taken as it is written to
    for end in range(256, prompt, 256):
        generate(model, ids[:, :end], 1, past_key_values=cache)
    yield from generate_stream(model, ids, tokens, past_key_values=cache, decode=decode)


def calls(
    model: LlamaForCausalLM, times: int, decode: Decode = decode
) -> Iterator[Tensor]:
    """Calls of `generate` for 1 to 4 tokens after prompts of 1 to 40."""
    for i in range(times):
        prompt = torch.randint(model.config.vocab_size, (1, 1 + 7 * i % 40))
        yield generate(model, prompt, 1 + i % 4, decode=decode)


def chats(make: Callable[[], Chat], times: int) -> Iterator[int]:
    """Chats of two turns. Every third answer is left after a piece; every chat begins anew,
    every tenth as another one.
    """
    chat = make()
    for i in range(times):
        for turn in range(2):
            answer = chat.stream(f"What is {i} plus {turn}?")
            next(answer, None)
            if (i + turn) % 3:
                "".join(answer)
        chat.reset()
        if i % 10 == 9:
            chat = make()
        yield i


# ---- all of it


def cases() -> Iterator[tuple[str, dict]]:
    """Every case by its name, as soon as it has run."""
    small = small_model()
    for form, step in (("plain", decode), ("compiled", compile_decode(small))):
        run = text(small, 1, TOKENS, step)
        yield f"one text, {form}", watched(run, TOKENS, TOKENS // 10)
        run = calls(small, CALLS, step)
        yield f"generate, {form}", watched(run, CALLS, CALLS // 5)
    model, tokenizer = load(device="cpu")
    run = text(model, model.config.max_positions - LAST, LAST)
    yield "the last of a text, SmolLM2", watched(run, LAST, LAST // 10)
    run = chats(partial(Chat, model, tokenizer, max_new_tokens=4), CHATS)
    # seen every tenth time, when there is a new one: an old one's cache has doubled
    yield "chats, SmolLM2", watched(run, CHATS, CHATS // 5, CHATS * 4 // 50)


def main() -> None:
    result: dict = {**machine(), "psutil": psutil.__version__, "bounds": GROWTH}
    result["cases"], failures = {}, []
    start = time.perf_counter()
    for name, case in cases():
        result["cases"][name] = {**case, "growth": growth(case)}
        failures += judge(name, case)
        print(line(name, result["cases"][name]), flush=True)
    result["seconds"] = round(time.perf_counter() - start)
    write("endurance", result)
    if failures:
        sys.exit("\n".join(["memory is not flat:", *failures]))


def line(name: str, case: dict) -> str:
    """A case in words."""
    grown = case["growth"]
    return (
        f"{name:26} {case['turns']:6} turns; {grown['tensors']:+.0f} tensors, "
        f"{grown['tensor_bytes'] / 2**20:+.2f} MB of them, {grown['rss'] / 2**20:+.1f} MB "
        f"resident; {case['early_ms']:.1f} ms early, {case['late_ms']:.1f} ms late"
    )


if __name__ == "__main__":
    main()
