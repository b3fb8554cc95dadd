"""A real query and a real key, turned by their positions: what RoPE does to each pair and
to the score.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion.heads import split_heads
from companion.model import LlamaForCausalLM
from companion.rope import apply_rope, rope_cos_sin
from companion.rope_scaling import (
    DynamicNTKScaling,
    LinearScaling,
    Llama3Scaling,
    RopeScaling,
    YarnScaling,
)
from companion.show.figures.frames import value_cell
from companion.show.figures.legends import DASHES
from companion.show.figures.plane import Plane, Scale
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.interactive.element import Interactive
from companion.show.look.palette import RULE, TEXT
from companion.show.tables import table

PROMPT, HEAD = "The capital of France is", 3  # whose scores fall with the distance
TRAINED, THETA, FACTOR = (
    8192,
    100_000.0,
    4.0,
)  # SmolLM2's, and how much longer a text is
M, N, PAIR = 12, 4, 5  # what the figure starts with
CELL, ROW, REACH = 44, 8, 64
SCALINGS = {
    "default": ("none", RopeScaling()),
    "linear": ("linear", LinearScaling(FACTOR)),
    "dynamic": (
        f"dynamic NTK at {int(FACTOR) * TRAINED:,} tokens",
        DynamicNTKScaling(FACTOR, TRAINED),
    ),
    "yarn": ("YaRN", YarnScaling(FACTOR, TRAINED)),
    "llama3": ("Llama 3", Llama3Scaling(FACTOR, 1.0, 4.0, TRAINED)),
}


def rope_dial(model: LlamaForCausalLM, tokenizer: Any, caption: str) -> Interactive:
    """One query and one key of SmolLM2's first layer at any two positions: their pairs as
    arrows, what each pair adds to the score, and the score over the distance; both
    pairings and every scaling.

    Source: Su et al. 2021, section 3.2.2.
    """
    query, key, names = recorded(model, tokenizer)
    trace = {
        "query": query.tolist(),
        "key": key.tolist(),
        "names": names,
        "scalings": {name: described(*each) for name, each in SCALINGS.items()},
    }
    turned = rotated(query, M), rotated(key, N)
    drawn = (dial((query, key), turned), strip(*turned), curve(query, key))
    score = scored(query, key, M, N)
    alt = (
        f"The query of “{names[0]}” at position {M} and the key of “{names[1]}” at {N}: "
        f"score {score:.2f}. Pair {PAIR} as arrows, what each of {len(query) // 2} pairs "
        "adds, and the score over the distance"
    )
    rows = [
        (
            f"“{names[0]}” at {m}, “{names[1]}” at {n}",
            m - n,
            f"{scored(query, key, m, n):.3f}",
        )
        for m, n in ((M, N), (M + 1, N + 1), (M + 1000, N + 1000), (N, M), (N, N))
    ]
    listed = table(("positions", "distance", "score"), rows)
    return Interactive("rope-dial", trace, Figure(drawn, alt, caption), listed)


def recorded(
    model: LlamaForCausalLM, tokenizer: Any
) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"], list[str]]:
    """The query of the prompt's last token and the key of the one before, before they are
    turned, in two digits, and the two tokens.
    """
    ids, config = tokenizer.encode(PROMPT), model.config
    layer: Any = model.model.layers[0]
    attention = layer.self_attn
    with torch.inference_mode():
        x = layer.input_layernorm(model.model.embed_tokens(torch.tensor([ids])))
        query = split_heads(attention.q_proj(x), config.num_attention_heads)
        key = split_heads(attention.k_proj(x), config.num_key_value_heads)
    group = config.num_attention_heads // config.num_key_value_heads
    chosen_query, chosen_key = (
        x.clone().mul(100).round().div(100)
        for x in (query[0, HEAD, -1], key[0, HEAD // group, -2])
    )
    names = [tokenizer.decode([i]).strip() for i in (ids[-1], ids[-2])]
    return chosen_query, chosen_key, names


def described(label: str, scaling: RopeScaling) -> dict[str, Any]:
    """A scaling as the figure needs it; the dynamic one at its longest text."""
    longest = torch.tensor([int(FACTOR) * TRAINED - 1])
    frequencies = scaling.frequencies(64, THETA, longest)
    magnitude = torch.tensor(scaling.magnitude).item()
    return {
        "label": label,
        "magnitude": float(f"{magnitude:.9g}"),
        "frequencies": [float(f"{each:.9g}") for each in frequencies.tolist()],
    }


def rotated(x: Float[Tensor, " d"], position: int) -> Float[Tensor, " d"]:
    """A query or a key at a position, without a scaling."""
    angles = rope_cos_sin(torch.tensor([[position]]), len(x), THETA)
    return apply_rope(x[None, None, None], *angles)[0, 0, 0]


def scored(
    query: Float[Tensor, " d"], key: Float[Tensor, " d"], m: int, n: int
) -> float:
    """The score of a query at m and a key at n."""
    return (rotated(query, m) @ rotated(key, n)).item() / len(query) ** 0.5


def dial(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> str:
    """One pair of the query (solid) and of the key (dashed), where they were (dotted) and
    where they are.
    """
    at = [PAIR, PAIR + len(before[0]) // 2]
    points = [
        (x[at].tolist(), y[at].tolist()) for x, y in zip(before, after, strict=True)
    ]
    longest, middle = max(math.hypot(*point) for point, _ in points), 100
    body = [text(0, 8, f"pair {PAIR}", anchor="start", size=13)]
    for name, dash, (first, then) in zip("qk", ("", DASHES[1]), points, strict=True):
        radius = 78 * math.hypot(*then) / longest
        body.append(
            f'<circle cx="{middle}" cy="{middle}" r="{radius:.1f}" fill="none" stroke="{RULE}"/>'
        )
        body.append(arrow(first, longest, DASHES[2], 1))
        body.append(arrow(then, longest, dash, 3 if name == "q" else 2))
        x, y = (value / math.hypot(*then) * (radius + 14) for value in then)
        body.append(text(round(middle + x, 1), round(middle - y, 1), name))
    return svg(200, 200, "".join(body), f"pair {PAIR} of the query and of the key")


def arrow(point: list[float], longest: Number, dash: str, weight: Number) -> str:
    """A line from the middle of the dial to a point."""
    x, y = (78 * value / longest for value in point)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="M100 100l{x:.1f} {-y:.1f}" stroke="{TEXT}" stroke-width="{weight}"'
        f'{dashed} fill="none"/>'
    )


def strip(query: Tensor, key: Tensor) -> str:
    """What each pair adds to the product of a query and a key."""
    adds = (query * key).unflatten(0, (2, -1)).sum(0)
    largest = adds.abs().max().item()
    body = [text(0, 8, "what each pair adds", anchor="start", size=13)]
    for i, value in enumerate(adds.tolist()):
        place = i % ROW * CELL + 1, i // ROW * 30 + 22, CELL, 30
        body.append(value_cell(*place, value, largest, f"{value:.1f}", size=12.5))
    height = 24 + 30 * len(adds) // ROW
    return svg(
        ROW * CELL + 2, height, "".join(body), "what each pair adds to the score"
    )


def curve(query: Tensor, key: Tensor) -> str:
    """The score over the distance."""
    distances = range(-REACH, REACH + 1)
    scores = [scored(query, key, max(d, 0), max(-d, 0)) for d in distances]
    room = 0.1 * (max(scores) - min(scores))
    plane = Plane(
        Scale(-REACH, REACH, "distance m − n"),
        Scale(min(scores) - room, max(scores) + room, "score"),
    )
    plane.line(zip(distances, scores, strict=True))
    plane.dot(M - N, scored(query, key, M, N))
    return plane.svg(f"The score over the distance m − n from {-REACH} to {REACH}")
