"""The same model with its weights stored another way; what is not changed lies in the same
memory.
"""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from companion.fast.compiled.prefill import CompiledDecoderLayer
from companion.fast.copies import (
    in_the_same_memory,
    plain_linears,
    with_the_same_parameters,
)
from companion.fast.linear import RowLinear
from companion.fast.onednn import PackedLinear
from companion.fast.quantized import Int4Linear, Int8Linear
from companion.fast.refusals.models import check_dense, check_groups, check_packable
from companion.model import LlamaForCausalLM

MakeLinear = Callable[[nn.Linear], nn.Module]


def packed(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The same numbers in the blocks that oneDNN multiplies: faster prefill and decode.

    Float32 or bfloat16, on a CPU, not compiled. The weights are in memory twice, until
    `model` is let go.

    Raises: ValueError for another dtype or device, and for a model that is packed or
    quantized already.
    """
    check_packable(model)
    return with_linears(in_the_same_memory(model), PackedLinear)


def int8(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """One byte for each weight of a matrix, for `compile_decode`.

    The embedding stays, and so does the dtype of everything that is computed. Without
    `compile_decode`, and in prefill, each matrix is made floating point again for each
    product, which is slower than the model was.

    Raises: ValueError for a model that is packed or quantized already.
    """
    check_dense("int8", model)
    return with_linears(in_the_same_memory(model), Int8Linear)


def int4(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Half a byte for each weight of a layer, one for the head; otherwise as `int8`.

    Groups of 32 weights have a scale and a minimum. A model that was stored so, in
    Q4_1, gets its numbers back, to the rounding of float32.

    Raises: ValueError for a model that is packed or quantized already, and for
    matrices whose rows are no whole groups.
    """
    check_dense("int4", model)
    check_groups(model)
    other = with_linears(in_the_same_memory(model), Int4Linear)
    if isinstance(other.lm_head, Int4Linear):
        other.set_submodule("lm_head", Int8Linear(head(model)))
    return other


def with_rows(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Every Linear a `RowLinear` of the very same weight; quantized ones are already."""
    return with_linears(with_the_same_parameters(model), RowLinear)


def with_linears(copied: LlamaForCausalLM, make: MakeLinear) -> LlamaForCausalLM:
    """A copy of a model, in which `make` replaces each Linear that nobody has wrapped.

    A tied head becomes a Linear of its own: what is looked up stays as it was. Layers that
    `compile_prefill` made are ordinary ones again, as their programs are of other matrices.
    """
    if copied.config.tie_word_embeddings:
        copied.lm_head = head(copied)
    copied.config = replace(copied.config, tie_word_embeddings=False)
    for layer in copied.model.layers:
        if isinstance(layer, CompiledDecoderLayer):
            layer.become_plain()
    for name, each in list(plain_linears(copied)):
        if type(each) is nn.Linear:
            copied.set_submodule(name, make(each))
    return copied


def head(model: LlamaForCausalLM) -> nn.Linear:
    """The head as a Linear: the embedding's weight, where it is tied."""
    if not model.config.tie_word_embeddings:
        return model.lm_head
    weight = model.model.embed_tokens.weight
    vocab, hidden = weight.shape
    linear = nn.Linear(hidden, vocab, bias=False, device="meta")
    linear.weight = weight
    return linear
