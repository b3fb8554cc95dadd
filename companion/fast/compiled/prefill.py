"""`compile_prefill`: layers in which all that stands around attention is compiled."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.attention import Attend, scaled_dot_product_attention
from companion.cache import Cache
from companion.decoder import (
    Key,
    LlamaDecoderLayer,
    Mask,
    PositionEmbeddings,
    Query,
    cached_length,
)
from companion.fast import copies
from companion.fast.compiled.ahead import Run, ready
from companion.fast.compiled.pieces import (
    AfterAttention,
    BeforeAttention,
    after_program,
    before_program,
)
from companion.fast.compiled.programs import Program, traits, weights_of
from companion.fast.linear import DenseLinear, is_faster_widened
from companion.fast.refusals.compiled import check_same_dtype
from companion.fast.refusals.models import check_layers
from companion.fast.sdpa import sdpa
from companion.heads import merge_heads
from companion.model import LlamaForCausalLM
from companion.refusals import decoder as refusals
from companion.refusals import guarded_by


def compile_prefill(
    model: LlamaForCausalLM, attend: Attend = sdpa, backend: str = "inductor"
) -> LlamaForCausalLM:
    """The same model, compiled for many tokens at once; weights are shared.

    A layer is two programs with attention between them, which stays `attend`, any function
    with the signature of `scaled_dot_product_attention`. They are compiled when more than
    one token first comes, and kept on disk as those of `compile_decode` are. Every batch
    and every length is the same program. Quantized weights become floating point in it;
    16-bit numbers are multiplied in float32 where this CPU does that faster. One token at
    a time, and whatever autograd follows, run as ever: give this model to `compile_decode`.

    Raises: ValueError for a packed model, for layers that are not `LlamaDecoderLayer`,
    elsewhere than on a CPU, and for another backend than `"inductor"` and `"aot_eager"`.
    """
    check_layers(model, backend)
    other = copies.in_the_same_memory(model)
    pieces = Pieces(other, backend)
    for i, layer in enumerate(other.model.layers):
        layer.__class__ = CompiledDecoderLayer
        cast(CompiledDecoderLayer, layer).take(attend, pieces, i)
    return other


class Pieces:
    """The programs of a model's layers, two for each kind of layer."""

    def __init__(self, model: LlamaForCausalLM, backend: str):
        self.config, self.dtype, self.backend = model.config, model.dtype, backend
        self.widened = is_faster_widened(model.dtype)
        alone = copies.with_the_same_parameters(model.model)
        self.modules: list[tuple[BeforeAttention, AfterAttention]] = []
        for layer in cast(Iterable[LlamaDecoderLayer], alone.layers):
            for name, each in list(copies.plain_linears(layer)):
                layer.set_submodule(name, DenseLinear(each, self.widened))
            layer.self_attn.attend = scaled_dot_product_attention  # in no program
            self.modules.append((BeforeAttention(layer), AfterAttention(layer)))
        self.kinds = [tuple(map(traits, both)) for both in self.modules]
        self.runs: dict[Hashable, Run] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pieces":
        """A copy of the model has the same programs, and gives them its own weights."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without what was compiled, which is ready again when it is needed."""
        return {**vars(self), "runs": {}}

    @torch.inference_mode(mode=False)  # whose tensors cannot be traced
    def programs(self) -> dict[Hashable, Program]:
        """What is to be compiled."""
        sizes = self.config, self.dtype
        programs: dict[Hashable, Program] = {}
        for kinds, (before, after) in zip(self.kinds, self.modules, strict=True):
            programs[kinds[0]] = before_program(before, *sizes)
            programs[kinds[1]] = after_program(after, *sizes)
        return programs

    def run(
        self, piece: BeforeAttention | AfterAttention, place: int, *rows: Tensor
    ) -> Sequence[Tensor]:
        """Run a piece of the layer at that place, by that layer's weights."""
        weights = list(weights_of(piece).values())
        check_same_dtype("model", "compile_prefill", self.dtype, weights[0].dtype)
        kind = self.kinds[place][isinstance(piece, AfterAttention)]
        with torch.autocast("cpu", enabled=False):  # nor is it traced so
            if not self.runs:
                self.runs = ready(self.programs(), self.backend)
            # programs were compiled for contiguous arguments, and look at no stride
            return self.runs[kind]([*weights, *(x.contiguous() for x in rows)])


