"""The forward pass as one picture, its shapes taken from the modules while they run."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from companion.model import LlamaForCausalLM
from companion.show.figures import ACCENT, SECOND, Figure, box, svg, text

WIDTH, HIGH, GAP = 330, 34, 16
ARROW = 'stroke="currentColor" stroke-opacity="0.6" fill="none"'


def output_shapes(model: nn.Module, input_ids: Int[Tensor, "batch length"]) -> dict[str, tuple[int, ...]]:
    """Run the model, and return the shape of every module's output under the module's name."""
    shapes: dict[str, tuple[int, ...]] = {}

    def record(name: str):
        def hook(module: nn.Module, arguments: tuple, output: Tensor | tuple[Tensor, ...]) -> None:
            shapes[name] = tuple((output[0] if isinstance(output, tuple) else output).shape)

        return hook

    hooks = [module.register_forward_hook(record(name)) for name, module in model.named_modules()]
    try:
        with torch.inference_mode():
            shapes[""] = tuple(model(input_ids).shape)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def forward_picture(model: LlamaForCausalLM, input_ids: Int[Tensor, "batch length"], caption: str) -> Figure:
    """The model from ids to logits, and one decoder layer opened beside it, with the shapes of this call."""
    shapes = output_shapes(model, input_ids)
    layer, attention = "model.layers.0", "model.layers.0.self_attn"
    layers = len(model.model.layers)
    head = shapes[""]
    outside = [
        ("input_ids", tuple(input_ids.shape), ""),
        ("embed_tokens", shapes["model.embed_tokens"], "box"),
        (f"decoder layer × {layers}", shapes[layer], "open"),
        ("norm", shapes["model.norm"], "box"),
        ("lm_head", head, "box"),
        ("argmax → next token", (input_ids.shape[0],), ""),
    ]
    inside = [
        ("hidden_states", shapes["model.embed_tokens"], ""),
        ("input_layernorm", shapes[f"{layer}.input_layernorm"], "box"),
        ("q_proj", shapes[f"{attention}.q_proj"], "box"),
        ("k_proj, v_proj", shapes[f"{attention}.k_proj"], "box"),
        ("split heads · RoPE · cache · attention", None, "core"),
        ("o_proj", shapes[f"{attention}.o_proj"], "box"),
        ("+ residual", shapes[attention], "add"),
        ("post_attention_layernorm", shapes[f"{layer}.post_attention_layernorm"], "box"),
        ("gate_proj, up_proj · SwiGLU", shapes[f"{layer}.mlp.gate_proj"], "core"),
        ("down_proj", shapes[f"{layer}.mlp.down_proj"], "box"),
        ("+ residual", shapes[layer], "add"),
    ]
    alt = (
        f"The forward pass: ids {tuple(input_ids.shape)} become hidden states {shapes['model.embed_tokens']}, pass "
        f"{layers} decoder layers of unchanged shape, a norm and the head, and come out as logits {head}"
    )
    panels = (column("the model", outside, alt), column("one decoder layer", inside, "The steps of one decoder layer"))
    return Figure(panels, alt, caption)


def column(title: str, steps: list[tuple[str, tuple[int, ...] | None, str]], alt: str) -> str:
    """Steps under one another, each with the shape that leaves it; residual arrows pass by on the left."""
    left, top = 26, 24
    body = [text(left + WIDTH / 2, 10, title, size=13, extra='font-weight="600"')]
    starts = [0]
    for i, (name, shape, kind) in enumerate(steps):
        y = top + i * (HIGH + GAP)
        if kind:
            color, opacity = (SECOND, 0.22) if kind in ("core", "open") else (ACCENT, 0.06 if kind == "add" else 0.16)
            body.append(box(left, y, WIDTH, HIGH, opacity=opacity, color=color, radius=6))
        body.append(text(left + 12, y + HIGH / 2, name, anchor="start", size=14))
        if shape is not None:
            body.append(text(left + WIDTH - 10, y + HIGH / 2, str(shape), anchor="end", size=13, extra=MONO))
        if i + 1 < len(steps):
            body.append(arrow(left + WIDTH / 2, y + HIGH, y + HIGH + GAP))
        if kind == "add":
            start = top + starts[-1] * (HIGH + GAP) + HIGH / 2
            body.append(f'<path d="M{left - 2} {start:g} H8 V{y + HIGH / 2:g} H{left - 3}" {ARROW} stroke-dasharray="4 3"/>')
            body.append(head_right(left, y + HIGH / 2))
            starts.append(i)
    return svg(left + WIDTH + 4, top + len(steps) * (HIGH + GAP) - GAP + 2, "".join(body), alt)


MONO = 'font-family="ui-monospace, monospace"'


def arrow(x: float, start: float, end: float) -> str:
    """An arrow straight down."""
    return (
        f'<path d="M{x:g} {start:g} V{end - 4:g}" {ARROW}/>'
        f'<path d="M{x - 4:g} {end - 6:g} L{x:g} {end:g} L{x + 4:g} {end - 6:g} Z" fill-opacity="0.6"/>'
    )


def head_right(x: float, y: float) -> str:
    """The head of an arrow that points right."""
    return f'<path d="M{x - 6:g} {y - 4:g} L{x:g} {y:g} L{x - 6:g} {y + 4:g} Z" fill-opacity="0.6"/>'
