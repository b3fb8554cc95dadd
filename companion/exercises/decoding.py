"""Decoding written out: what the cache's faults and graders are made of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.model import LlamaForCausalLM
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


def one_by_one(
    model: LlamaForCausalLM, input_ids: Tensor, step: Callable[..., Tensor]
) -> Tensor:
    """The logits of every token, run alone: `step(model, token, cache)`."""
    room = input_ids.shape[1] * model.config.num_hidden_layers
    cache = room_for(model, input_ids.shape[0], room)
    tokens = input_ids.split(1, dim=1)
    return torch.cat([step(model, token, cache) for token in tokens], dim=1)


def room_for(model: LlamaForCausalLM, batch: int, max_length: int) -> KVCache:
    """An empty cache in the model's dtype and on its device."""
    return KVCache(
        model.config, batch, max_length, dtype=model.dtype, device=model.device
    )


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


class UnrotatedKeys(KVCache):
    """A cache of keys as they were projected; what is read is rotated by the angles
    at hand, those of the newest token.
    """

    cos_sin: tuple[Tensor, Tensor]

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Take the layer's rotation back, and rotate all keys by one angle."""
        cos, sin = self.cos_sin
        keys, values = super().update(apply_rope(key, cos, -sin), value, layer_idx)
        cos, sin = (x.expand(-1, keys.shape[-2], -1) for x in self.cos_sin)
        return apply_rope(keys, cos, sin), values
