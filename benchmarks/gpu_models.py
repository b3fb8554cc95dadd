"""A layer and a decode step at the sizes of Llama-3-8B, and decode at those of
SmolLM2-135M, beside Hugging Face.

All in bfloat16, with random weights. Our error against float32 may be at most twice theirs.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial

import hugging_face
import torch
from gpu_kernels import BOUND
from gpu_sizes import Bench, random_model
from gpu_timing import Sample, check, in_turn, random, relative_error, said, sampler
from ours import PREFILL, logits
from torch import Tensor
from transformers import DynamicCache, StaticCache
from transformers import LlamaForCausalLM as HFLlama
from written import Written, written

from companion import KVCache, LlamaForCausalLM, LlamaRotaryEmbedding, fast
from companion.generate import Decode, generate_stream

OURS, SDPA = "companion", "hugging face sdpa"
STATIC = "hugging face static cache, compiled"
FARTHEST = 0.25  # relative error of the logits of random layers, whatever theirs is
CHECKED = 8  # steps behind a prefill whose logits are compared


def no_farther(off: dict[str, float], bound: float) -> None:
    """Refuse what is beyond the bound, or beyond twice their error where that is known and
    no smaller than a hundredth of the bound.

    Raises: ValueError that says how far off ours is.
    """
    check(off[OURS], bound)
    for name, theirs in off.items():
        if name != OURS:
            check(off[OURS], max(2 * theirs, bound / 100))


def side_by_side(
    bench: Bench,
    ours: Callable[[], Tensor],
    make_theirs: Callable[[], Callable[[], Tensor]],
    expected: Tensor,
    bound: float,
) -> dict:
    """Seconds of our run and of theirs in each round. Where theirs fails, ours is timed
    alone, and `errors` says why.

    Raises: what our run raises; ValueError when it is wrong.
    """
    runs, off, errors = {OURS: ours}, {OURS: relative_error(ours(), expected)}, {}
    try:
        theirs = make_theirs()
        off[SDPA] = relative_error(theirs(), expected)
        runs[SDPA] = theirs
    except Exception as error:
        errors[SDPA] = said(error)
    no_farther(off, bound)
    samples = {name: sampler(bench.timer, run) for name, run in runs.items()}
    seconds = in_turn(samples, bench.sizes.rounds, bench.deadline)
    return {"seconds": seconds, "relative_error": off, "errors": errors}


# ---- one layer


def layer(bench: Bench) -> dict:
    """Prefill of one layer, launch by launch, as both are called in a model."""
    timer, sizes = bench.timer, bench.sizes
    config = replace(sizes.config, num_hidden_layers=1, vocab_size=32)
    model = random_model(config, timer.device)
    x = random(timer, 1, sizes.prefill, config.hidden_size)
    positions = torch.arange(sizes.prefill, device=timer.device)[None]
    turn = LlamaRotaryEmbedding(config)
    angles = turn(x, positions)

    def called(model: LlamaForCausalLM | HFLlama) -> Callable[[], Tensor]:
        return partial(model.model.layers[0], x, position_embeddings=angles)

    wide = deepcopy(model.model.layers[0]).float()
    expected = wide(x.float(), position_embeddings=turn(x.float(), positions))
    del wide
    ours = called(fast.with_kernels(model))
    make_theirs = lambda: called(hugging_face.hugging_face(model, "sdpa"))  # noqa: E731
    found = side_by_side(bench, ours, make_theirs, expected, 2 * BOUND)
    return {**found, "length": sizes.prefill}


# ---- a decode step of a large model


class OneLayer:
    """One layer's keys and values in float32, as a cache that nothing is kept in."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys.float(), values.float()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens came before."""
        return self.keys.shape[-2]

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, /
    ) -> tuple[Tensor, Tensor]:
        """The new ones behind the others."""
        pairs = (self.keys, key), (self.values, value)
        keys, values = (torch.cat(pair, dim=-2) for pair in pairs)
        return keys, values


