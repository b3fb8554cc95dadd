"""The forward pass as one picture, its shapes taken from the modules while they
run.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.attention import Attend, attention_weights
from companion.decoder import LlamaAttention, LlamaDecoderLayer
from companion.gqa import repeat_kv
from companion.model import LlamaForCausalLM
from companion.show.svg import ACCENT, SECOND, Figure, Number, box, svg, text

WIDTH, HIGH, GAP = 296, 32, 14
ARROW = 'stroke="currentColor" stroke-opacity="0.6" fill="none"'


def output_shapes(model: nn.Module, inputs: Tensor) -> dict[str, tuple[int, ...]]:
    """Run the model; the shape of every module's output under the module's name.

    Each attention also gives its `query`, `key`, `weights` and `heads` (their output).
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(
            module: nn.Module, arguments: tuple, output: Tensor | tuple[Tensor, ...]
        ) -> None:
            shapes[name] = tuple(
                (output[0] if isinstance(output, tuple) else output).shape
            )

        return hook

    def recording(name: str, attend: Attend) -> Attend:
        def attention(
            query: Tensor, key: Tensor, value: Tensor, **options: Any
        ) -> Tensor:
            output = attend(query, key, value, **options)
            repeated = repeat_kv(key, query.shape[1] // key.shape[1])
            weights = attention_weights(query, repeated, options["attn_mask"])
            made = {"query": query, "key": key, "weights": weights, "heads": output}
            shapes.update(
                {f"{name}.{part}": tuple(x.shape) for part, x in made.items()}
            )
            return output

        return attention

    hooks, attends = [], []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_hook(record(name)))
        if isinstance(module, LlamaAttention):
            attends.append((module, module.attend))
            module.attend = recording(name, module.attend)
    try:
        with torch.inference_mode():
            shapes[""] = tuple(model(inputs).shape)
    finally:
        for hook in hooks:
            hook.remove()
        for attention, attend in attends:
            attention.attend = attend
    return shapes


def forward_picture(
    model: LlamaForCausalLM, input_ids: Int[Tensor, "batch length"], caption: str
) -> Figure:
    """The model from ids to logits, and one decoder layer opened beside it, with
    the shapes of this call.
    """
    shapes = output_shapes(model, input_ids)
    hidden, layers = shapes["model.embed_tokens"], len(model.model.layers)
    steps = [
        ("input_ids", tuple(input_ids.shape), ""),
        ("embed_tokens", hidden, "box"),
        (f"decoder layer × {layers}", shapes["model.layers.0"], "open"),
        ("norm", shapes["model.norm"], "box"),
        ("lm_head", shapes[""], "box"),
        ("argmax → next token", (input_ids.shape[0],), ""),
    ]
    alt = (
        f"The forward pass: ids {tuple(input_ids.shape)} become hidden states "
        f"{hidden}, pass {layers} decoder layers of unchanged shape, a norm and the "
        f"head, and come out as logits {shapes['']}"
    )
    return Figure(
        (
            column("the model", steps, alt),
            layer_panel(hidden, shapes, "model.layers.0."),
        ),
        alt,
        caption,
    )


def layer_picture(
    layer: LlamaDecoderLayer,
    hidden_states: Float[Tensor, "batch length hidden"],
    caption: str,
) -> Figure:
    """One decoder layer, with the shapes of this call."""
    panel = layer_panel(
        tuple(hidden_states.shape), output_shapes(layer, hidden_states), ""
    )
    return Figure(
        (panel,),
        "The steps of one decoder layer, two of them added to the residual stream",
        caption,
    )


