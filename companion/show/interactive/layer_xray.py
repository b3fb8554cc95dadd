"""One decoder layer, opened: every tensor of a prefill and of a decode step as a box, with
the line that makes it, what that costs, and its values.
"""

from dataclasses import dataclass
from typing import Any, cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.cache import KVCache
from companion.decoder import LlamaDecoderLayer
from companion.model import LlamaForCausalLM
from companion.show.figures.shapes import ShapeBox, shape_text
from companion.show.figures.svg import Figure, svg, text
from companion.show.interactive.element import Interactive
from companion.show.interactive.model_xray import stations_of
from companion.show.interactive.pixels import levels, packed, pooled
from companion.show.ledgers.ledger import ledger
from companion.show.llama.layer_call import Made, record
from companion.show.llama.stations import STATIONS
from companion.show.tables import Code, Table, amount, table

DOUBLING = 4.5  # px for each doubling of an axis


def layer_xray(
    model: LlamaForCausalLM,
    input_ids: Int[Tensor, "1 q_len"],
    caption: str,
    *,
    theirs: nn.Module | None = None,
    layer_idx: int = 0,
) -> Interactive:
    """A layer of a model as it takes a prompt, and then the likeliest next token. `theirs`
    is Hugging Face's layer with the same weights: its lines stand beside ours, and what
    both make is found equal.

    Raises: ValueError for a layer that the model does not have, or one of theirs that
    makes something else.
    """
    if not 0 <= layer_idx < len(model.model.layers):
        raise ValueError(
            f"layer {layer_idx}: the model has layers 0 to {len(model.model.layers) - 1}"
        )
    layer = cast(LlamaDecoderLayer, model.model.layers[layer_idx])
    calls = record(model.config, layer, inputs(model, input_ids, layer_idx), theirs)
    boxes, prefill = named(layer, calls["prefill"])
    _, decode = named(layer, calls["decode"])
    trace = {
        "boxes": [{"name": b.name, "kind": b.kind, "axes": b.axes} for b in boxes],
        "calls": {
            "prefill": [written(made) for made in prefill],
            "decode": [
                None if box.kind == "weights" else written(made)
                for box, made in zip(boxes, decode, strict=True)
            ],
        },
    }
    panels = "".join(
        panel(box.name, tuple(made.value.shape), box.axes, box.kind)
        for box, made in zip(boxes, prefill, strict=True)
    )
    alt = f"The {len(boxes)} tensors of decoder layer {layer_idx}, in order, with their shapes"
    still = Figure((f'<div class="panels">{panels}</div>',), alt, caption)
    every = as_table(boxes, prefill, decode)
    return Interactive("layer-xray", trace, still, every)


def panel(name: str, sizes: tuple[int, ...], axes: tuple[str, ...], kind: str) -> str:
    """A tensor as a box, under its name and its shape."""
    box = ShapeBox(sizes, axes, DOUBLING)
    low = 34 + box.deep + box.high
    body = [
        text(0, 8, name, anchor="start", size=12.5, extra='font-weight="600"'),
        shape_text(0, 24, sizes, axes),
        box.drawn(3, low, kind),
    ]
    width = max(box.wide + box.deep + 8, 7.6 * len(name), 8.4 * len(str(sizes)))
    return svg(width, low + 5, "".join(body), f"{name} {sizes}, {kind}")


def inputs(
    model: LlamaForCausalLM, input_ids: Int[Tensor, "1 q_len"], layer_idx: int
) -> dict[str, Float[Tensor, "1 _ hidden"]]:
    """What enters the layer with the prompt, and with the token after it."""
    cache = KVCache(model.config, 1, input_ids.shape[1] + 1)
    prompt = ledger(model, input_ids, depth=1, past_key_values=cache)
    following = prompt.result[:, -1:].argmax(dim=-1)
    step = ledger(model, following, depth=1, past_key_values=cache)
    return {
        "prefill": stations_of(prompt)[0][layer_idx].value,
        "decode": stations_of(step)[0][layer_idx].value,
    }


@dataclass(frozen=True)
class Box:
    """What a tensor is called, what it is, and its axes."""

    name: str
    kind: str
    axes: tuple[str, ...]


def named(layer: LlamaDecoderLayer, made: list[Made]) -> tuple[list[Box], list[Made]]:
    """The tensors of a call, each behind the weights that it takes."""
    boxes, found = [], []
    for station, each in zip(STATIONS, made, strict=True):
        for path in station.weights:
            weight = layer.get_parameter(f"{path}.weight").detach()
            axes = weight_axes(path, station.axes[-1])
            name = path.rpartition(".")[-1]
            boxes.append(
                Box(
                    name.removesuffix("_layernorm") + " norm" * name.endswith("norm"),
                    "weights",
                    axes,
                )
            )
            found.append(Made(weight, f"self.{path}.weight", f"self.{path}.weight"))
        boxes.append(Box(station.name, station.kind, station.axes))
        found.append(each)
    return boxes, found


def weight_axes(path: str, made: str) -> tuple[str, ...]:
    """(out, in) of a stored weight; a norm has one axis."""
    if path.endswith("norm"):
        return ("hidden",)
    out = {"o_proj": "hidden", "down_proj": "hidden"}
    ways = {"gate_proj": "intermediate", "up_proj": "intermediate"}
    name = path.rpartition(".")[-1]
    inside = {"o_proj": "heads · head_dim", "down_proj": "intermediate"}
    return out.get(name) or ways.get(name, "heads · head_dim"), inside.get(
        name, "hidden"
    )


def written(made: Made) -> dict[str, Any]:
    """A tensor as the page gets it: 16 × 16 cells of its first matrix at most."""
    value = made.value.float()
    matrix = value[None] if value.ndim == 1 else value.reshape(-1, *value.shape[-2:])[0]
    finite = matrix[matrix.isfinite()]
    most = float(f"{finite.abs().max().item():.3g}")
    return {
        "shape": list(value.shape),
        "code": made.code,
        "theirs": made.theirs,
        "cost": [made.flops, made.read, made.written],
        "most": most,
        "cells": packed(levels(pooled(matrix), most)),
    }


def as_table(boxes: list[Box], prefill: list[Made], decode: list[Made]) -> Table:
    """Each tensor with its shape in both calls, its line, and FLOPs and bytes read."""
    rows: list[tuple[object, ...]] = []
    for box, first, then in zip(boxes, prefill, decode, strict=True):
        cost = (
            (amount(first.flops), amount(first.read, "B"))
            if first.flops or first.read
            else ("", "")
        )
        rows.append(
            (
                box.name,
                tuple(first.value.shape),
                tuple(then.value.shape),
                Code(first.code),
                *cost,
            )
        )
    return table(("tensor", "prefill", "decode", "line", "FLOPs", "read"), rows)
