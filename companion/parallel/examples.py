"""What the chapter and the tests have each rank do; `run` finds it here by its name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from companion.cache import KVCache
from companion.decoder import LlamaDecoderLayer
from companion.generate import generate, prefill
from companion.heads import MultiHeadAttention
from companion.model import LlamaForCausalLM
from companion.parallel.split import split_attention, split_layer, split_model
from companion.parallel.wire import collectives, profiled

Parts = dict[str, Tensor]
Ids = Int[Tensor, "batch length"]


def attention_parts(
    mesh: DeviceMesh,
    attention: MultiHeadAttention,
    hidden_states: Float[Tensor, "*batch length hidden"],
) -> Parts:
    """A rank's part of one attention layer, under the names of `parts`."""
    return parts(split_attention(attention, mesh), hidden_states)


def layer_parts(
    mesh: DeviceMesh,
    layer: LlamaDecoderLayer,
    hidden_states: Float[Tensor, "batch length hidden"],
) -> Parts:
    """A rank's part of one decoder layer, under the names of `parts`."""
    return parts(split_layer(layer, mesh), hidden_states)


def parts(module: nn.Module, hidden_states: Float[Tensor, "..."]) -> Parts:
    """What each matrix gives on one rank, before any sum over ranks, and the output.

    Those of o_proj and down_proj are partial sums: all ranks' add up to the whole.
    """
    found: Parts = {}

    def keep(name: str, _: nn.Module, inputs: Any, output: DTensor) -> None:
        found[name] = output.to_local().clone()

    for name, each in module.named_modules():
        if name.endswith("_proj"):
            # before the hook that sums, which parallelize_module has put there
            each.register_forward_hook(partial(keep, name), prepend=True)
    with torch.no_grad():
        found["output"] = module(hidden_states).clone()
    return found


def generated(
    mesh: DeviceMesh, model: LlamaForCausalLM, input_ids: Ids, max_new_tokens: int
) -> Ids:
    """What `generate` writes on a rank, greedily."""
    return generate(split_model(model, mesh), input_ids, max_new_tokens)


def step(mesh: DeviceMesh, model: LlamaForCausalLM, input_ids: Ids) -> dict[str, Any]:
    """One prefill on a rank: its logits, collectives by both witnesses, bytes it holds."""
    rank = split_model(model, mesh)
    batch, length = input_ids.shape
    mask = torch.ones_like(input_ids)
    caches = [KVCache(rank.config, batch, length, dtype=rank.dtype) for _ in range(3)]
    with torch.inference_mode():
        return {
            "logits": prefill(rank, input_ids, mask, caches[0]).clone(),
            "collectives": collectives(prefill, rank, input_ids, mask, caches[1]),
            "profiled": profiled(prefill, rank, input_ids, mask, caches[2]),
            "weights": held(rank),
            "cache": caches[0].nbytes,
            "cache_shape": caches[0].shape,
        }


def held(module: nn.Module) -> int:
    """Bytes of memory that the parameters take on a rank; a tied one counts once."""
    storages = {}
    for parameter in module.parameters():
        x = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
    return sum(storages.values())


def each(
    mesh: DeviceMesh, calls: Sequence[tuple[Callable[..., Any], tuple]]
) -> list[Any]:
    """What several functions give on a rank, so that the ranks are started once."""
    return [function(mesh, *arguments) for function, arguments in calls]


def one_raises(mesh: DeviceMesh, x: Tensor) -> Tensor:
    """The sum of all ranks' x, if rank 1 did not fail; the others wait for its part.

    Raises: ArithmeticError on rank 1.
    """
    if mesh.get_local_rank() == 1:
        raise ArithmeticError("this rank has a problem of its own")
    dist.all_reduce(x)
    return x
