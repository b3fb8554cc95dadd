"""A decode step as one compiled graph, the same for every position."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.cache import KVCache
from companion.decoder import LlamaDecoderLayer, PositionEmbeddings
from companion.fast.kernels.layers import has_kernels
from companion.fast.recorded import Buffers, Recorded
from companion.fast.refusals.models import check_compilable, check_step
from companion.fast.weights import with_rows
from companion.generate import Decode
from companion.masks import padding_mask
from companion.model import LlamaForCausalLM


class StaticCache:
    """One layer's buffers, given back whole: where to write is a tensor, not a slice.

    The shapes of what the layer computes are then the same for every token, and the
    places that hold no token yet are for the mask to hide.
    """

    def __init__(self, keys: Tensor, values: Tensor, position: Int[Tensor, "1"]):
        self.keys, self.values, self.position = keys, values, position

    def get_seq_length(self, layer_idx: int = 0) -> Int[Tensor, "1"]:
        """Where the new token goes."""
        return self.position

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, /
    ) -> tuple[Tensor, Tensor]:
        """Write one token's key and value; all the places there are."""
        return (
            self.keys.index_copy_(2, self.position, key),
            self.values.index_copy_(2, self.position, value),
        )


@torch.compiler.nested_compile_region
def run_layer(
    layer: LlamaDecoderLayer,
    hidden_states: Float[Tensor, "batch 1 hidden"],
    mask: Bool[Tensor, "batch 1 1 max_length"],
    angles: PositionEmbeddings,
    keys: Float[Tensor, "batch kv_heads max_length head_dim"],
    values: Float[Tensor, "batch kv_heads max_length head_dim"],
    position: Int[Tensor, "1"],
) -> Float[Tensor, "batch 1 hidden"]:
    """One layer: compiled once, and called for each, as they differ in weights only."""
    cache = StaticCache(keys, values, position)
    return layer(hidden_states, mask, past_key_values=cache, position_embeddings=angles)


def one_token(
    model: LlamaForCausalLM,
    token: Int[Tensor, "batch 1"],
    position_ids: Int[Tensor, "batch 1"],
    mask: Bool[Tensor, "batch 1 1 max_length"],
    position: Int[Tensor, "1"],
    keys: Buffers,
    values: Buffers,
) -> Float[Tensor, "batch vocab"]:
    """One new token through all layers; the logits of what follows."""
    hidden_states = model.model.embed_tokens(token)
    angles = model.model.rotary_emb(hidden_states, position_ids)
    for layer, *places in zip(model.model.layers, keys, values, strict=True):
        hidden_states = run_layer(layer, hidden_states, mask, angles, *places, position)
    return model.logits(model.model.norm(hidden_states)[:, -1])


def compile_decode(model: LlamaForCausalLM, backend: str = "inductor") -> Decode:
    """A compiled `companion.generate.decode`, to be handed in as `generate(decode=...)`.

    The first step compiles one full graph, which takes seconds; all positions use it.
    Another batch size or `max_length` of the cache is compiled once more. A step reads
    the cache's whole room, so make it no larger than is needed. Weights are shared.

    The default backend needs a C++ compiler; `"aot_eager"` does not, and is no faster
    than `decode`. On a GPU the step is recorded as a CUDA graph, once for each cache; a
    model `with_kernels` is recorded as it is, without a compiler. `generate` makes a
    cache of its own unless it is handed one: `past_key_values`, cropped for another
    text, keeps the recording.

    Raises: ValueError for a packed model; in a step, for another model, or a cache that
    does not fit.
    """
    check_compilable(model)
    on_gpu = model.device.type == "cuda"
    step: Callable[..., Tensor] = partial(one_token, model)
    if not has_kernels(model):
        # a GPU has cuBLAS for a product with one token, a CPU is faster row by row
        step = torch.compile(
            partial(one_token, model if on_gpu else with_rows(model)),
            fullgraph=True,
            dynamic=False,
            backend=backend,
        )
    return partial(compiled_decode, Recorded(step) if on_gpu else step, model)


def compiled_decode(
    step: Callable[..., Tensor],
    compiled_for: LlamaForCausalLM,
    model: LlamaForCausalLM,
    token: Int[Tensor, " batch"],
    attention_mask: Int[Tensor, "batch kv_len"],
    cache: KVCache,
) -> Float[Tensor, "batch vocab"]:
    """Run one new token against the cache; the logits of what follows."""
    check_step(compiled_for, model, token, attention_mask, cache)
    batch, kv_len = attention_mask.shape
    mask = torch.zeros(
        batch, 1, 1, cache.max_length, dtype=torch.bool, device=token.device
    )
    mask[..., :kv_len] = padding_mask(attention_mask)
    logits = step(
        token[:, None],
        attention_mask.sum(dim=-1, keepdim=True) - 1,  # padding has no position
        mask,
        torch.tensor([cache.length], device=token.device),
        cache.keys.unbind(),
        cache.values.unbind(),
    )
    cache.lengths = [cache.length + 1] * len(cache.lengths)  # the step wrote by itself
    return logits
