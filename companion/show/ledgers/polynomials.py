"""What the steps of a decoder layer cost, as functions of batch, q_len and kv_len: polynomials
with whole coefficients, found from ledgers and checked against others.
"""

import json
from collections.abc import Sequence
from fractions import Fraction
from math import prod
from pathlib import Path

import torch

from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.decoder import LlamaDecoderLayer
from companion.exercises.graders.costs import TIED, UNTIED
from companion.show.ledgers.ledger import Ledger, ledger

Lengths = tuple[int, int, int]  # batch, q_len, kv_len
Term = Sequence[int]  # a number, and the exponents of these
Costs = dict[str, dict[str, list[list[Term]]]]
FILE = Path(__file__).with_suffix(".json")
MODELS = {"SmolLM2": TIED, "Llama 3 8B": UNTIED}
DTYPES = ("float32", "bfloat16")
# A layer's steps: the functions whose statements they are, how these begin, and a name.
ATTEND, LAYER = "scaled_dot_product_attention", "LlamaDecoderLayer.forward"
ATTENTION = "LlamaAttention.forward"
STEPS = (
    (LAYER, "normed = self.input_layernorm", "norm"),
    (ATTENTION, "query = split_heads", "query"),
    (ATTENTION, "key = split_heads", "key"),
    (ATTENTION, "value = split_heads", "value"),
    (ATTENTION, "query, key = self.rotate", "RoPE"),
    (ATTENTION, "key, value = past_key_values.update", "cache"),
    (ATTEND, "key, value = repeat_for_query_heads", "repeated heads"),
    (ATTEND, "weights = attention_weights", "scores, softmax"),
    (ATTEND, "return weights @ value", "weighted values"),
    (ATTENTION, "return self.o_proj", "output"),
    (LAYER, "hidden_states = hidden_states + attended", "first sum"),
    (LAYER, "normed = self.post_attention_layernorm", "second norm"),
    (LAYER, "transformed = self.mlp", "feed-forward"),
    (LAYER, "return hidden_states + transformed", "second sum"),
)
MASK = "mask"  # what a chunk of a prompt needs in addition
# The calls that take one path through the code: one new token; a whole prompt; a chunk of one,
# behind a cache; and these two for a single text, whose heads need no copy to be multiplied.
# Each with the exponents of batch, q_len and kv_len in its terms.
ALONE = ", alone"
PHASES: dict[str, tuple[Lengths, ...]] = {
    "decode": tuple((b, 0, k) for b in (0, 1) for k in (0, 1)),
    "prompt": tuple((b, q, 0) for b in (0, 1) for q in (0, 1, 2)),
    "chunk": tuple((b, q, k) for b in (0, 1) for q in (0, 1) for k in (0, 1)),
    f"prompt{ALONE}": tuple((0, q, 0) for q in (0, 1, 2)),
    f"chunk{ALONE}": tuple((0, q, k) for q in (0, 1) for k in (0, 1)),
}
# Where ledgers are taken: as many points as there are terms, and one to check what was found.
POINTS: dict[str, tuple[Lengths, ...]] = {
    "decode": (*((b, 1, k) for b in (1, 3) for k in (3, 8)), (7, 1, 640)),
    "prompt": (*((b, n, n) for b in (2, 5) for n in (2, 5, 9)), (7, 640, 640)),
    "chunk": (
        *((b, q, k) for b in (2, 5) for q in (2, 5) for k in (7, 12)),
        (7, 300, 640),
    ),
    f"prompt{ALONE}": (*((1, n, n) for n in (2, 5, 9)), (1, 640, 640)),
    f"chunk{ALONE}": (*((1, q, k) for q in (2, 5) for k in (7, 12)), (1, 300, 640)),
}


def phase(batch: int, q_len: int, kv_len: int) -> str:
    """Which polynomials hold for a call."""
    if q_len == 1:
        return "decode"
    return ("prompt" if q_len == kv_len else "chunk") + ALONE * (batch == 1)


def layer_ledger(
    config: LlamaConfig, lengths: Lengths, dtype: torch.dtype, depth: int = 2
) -> Ledger:
    """A layer on the meta device: q_len new tokens in each text, the last of kv_len."""
    batch, q_len, kv_len = lengths
    with torch.device("meta"):
        layer = LlamaDecoderLayer(config, 0).to(dtype)
        cache = KVCache(config, batch, kv_len, dtype=dtype)
        x = torch.empty(batch, q_len, config.hidden_size, dtype=dtype)
        angles = layer.rotary_emb(x, torch.arange(kv_len - q_len, kv_len)[None])
    cache.lengths = [kv_len - q_len] * config.num_hidden_layers
    options = {"past_key_values": cache, "position_embeddings": angles}
    return ledger(layer.forward, x, depth=depth, **options)


