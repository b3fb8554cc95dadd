"""What a split model will send and hold, from its config alone."""

from dataclasses import dataclass

import torch

from companion.config import LlamaConfig
from companion.parallel.refusals import check_ranks, model_sizes
from companion.parallel.wire import Collective


@dataclass(frozen=True)
class Share:
    """Bytes of one rank: what it holds, and what it sends for one forward pass."""

    ranks: int
    weights: int
    cache: int
    all_reduces: int
    all_gathers: int
    sent: float


def predicted(
    config: LlamaConfig, ranks: int, batch: int, length: int, dtype: torch.dtype
) -> list[Collective]:
    """The collectives of one step of `generate`, `length` tokens in and one out.

    One all-reduce of (batch, length, hidden) after the embedding, two in each layer,
    and one all-gather of the last token's logits; none for one rank.

    Raises: ValueError for ranks that do not divide the model.
    Source: Shoeybi et al. 2019, section 3, figure 4.
    """
    check_ranks(model_sizes(config), ranks)
    if ranks == 1:
        return []
    summed = ["model.embed_tokens"]
    for layer in range(config.num_hidden_layers):
        summed += [
            f"model.layers.{layer}.self_attn.o_proj",
            f"model.layers.{layer}.mlp.down_proj",
        ]
    hidden, logits = (batch, length, config.hidden_size), config.vocab_size // ranks
    return [
        *(Collective("all_reduce", name, hidden, dtype) for name in summed),
        Collective("all_gather", "lm_head", (batch, logits), dtype),
    ]


def share(
    config: LlamaConfig,
    ranks: int,
    batch: int,
    length: int,
    dtype: torch.dtype,
    max_length: int,
) -> Share:
    """What each of `ranks` holds, with a cache of `max_length`, and sends in one step.

    Raises: ValueError for ranks that do not divide the model.
    """
    found = predicted(config, ranks, batch, length, dtype)
    heads = config.num_key_value_heads // ranks
    cache = 2 * config.num_hidden_layers * batch * heads * max_length * config.head_dim
    return Share(
        ranks=ranks,
        weights=parameters(config, ranks) * dtype.itemsize,
        cache=cache * dtype.itemsize,
        all_reduces=sum(each.operation == "all_reduce" for each in found),
        all_gathers=sum(each.operation == "all_gather" for each in found),
        sent=sum(each.sent(ranks) for each in found),
    )


def parameters(config: LlamaConfig, ranks: int) -> int:
    """Weights of one rank: its share of each matrix, all of what is added once."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    q_width = config.num_attention_heads * config.head_dim
    kv_width = config.num_key_value_heads * config.head_dim
    tables = 1 if config.tie_word_embeddings else 2
    shared = 2 * hidden * (q_width + kv_width) + 3 * hidden * intermediate
    whole = 2 * hidden  # the norms
    if config.attention_bias:
        shared += q_width + 2 * kv_width
        whole += hidden
    if config.mlp_bias:
        shared += 2 * intermediate
        whole += hidden
    shared = shared * config.num_hidden_layers + tables * config.vocab_size * hidden
    return shared // ranks + whole * config.num_hidden_layers + hidden
