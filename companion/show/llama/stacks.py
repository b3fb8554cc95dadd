"""Both stacks of the 2017 Transformer, their steps and shapes taken from a run."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.show.figures.svg import Figure
from companion.show.llama.flow import Row, column, module, plain
from companion.transformer_2017 import TransformerDecoderLayer, TransformerEncoderLayer

ATTENTIONS = {"self_attn": "self-attention", "cross_attn": "cross-attention"}


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
    left = column(
        "encoder layer",
        [
            plain("source", tuple(source.shape)),
            *rows(reading, {"self_attn": "both ways"}),
            plain("memory →", tuple(memory.shape)),
        ],
        f"The encoder layer makes of a source {tuple(source.shape)} a memory of that shape",
    )
    sees = {"self_attn": "causal", "cross_attn": "of memory"}
    right = column(
        "decoder layer",
        [plain("target", tuple(target.shape)), *rows(writing, sees)],
        f"The decoder layer reads the target {tuple(target.shape)} and the memory",
    )
    alt = (
        "The two stacks of 2017: in the encoder every token sees every other; the decoder "
        f"has a causal self-attention, and a cross-attention to the encoder's {length} tokens"
    )
    return Figure((left, right), alt, caption)


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
            made.append(module(f"{ATTENTIONS[name]}, {sees[name]}", shape))
        elif name.startswith("norm"):
            made.append(replace(module(f"{name}(x + …)", shape), adds=True))
        else:
            made.append(module(name, shape))
    return made
