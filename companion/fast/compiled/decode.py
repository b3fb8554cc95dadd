"""`compile_decode`: a compiled step in place of the ordinary one."""

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.attention import Attend, scaled_dot_product_attention
from companion.cache import KVCache
from companion.decoder import LlamaDecoderLayer
from companion.fast.blocks import blocks
from companion.fast.compiled.ahead import Run, is_kept, ready
from companion.fast.compiled.programs import (
    LastStep,
    LayerStep,
    Program,
    last_program,
    layer_program,
    traits,
    weights_of,
)
from companion.fast.compiled.step import one_token
from companion.fast.kernels.layers import has_kernels
from companion.fast.recorded import Buffers, Recorded
from companion.fast.refusals.compiled import check_same_dtype
from companion.fast.refusals.models import check_compilable, check_step
from companion.fast.sdpa import sdpa
from companion.fast.tiled import tiled
from companion.fast.weights import with_rows
from companion.generate import Decode
from companion.masks import padding_mask
from companion.model import LlamaForCausalLM

# What these do in another order is the plain form's for one query, whose scores are a row.
FOR_MANY_QUERIES = (blocks, sdpa, tiled)


def compile_decode(model: LlamaForCausalLM, backend: str = "inductor") -> Decode:
    """A compiled `companion.generate.decode`, to be handed in as `generate(decode=...)`.

    On a CPU the layer and the head are compiled ahead of time, in about 20 seconds at the
    first step, and kept on disk (in $COMPANION_CACHE, or the user's cache folder): later
    processes load them in a moment. They serve every position, every room of a cache and,
    after a second compilation for more than one sequence, every batch. A step reads the
    cache as far as it is filled. Weights are shared.

    It takes a C++ compiler; the backend `"aot_eager"` takes none, and is no faster than
    `decode`. On a GPU the step is compiled as one graph and recorded as a CUDA graph, once
    for each cache, which it reads whole; a model `with_kernels` is recorded as it is,
    without a compiler. `generate` makes a cache of its own unless it is handed one:
    `past_key_values`, cropped for another text, keeps the recording. Under autocast a step
    computes in the weights' dtype all the same.

    Raises: ValueError for a packed model, for a hook where no step comes by; in a step, for
    another model, a cache that does not fit, or when nothing can be compiled.
    """
    check_compilable(model, backend)
    on_gpu = model.device.type == "cuda"
    step: Callable[..., Tensor] = partial(one_token, model)
    if not on_gpu and not has_kernels(model):
        step = OnCPU(model, backend)
    elif not has_kernels(model):
        step = in_one_graph(step, backend)
    return partial(compiled_decode, Recorded(step) if on_gpu else step, model)


def in_one_graph(step: Callable[..., Tensor], backend: str) -> Callable[..., Tensor]:
    """A step compiled as it is: cuBLAS has a product with one token. The second room or
    batch that comes makes symbols of both, and any other is the same graph.
    """
    return torch.compile(step, fullgraph=True, backend=backend)


def is_compiled(model: LlamaForCausalLM) -> bool:
    """Whether `compile_decode` would find what one sequence needs on disk."""
    check_compilable(model, "inductor")
    if model.device.type != "cpu" or has_kernels(model):
        return False
    programs = OnCPU(model, "inductor").programs(one=True)
    return all(is_kept(program) for program in programs.values())


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
    mask = padding_mask(attention_mask)
    if isinstance(step, Recorded):  # the room, whose size a recording needs to stay
        mask = torch.nn.functional.pad(mask, (0, cache.max_length - cache.length - 1))
    with torch.autocast(token.device.type, enabled=False):  # nor was it compiled so
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


def form(attend: Attend) -> Attend:
    """The form of attention that a partial is of, if it chooses blocks alone."""
    if not isinstance(attend, partial) or attend.args:
        return attend
    blocks_alone = {"q_block", "kv_block"}.issuperset(attend.keywords)
    return attend.func if blocks_alone else attend


class OnCPU:
    """`one_token` of a model, by one program for its layers and one for what follows.

    Layers that are not alike have programs of their own. `one` is a batch of one.
    """

    def __init__(self, model: LlamaForCausalLM, backend: str):
        self.model, self.backend = with_rows(model), backend
        self.dtype = model.dtype
        layers = cast(Iterable[LlamaDecoderLayer], self.model.model.layers)
        for layer in layers:
            if form(layer.self_attn.attend) in FOR_MANY_QUERIES:
                layer.self_attn.attend = scaled_dot_product_attention
        self.layers = [LayerStep(layer) for layer in layers]
        self.kinds = [traits(module) for module in self.layers]
        self.last = LastStep(self.model.model.norm, self.model.lm_head)
        self.weights = [list(weights_of(module).values()) for module in self.layers]
        self.last_weights = list(weights_of(self.last).values())
        self.runs: dict[bool, tuple[list[Run], Run]] = {}

    @torch.inference_mode(mode=False)  # whose tensors cannot be traced
    def programs(self, one: bool) -> dict[Hashable, Program]:
        """What is to be compiled: a program for each kind of layer, and the last."""
        found: dict[Hashable, Program] = {
            kind: layer_program(self.model, module, one)
            for kind, module in zip(self.kinds, self.layers, strict=True)
        }
        found["last"] = last_program(self.model, self.last, one)
        return found

    def __call__(
        self,
        token: Int[Tensor, "batch 1"],
        position_ids: Int[Tensor, "batch 1"],
        mask: Bool[Tensor, "batch 1 1 kv_len"],
        position: Int[Tensor, "1"],
        keys: Buffers,
        values: Buffers,
    ) -> Float[Tensor, "batch vocab"]:
        """One new token through all layers; the logits of what follows."""
        check_same_dtype("step", "compile_decode", self.dtype, self.model.dtype)
        one = len(token) == 1
        if one not in self.runs:
            self.runs[one] = self.compile(one)
        layers, last = self.runs[one]
        hidden_states = self.model.model.embed_tokens(token)
        angles = self.model.model.rotary_emb(hidden_states, position_ids)
        # programs were compiled for contiguous arguments, and look at no stride
        mask, cos, sin = (x.contiguous() for x in (mask, *angles))
        for run, weights, *places in zip(
            layers, self.weights, keys, values, strict=True
        ):
            given = [*weights, hidden_states, mask, cos, sin, *places, position]
            (hidden_states,) = run(given)
        (logits,) = last([*self.last_weights, hidden_states])
        return logits

    def compile(self, one: bool) -> tuple[list[Run], Run]:
        """What runs each layer, and what runs the end."""
        runs = ready(self.programs(one), self.backend)
        return [runs[kind] for kind in self.kinds], runs["last"]
