"""One head of the running example, to be changed and followed cell by cell."""

import torch

from companion.attention import attention_weights, scaled_dot_product_attention
from companion.masks import causal_mask
from companion.show import example
from companion.show.figures.matrices import equation
from companion.show.figures.svg import Figure
from companion.show.interactive.element import Interactive
from companion.show.tables import table


def attention_explorer(caption: str, *, is_causal: bool = False) -> Interactive:
    """The first head of the running example: X and its weights can be edited, each number
    says what it is made of; scale, mask and the axis of the softmax can be switched.

    Source: Vaswani et al. 2017, equation (1).
    """
    x, made = example.tokens(), run(is_causal)
    given = dict(zip(("W_q", "W_k", "W_v"), example.weights(), strict=True))
    start = {
        "X": x.tolist(),
        **{name: weight.tolist() for name, weight in given.items()},
        "scaled": True,
        "causal": is_causal,
        "over": "keys",
    }
    q, k, v, scores, weights, output = made.values()
    projected = equation([("X", x), "@", ("W_q", given["W_q"]), "=", ("Q", q)], "")
    met = equation([("Q", q), "@", ("Kᵀ", k.mT), "=", ("scores", scores)], "")
    mixed = equation([("weights", weights), "@", ("V", v), "=", ("output", output)], "")
    panels = (*projected.panels, *met.panels, *mixed.panels)
    alt = f"One head from X to its output: {projected.alt}; {met.alt}; {mixed.alt}"
    rows = [
        (name, tuple(tensor.shape), listed(tensor)) for name, tensor in made.items()
    ]
    return Interactive(
        "attention-explorer",
        {"tokens": example.TOKENS, "start": start},
        Figure(panels, alt, caption),
        table(("tensor", "shape", "rows"), rows),
    )


def run(is_causal: bool) -> dict[str, torch.Tensor]:
    """What the package makes of the running example, step by step."""
    q, k, v = (example.tokens() @ weight for weight in example.weights())
    mask = causal_mask(len(q)) if is_causal else None
    weights = attention_weights(q, k, mask)
    output = scaled_dot_product_attention(q, k, v, mask)
    return {
        "Q": q,
        "K": k,
        "V": v,
        "scores": q @ k.mT,
        "weights": weights,
        "output": output,
    }


def listed(values: torch.Tensor) -> str:
    """The rows of a matrix in words, two digits after the point."""
    rows = (
        ", ".join(f"{x:.2f}".rstrip("0").rstrip(".") for x in row)
        for row in values.tolist()
    )
    return "; ".join(rows)
