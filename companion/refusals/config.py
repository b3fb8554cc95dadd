"""What a config refuses: sizes that do not divide, and options that are not computed."""

import math
from collections.abc import Mapping
from typing import Any

from companion.rope_scaling import RopeScaling

# Options that change a forward pass, here or in a model that a config may be mistaken
# for, with the values that leave a Llama as it is; so does null, for each of them.
ONLY: dict[str, tuple[Any, ...]] = {
    "sliding_window": (),
    "hidden_act": ("silu", "swish"),
    "hidden_activation": ("silu", "swish"),
    "is_causal": (True,),
    "position_embedding_type": ("rope", "rotary"),
    "partial_rotary_factor": (1,),
    "rotary_pct": (1,),
    "rotary_emb_fraction": (1,),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "lm_head_multiplier": (1,),
    "logits_scaling": (1,),
    "logit_scale": (1,),
    "scale_emb": (1,),
}

# Those that leave it as it is only where they are off: null, false, 0 or empty.
OFF = (
    *("use_sliding_window", "attention_chunk_size", "use_bidirectional_attention"),
    *("add_cross_attention", "is_encoder_decoder"),
    *("attn_logit_softcapping", "final_logit_softcapping", "attn_temperature_tuning"),
    *("query_pre_attn_scalar", "attention_multiplier", "clip_qkv", "qkv_clip"),
    *("qk_norm", "use_qk_norm", "qk_layernorm", "qkv_bias", "use_qkv_bias"),
    *("alibi", "use_dynamic_ntk", "use_logn_attn", "rope_interleave"),
    *("rope_interleaved", "parallel_residual", "use_parallel_residual"),
    *("scale_depth", "dim_model_base", "per_layer_config", "pruned_heads"),
    *("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    *("quantization_config", "compression_config", "quantization"),
)

# Lists with an entry for each layer, and the one entry that is computed.
LAYERS: dict[str, Any] = {"layer_types": "full_attention", "no_rope_layers": 1}

# What Hugging Face's classes of these families do not have.
ABSENT = {"mistral": ("attention_bias", "mlp_bias")}

# What other architectures call the constant of a LayerNorm, which is not an RMSNorm's.
OTHER_EPS = ("layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon", "norm_eps")

REMEDIES = {
    "sliding_window": "up to that many tokens a full attention is the same: set it to "
    "null, and max_position_embeddings to the window",
    "quantization_config": "load the model as it was before, or a GGUF of it",
    "quantization": "load the model as it was before MLX quantized it, or a GGUF of it",
}


def known_family(config: Mapping[str, Any], families: Mapping[str, Any]) -> str:
    """The model family, refused where its layers are not computed here."""
    if not isinstance(config, Mapping):
        raise ValueError(
            f"from_hf takes a dict and got a {type(config).__name__}: pass "
            "config.to_dict()"
        )
    family = config.get("model_type") or "llama"
    if not isinstance(family, str) or family not in families:
        raise ValueError(
            f"config has model_type = {family!r}: this package computes only "
            f"{', '.join(map(repr, families))}"
        )
    made_for = config.get("architectures") or []
    if not config.get("model_type") and not all(
        str(name).lower().startswith("llama") for name in made_for
    ):
        raise ValueError(
            f"config has architectures = {made_for} and no model_type: add it, one of "
            f"{', '.join(map(repr, families))} if it is one of them"
        )
    return family


def check_options(config: Mapping[str, Any], family: str) -> None:
    """Refuse an option with another value than the ones that are computed."""
    off = dict.fromkeys((*OFF, *ABSENT.get(family, ())), ())
    for name, allowed in {**ONLY, **off}.items():
        value = config.get(name)
        if value is None or value in allowed or (name in off and not value):
            continue
        only = repr(allowed[0]) if allowed else "models without it"
        remedy = f"; {REMEDIES[name]}" if name in REMEDIES else ""
        raise ValueError(
            f"config has {name} = {value!r}: this package computes only {only}{remedy}"
        )
    for name, only in LAYERS.items():
        given = config.get(name) or []
        if not isinstance(given, list) or any(each != only for each in given):
            raise ValueError(
                f"config has {name} = {given!r}: this package computes only {only!r}, "
                "in every layer"
            )
    for name in OTHER_EPS:
        if name in config and config.get("rms_norm_eps") is None:
            raise ValueError(
                f"config has {name} = {config[name]!r} and no rms_norm_eps: call it "
                "that if the norms are RMSNorms, which have no bias"
            )


def check_heads(config: Any) -> None:
    """Refuse heads that do not divide the features."""
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size {config.hidden_size} is not a multiple of "
            f"num_attention_heads {config.num_attention_heads}: change one, or "
            "give head_dim"
        )


def check_groups(config: Any) -> None:
    """Refuse query heads in groups of unequal size, and a head that is not made of pairs."""
    if config.num_attention_heads % config.num_key_value_heads:
        raise ValueError(
            f"num_attention_heads {config.num_attention_heads} is not a multiple "
            f"of num_key_value_heads {config.num_key_value_heads}: each key/value "
            "head serves an equal group of query heads"
        )
    if config.head_dim % 2:
        raise ValueError(
            f"head_dim is {config.head_dim}: RoPE rotates pairs of features, so it "
            "must be even"
        )


def check_value(name: str, kind: Any, value: Any) -> None:
    """Refuse a value of the wrong type, and sizes and constants that are not above 0."""
    if name == "head_dim" and value is None:
        return
    if name == "rope_scaling":
        if not isinstance(value, RopeScaling | None):
            raise ValueError(
                f"rope_scaling is {value!r}: it must be None or a RopeScaling, such as "
                "LinearScaling(2.0); LlamaConfig.from_hf reads dicts"
            )
        return
    if name == "attention_dropout":
        if type(value) not in (int, float) or not 0 <= value < 1:
            raise ValueError(
                f"attention_dropout is {value!r}: it must be a probability below 1"
            )
        return
    allowed = (int, float) if kind is float else (kind,)
    if type(value) not in allowed or (kind is not bool and not 0 < value < math.inf):
        number = "whole number" if kind is int else "finite number"
        wanted = "True or False" if kind is bool else f"a {number} greater than 0"
        raise ValueError(f"{name} is {value!r}: it must be {wanted}")
