"""A tensor of another shape than the config asks for, and what it likely is."""

from pathlib import Path

from companion.config import LlamaConfig

Shape = tuple[int, ...]


def check_shape(
    config: LlamaConfig, name: str, shape: Shape, expected: Shape, path: Path
) -> None:
    """Refuse a tensor of another shape, and say which size of the config would fit."""
    if shape == expected:
        return
    raise ValueError(
        f"{path}: {name} is {shape} and its config asks for {expected}"
        f"{remedy(config, name, shape, expected, path)}"
    )


def remedy(
    config: LlamaConfig, name: str, shape: Shape, expected: Shape, path: Path
) -> str:
    """What makes the shapes meet; nothing where that is not known."""
    if 0 in shape:
        return (
            "; it is empty, as where DeepSpeed's ZeRO-3 keeps the weights in parts: "
            "gather them (zero_to_fp32.py) and save again"
        )
    if len(shape) == 2 and shape == expected[::-1]:
        return (
            "; it is stored (in, out), and torch has (out, in): transpose the matrices "
            "and save again"
        )
    if not path.is_dir() or len(shape) != len(expected) or shape[1:] != expected[1:]:
        return ""
    fitting = size_for(config, name.split(".")[-2], shape[0])
    return f"; with {fitting} in config.json it fits" if fitting else ""


def size_for(config: LlamaConfig, part: str, rows: int) -> str | None:
    """The size in a config with which a part has this many rows."""
    if part in ("embed_tokens", "lm_head"):
        return f"vocab_size {rows}"
    if part in ("gate_proj", "up_proj"):
        return f"intermediate_size {rows}"
    heads, head_dim = config.num_attention_heads, config.head_dim
    if part in ("k_proj", "v_proj") and rows % head_dim == 0:
        return f"num_key_value_heads {rows // head_dim}"
    if part == "q_proj" and rows % heads == 0:
        return f"head_dim {rows // heads}"
    return None
