"""Both stacks of the 2017 Transformer, their steps and shapes taken from a run."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.show.figures.svg import Figure
from companion.show.llama.flow import HIDDEN, Column, Row, row, side_by_side
from companion.transformer_2017 import TransformerDecoderLayer, TransformerEncoderLayer

MEMORY = ("batch", "kv_len", "hidden")
PRODUCT = ("batch", "q_len", "")  # its last axis is none of the six


def stacks_figure(
    encoder: TransformerEncoderLayer,
    decoder: TransformerDecoderLayer,
    source: Float[Tensor, "batch source_len hidden"],
    target: Float[Tensor, "batch target_len hidden"],
    caption: str,
) -> Figure:
    """A layer of each stack, the encoder's left, with the shapes of this call: three
    attentions, one of which reads what the encoder gave.

    Source: Vaswani et al. 2017, figure 1.
    """
    with torch.no_grad():
        reading, memory = recorded(encoder, source)
        writing, _ = recorded(decoder, target, memory)
    length = memory.shape[1]
    left = Column(
        "encoder layer",
        [
            row("", ("source", tuple(source.shape), HIDDEN)),
            *rows(reading, {"self_attn": "both ways"}),
            row("", ("memory →", tuple(memory.shape), MEMORY)),
        ],
        "The encoder layer makes a memory of the source",
    )
    right = Column(
        "decoder layer",
        [
            row("", ("target", tuple(target.shape), HIDDEN)),
            *rows(writing, {"self_attn": "causal", "cross_attn": "of memory"}),
        ],
        "The decoder layer reads the target and the memory",
    )
    alt = (
        "The two stacks of 2017: in the encoder every token sees every other; the decoder "
        f"has a causal self-attention, and a cross-attention to the encoder's {length} tokens"
    )
    return side_by_side([left, right], alt, caption)


def recorded(layer: nn.Module, *inputs: Tensor) -> tuple[list[tuple[str, Any]], Tensor]:
    """The parts of a layer in the order in which they ran, each with the shape it gave, and
    the layer's output.
    """
    ran: list[tuple[str, Any]] = []
    hooks = [
        part.register_forward_hook(
            lambda _, __, output, name=name: ran.append((name, tuple(output.shape)))
        )
        for name, part in layer.named_children()
    ]
    try:
        output = layer(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return ran, output


def rows(ran: list[tuple[str, Any]], sees: dict[str, str]) -> list[Row]:
    """A row for each part; a norm is of the sum with what came in, and its output goes on."""
    made = []
    for name, shape in ran:
        if name in sees:
            made.append(row("weights", (f"{name}, {sees[name]}", shape, HIDDEN)))
        elif name.startswith("norm"):
            made.append(row("weights", (f"{name}(x + …)", shape, HIDDEN), adds=True))
        else:
            axes = PRODUCT if name == "linear1" else HIDDEN
            made.append(row("weights", (name, shape, axes)))
    return made