def step_costs(
    config: LlamaConfig, lengths: Lengths, dtype: torch.dtype
) -> dict[str, tuple[int, int]]:
    """(FLOPs, bytes moved) of each step, whose sum is that of the whole layer.

    Raises: ValueError when it is not.
    """
    taken = layer_ledger(config, lengths, dtype)
    found = {}
    for function, begins, name in STEPS:
        (step,) = (
            each
            for each in taken.steps
            if (each.function, each.source.startswith(begins)) == (function, True)
        )
        found[name] = (step.flops, step.cost.bytes_moved)
    whole = taken.total.flops, taken.total.bytes_moved
    flops, moved = (sum(costs) for costs in zip(*found.values(), strict=True))
    if whole[0] != flops or whole[1] < moved:
        raise ValueError(f"the steps add up to {(flops, moved)}, the layer is {whole}")
    return {**found, MASK: (0, whole[1] - moved)}


def phase_polynomials(
    config: LlamaConfig, dtype: torch.dtype, name: str
) -> dict[str, list[list[Term]]]:
    """For each step of a phase the terms of its FLOPs and of its bytes: a coefficient, and
    the exponents of batch, q_len and kv_len.

    Raises: ValueError when a step's cost is no such polynomial with whole coefficients.
    """
    costs = [step_costs(config, point, dtype) for point in POINTS[name]]
    return {
        step: [
            fitted(PHASES[name], POINTS[name], [cost[step][kind] for cost in costs])
            for kind in (0, 1)
        ]
        for step in costs[0]
    }


def evaluated(terms: Sequence[Term], lengths: Lengths) -> int:
    """What the terms of a step add up to."""
    return sum(count * powers((b, q, k), lengths) for count, b, q, k in terms)


def recorded() -> dict[str, dict[str, Costs]]:
    """The polynomials of `MODELS` in `DTYPES`, from the file that `write` made."""
    return json.loads(FILE.read_text())


def write() -> None:
    """Take the ledgers again, and keep what they give: some minutes at most."""
    found = {
        model: {
            dtype: {
                name: phase_polynomials(config, getattr(torch, dtype), name)
                for name in PHASES
            }
            for dtype in DTYPES
        }
        for model, config in MODELS.items()
    }
    lines = json.dumps(found, separators=(",", ":")).replace('},"', '},\n"')
    FILE.write_text(lines + "\n")


def fitted(
    terms: Sequence[Lengths], points: Sequence[Lengths], values: Sequence[int]
) -> list[Term]:
    """The terms with the coefficients that give the values, at every point.

    Raises: ValueError when there are none, or they are no whole numbers.
    """
    count = len(terms)
    rows = [[Fraction(powers(term, point)) for term in terms] for point in points]
    solved = solve(rows[:count], [Fraction(value) for value in values[:count]])
    for row, point, value in zip(rows, points, values, strict=True):
        if sum(a * b for a, b in zip(row, solved, strict=True)) != value:
            raise ValueError(f"no polynomial in {terms}: {value} at {point}")
    if any(each.denominator != 1 for each in solved):
        raise ValueError(f"the coefficients {solved} are no whole numbers")
    found = zip(map(int, solved), terms, strict=True)
    return [(number, *term) for number, term in found if number]


def powers(term: Lengths, point: Lengths) -> int:
    """A term's value."""
    return prod(size**power for size, power in zip(point, term, strict=True))


def solve(rows: list[list[Fraction]], values: list[Fraction]) -> list[Fraction]:
    """The solution of a system of equations, exact."""
    table = [[*row, value] for row, value in zip(rows, values, strict=True)]
    for i in range(len(table)):
        pivot = next(j for j in range(i, len(table)) if table[j][i])
        table[i], table[pivot] = table[pivot], table[i]
        table[i] = [each / table[i][i] for each in table[i]]
        for j in range(len(table)):
            if j != i:
                factor = table[j][i]
                table[j] = [
                    a - factor * b for a, b in zip(table[j], table[i], strict=True)
                ]
    return [row[-1] for row in table]


if __name__ == "__main__":
    write()
