"""Greedy text as logits: from each row the likeliest token is written, and read by the next.
Three ways, which give a model without a fault the same text.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.cache import KVCache
from companion.generate import decode, prefill
from companion.model import LlamaForCausalLM

Prompt = Int[Tensor, "1 length"]
Logits = Float[Tensor, "new_tokens vocab"]


def whole(model: LlamaForCausalLM, input_ids: Prompt, new_tokens: int) -> Logits:
    """The whole text is run again for every token: no cache."""
    rows = []
    for _ in range(new_tokens):
        rows.append(model(input_ids)[:, -1])
        input_ids = torch.cat([input_ids, rows[-1].argmax(-1)[:, None]], dim=-1)
    return torch.cat(rows)


def cached(model: LlamaForCausalLM, input_ids: Prompt, new_tokens: int) -> Logits:
    """The prompt at once, then each token against the cache."""
    return decoded(model, input_ids, torch.ones_like(input_ids), new_tokens)


def in_a_batch(model: LlamaForCausalLM, input_ids: Prompt, new_tokens: int) -> Logits:
    """The same beside a prompt twice as long, so that padding stands before this one."""
    nothing = torch.zeros_like(input_ids)
    padded, longer = (torch.cat([x, input_ids], -1) for x in (nothing, input_ids))
    mask = torch.ones_like(torch.cat([padded, longer]))
    mask[0, : input_ids.shape[1]] = 0
    return decoded(model, torch.cat([padded, longer]), mask, new_tokens)


def decoded(
    model: LlamaForCausalLM,
    input_ids: Int[Tensor, "batch length"],
    mask: Int[Tensor, "batch length"],
    new_tokens: int,
) -> Logits:
    """What the first row writes by `companion.generate`'s two functions."""
    batch, length = input_ids.shape
    sizes = model.config, batch, length + new_tokens
    cache = KVCache(*sizes, dtype=model.dtype, device=model.device)
    logits = [prefill(model, input_ids, mask, cache)]
    while len(logits) < new_tokens:
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
        logits.append(decode(model, logits[-1].argmax(-1), mask, cache))
    return torch.stack(logits)[:, 0]
