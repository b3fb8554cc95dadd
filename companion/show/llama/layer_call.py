"""One decoder layer, called with a prompt and with the token after it, tensor by tensor."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.decoder import LlamaDecoderLayer
from companion.masks import causal_mask
from companion.show.ledgers.ledger import ledger
from companion.show.ledgers.recorder import Step
from companion.show.llama.stations import STATIONS, Station, found


@dataclass(frozen=True)
class Made:
    """A tensor, the lines that make it here and at Hugging Face ("" where none does), and
    what our line costs.
    """

    value: Tensor
    code: str = ""
    theirs: str = ""
    flops: int = 0
    read: int = 0
    written: int = 0


def record(
    config: LlamaConfig,
    layer: LlamaDecoderLayer,
    inputs: Mapping[str, Float[Tensor, "1 _ hidden"]],
    theirs: nn.Module | None,
) -> dict[str, list[Made]]:
    """For each call the tensor of every station; a cache goes from one call to the next.

    Raises: ValueError when a tensor of theirs is not ours.
    """
    room = sum(x.shape[1] for x in inputs.values())
    ours, other = KVCache(config, 1, room), KVCache(config, 1, room)
    calls, past = {}, 0
    for name, hidden in inputs.items():
        steps = ledger(layer, hidden, past_key_values=ours, depth=3).steps
        their_steps = (
            [] if theirs is None else theirs_of(theirs, layer, hidden, past, other)
        )
        calls[name] = stations(layer, hidden, steps, their_steps)
        past += hidden.shape[1]
    return calls


def theirs_of(
    theirs: nn.Module,
    layer: LlamaDecoderLayer,
    hidden: Tensor,
    past: int,
    cache: KVCache,
) -> list[Step]:
    """The steps of their layer, under the mask that their eager attention wants."""
    length = hidden.shape[1]
    mask = torch.zeros(length, past + length).masked_fill(
        ~causal_mask(length, past + length), -math.inf
    )
    call: dict[str, Any] = {
        "attention_mask": mask[None, None] if length > 1 else None,
        "position_embeddings": layer.rotary_emb(
            hidden, torch.arange(past, past + length)[None]
        ),
        "past_key_values": cache,
    }
    package = str(Path(inspect.getfile(type(theirs))).parent)
    return ledger(theirs, hidden, depth=5, package=package, **call).steps


def stations(
    layer: LlamaDecoderLayer, hidden: Tensor, steps: list[Step], their_steps: list[Step]
) -> list[Made]:
    """The tensor of every station of a call."""
    made: dict[str, Made] = {}
    for station in STATIONS:
        one = at_station(layer, station, steps, made) if station.ours else Made(hidden)
        made[station.name] = Made(
            one.value,
            one.code,
            line_of_theirs(station, one, their_steps),
            one.flops,
            one.read,
            one.written,
        )
    return list(made.values())


def at_station(
    layer: LlamaDecoderLayer, station: Station, steps: list[Step], made: dict[str, Made]
) -> Made:
    """What our layer makes at a station."""
    at = found(steps, station.ours, station.tensor)
    if at is None:  # a mask, where one query sees every key
        return Made(made["scaled"].value)
    code, step = at
    if station.part:
        module = layer.mlp.get_submodule(station.part)
        into = made["gated" if station.part == "down_proj" else "normed again"].value
        alone = ledger(module, into)
        cost = alone.total
        return Made(
            alone.result, code, "", cost.flops, cost.bytes_read, cost.bytes_written
        )
    value = step.value
    if station.name in ("scores", "scaled"):  # later lines write over both
        query, key = made["query, turned"].value, made["keys, repeated"].value
        scale = 1 / math.sqrt(query.shape[-1]) if station.name == "scaled" else 1
        value = (query @ key.mT) * scale
    return Made(value, code, "", step.flops, step.bytes_read, step.bytes_written)


def line_of_theirs(station: Station, one: Made, steps: list[Step]) -> str:
    """Their line for a station, whose tensor is ours; nothing without one."""
    at = (
        found(steps, station.theirs, station.their_tensor, station.nth)
        if station.theirs and steps
        else None
    )
    if at is None:
        return ""
    code, step = at
    same = step.shape == tuple(one.value.shape) and torch.allclose(
        step.value.float(), one.value.float(), rtol=1e-4, atol=1e-4
    )
    if not same and station.part in ("", "down_proj"):
        raise ValueError(
            f"{station.name} {tuple(one.value.shape)} is not what their layer makes by "
            f"{code!r} {step.shape}: do both have the same weights?"
        )
    return code