def exact_step(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
    """Logits after one token in float32, for which one layer at a time is widened."""
    positions = torch.full_like(token[:, None], cache.length)
    hidden = model.model.embed_tokens(token[:, None]).float()
    for i, each in enumerate(model.model.layers):
        places = cache.keys[i], cache.values[i]
        one = OneLayer(*(x[..., : cache.length, :] for x in places))
        wide = deepcopy(each).float()
        hidden = wide(hidden, position_ids=positions, past_key_values=one)
    ends = deepcopy(model.model.norm).float(), deepcopy(model.lm_head).float()
    return ends[1](ends[0](hidden)[:, -1])


def read_in_a_step(model: LlamaForCausalLM) -> int:
    """Bytes of the weights that one token needs: all, but of an embedding that is not the
    head too, one row.
    """
    size = sum(x.nbytes for x in model.parameters())
    embedding = model.model.embed_tokens.weight
    tied = model.config.tie_word_embeddings
    return size if tied else size - embedding.nbytes + embedding[0].nbytes


def filled(bench: Bench, model: LlamaForCausalLM) -> KVCache:
    """A cache with a random past, and room for one token more."""
    room, device = bench.sizes.past + 1, bench.timer.device
    cache = KVCache(model.config, 1, room, dtype=model.dtype, device=device)
    cache.keys.normal_()
    cache.values.normal_()
    cache.lengths = [bench.sizes.past] * len(cache.lengths)
    return cache


def theirs_filled(cache: KVCache) -> DynamicCache:
    """The same past in a cache of theirs."""
    theirs = DynamicCache()
    for i, places in enumerate(zip(cache.keys, cache.values, strict=True)):
        theirs.update(*(x[..., : cache.length, :].clone() for x in places), i)
    return theirs


def decode_step(bench: Bench) -> dict:
    """One token of the whole model behind a long text: ours as one CUDA graph, theirs
    launch by launch.

    `bytes` are those of the weights, and the share of the copy's bandwidth that they pass
    at is the share of the limit: weights / (bytes per second of the copy) is the least
    time that reading them takes. The cache's bytes are read too, and are not counted.
    """
    timer, sizes = bench.timer, bench.sizes
    model = random_model(sizes.config, timer.device)
    cache, ours = filled(bench, model), fast.with_kernels(model)
    step = fast.compile_decode(ours)
    token = torch.randint(sizes.config.vocab_size, (1,), device=timer.device)
    mask = torch.ones(1, sizes.past + 1, dtype=torch.long, device=timer.device)

    def run() -> Tensor:
        found = step(ours, token, mask, cache)
        cache.crop(sizes.past)
        return found

    def make_theirs() -> Callable[[], Tensor]:
        theirs, past = hugging_face.hugging_face(model, "sdpa"), theirs_filled(cache)
        options = {"past_key_values": past, "use_cache": True}

        def run() -> Tensor:
            found = theirs(input_ids=token[:, None], **options).logits[:, -1]
            past.crop(-1)  # the token that was added
            if past.get_seq_length() != cache.length:
                raise RuntimeError("their cache was not cropped")
            return found

        return run

    expected = exact_step(model, token, cache)
    return {
        **side_by_side(bench, run, make_theirs, expected, FARTHEST),
        "past": sizes.past,
        "bytes": read_in_a_step(model),
        "cache_bytes": cache.nbytes,
    }


# ---- a small model writes


def write(
    model: LlamaForCausalLM, step: Decode, cache: KVCache, ids: list[int], new: int
) -> Written:
    """Greedy tokens into a cache that is used again, as a graph knows one only."""
    cache.crop(0)
    times, tokens = [time.perf_counter()], []
    given = torch.tensor([ids], device=model.device)
    stream = generate_stream(model, given, new, past_key_values=cache, decode=step)
    for token in stream:
        tokens.append(int(token))
        times.append(time.perf_counter())
    return written(tokens, times)


def write_theirs(
    model: HFLlama, cache: StaticCache, ids: list[int], new: int
) -> Written:
    """Greedy tokens of their `generate`, which compiles the step on a GPU, into a static
    cache that is used again.
    """
    cache.reset()
    return hugging_face.write(model, {"past_key_values": cache}, ids, new)


def compiled_graphs() -> int:
    """How many graphs torch.compile has made in this process."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def logits_errors(
    model: LlamaForCausalLM, ours: LlamaForCausalLM, step: Decode
) -> dict[str, float]:
    """How far our logits, by prefill and by steps, and Hugging Face's are from float32's.

    Raises: ValueError when ours are too far off.
    """
    high = model.config.vocab_size
    ids = torch.randint(high, (PREFILL + CHECKED,), device=model.device)
    expected = logits(deepcopy(model).float(), ids.tolist())
    off = {OURS: relative_error(logits(ours, ids.tolist(), step), expected)}
    with suppress(Exception):  # it is named where it is timed
        theirs = hugging_face.hugging_face(model, "sdpa")(input_ids=ids[None]).logits[0]
        off[SDPA] = relative_error(theirs[-len(expected) :].float(), expected)
    no_farther(off, FARTHEST)
    return off


def their_sample(
    model: LlamaForCausalLM, room: int, ids: list[int], new: int
) -> Sample:
    """Seconds of their decode, when it has been compiled.

    Raises: RuntimeError when it was not, on a GPU.
    """
    theirs, before = hugging_face.hugging_face(model, "sdpa"), compiled_graphs()
    cache = StaticCache(config=theirs.config, max_cache_len=room)

    def sample() -> float:
        return write_theirs(theirs, cache, ids, new).decode

    sample()
    if model.device.type == "cuda" and compiled_graphs() == before:
        raise RuntimeError("their generate did not compile its step")
    return sample


def small_decode(bench: Bench) -> dict:
    """Decode of a small model, where launches cost more than reading: seconds of all new
    tokens but the first, each of which is waited for.
    """
    sizes, device = bench.sizes, bench.timer.device
    model, new = random_model(sizes.small, device), sizes.new + 1
    ours = fast.with_kernels(model)
    step = fast.compile_decode(ours)
    off = logits_errors(model, ours, step)
    ids = torch.randint(model.config.vocab_size, (sizes.prompt,)).tolist()
    room = sizes.prompt + new
    cache = KVCache(model.config, 1, room, dtype=model.dtype, device=device)
    samples: dict[str, Sample] = {
        OURS: lambda: write(ours, step, cache, ids, new).decode
    }
    errors = {}
    try:
        samples[STATIC] = their_sample(model, room, ids, new)
    except Exception as error:
        errors[STATIC] = said(error)
    for sample in samples.values():  # ours is recorded now
        sample()
    seconds = in_turn(samples, sizes.rounds, bench.deadline)
    rest = {"relative_error": off, "errors": errors, "count": sizes.new}
    return {"seconds": seconds, **rest}
