"""Tensor parallelism: each rank holds whole heads and some of the feed-forward's features.

Column-parallel matrices give each rank some outputs, of the whole input, and send
nothing. Row-parallel ones take those as they are and give each rank a partial sum of
every output, which one all-reduce adds up.

Source: Shoeybi et al. 2019, "Megatron-LM: Training Multi-Billion Parameter Language
Models Using Model Parallelism", section 3. There the head's loss is computed from the
split logits; here every rank gets all logits, to choose the same token from.
"""

from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)

from companion.decoder import LlamaAttention, LlamaDecoderLayer
from companion.fast.copies import in_the_same_memory, with_the_same_parameters
from companion.heads import MultiHeadAttention
from companion.model import LlamaForCausalLM
from companion.parallel.refusals import check_ranks, check_whole, model_sizes

Plan = dict[str, ParallelStyle]
Module = TypeVar("Module", bound=nn.Module)
Attention = TypeVar("Attention", LlamaAttention, MultiHeadAttention)

# A rank's outputs come as plain tensors of its own heads: attention is not told of ranks.
ATTENTION: Plan = {
    "q_proj": ColwiseParallel(use_local_output=True),
    "k_proj": ColwiseParallel(use_local_output=True),
    "v_proj": ColwiseParallel(use_local_output=True),
    "o_proj": RowwiseParallel(use_local_output=True),
}
LAYER: Plan = {
    **{f"self_attn.{name}": style for name, style in ATTENTION.items()},
    "mlp.gate_proj": ColwiseParallel(use_local_output=True),
    "mlp.up_proj": ColwiseParallel(use_local_output=True),
    "mlp.down_proj": RowwiseParallel(use_local_output=True),
}
MODEL: Plan = {
    "model.embed_tokens": RowwiseParallel(input_layouts=Replicate()),
    **{f"model.layers.*.{name}": style for name, style in LAYER.items()},
    "lm_head": ColwiseParallel(output_layouts=Replicate()),
}


def split_attention(attention: Attention, mesh: DeviceMesh) -> Attention:
    """A rank's heads of an attention layer: `Σ_rank attend(heads of rank) @ W_o[rank]`.

    A new layer; otherwise as `split_layer`.

    Raises: ValueError for heads or KV heads that the ranks do not divide, and for a
    layer that is split, packed or quantized already.
    """
    kv_heads = getattr(attention, "num_kv_heads", attention.num_heads)
    check_ranks({"heads": attention.num_heads, "KV heads": kv_heads}, mesh.size())
    return shared_out(attention, mesh, ATTENTION)


def split_layer(layer: LlamaDecoderLayer, mesh: DeviceMesh) -> LlamaDecoderLayer:
    """A rank's share of a decoder layer; called as before, by all ranks together.

    `x + Σ_rank attention_rank(norm(x))`, then `x + Σ_rank mlp_rank(norm(x))`. A new
    layer: matrices are copied in part, norms lie where those of `layer` do. All ranks must hold
    the same `layer`, as nothing is sent here.

    Raises: ValueError for sizes that the ranks do not divide, and for a layer that is
    split, packed or quantized already.
    """
    sizes = {
        "heads": layer.self_attn.num_heads,
        "KV heads": layer.self_attn.num_kv_heads,
        "intermediate features": layer.mlp.gate_proj.out_features,
    }
    check_ranks(sizes, mesh.size())
    return shared_out(layer, mesh, LAYER)


def split_model(model: LlamaForCausalLM, mesh: DeviceMesh) -> LlamaForCausalLM:
    """A rank's share of a model; `generate` runs it as before, on all ranks at once.

    Every layer as in `split_layer`; embedding and head by rows of the vocabulary, one
    share for both where they are tied. A new model, about 1/ranks of the weights; let
    go of `model` to be rid of the others. Its config has the heads of this rank, so
    that a `KVCache` made for it has room for those alone; logits are whole. All ranks
    must hold the same `model`, and choose the same tokens: sample with a seed.

    Raises: ValueError for sizes that the ranks do not divide, and for a model that is
    split, packed or quantized already.
    """
    check_ranks(model_sizes(model.config), mesh.size())
    other = shared_out(with_head(model), mesh, MODEL)
    if model.config.tie_word_embeddings:
        other.lm_head.weight = other.model.embed_tokens.weight
    other.config = other.model.config = replace(
        model.config,
        num_attention_heads=model.config.num_attention_heads // mesh.size(),
        num_key_value_heads=model.config.num_key_value_heads // mesh.size(),
        tie_word_embeddings=False,
    )
    return other


def shared_out(module: Module, mesh: DeviceMesh, plan: Plan) -> Module:
    """A copy that holds this rank's part of the matrices in `plan`, and of the heads."""
    check_whole(module)
    other = in_the_same_memory(module)
    # src_data_rank=None: each rank cuts its part out of its own copy
    parallelize_module(other, mesh, plan, src_data_rank=None)
    for each in other.modules():
        if isinstance(each, nn.Linear):
            bias_on_rank_0(each, mesh)
        if isinstance(each, LlamaAttention | MultiHeadAttention):
            each.num_heads //= mesh.size()
        if isinstance(each, LlamaAttention):
            each.num_kv_heads //= mesh.size()
    return other


def bias_on_rank_0(linear: nn.Linear, mesh: DeviceMesh) -> None:
    """A row-parallel bias on rank 0 and zeros on the others: a partial sum as the products are.

    One that every rank has whole would leave DTensor to choose what to send, and small
    matrices it gathers (torch 2.14).
    """
    bias = linear.bias
    if isinstance(bias, DTensor) and bias.placements == (Replicate(),):
        mine = bias.to_local()
        if mesh.get_local_rank() > 0:
            mine = torch.zeros_like(mine)
        partial = DTensor.from_local(mine, mesh, [Partial()], run_check=False)
        linear.bias = nn.Parameter(partial, requires_grad=bias.requires_grad)


def with_head(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The model, with a Linear for the head that has the embedding's weight if it is tied."""
    if not model.config.tie_word_embeddings:
        return model
    other = with_the_same_parameters(model)
    vocab, hidden = model.model.embed_tokens.weight.shape
    other.lm_head = nn.Linear(hidden, vocab, bias=False, device="meta")
    other.lm_head.weight = model.model.embed_tokens.weight
    return other
