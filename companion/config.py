"""The numbers that fix a Llama's shapes, read from a Hugging Face config.json."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

from companion.refusals import config as refusals
from companion.rope_scaling import RopeScaling
from companion.rope_scaling.parameters import as_kind, read_scaling, rope_parameters

# RoPE parameters that older configs have beside the others, not in `rope_scaling`.
TOP_LEVEL = ("rope_theta", "partial_rotary_factor")

# The families whose layers are computed here, with what Hugging Face takes for a key
# that the file leaves out.
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
}


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and constants of a Llama, under Hugging Face's names.

    `num_key_value_heads` is num_attention_heads and `head_dim` hidden_size /
    num_attention_heads unless given. `max_position_embeddings` counts tokens.
    `attention_dropout` is a probability, used in training alone.

    Raises: ValueError when the sizes do not divide as the architecture needs, or the
    RoPE scaling does not fit them.
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
    rope_scaling: RopeScaling | None = None
    attention_bias: bool = False
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        if self.num_key_value_heads is None:
            object.__setattr__(self, "num_key_value_heads", self.num_attention_heads)
        for field in fields(self):
            refusals.check_value(field.name, field.type, getattr(self, field.name))
        if self.head_dim is None:
            refusals.check_heads(self)
            object.__setattr__(
                self, "head_dim", self.hidden_size // self.num_attention_heads
            )
        refusals.check_groups(self)
        if self.rope_scaling is not None:
            self.rope_scaling.check(self.head_dim, self.rope_theta)

    @property
    def max_positions(self) -> int:
        """Tokens that a text may have, beyond `max_position_embeddings` where the scaling
        goes beyond that length.
        """
        scaling = self.rope_scaling or RopeScaling()
        return scaling.max_positions(self.max_position_embeddings)

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> "LlamaConfig":
        """Read a Hugging Face config dict, old (`rope_theta`, `rope_scaling`) or new
        (`rope_parameters`).

        Keys that change nothing in a forward pass (token ids, dtype ...) are passed
        over, and so are keys that Hugging Face does not know either.

        Raises: ValueError that names the first option set to something this package
        does not compute.
        """
        family = refusals.known_family(config, FAMILIES)
        rope = rope_parameters(config)
        said = {name: rope[name] for name in TOP_LEVEL if name in rope}
        config = {**FAMILIES[family], **config, **said}
        refusals.check_options(config, family)
        values = {
            each.name: as_kind(config[each.name], each.type)
            for each in fields(cls)
            if config.get(each.name) is not None
        }
        return cls(**{**values, "rope_scaling": read_scaling(rope, config)})


@runtime_checkable
class HuggingFaceConfig(Protocol):
    """A config object of the transformers library, which layers take as well."""

    def to_dict(self) -> dict[str, Any]:
        """What its config.json holds."""


def as_config(config: LlamaConfig | HuggingFaceConfig) -> LlamaConfig:
    """A `LlamaConfig` as it is, Hugging Face's config object by way of its dict.

    Raises: ValueError for anything else, and for options not computed here.
    """
    if isinstance(config, LlamaConfig):
        return config
    if not isinstance(config, HuggingFaceConfig):
        raise ValueError(
            f"config is a {type(config).__name__}: pass a LlamaConfig, Hugging Face's "
            "config, or LlamaConfig.from_hf(dict)"
        )
    return LlamaConfig.from_hf(config.to_dict())
