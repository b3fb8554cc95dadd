"""What the ranks should compute together, and how a fault with several of them is planted in
a model that runs in one process.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from companion.attention import scaled_dot_product_attention
from companion.exercises.adapters import Function
from companion.mlp import LlamaMLP
from companion.model import LlamaForCausalLM


def linear(x: Tensor, weight: Tensor, bias: Tensor, ranks: int) -> Tensor:
    """A matrix cut by its inputs: partial sums are added up, and then the bias."""
    parts = zip(x.chunk(ranks, -1), weight.chunk(ranks, -1), strict=True)
    return torch.stack([F.linear(*part) for part in parts]).sum(0) + bias


def gate(x: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """A matrix cut by its outputs: each rank has some of the features, whole."""
    return torch.cat([F.silu(F.linear(x, part)) for part in weight.chunk(ranks)], -1)


def o_proj(heads: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """A matrix cut by its inputs, the features of a rank's heads."""
    parts = zip(heads.chunk(ranks, -1), weight.chunk(ranks, -1), strict=True)
    return torch.stack([F.linear(*part) for part in parts]).sum(0)


def grouped(query: Tensor, key: Tensor, value: Tensor, ranks: int) -> Tensor:
    """Query heads and KV heads in runs, so that each rank has whole groups."""
    parts = zip(*(x.chunk(ranks, dim=1) for x in (query, key, value)), strict=True)
    attend = scaled_dot_product_attention
    return torch.cat([attend(*part, enable_gqa=True) for part in parts], dim=1)


def embedding(ids: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """Each rank gives the rows that it has, and zeros for the others."""
    rows = weight.shape[0] // ranks
    found = []
    for rank, part in enumerate(weight.chunk(ranks)):
        mine = ids // rows == rank
        found.append(F.embedding(ids % rows, part) * mine[..., None])
    return torch.stack(found).sum(0)


def next_token(hidden_states: Tensor, head: Tensor, ranks: int) -> Tensor:
    """The rank with the best logit, and the token's number in the whole vocabulary."""
    rows = head.shape[0] // ranks
    found = [F.linear(hidden_states, part).max(-1) for part in head.chunk(ranks)]
    best = torch.stack([each.values for each in found]).argmax(0, keepdim=True)
    tokens = [rank * rows + each.indices for rank, each in enumerate(found)]
    return torch.stack(tokens).gather(0, best)[0]


def one_query_at_a_time(wrong: Function, layer: nn.Module) -> Function:
    """`wrong(query, key, value, ranks)`, not causal, for each query and the keys it sees, on
    as many ranks as there are KV heads.
    """

    def attend(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        before = key.shape[-2] - query.shape[-2] + 1
        return torch.cat(
            [
                wrong(
                    query[..., i : i + 1, :],
                    key[..., : before + i, :],
                    value[..., : before + i, :],
                    key.shape[-3],
                )
                for i in range(query.shape[-2])
            ],
            dim=-2,
        )

    return attend


def on_two_ranks(wrong: Function, owner: nn.Module) -> Function:
    """`wrong(x, weight, ranks)` in the place of a matrix or of a table."""
    return lambda x: wrong(x, owner.weight, 2)


def without_bias(wrong: Function, linear: nn.Linear) -> Function:
    """`wrong(x, weight, bias, ranks)` in the place of a matrix that has no bias."""
    nothing = linear.weight.new_zeros(linear.out_features)
    return lambda x: wrong(x, linear.weight, nothing, 2)


def gate_of_an_mlp(wrong: Function, mlp: LlamaMLP) -> Function:
    """`wrong(x, weight, ranks)` for the gate of a feed-forward block."""
    gate = mlp.gate_proj
    return lambda x: mlp.down_proj(wrong(x, gate.weight, 2) * mlp.up_proj(x))


def chosen_as_logits(wrong: Function, model: LlamaForCausalLM) -> Function:
    """The right logits, but for the token that `wrong(hidden_states, head, ranks)` chooses:
    it is the likeliest.
    """
    right = model.logits
    tied = model.config.tie_word_embeddings
    head = (model.model.embed_tokens if tied else model.lm_head).weight

    def logits(x: Tensor) -> Tensor:
        numbers, chosen = right(x), wrong(x, head, 2)[..., None]
        largest = numbers.amax(dim=-1, keepdim=True)
        above = torch.where(numbers.gather(-1, chosen) < largest, largest + 1, largest)
        return numbers.scatter(-1, chosen, above)

    return logits
