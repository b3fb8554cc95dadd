"""Tokens run one at a time by a step, right or wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from companion.cache import KVCache
from companion.exercises.planting import Planted
from companion.model import LlamaForCausalLM

# Runs one token of each text: `step(model, token, cache)` gives its logits.
Step = Callable[..., Tensor]


def one_by_one(
    model: LlamaForCausalLM,
    input_ids: Tensor,
    step: Step,
    kind: type[KVCache] = KVCache,
) -> Tensor:
    """The logits of every token, run alone: `step(model, token, cache)`."""
    batch, length = input_ids.shape
    cache = room_for(model, batch, length, kind)
    tokens = input_ids.split(1, dim=1)
    return torch.cat([step(model, token, cache) for token in tokens], dim=1)


def room_for(
    model: LlamaForCausalLM,
    batch: int,
    max_length: int,
    kind: type[KVCache] = KVCache,
) -> KVCache:
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


@dataclass(frozen=True)
class StepByStep(Planted):
    """A wrong step that runs every token, the prompt's too, with a cache of its kind."""

    kind: type[KVCache] = KVCache

    def logits(
        self,
        wrong: Callable[..., Any],
        model: LlamaForCausalLM,
        input_ids: Tensor,
        new_tokens: int,
    ) -> Tensor:
        """The logits from which each new token is taken, the likeliest."""
        step, length = wrong.__wrapped__, input_ids.shape[1]  # type: ignore[attr-defined]
        cache = room_for(model, 1, length + new_tokens, self.kind)
        tokens, rows = list(input_ids.split(1, dim=1)), []
        with torch.inference_mode():
            for place in range(length + new_tokens - 1):
                rows.append(step(model, tokens[place], cache)[:, -1])
                if place >= length - 1:
                    tokens.append(rows[-1].argmax(-1)[:, None])
        return torch.cat(rows[length - 1 :])
