"""Decoding with a key/value cache: its mistakes, and the grader that rejects them. Each
runs the tokens one at a time and returns the logits of all, wrong ones.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.exercises.gallery import imitates
from companion.exercises.grading import check_tensor, gap, graded
from companion.exercises.mask import mask_top_left
from companion.model import LlamaForCausalLM
from companion.rope import apply_rope

Kind = TypeVar("Kind", bound=KVCache)


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


def one_by_one(
    model: LlamaForCausalLM, input_ids: Tensor, step: Callable[..., Tensor]
) -> Tensor:
    """The logits of every token, run alone: `step(model, token, cache)`."""
    cache = room_for(model, *input_ids.shape)
    tokens = input_ids.split(1, dim=1)
    return torch.cat([step(model, token, cache) for token in tokens], dim=1)


def room_for(
    model: LlamaForCausalLM,
    batch: int,
    max_length: int,
    kind: type[Kind] = KVCache,  # type: ignore[assignment]
) -> Kind:
    """An empty cache in the model's dtype and on its device."""
    sizes = model.config, batch, max_length
    return kind(*sizes, dtype=model.dtype, device=model.device)


def through_layers(
    model: LlamaForCausalLM,
    token: Tensor,
    position: int,
    run: Callable[[nn.Module, Tensor, tuple[Tensor, Tensor]], Tensor],
) -> Tensor:
    """A token from its embedding through all layers to logits, each layer called by
    `run`.
    """
    hidden_states = model.model.embed_tokens(token)
    position_ids = torch.tensor([[position]], device=token.device)
    cos_sin = model.model.rotary_emb(hidden_states, position_ids)
    for layer in model.model.layers:
        hidden_states = run(layer, hidden_states, cos_sin)
    return model.logits(model.model.norm(hidden_states))


@imitates(LlamaForCausalLM.forward, decode_arguments)
def decode_from_zero(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """Each token is decoded at position 0: positions do not go on from the cache."""

    def step(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
        zero = torch.zeros_like(token)
        return model(token, position_ids=zero, past_key_values=cache)

    return one_by_one(model, input_ids, step)


@imitates(LlamaForCausalLM.forward, decode_arguments)
def decode_top_left(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """The mask of a decode step starts at key 0 (is_causal=True), so that a token
    sees the first key alone.
    """

    def step(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
        mask = mask_top_left(1, cache.length + 1).to(token.device)

        def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
            return layer(x, mask, past_key_values=cache, position_embeddings=cos_sin)

        return through_layers(model, token, cache.length, run)

    return one_by_one(model, input_ids, step)


@imitates(LlamaForCausalLM.forward, decode_arguments)
def decode_cache_forgotten(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """Each token gets a new cache: it stands at position 0 and sees only itself."""

    def step(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> Tensor:
        return model(token, past_key_values=room_for(model, len(token), 1))

    return one_by_one(model, input_ids, step)


class OneLayerForAll(KVCache):
    """A cache whose layers all store under the first one's number."""

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, kwargs: object = None
    ) -> tuple[Tensor, Tensor]:
        """Store behind the layer before."""
        return super().update(key, value, 0)


@imitates(LlamaForCausalLM.forward, decode_arguments)
def decode_same_layer_idx(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """Every layer has layer_idx 0, so that each also sees the keys of the layers before,
    and positions run ahead.
    """
    (batch, length), layers = input_ids.shape, model.config.num_hidden_layers
    cache = room_for(model, batch, length * layers, OneLayerForAll)

    def step(model: LlamaForCausalLM, token: Tensor, _: KVCache) -> Tensor:
        def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
            return layer(x, past_key_values=cache, position_embeddings=cos_sin)

        return through_layers(model, token, cache.get_seq_length(0), run)

    return one_by_one(model, input_ids, step)


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
        return apply_rope(keys, cos, sin), values


@imitates(LlamaForCausalLM.forward, decode_arguments)
def decode_rope_after_cache(model: LlamaForCausalLM, input_ids: Tensor) -> Tensor:
    """Keys are cached before RoPE and all rotated by the newest token's angle, so
    that every distance is 0.
    """
    batch, length = input_ids.shape
    cache = room_for(model, batch, length, UnrotatedKeys)

    def step(model: LlamaForCausalLM, token: Tensor, _: KVCache) -> Tensor:
        def run(layer: nn.Module, x: Tensor, cos_sin: tuple) -> Tensor:
            cache.cos_sin = cos_sin
            return layer(x, past_key_values=cache, position_embeddings=cos_sin)

        return through_layers(model, token, cache.length, run)

    return one_by_one(model, input_ids, step)


@graded
def check_decode_step(decode_step: Callable[..., Tensor]) -> str | None:
    """Grade `decode_step(model, token, cache)`: logits (batch, vocab) after the token."""
    model = small_model()
    ids = torch.tensor([[1, 5, 2, 7, 3]])
    with torch.inference_mode():
        expected = model(ids)[:, -1]
        cache = KVCache(model.config, batch_size=1, max_length=8)
        model(ids[:, :4], past_key_values=cache)
        answer = decode_step(model, ids[:, 4:], cache)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if cache.length != 5:
        return f"after the step the cache holds {cache.length} tokens, not 5"
    if torch.allclose(answer, expected, atol=1e-3):
        return None
    return (
        f"the logits are off by up to {gap(answer, expected)}: the token stands at "
        "position 4, behind the four in the cache"
    )
