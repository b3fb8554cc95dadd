"""The mistakes in decoding with a key/value cache. Each is a step: it runs one token, and the
gallery has what it makes of several, one after the other.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.decoder import LlamaAttention
from companion.exercises.gallery import imitates
from companion.exercises.mask import mask_top_left
from companion.exercises.steps import (
    Step,
    StepByStep,
    one_by_one,
    room_for,
    through_layers,
)
from companion.generate import stream_tokens
from companion.masks import causal_mask
from companion.model import LlamaForCausalLM, LlamaModel
from companion.rope import apply_rope


def small_model() -> LlamaForCausalLM:
    """A Llama of two layers with random weights."""
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config).requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.normal_(generator=generator)
    return model


def decode_arguments() -> tuple[LlamaForCausalLM, Tensor]:
    """A small Llama, and five tokens for it."""
    return small_model(), torch.tensor([[1, 5, 2, 7, 3]])


def imitates_decoding(
    kind: type[KVCache] = KVCache,
    *,
    instead_of: tuple[Callable[..., Any], str],
    marked_in: Callable[..., Any] | None = None,
) -> Callable[[Step], Step]:
    """Puts a wrong step into the gallery by the logits of all tokens that it runs."""
    enter_logits = imitates(
        LlamaForCausalLM.forward,
        decode_arguments,
        "check_decoding",
        instead_of=instead_of,
        marked_in=marked_in,
        planted=StepByStep({}, kind=kind),
    )

    def enter(step: Step) -> Step:
        @wraps(step)
        def logits(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
            return one_by_one(model, input_ids, step, kind)

        return enter_logits(logits)

    return enter


@imitates_decoding(instead_of=(LlamaModel.forward, "next_positions("))
def decode_from_zero(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
    """Each token is decoded at position 0: positions do not go on from the cache.

    The order of the words is not known, and the text repeats itself. The first token of
    the prompt is right.
    """
    position_ids = torch.zeros_like(token)  # wrong
    return model(token, position_ids=position_ids, past_key_values=cache)


@imitates_decoding(instead_of=(causal_mask, "kv_len - q_len"))
def decode_top_left(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
    """The mask of a decode step starts at key 0 (is_causal=True), so that a token sees
    the first key alone.

    The first token of the prompt is right, and no other: each reads that one alone.
    """
    mask = mask_top_left(1, cache.length + 1).to(token.device)  # wrong

    def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
        return layer(x, mask, past_key_values=cache, position_embeddings=cos_sin)

    return through_layers(model, token, cache.length, run)


@imitates_decoding(instead_of=(stream_tokens, "decode(model"))
def decode_cache_forgotten(
    model: LlamaForCausalLM, token: Tensor, cache: KVCache
) -> Tensor:
    """Each token gets a new cache: it stands at position 0 and sees only itself.

    The next token depends on the newest alone, so that the text soon goes round in a
    circle.
    """
    return model(token, past_key_values=room_for(model, len(token), 1))  # wrong


class OneLayerForAll(KVCache):
    """A cache whose layers all store under the first one's number, with room for all."""

    def __init__(self, config: LlamaConfig, batch: int, length: int, **options: Any):
        super().__init__(config, batch, length * config.num_hidden_layers, **options)

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, kwargs: object = None
    ) -> tuple[Tensor, Tensor]:
        """Store behind the layer before."""
        return super().update(key, value, 0)  # wrong


@imitates_decoding(
    OneLayerForAll,
    instead_of=(LlamaAttention.forward, "past_key_values.update"),
    marked_in=OneLayerForAll.update,
)
def decode_same_layer_idx(
    model: LlamaForCausalLM, token: Tensor, cache: KVCache
) -> Tensor:
    """Every layer has layer_idx 0, so that each also sees the keys of the layers
    before, and positions run ahead.

    Wrong from the first token on, and the cache counts layers times as many tokens as
    there are.
    """

    def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
        return layer(x, past_key_values=cache, position_embeddings=cos_sin)

    return through_layers(model, token, cache.get_seq_length(0), run)


class UnrotatedKeys(KVCache):
    """A cache of keys as they were projected; what is read is rotated by the angles
    at hand, those of the newest token.
    """

    cos_sin: tuple[Tensor, Tensor]

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, kwargs: object = None
    ) -> tuple[Tensor, Tensor]:
        """Take the layer's rotation back, and rotate all keys by one angle."""
        cos, sin = self.cos_sin
        keys, values = super().update(apply_rope(key, cos, -sin), value, layer_idx)
        cos, sin = (x.expand(-1, keys.shape[-2], -1) for x in self.cos_sin)
        return apply_rope(keys, cos, sin), values  # wrong


@imitates_decoding(
    UnrotatedKeys,
    instead_of=(LlamaAttention.forward, "self.rotate"),
    marked_in=UnrotatedKeys.update,
)
def decode_rope_after_cache(
    model: LlamaForCausalLM, token: Tensor, cache: UnrotatedKeys
) -> Tensor:
    """Keys are cached before RoPE and all rotated by the newest token's angle, so that
    every distance is 0.

    The same numbers as from positions that are all 0: the text repeats itself.
    """

    def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
        cache.cos_sin = cos_sin
        return layer(x, past_key_values=cache, position_embeddings=cos_sin)

    return through_layers(model, token, cache.length, run)
