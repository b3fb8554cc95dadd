"""What our parts refuse in Hugging Face's models: options that they do not compute."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from companion.refusals import decoder as refusals
from companion.refusals.attention import shape
from companion.refusals.decoder import check_input

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


def attention_interface(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **options: Any,
) -> None:
    """Refuse options that change the result; a sliding window may come as a mask."""
    kv_len = key.shape[-2]
    for name, given in options.items():
        if name in PASSED_OVER or given is None:
            continue
        if name == "sliding_window":
            if attention_mask is None and kv_len > given:
                raise ValueError(
                    f"sliding_window = {given} and {kv_len} keys came without a mask: "
                    "register Hugging Face's sdpa_mask under the same name with "
                    "AttentionMaskInterface"
                )
            continue
        raise ValueError(
            f"{name} = {quoted(given)} was passed to attention, which does not compute "
            "it: this model needs Hugging Face's own attn_implementation"
        )


def attention(
    self: Any,
    hidden_states: Tensor,
    position_embeddings: Any,
    attention_mask: Tensor | None = None,
    past_key_values: Any = None,
    **options: Any,
) -> None:
    """Refuse what does not fit the config, and options that are not computed."""
    check_options(options)
    check_input(hidden_states, self.config.hidden_size, past_key_values)
    refusals.check_positions(position_embeddings, hidden_states, self.head_dim)
    if attention_mask is not None:
        refusals.check_mask(attention_mask, hidden_states.shape[1])


def layer(
    self: Any,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    past_key_values: Any = None,
    use_cache: bool | None = None,
    position_embeddings: Any = None,
    **options: Any,
) -> None:
    """Refuse options that are not computed, and hidden states before they are normed."""
    check_options(options)
    check_input(hidden_states, self.hidden_size, past_key_values)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what would change the computation; let pass what would not.

    Raises: ValueError that names the first option that is neither.
    """
    for name, value in options.items():
        if name in PASSED_OVER or value is None or (name, value) == ("is_causal", True):
            continue
        raise ValueError(
            f"{name} = {quoted(value)} was passed to a decoder layer, which does not "
            "compute it: leave it out, say it in attention_mask, or keep Hugging Face's "
            "own layer"
        )


def check_weights(options: Mapping[str, Any], weights: Tensor | None) -> None:
    """Refuse to return no weights when they were asked for."""
    if options.get("output_attentions") and weights is None:
        raise ValueError(
            "output_attentions = True and attend returns no weights: in its place, "
            "AttentionInterface.register(name, companion.hugging_face.attention_interface) "
            "does, or model.set_attn_implementation('eager')"
        )


def quoted(value: Any) -> str:
    """A value as error messages quote it: of a tensor the shape alone."""
    return f"a tensor {shape(value)}" if isinstance(value, Tensor) else repr(value)


def from_hugging_face(model: Any) -> None:
    """Refuse what is no causal language model with a config and plain weights."""
    if not hasattr(model, "lm_head") or not hasattr(model, "config"):
        raise ValueError(
            f"model is a {type(model).__name__}: pass a LlamaForCausalLM of "
            "transformers, with its lm_head; a base model has none"
        )
    head, embedding = model.lm_head.weight, model.get_input_embeddings().weight
    tied = model.config.tie_word_embeddings
    if tied and head.data_ptr() != embedding.data_ptr():
        raise ValueError(
            "config.tie_word_embeddings is True and lm_head has a weight of its own: "
            "model.tie_weights() makes it the embedding's, or set it to False"
        )
