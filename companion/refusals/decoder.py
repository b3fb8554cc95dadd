"""What a decoder layer refuses, in words that name the argument and say the remedy."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from companion.heads import check_hidden_size
from companion.refusals.attention import shape

# What Hugging Face's model hands to each of its layers beside the tensors, and what
# changes nothing that a decoder layer computes.
PASSED_OVER = {
    "cache_position",
    "cu_seq_lens_k",
    "cu_seq_lens_q",
    "deterministic",
    "max_length_k",
    "max_length_q",
    "num_items_in_batch",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "position_ids",
    "return_dict",
    "seq_idx",
    "shift_labels",
    "token_type_ids",
    "use_cache",
}


def check_layer_input(
    hidden_states: Tensor, hidden_size: int, past_key_values: Any
) -> None:
    """Refuse hidden states that are not (batch, length, hidden_size), and old caches."""
    if isinstance(past_key_values, tuple | list):
        raise ValueError(
            f"past_key_values is a {type(past_key_values).__name__}: a layer takes a "
            "cache with update(), such as KVCache or Hugging Face's DynamicCache"
        )
    if hidden_states.ndim != 3:
        raise ValueError(
            f"hidden_states is {shape(hidden_states)}: a decoder layer takes "
            "(batch, length, hidden_size); hidden_states[None] adds a batch of one"
        )
    check_hidden_size(hidden_states, hidden_size)


def check_positions(
    position_embeddings: Any, hidden_states: Tensor, head_dim: int
) -> None:
    """Refuse angles that do not match the tokens and the heads."""
    if not (isinstance(position_embeddings, tuple) and len(position_embeddings) == 2):
        raise ValueError(
            f"position_embeddings is a {type(position_embeddings).__name__}: it must be "
            "(cos, sin), LlamaRotaryEmbedding(config)(hidden_states, position_ids)"
        )
    cos, sin = position_embeddings
    batch, q_len, _ = hidden_states.shape
    if cos.ndim != 3 or cos.shape[0] not in (1, batch) or cos.shape[1] != q_len:
        raise ValueError(
            f"the positions are for (batch, length) = {shape(cos)[:-1]} and "
            f"hidden_states is {shape(hidden_states)}: position_ids must be "
            f"({batch}, {q_len}) or (1, {q_len})"
        )
    if cos.shape != sin.shape or cos.shape[-1] != head_dim:
        raise ValueError(
            f"cos is {shape(cos)}, sin {shape(sin)} and head_dim {head_dim}: both must "
            f"be (batch, length, {head_dim}), from one LlamaRotaryEmbedding"
        )


def check_layer_mask(attention_mask: Any, q_len: int) -> None:
    """Refuse the masks of other attention implementations, which mean something else."""
    if not isinstance(attention_mask, Tensor):
        raise ValueError(
            f"attention_mask is a {type(attention_mask).__name__}: a layer takes a "
            "tensor that broadcasts onto (batch, heads, q_len, kv_len); in Hugging "
            "Face's model, attn_implementation='sdpa' or 'eager' makes one"
        )
    if attention_mask.ndim == 2 and attention_mask.shape[0] != q_len:
        raise ValueError(
            f"attention_mask is {shape(attention_mask)} and there are {q_len} "
            f"queries: a mask of two axes is ({q_len}, kv_len); one that marks real "
            "tokens, (batch, kv_len), goes to the model, or is "
            "mask.bool()[:, None, None] & causal_mask(q_len, kv_len) here"
        )


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what would change the computation; let pass what would not.

    Raises: ValueError that names the first option that is neither.
    """
    for name, value in options.items():
        if name in PASSED_OVER or value is None or (name, value) == ("is_causal", True):
            continue
        raise ValueError(
            f"{name} = {quoted(value)} was passed to a decoder layer, which does not "
            "compute it: leave it out, or say it in attention_mask or attend="
        )


def check_weights(options: Mapping[str, Any], weights: Tensor | None) -> None:
    """Refuse to return no weights when they were asked for."""
    if options.get("output_attentions") and weights is None:
        raise ValueError(
            "output_attentions = True and attend returns no weights: "
            "companion.hugging_face.attention.attention_and_weights does"
        )


def quoted(value: Any) -> str:
    """A value as error messages quote it: of a tensor the shape alone."""
    return f"a tensor {shape(value)}" if isinstance(value, Tensor) else repr(value)