class CompiledDecoderLayer(LlamaDecoderLayer):
    """`LlamaDecoderLayer` as two programs around `attend`."""

    def take(self, attend: Attend, pieces: Pieces, place: int) -> None:
        """Attend so, by these programs, as the layer at that place."""
        self.self_attn.attend = attend
        self.pieces, self.place = pieces, place

    def become_plain(self) -> None:
        """Be the layer that it was."""
        self.__class__ = LlamaDecoderLayer  # type: ignore[assignment]
        del self.pieces, self.place

    @guarded_by(refusals.layer)
    def forward(
        self,
        hidden_states: Float[Tensor, "batch q_len hidden"],
        attention_mask: Mask | None = None,
        position_ids: Int[Tensor, "#batch q_len"] | None = None,
        past_key_values: Cache | None = None,
        position_embeddings: PositionEmbeddings | None = None,
    ) -> Float[Tensor, "batch q_len hidden"]:
        """Hidden states with the layer's two halves added to them."""
        angles = position_embeddings
        if angles is None:
            angles = self.angles(hidden_states, position_ids, past_key_values)
        attention, pieces = self.self_attn, self.pieces
        refusals.attention(
            attention, hidden_states, angles, attention_mask, past_key_values
        )
        if not self.is_for_programs(hidden_states, angles):
            return super().forward(
                hidden_states, attention_mask, position_ids, past_key_values, angles
            )
        batch, q_len, _ = hidden_states.shape
        tokens = hidden_states.flatten(0, 1)
        cos, sin = (x.expand(batch, -1, -1).flatten(0, 1) for x in angles)
        query, key, value = (
            x.view(batch, q_len, -1, attention.head_dim).transpose(1, 2)
            for x in pieces.run(BeforeAttention(self), self.place, tokens, cos, sin)
        )
        past = cached_length(past_key_values, attention.layer_idx)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, attention.layer_idx)
        sees = attention.who_sees_whom(query, key, attention_mask, past)
        rows = merge_heads(self.attended(query, key, value, **sees)).flatten(0, 1)
        (tokens,) = pieces.run(AfterAttention(self), self.place, tokens, rows)
        return tokens.view_as(hidden_states)

    def is_for_programs(
        self, hidden_states: Tensor, angles: PositionEmbeddings
    ) -> bool:
        """Whether it is more than one token of the kind that was compiled for, on a CPU,
        at inference, and not on the way into a compiler.
        """
        followed = torch.is_grad_enabled() and any(
            x.requires_grad for x in (hidden_states, *self.parameters())
        )
        return (
            hidden_states.shape[1] > 1
            and hidden_states.numel() > 0
            and hidden_states.device.type == "cpu"
            and all(x.dtype == self.pieces.dtype for x in (hidden_states, *angles))
            and not (self.training or followed or torch.compiler.is_compiling())
        )

    def attended(
        self,
        query: Query,
        key: Key,
        value: Key,
        attn_mask: Mask | None,
        is_causal: bool,
    ) -> Query:
        """What `attend` makes of them, in float32 where products are."""
        dtype = query.dtype
        if self.pieces.widened:
            query, key, value = query.float(), key.float(), value.float()
            if attn_mask is not None and attn_mask.dtype != torch.bool:
                attn_mask = attn_mask.float()
        output = self.self_attn.attend(
            query,
            key,
            value,
            attn_mask=attn_mask,
            is_causal=is_causal,
            enable_gqa=True,
        )
        return output.to(dtype)
