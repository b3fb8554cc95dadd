"""What a config refuses: sizes that do not divide, and options that are not computed."""

import math
from collections.abc import Mapping
from typing import Any

from companion.rope_scaling import RopeScaling


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
    return family


def check_only(config: Mapping[str, Any], computed: Mapping[str, Any]) -> None:
    """Refuse an option with another value than the one that is computed."""
    for name, only in computed.items():
        if config.get(name, only) not in (only, None):
            raise ValueError(
                f"config has {name} = {config[name]!r}: this package computes "
                f"only {only!r}"
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
