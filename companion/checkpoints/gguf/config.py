"""What a GGUF's metadata says of a Llama, as a `LlamaConfig`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from companion.config import LlamaConfig
from companion.rope_scaling import FrequencyFactors, LinearScaling, RopeScaling
from companion.rope_scaling.ramps import YarnScaling, yarn_magnitude

SIZES = (
    "llama.block_count",
    "llama.context_length",
    "llama.embedding_length",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.layer_norm_rms_epsilon",
)

# Numbers that are read below.
NUMBERS = (
    *SIZES,
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.rope.dimension_count",
    "llama.rope.freq_base",
    "llama.rope.scale_linear",
    "llama.rope.scaling.attn_factor",
    "llama.rope.scaling.factor",
    "llama.rope.scaling.original_context_length",
    "llama.rope.scaling.yarn_attn_factor",
    "llama.rope.scaling.yarn_beta_fast",
    "llama.rope.scaling.yarn_beta_slow",
    "llama.vocab_size",
)

# Texts that are read below or change nothing, and values with which other metadata
# changes nothing. Metadata not listed here changes nothing when it is 0 or empty.
TEXTS = ("llama.rope.scaling.type", "llama.tensor_data_layout")
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "llama.attention.causal": (True,),
    "llama.attention.output_scale": (0, 1),
    "llama.embedding_scale": (0, 1),
    "llama.logit_scale": (0, 1),
    "llama.residual_scale": (0, 1),
    "llama.rope.scaling.finetuned": (False, True),
    "llama.rope.scaling.yarn_ext_factor": (1,),
}

BIASES = (
    ("attn_q", "attn_k", "attn_v", "attn_output"),
    ("ffn_gate", "ffn_up", "ffn_down"),
)


def gguf_config(
    metadata: Mapping[str, Any], names: Iterable[str], factors: tuple[float, ...] | None
) -> LlamaConfig:
    """The config that metadata, names of tensors and rope_freqs.weight amount to.

    A head without a tensor of its own is tied to the embedding; biases are there when
    their tensors are.

    The metadata have passed `check_metadata`.

    Raises: ValueError that names what does not fit together or is not computed here.
    """
    heads = metadata["llama.attention.head_count"]
    width = metadata["llama.embedding_length"]
    head_dim = metadata.get("llama.attention.key_length", width // max(heads, 1))
    for name in ("llama.rope.dimension_count", "llama.attention.value_length"):
        if metadata.get(name, head_dim) != head_dim:
            raise ValueError(
                f"it has {name} = {metadata[name]} and a head has {head_dim} features: "
                "heads whose parts differ are not supported"
            )
    attention, mlp = (has_biases(names, group) for group in BIASES)
    return LlamaConfig(
        vocab_size=max(
            metadata.get("llama.vocab_size", 0), len(metadata["tokenizer.ggml.tokens"])
        ),
        hidden_size=width,
        intermediate_size=metadata["llama.feed_forward_length"],
        num_hidden_layers=metadata["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=metadata.get("llama.attention.head_count_kv", heads),
        head_dim=head_dim,
        max_position_embeddings=metadata["llama.context_length"],
        rms_norm_eps=metadata["llama.attention.layer_norm_rms_epsilon"],
        rope_theta=metadata.get("llama.rope.freq_base", 10000.0),
        rope_scaling=gguf_rope_scaling(metadata, factors),
        attention_bias=attention,
        mlp_bias=mlp,
        tie_word_embeddings="output.weight" not in names,
    )


def check_metadata(metadata: Mapping[str, Any], path: Path) -> None:
    """Refuse a model of another kind, metadata that is missing, and any not known here."""
    for name, only in (("general.type", "model"), ("general.architecture", "llama")):
        if metadata.get(name, "model") != only:
            raise ValueError(
                f"{path} has {name} {metadata.get(name)!r}: only {only!r} is supported"
            )
    for name in (*SIZES, "tokenizer.ggml.tokens"):
        if name not in metadata:
            raise ValueError(
                f"{path} lacks the metadata {name!r}, which every Llama has"
            )
    if not isinstance(metadata["tokenizer.ggml.tokens"], list):
        raise ValueError(f"{path} has tokenizer.ggml.tokens that are not a list")
    for name, value in metadata.items():
        if name in NUMBERS:
            if type(value) not in (int, float):
                raise ValueError(
                    f"{path} has {name} = {value!r}: only one number, the same for every "
                    "layer, is supported"
                )
        elif name.startswith("llama.") and name not in TEXTS:
            neutral = value in NEUTRAL[name] if name in NEUTRAL else not value
            if not neutral:
                raise ValueError(
                    f"{path} has {name} = {value!r}, which is not supported"
                )


def has_biases(names: Iterable[str], group: tuple[str, ...]) -> bool:
    """Whether a layer's projections of one group have biases: all of them or none."""
    found = [part for part in group if any(f".{part}.bias" in name for name in names)]
    if found and len(found) < len(group):
        raise ValueError(
            f"it has biases on {', '.join(found)} but not on the others of "
            f"{', '.join(group)}: only all or none are supported"
        )
    return bool(found)


def gguf_rope_scaling(
    metadata: Mapping[str, Any], factors: tuple[float, ...] | None
) -> RopeScaling | None:
    """The RoPE scaling of `llama.rope.scaling.*`, or of the tensor rope_freqs.weight.

    Raises: ValueError for another type, and for both at once.
    """
    prefix = "llama.rope.scaling."
    kind = metadata.get(prefix + "type", "linear")
    factor = metadata.get(prefix + "factor", metadata.get("llama.rope.scale_linear"))
    if kind not in ("none", "linear", "yarn"):
        raise ValueError(
            f"it has {prefix}type = {kind!r}: only 'none', 'linear' and 'yarn' are "
            "supported"
        )
    scaled = kind != "none" and factor not in (None, 0, 1)
    if scaled and kind == "yarn" and factors is None:
        return gguf_yarn(metadata, prefix, float(factor))
    attn_factor = metadata.get(prefix + "attn_factor", 1)
    if attn_factor != 1:
        raise ValueError(
            f"it has {prefix}attn_factor = {attn_factor}: supported with 'yarn' alone"
        )
    if factors is None:
        original = metadata.get(prefix + "original_context_length") or None
        return LinearScaling(float(factor), original) if scaled else None
    if scaled:
        raise ValueError(
            f"it has {prefix}factor = {factor} and rope_freqs.weight: only one of "
            "them is supported"
        )
    return FrequencyFactors(factors)


def gguf_yarn(metadata: Mapping[str, Any], prefix: str, factor: float) -> YarnScaling:
    """YaRN's parameters; `attn_factor` multiplies the attention_factor that there is.

    The converter takes the `yarn_*` ones from the config of the model, and they are
    meant as there; llama.cpp itself passes them over in a Llama.
    """
    attention_factor = metadata.get(prefix + "yarn_attn_factor")
    if (attn_factor := metadata.get(prefix + "attn_factor", 1)) != 1:
        attention_factor = (attention_factor or yarn_magnitude(factor)) * attn_factor
    return YarnScaling(
        factor,
        metadata.get(
            prefix + "original_context_length", metadata["llama.context_length"]
        ),
        metadata.get(prefix + "yarn_beta_fast", 32.0),
        metadata.get(prefix + "yarn_beta_slow", 1.0),
        attention_factor,
    )
