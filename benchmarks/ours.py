"""The forms of the companion's model that are compared, each sharing the weights."""

import time
from functools import partial

import torch
from written import Write, Written, written

from companion import KVCache, LlamaForCausalLM
from companion.attention import Attend
from companion.generate import decode, generate_stream, prefill

PREFILL = 32


def write(
    model: LlamaForCausalLM, step: object, ids: list[int], new: int, batch: int = 1
) -> Written:
    """Greedy tokens of `generate_stream` with their times, after so many copies of a text."""
    times, tokens = [time.perf_counter()], []
    for token in generate_stream(model, torch.tensor([ids] * batch), new, decode=step):
        tokens += token.tolist()
        times.append(time.perf_counter())
    return written(tokens, times)


def writer(model: LlamaForCausalLM, step: object = decode, batch: int = 1) -> Write:
    """A form as the benchmarks take it."""
    return partial(write, model, step, batch=batch)


def with_attention(model: LlamaForCausalLM, attend: Attend) -> LlamaForCausalLM:
    """The same weights, not copied, with another function for attention."""
    with torch.device("meta"):
        other = LlamaForCausalLM(model.config, attend)
    other.load_state_dict(model.state_dict(), assign=True)
    return other.requires_grad_(False).eval()


@torch.inference_mode()
def logits(
    model: LlamaForCausalLM, ids: list[int], step: object = decode
) -> torch.Tensor:
    """Logits after the first 32 ids in one prefill, and after each id that follows."""
    given = torch.tensor([ids], device=model.device)
    mask = torch.ones_like(given)
    cache = KVCache(model.config, 1, len(ids), dtype=model.dtype, device=model.device)
    rows = [prefill(model, given[:, :PREFILL], mask[:, :PREFILL], cache)]
    for end in range(PREFILL + 1, len(ids) + 1):
        rows.append(step(model, given[:, end - 1], mask[:, :end], cache))
    return torch.cat(rows).float()
