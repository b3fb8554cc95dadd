"""Text generation: one prefill over the prompt, then one token at a time."""

from collections.abc import Callable, Collection, Iterator
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.cache import KVCache, key_dtype
from companion.masks import position_ids_from_mask
from companion.model import LlamaForCausalLM
from companion.refusals import generate as refusals
from companion.refusals import guarded_by
from companion.sampling import choose

Ids = Int[Tensor, "batch length"]
Mask = Int[Tensor, "batch length"] | Bool[Tensor, "batch length"]
Token = Int[Tensor, " batch"]
# Any function with the signature of `decode`: runs one token of each sequence.
Decode = Callable[[LlamaForCausalLM, Tensor, Tensor, KVCache], Tensor]


def prefill(
    model: LlamaForCausalLM, input_ids: Ids, attention_mask: Ids, cache: KVCache
) -> Float[Tensor, "batch vocab"]:
    """Run all ids that the cache does not hold at once; the logits of what follows."""
    position_ids = position_ids_from_mask(attention_mask)[:, cache.length :]
    # without padding the layers need no mask to be causal, and that is cheaper
    mask = None if attention_mask.all() else attention_mask
    hidden_states = model.model(input_ids[:, cache.length :], mask, position_ids, cache)
    return model.logits(hidden_states[:, -1])


def decode(
    model: LlamaForCausalLM,
    token: Token,
    attention_mask: Int[Tensor, "batch kv_len"],
    cache: KVCache,
) -> Float[Tensor, "batch vocab"]:
    """Run one new token against the cache; the logits of what follows."""
    position_ids = position_ids_from_mask(attention_mask)[:, -1:]
    hidden_states = model.model(token[:, None], attention_mask, position_ids, cache)
    return model.logits(hidden_states[:, -1])


def generate(
    model: LlamaForCausalLM,
    input_ids: Ids,
    max_new_tokens: int,
    *,
    attention_mask: Mask | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_tokens: Collection[int] = (),
    past_key_values: KVCache | None = None,
    decode: Decode = decode,
) -> Int[Tensor, "batch total"]:
    """The prompts with up to `max_new_tokens` more tokens each, greedy by default.

    Prompts of different length are padded on the left, and `attention_mask` marks
    their real tokens with 1. A `temperature` above 0 samples, by
    `next_token_probabilities`; `seed` makes that repeatable for this batch, whose rows
    draw in turn from one generator. A row that has produced a stop token repeats it
    until all have; one outside the vocabulary is never produced.

    `past_key_values` keeps what was run for a next call. `input_ids` and
    `attention_mask` are always the whole text: the first `past_key_values.length` ids,
    which must be the ones it was filled with, are not run again. Afterwards it holds
    all but the last token. `decode` runs each token but those of the prompt: a function
    like the one here, such as `companion.fast.compile_decode` makes.

    Raises: ValueError for ids outside the vocabulary, an empty prompt, right padding,
    options out of range (top_k or top_p that limit at temperature 0 too), more tokens
    than the model has positions, a cache that does not fit or is changed meanwhile, or
    logits of NaN or infinity.
    """
    stream = generate_stream(
        model,
        input_ids,
        max_new_tokens,
        attention_mask=attention_mask,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        stop_tokens=stop_tokens,
        past_key_values=past_key_values,
        decode=decode,
    )
    return torch.cat(
        [input_ids.to(model.device), *(token[:, None] for token in stream)], dim=-1
    )


@guarded_by(refusals.generate_stream)
def generate_stream(
    model: LlamaForCausalLM,
    input_ids: Ids,
    max_new_tokens: int,
    *,
    attention_mask: Mask | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_tokens: Collection[int] = (),
    past_key_values: KVCache | None = None,
    decode: Decode = decode,
) -> Iterator[Token]:
    """The new tokens of `generate`, each as soon as it is known; same errors."""
    device, input_ids = model.device, input_ids.to(model.device)
    batch, length = input_ids.shape
    cache = past_key_values
    if cache is None:
        sizes = model.config, batch, length + int(max_new_tokens)
        with torch.inference_mode():
            dtype = key_dtype(model.dtype, device)
            cache = KVCache(*sizes, dtype=dtype, device=device)
    mask = torch.ones_like(input_ids)
    if attention_mask is not None:
        mask = attention_mask.to(device).long()
    generator = None if seed is None else torch.Generator(device).manual_seed(int(seed))
    limits = partial(choose, temperature=temperature, top_k=top_k, top_p=top_p)
    pick = partial(limits, generator=generator)
    stop = tuple(i for i in stop_tokens if 0 <= i < model.config.vocab_size)
    return stream_tokens(
        model, input_ids, mask, cache, cache.length, max_new_tokens, pick, stop, decode
    )


def stream_tokens(
    model: LlamaForCausalLM,
    input_ids: Ids,
    mask: Ids,
    cache: KVCache,
    held: int,
    max_new_tokens: int,
    pick: Callable[[Float[Tensor, "batch vocab"]], Token],
    stop_tokens: tuple[int, ...],
    decode: Decode,
) -> Iterator[Token]:
    """The loop itself: prefill behind the `held` tokens, then decode; each picks a token."""
    stop = torch.tensor(stop_tokens, dtype=input_ids.dtype, device=model.device)
    stopped = torch.zeros(len(input_ids), dtype=torch.bool, device=model.device)
    token = None
    for _ in range(max_new_tokens):
        refusals.check_unchanged(cache, held if token is None else mask.shape[1])
        with torch.inference_mode():
            if token is None:
                logits = prefill(model, input_ids, mask, cache)
            else:
                mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
                logits = decode(model, token, mask, cache)
            refusals.check_stored(cache, mask.shape[1])
            picked = pick(logits)
            token = picked if token is None else torch.where(stopped, token, picked)
            stopped = stopped | torch.isin(token, stop)
        yield token.clone()  # out here an ordinary tensor, which one may train on
        if stop_tokens and stopped.all():
            return
