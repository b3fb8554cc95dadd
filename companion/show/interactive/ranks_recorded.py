"""What ranks hold of a model, and what crosses the wire between them, as plain data: cut and
counted by `companion.parallel`, which is imported here and nowhere else in `show`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.model import LlamaForCausalLM
from companion.parallel.pieces import Piece, piece_of, pieces
from companion.parallel.spawn import run
from companion.parallel.traffic import parameters, predicted, share

Held = list[tuple[Mapping[str, Piece], tuple[int, ...]]]  # of each rank

DTYPE, CACHED = torch.bfloat16, 8192
LENGTHS = {1: "one token (decode)", 512: "512 tokens (prefill)"}
LAYER = "model.layers.0."
# The way of a token, and the modules that each step runs.
STEPS = {
    "embedding": ("model.embed_tokens",),
    "q, k, v": tuple(f"{LAYER}self_attn.{name}_proj" for name in "qkv"),
    "heads": (),
    "o_proj": (f"{LAYER}self_attn.o_proj",),
    "gate, up": tuple(f"{LAYER}mlp.{name}_proj" for name in ("gate", "up")),
    "down": (f"{LAYER}mlp.down_proj",),
    "head": ("lm_head",),
}
AXES = {
    "embed_tokens": ("", "hidden"),
    "q_proj": ("", "hidden"),  # rows of several heads, which are no axis of their own
    "k_proj": ("", "hidden"),
    "v_proj": ("", "hidden"),
    "o_proj": ("hidden", ""),
    "gate_proj": ("", "hidden"),
    "up_proj": ("", "hidden"),
    "down_proj": ("hidden", ""),
    "lm_head": ("", "hidden"),
}


def refusals(config: LlamaConfig, counts: Sequence[int]) -> dict[int, str]:
    """The numbers of ranks that do not divide the model, and what the package says."""
    found = {}
    for count in counts:
        try:
            predicted(config, count, 1, 1, DTYPE)
        except ValueError as refusal:
            found[count] = str(refusal)
    return found


def held(config: LlamaConfig, ranks: int) -> Held:
    """What every rank holds of the model with one layer: its pieces, and the shape of its
    cache. One rank, which holds all, is not started.
    """
    with torch.device("meta"):
        model = LlamaForCausalLM(replace(config, num_hidden_layers=1))
    if ranks > 1:
        return run(pieces, ranks, model, CACHED)
    cache = KVCache(model.config, 1, CACHED, device="meta")
    return [({name: piece_of(x) for name, x in model.named_parameters()}, cache.shape)]


def traced(config: LlamaConfig, ranks: Held) -> dict[str, Any]:
    """A number of ranks as plain data."""
    count, first = len(ranks), ranks[0][0]
    shares = {n: share(config, count, 1, n, DTYPE, CACHED) for n in LENGTHS}
    return {
        "parameters": parameters(config, count),
        "weights": shares[1].weights,
        "cache": shares[1].cache,
        "cache_shape": ranks[0][1],
        "sums": shares[1].all_reduces,
        "gathers": shares[1].all_gathers,
        "sent": {n: round(each.sent) for n, each in shares.items()},
        "query": [span(parts, "q_proj", config.head_dim) for parts, _ in ranks],
        "kv": [span(parts, "k_proj", config.head_dim) for parts, _ in ranks],
        "steps": [step(config, ranks, modules) for modules in STEPS.values()],
        "norm": first[f"{LAYER}input_layernorm.weight"].shape,
    }


def span(parts: Mapping[str, Piece], name: str, head_dim: int) -> tuple[int, int]:
    """The first of the heads whose rows a rank has, and how many."""
    piece = parts[f"{LAYER}self_attn.{name}.weight"]
    return piece.first[0] // head_dim, piece.shape[0] // head_dim


def step(config: LlamaConfig, ranks: Held, modules: Sequence[str]) -> dict[str, Any]:
    """The matrices of some modules as the ranks hold them, and what is exchanged after the
    last, for each number of tokens.
    """
    tied = config.tie_word_embeddings
    matrices = []
    for module in modules:
        stored = "model.embed_tokens" if module == "lm_head" and tied else module
        held = [parts[f"{stored}.weight"] for parts, _ in ranks]
        matrices.append(
            {
                "name": module.rsplit(".", 1)[-1],
                "whole": held[0].whole,
                "axis": held[0].axis,
                "shape": held[0].shape,
                "first": [piece.first for piece in held],
            }
        )
    exchanges = {}
    for n in LENGTHS:
        for each in predicted(config, len(ranks), 1, n, DTYPE):
            if each.after in modules:
                sent = round(each.sent(len(ranks)))
                exchanges[n] = [each.operation, each.shape, sent]
    return {"matrices": matrices, "exchanges": exchanges}
