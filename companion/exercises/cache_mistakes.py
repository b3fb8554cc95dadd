"""The mistakes of the gallery in decoding with a cache: each runs the tokens one at a
time and returns the logits of all, wrong ones.
"""

import torch
from torch import Tensor, nn

from companion.cache import KVCache
from companion.exercises.decoding import UnrotatedKeys, one_by_one, through_layers
from companion.exercises.mistakes import mask_top_left
from companion.model import LlamaForCausalLM


def decode_from_zero(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """Each token is decoded at position 0: positions do not go on from the cache."""

    def step(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
        zero = torch.zeros_like(token)
        return model(token, position_ids=zero, past_key_values=cache)

    return one_by_one(model, input_ids, step)


def decode_top_left(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """The mask of a decode step starts at key 0 (is_causal=True), so that a token
    sees the first key alone.
    """

    def step(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
        mask = mask_top_left(1, cache.length + 1).to(token.device)

        def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
            return layer(x, mask, past_key_values=cache, position_embeddings=cos_sin)

        logits = through_layers(model, token, cache.length, run)
        cache.advance(1)
        return logits

    return one_by_one(model, input_ids, step)


def decode_not_advanced(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """The cache is not advanced: each token overwrites the one before and sees only
    itself.
    """

    def step(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
        logits = model(token, past_key_values=cache)
        cache.length = 0
        return logits

    return one_by_one(model, input_ids, step)


def decode_advanced_by_layer(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """Every layer advances the cache, so that each finds gaps of zeros and positions
    run ahead.
    """

    def step(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
        def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
            x = layer(x, past_key_values=cache, position_embeddings=cos_sin)
            cache.advance(1)
            return x

        return through_layers(model, token, cache.length, run)

    return one_by_one(model, input_ids, step)


def decode_rope_after_cache(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """Keys are cached before RoPE and all rotated by the newest token's angle, so
    that every distance is 0.
    """
    batch, length = input_ids.shape
    cache = UnrotatedKeys(
        model.config, batch, length, dtype=model.dtype, device=model.device
    )

    def step(model: LlamaForCausalLM, token: Tensor, _: KVCache) -> Tensor:
        def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
            cache.cos_sin = cos_sin
            return layer(x, past_key_values=cache, position_embeddings=cos_sin)

        logits = through_layers(model, token, cache.length, run)
        cache.advance(1)
        return logits

    return one_by_one(model, input_ids, step)
