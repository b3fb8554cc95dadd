"""The mistakes of the gallery over several ranks: each goes through the ranks one after
the other, in one process, and returns what they end with.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.attention import scaled_dot_product_attention


def bias_on_every_rank(x: Tensor, weight: Tensor, bias: Tensor, ranks: int) -> Tensor:
    """The bias of a matrix cut by its inputs is added on every rank, and by the sum as
    many times as there are ranks.
    """
    parts = zip(x.chunk(ranks, -1), weight.chunk(ranks, -1), strict=True)
    return torch.stack([F.linear(*part, bias) for part in parts]).sum(0)


def sum_forgotten(x: Tensor, weight: Tensor, bias: Tensor, ranks: int) -> Tensor:
    """The sum over the ranks is left out, so that each goes on with its partial sum,
    here rank 0.
    """
    return F.linear(x.chunk(ranks, -1)[0], weight.chunk(ranks, -1)[0], bias)


def silu_before_the_sum(x: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """The gate's matrix is cut by its inputs, and silu applied to the partial sums
    instead of to their sum.
    """
    parts = zip(x.chunk(ranks, -1), weight.chunk(ranks, -1), strict=True)
    return torch.stack([F.silu(F.linear(*part)) for part in parts]).sum(0)


def o_proj_cut_by_outputs(heads: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """W_o is cut by its outputs, rows of the stored weight, like the other three; where
    it is square, a piece fits when it is transposed.
    """
    parts = zip(heads.chunk(ranks, -1), weight.chunk(ranks, 0), strict=True)
    return torch.stack([part @ rows for part, rows in parts]).sum(0)


def heads_dealt_in_turn(
    query: Tensor, key: Tensor, value: Tensor, ranks: int
) -> Tensor:
    """Query heads are dealt to the ranks in turn, KV heads in runs, so that some query
    heads are on another rank than their key.
    """
    output = torch.empty_like(query)
    for rank in range(ranks):
        output[:, rank::ranks] = scaled_dot_product_attention(
            query[:, rank::ranks],
            key.chunk(ranks, dim=1)[rank],
            value.chunk(ranks, dim=1)[rank],
            enable_gqa=True,
        )
    return output


def other_ranks_rows_embedded(ids: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """A token whose row is on another rank gives this rank's nearest row, not zeros, and
    the sum adds them all.
    """
    rows = weight.shape[0] // ranks
    found = [
        F.embedding((ids - rank * rows).clamp(0, rows - 1), part)
        for rank, part in enumerate(weight.chunk(ranks))
    ]
    return torch.stack(found).sum(0)


def argmax_of_a_share(hidden_states: Tensor, head: Tensor, ranks: int) -> Tensor:
    """The best logit of all ranks is found, but its place in the rank's share of the
    vocabulary is taken for the token.
    """
    found = [F.linear(hidden_states, part).max(-1) for part in head.chunk(ranks)]
    best = torch.stack([each.values for each in found]).argmax(0, keepdim=True)
    return torch.stack([each.indices for each in found]).gather(0, best)[0]
