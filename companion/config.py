"""The numbers that fix a Llama's shapes, read from a Hugging Face config.json."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# Options of this family that change the computation, with the one value computed here.
ONLY: dict[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "sliding_window": None,
    "use_sliding_window": False,
    "pretraining_tp": 1,
    "num_local_experts": None,
    "quantization_config": None,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "partial_rotary_factor": 1.0,
}


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and constants of a Llama, under Hugging Face's names.

    `num_key_value_heads` is num_attention_heads and `head_dim` hidden_size /
    num_attention_heads unless given. `max_position_embeddings` counts tokens.

    Raises: ValueError when the sizes do not divide as the architecture needs.
    """

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = None  # type: ignore[assignment]  # an int once __post_init__ has run
    head_dim: int = None  # type: ignore[assignment]
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        if self.num_key_value_heads is None:
            object.__setattr__(self, "num_key_value_heads", self.num_attention_heads)
        for field in fields(self):
            check_value(field.name, field.type, getattr(self, field.name))
        if self.head_dim is None:
            if self.hidden_size % self.num_attention_heads:
                raise ValueError(
                    f"hidden_size {self.hidden_size} is not a multiple of "
                    f"num_attention_heads {self.num_attention_heads}: change one, or "
                    "give head_dim"
                )
            object.__setattr__(
                self, "head_dim", self.hidden_size // self.num_attention_heads
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple "
                f"of num_key_value_heads {self.num_key_value_heads}: each key/value "
                "head serves an equal group of query heads"
            )
        if self.head_dim % 2:
            raise ValueError(
                f"head_dim is {self.head_dim}: RoPE rotates pairs of features, so it "
                "must be even"
            )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> "LlamaConfig":
        """Read a Hugging Face config dict, old (`rope_theta`) or new (`rope_parameters`).

        Keys that change nothing in a forward pass (token ids, dtype, dropout ...) are
        passed over.

        Raises: ValueError that names the first option set to something this package
        does not compute.
        """
        if not isinstance(config, Mapping):
            raise ValueError(
                f"from_hf takes a dict and got a {type(config).__name__}: pass "
                "config.to_dict()"
            )
        for name, only in ONLY.items():
            if config.get(name, only) not in (only, None):
                raise ValueError(
                    f"config has {name} = {config[name]!r}: this package computes "
                    f"only {only!r}"
                )
        for name in ("rope_scaling", "rope_parameters"):
            if not isinstance(config.get(name) or {}, Mapping):
                raise ValueError(
                    f"config has {name} = {config[name]!r}: it must be a dict"
                )
        rope = {
            **(config.get("rope_scaling") or {}),
            **(config.get("rope_parameters") or {}),
        }
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            raise ValueError(
                f"config has rope_type = {kind!r}: this package computes only "
                "'default', unscaled RoPE"
            )
        names = {field.name for field in fields(cls)}
        values = {
            name: value
            for name, value in {**config, **rope}.items()
            if name in names and value is not None
        }
        return cls(**values)


def check_value(name: str, kind: Any, value: Any) -> None:
    """Refuse a value of the wrong type, and sizes and constants that are not above 0."""
    if name == "head_dim" and value is None:
        return
    allowed = (int, float) if kind is float else (kind,)
    if type(value) not in allowed or (kind is not bool and not value > 0):
        number = "whole number" if kind is int else "number"
        wanted = "True or False" if kind is bool else f"a {number} greater than 0"
        raise ValueError(f"{name} is {value!r}: it must be {wanted}")
