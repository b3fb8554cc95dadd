"""What `generate` refuses, before anything is computed."""

from collections.abc import Collection
from typing import Any

from torch import Tensor

from companion.cache import KVCache
from companion.model import LlamaForCausalLM
from companion.refusals.cache import check_made_for, check_text, check_whole
from companion.refusals.masks import padding_mask
from companion.refusals.model import check_computable, check_ids, check_own_cache
from companion.refusals.numbers import is_integer
from companion.refusals.sampling import check_sampling


def generate_stream(
    model: LlamaForCausalLM,
    input_ids: Tensor,
    max_new_tokens: int,
    *,
    attention_mask: Tensor | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_tokens: Collection[int] = (),
    past_key_values: KVCache | None = None,
    decode: Any = None,
) -> None:
    """Refuse a model, prompts, options or a cache that cannot be generated from."""
    check_request(model, input_ids, max_new_tokens, attention_mask, stop_tokens, seed)
    check_sampling(temperature, top_k, top_p, model.config.vocab_size)
    if past_key_values is not None:
        check_cache(past_key_values, model, input_ids, max_new_tokens)


def check_request(
    model: LlamaForCausalLM,
    input_ids: Tensor,
    max_new_tokens: int,
    attention_mask: Tensor | None,
    stop_tokens: Collection[int],
    seed: int | None,
) -> None:
    """Refuse a model, prompts, a length or stop tokens that cannot be generated from.

    Raises: ValueError that names the argument and quotes what it got.
    """
    check_model(model)
    check_ids(input_ids, model.config.vocab_size)
    batch, length = input_ids.shape
    if not (batch and length):
        raise ValueError(
            f"input_ids is {tuple(input_ids.shape)}: every prompt needs at least one "
            "token"
        )
    if not is_integer(max_new_tokens) or max_new_tokens < 0:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens!r}: it must be an integer and cannot "
            "be negative"
        )
    check_seed(seed)
    check_stop_tokens(stop_tokens)
    positions = model.config.max_positions
    if length + int(max_new_tokens) > positions:  # a small int of numpy wraps around
        raise ValueError(
            f"the prompt has {length} tokens and {max_new_tokens} new ones are asked "
            f"for, but the model has {positions} positions (config.max_positions): "
            f"ask for {max(positions - length, 0)} or "
            "shorten the prompt"
        )
    if attention_mask is not None:
        check_attention_mask(attention_mask, input_ids)


def check_model(model: object) -> None:
    """Refuse a model of another class, such as Hugging Face's of the same name."""
    model = getattr(model, "_orig_mod", model)  # what torch.compile has wrapped
    if not isinstance(model, LlamaForCausalLM):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        raise ValueError(
            f"model is a {kind}: it must be a companion.LlamaForCausalLM. Of a Hugging "
            "Face model companion.hugging_face.from_hugging_face(hf_model) makes one "
            "with the same weights; or call hf_model.generate"
        )
    check_computable(model.dtype)


def check_seed(seed: int | None) -> None:
    """Refuse a seed that no torch.Generator takes."""
    if seed is not None and not (is_integer(seed) and -(2**63) <= seed < 2**64):
        raise ValueError(
            f"seed is {seed!r}: it must be an integer from -2**63 to 2**64 - 1, or None"
        )


def check_stop_tokens(stop_tokens: Collection[int]) -> None:
    """Refuse what is no collection of token ids."""
    remedy = "tokenizer.stop_ids, or () for none"
    if is_integer(stop_tokens):
        remedy = f"[{stop_tokens}]"
    elif isinstance(stop_tokens, Tensor):
        remedy = "stop_tokens.flatten().tolist()"
    elif isinstance(stop_tokens, Collection) and all(map(is_integer, stop_tokens)):
        return
    raise ValueError(
        f"stop_tokens is {stop_tokens!r}: it must be a list of token ids, such as {remedy}"
    )


def check_attention_mask(attention_mask: Tensor, input_ids: Tensor) -> None:
    """Refuse a mask that is not one of 0 and 1, or bool, for each id with padding on the left."""
    if not isinstance(attention_mask, Tensor):
        raise ValueError(
            f"attention_mask is a {type(attention_mask).__name__}: pass a tensor of 0 "
            "and 1, (batch, length)"
        )
    if attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask is {tuple(attention_mask.shape)} and input_ids "
            f"{tuple(input_ids.shape)}: they must be equal"
        )
    padding_mask(attention_mask)
    if not attention_mask[:, -1].all():
        raise ValueError(
            "attention_mask ends in 0: generation goes on from the last token, so "
            "pad on the left"
        )


def check_cache(
    cache: KVCache, model: LlamaForCausalLM, input_ids: Tensor, max_new_tokens: int
) -> None:
    """Refuse a cache that was not made for this model and batch, or does not fit the text."""
    check_own_cache(cache)
    check_whole(cache)
    check_made_for(cache, model.config, len(input_ids), model.dtype, model.device)
    check_text(cache, input_ids.shape[1], int(max_new_tokens))


def check_unchanged(cache: KVCache, expected: int) -> None:
    """Refuse to go on with a cache that someone else has cropped or filled.

    Raises: ValueError that quotes both lengths.
    """
    if cache.length != expected:
        raise ValueError(
            f"past_key_values was changed while a stream was using it: it holds "
            f"{cache.length} tokens and the stream expects {expected}; give each "
            "stream its own KVCache, and crop or fill one when its stream is done"
        )


def check_stored(cache: KVCache, expected: int) -> None:
    """Refuse a `decode` that has not stored what it ran, or more than that.

    Raises: ValueError that quotes both lengths.
    """
    if cache.length != expected:
        raise ValueError(
            f"decode has left {cache.length} tokens in the cache and {expected} have been "
            "run: it must run the model once for each token, with the cache that it is "
            "given, model.model(token[:, None], attention_mask, position_ids, cache)"
        )
