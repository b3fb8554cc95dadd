"""Text generation: one prefill over the prompt, then one token at a time."""

from collections.abc import Collection, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.cache import KVCache
from companion.masks import position_ids_from_mask
from companion.model import LlamaForCausalLM, check_ids

Ids = Int[Tensor, "batch length"]


@torch.inference_mode()
def generate(
    model: LlamaForCausalLM,
    input_ids: Ids,
    max_new_tokens: int,
    *,
    attention_mask: Ids | None = None,
    temperature: float = 0.0,
    seed: int | None = None,
    stop_tokens: Collection[int] = (),
) -> Int[Tensor, "batch total"]:
    """The prompts with up to `max_new_tokens` more tokens each, greedy by default.

    Prompts of different length are padded on the left, and `attention_mask` marks
    their real tokens with 1. A sequence that has produced a stop token repeats it
    until all have; `seed` makes sampling repeatable.

    Raises: ValueError for ids outside the vocabulary, an empty prompt, right padding,
    a negative temperature, or more tokens than the model has positions.
    """
    stream = generate_stream(
        model,
        input_ids,
        max_new_tokens,
        attention_mask=attention_mask,
        temperature=temperature,
        seed=seed,
        stop_tokens=stop_tokens,
    )
    return torch.cat(
        [input_ids.to(model.device), *(token[:, None] for token in stream)], dim=-1
    )


def generate_stream(
    model: LlamaForCausalLM,
    input_ids: Ids,
    max_new_tokens: int,
    *,
    attention_mask: Ids | None = None,
    temperature: float = 0.0,
    seed: int | None = None,
    stop_tokens: Collection[int] = (),
) -> Iterator[Int[Tensor, " batch"]]:
    """The new tokens of `generate`, each as soon as it is known; same errors."""
    check_request(model, input_ids, max_new_tokens, attention_mask, temperature)
    input_ids = input_ids.to(model.device)
    mask = (
        torch.ones_like(input_ids)
        if attention_mask is None
        else attention_mask.to(model.device)
    )
    generator = (
        None if seed is None else torch.Generator(model.device).manual_seed(seed)
    )
    return stream_tokens(
        model,
        input_ids,
        mask,
        max_new_tokens,
        temperature,
        generator,
        tuple(stop_tokens),
    )


def stream_tokens(
    model: LlamaForCausalLM,
    input_ids: Ids,
    mask: Ids,
    max_new_tokens: int,
    temperature: float,
    generator: torch.Generator | None,
    stop_tokens: tuple[int, ...],
) -> Iterator[Int[Tensor, " batch"]]:
    """The loop itself: prefill, then decode, choosing a token after each."""
    batch, length = input_ids.shape
    stop = torch.tensor(stop_tokens, dtype=input_ids.dtype, device=model.device)
    stopped = torch.zeros(batch, dtype=torch.bool, device=model.device)
    with torch.inference_mode():
        cache = KVCache(
            model.config,
            batch,
            length + max_new_tokens,
            dtype=model.dtype,
            device=model.device,
        )
    token = None
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            if token is None:
                logits = prefill(model, input_ids, mask, cache)
            else:
                mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
                logits = decode(model, token, mask, cache)
            chosen = choose(logits, temperature, generator)
            token = chosen if token is None else torch.where(stopped, token, chosen)
            stopped = stopped | torch.isin(token, stop)
        yield token
        if stop_tokens and stopped.all():
            return


def prefill(
    model: LlamaForCausalLM, input_ids: Ids, attention_mask: Ids, cache: KVCache
) -> Float[Tensor, "batch vocab"]:
    """Run the whole prompt at once, filling the cache; the logits of what follows."""
    hidden_states = model.model(
        input_ids, attention_mask, position_ids_from_mask(attention_mask), cache
    )
    return model.logits(hidden_states[:, -1])


def decode(
    model: LlamaForCausalLM,
    token: Int[Tensor, " batch"],
    attention_mask: Int[Tensor, "batch kv_len"],
    cache: KVCache,
) -> Float[Tensor, "batch vocab"]:
    """Run one new token against the cache; the logits of what follows."""
    position_ids = position_ids_from_mask(attention_mask)[:, -1:]
    hidden_states = model.model(token[:, None], attention_mask, position_ids, cache)
    return model.logits(hidden_states[:, -1])


def choose(
    logits: Float[Tensor, "batch vocab"],
    temperature: float,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " batch"]:
    """The likeliest token, or one drawn from `softmax(logits / temperature)` above 0."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def check_request(
    model: LlamaForCausalLM,
    input_ids: Tensor,
    max_new_tokens: int,
    attention_mask: Tensor | None,
    temperature: float,
) -> None:
    """Refuse what cannot be generated, before anything is computed."""
    if not isinstance(input_ids, Tensor):
        raise ValueError(
            f"input_ids is a {type(input_ids).__name__}: pass torch.tensor([ids]), "
            "(batch, length)"
        )
    check_ids(input_ids, model.config.vocab_size)
    batch, length = input_ids.shape
    if not (batch and length):
        raise ValueError(
            f"input_ids is {tuple(input_ids.shape)}: every prompt needs at least one "
            "token"
        )
    if max_new_tokens < 0 or not 0 <= temperature < float("inf"):
        raise ValueError(
            f"max_new_tokens is {max_new_tokens} and temperature {temperature}: "
            "neither can be negative"
        )
    positions = model.config.max_position_embeddings
    if length + max_new_tokens > positions:
        raise ValueError(
            f"the prompt has {length} tokens and {max_new_tokens} new ones are asked "
            f"for, but the model has {positions} positions "
            f"(max_position_embeddings): ask for {max(positions - length, 0)} or "
            "shorten the prompt"
        )
    if attention_mask is None:
        return
    if attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask is {tuple(attention_mask.shape)} and input_ids "
            f"{tuple(input_ids.shape)}: they must be equal"
        )
    if not attention_mask[:, -1].all():
        raise ValueError(
            "attention_mask ends in 0: generation goes on from the last token, so "
            "pad on the left"
        )