def layer_panel(
    hidden: tuple[int, ...], shapes: dict[str, tuple[int, ...]], prefix: str
) -> str:
    """The steps of the decoder layer whose modules are recorded under `prefix`."""
    projections = tuple(
        shapes[f"{prefix}self_attn.{name}"] for name in ("q_proj", "k_proj", "v_proj")
    )
    inner = {
        part: shapes[f"{prefix}self_attn.{part}"]
        for part in ("query", "key", "weights", "heads")
    }
    steps = [
        ("hidden_states", hidden, ""),
        ("input_layernorm", shapes[f"{prefix}input_layernorm"], "box"),
        ("q_proj k_proj v_proj", projections, "beside"),
        (
            "query key value",
            tuple(inner[part] for part in ("query", "key", "key")),
            "heads",
        ),
        ("softmax(query @ keyᵀ)", inner["weights"], "core"),
        ("weights @ value", inner["heads"], "core"),
        ("o_proj", shapes[f"{prefix}self_attn.o_proj"], "box"),
        ("+ residual", shapes[f"{prefix}self_attn"], "add"),
        (
            "post_attention_layernorm",
            shapes[f"{prefix}post_attention_layernorm"],
            "box",
        ),
        ("gate, up, SwiGLU", shapes[f"{prefix}mlp.gate_proj"], "core"),
        ("down_proj", shapes[f"{prefix}mlp.down_proj"], "box"),
        ("+ residual", shapes[prefix.removesuffix(".")], "add"),
    ]
    return column(
        "one decoder layer",
        steps,
        "The steps of one decoder layer and the shapes that leave them",
    )


def column(title: str, steps: Sequence[tuple[str, tuple | None, str]], alt: str) -> str:
    """Steps under one another, each with the shape that leaves it; residual arrows
    pass by on the left.
    """
    left, top = 26, 24
    body = [text(left + WIDTH / 2, 10, title, size=13, extra='font-weight="600"')]
    source = top + HIGH / 2
    for i, (name, shape, kind) in enumerate(steps):
        y = top + i * (HIGH + GAP)
        if kind in ("beside", "heads"):
            color = ACCENT if kind == "beside" else SECOND
            body.append(beside(left, y, name.split(), shape or (), color))
        elif kind:
            color, opacity = (
                (SECOND, 0.22)
                if kind in ("core", "open")
                else (ACCENT, 0.06 if kind == "add" else 0.16)
            )
            body.append(
                box(left, y, WIDTH, HIGH, opacity=opacity, color=color, radius=6)
            )
        if kind not in ("beside", "heads"):
            body.append(text(left + 12, y + HIGH / 2, name, anchor="start", size=13.5))
        if shape is not None and kind not in ("beside", "heads"):
            body.append(
                text(
                    left + WIDTH - 10,
                    y + HIGH / 2,
                    str(shape),
                    anchor="end",
                    size=12.5,
                    extra=MONO,
                )
            )
        if i + 1 < len(steps):
            lanes = (1, 3, 5) if kind in ("beside", "heads") else (3,)
            body += [
                arrow(left + WIDTH * lane / 6, y + HIGH, y + HIGH + GAP)
                for lane in lanes
            ]
        if kind == "add":
            body.append(
                f'<path d="M{left - 2} {source:g} H8 V{y + HIGH / 3:g} H{left - 3}" '
                f"{ARROW} "
                'stroke-dasharray="4 3"/>'
            )
            body.append(head_right(left, y + HIGH / 3))
            source = (
                y + HIGH * 3 / 4
            )  # the next residual leaves below where this one came in
    return svg(
        left + WIDTH + 4, top + len(steps) * (HIGH + GAP) - GAP + 2, "".join(body), alt
    )


def beside(
    x: Number,
    y: Number,
    names: list[str],
    shapes: tuple[tuple[int, ...], ...],
    color: str,
) -> str:
    """Steps that do not wait for one another, in one row: each name above its
    shape.
    """
    width = (WIDTH - 8 * (len(names) - 1)) / len(names)
    parts = []
    for i, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        left = x + i * (width + 8)
        parts.append(
            box(left, y - 4, width, HIGH + 8, opacity=0.18, color=color, radius=6)
        )
        parts.append(text(left + width / 2, y + 7, name, size=13))
        parts.append(text(left + width / 2, y + 24, str(shape), size=11.5, extra=MONO))
    return "".join(parts)


MONO = 'font-family="ui-monospace, monospace"'


def arrow(x: Number, start: Number, end: Number) -> str:
    """An arrow straight down."""
    return (
        f'<path d="M{x:g} {start:g} V{end - 4:g}" {ARROW}/>'
        f'<path d="M{x - 4:g} {end - 6:g} L{x:g} {end:g} L{x + 4:g} {end - 6:g} Z" '
        'fill-opacity="0.6"/>'
    )


def head_right(x: Number, y: Number) -> str:
    """The head of an arrow that points right."""
    corners = f"M{x - 6:g} {y - 4:g} L{x:g} {y:g} L{x - 6:g} {y + 4:g} Z"
    return f'<path d="{corners}" fill-opacity="0.6"/>'
