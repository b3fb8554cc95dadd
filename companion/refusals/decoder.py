"""What a decoder layer refuses, in words that name the argument and say the remedy."""

from typing import Any

from torch import Tensor

from companion.cache import KVCache
from companion.refusals.attention import check_fits, shape
from companion.refusals.heads import check_hidden_size


def attention(
    self: Any,
    hidden_states: Tensor,
    position_embeddings: Any,
    attention_mask: Tensor | None = None,
    past_key_values: Any = None,
) -> None:
    """Refuse what does not fit the config: hidden states, angles, a mask, a cache."""
    check_input(hidden_states, self.hidden_size, past_key_values)
    check_positions(position_embeddings, hidden_states, self.head_dim)
    if attention_mask is not None:
        check_mask(attention_mask, hidden_states.shape[1])
        check_reach(self, hidden_states, attention_mask, past_key_values)


def layer(
    self: Any,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    past_key_values: Any = None,
    position_embeddings: Any = None,
) -> None:
    """Refuse hidden states of another width, before they are normed; its attention
    refuses the rest before anything is written.
    """
    check_input(hidden_states, self.self_attn.hidden_size, past_key_values)


def check_input(hidden_states: Tensor, hidden_size: int, past_key_values: Any) -> None:
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


def check_mask(attention_mask: Any, q_len: int) -> None:
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


def check_reach(
    attention: Any, hidden_states: Tensor, attention_mask: Tensor, cache: Any
) -> None:
    """Refuse a mask for other keys than there will be, before the new ones are written; of
    other caches than `KVCache`, only `attend` knows how many that are.
    """
    if cache is None or isinstance(cache, KVCache):
        batch, q_len, _ = hidden_states.shape
        past = 0 if cache is None else cache.get_seq_length(attention.layer_idx)
        check_fits(attention_mask, (batch, attention.num_heads, q_len, past + q_len))
