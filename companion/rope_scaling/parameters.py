"""What a Hugging Face config says of RoPE, in its old spelling and its new one."""

from collections.abc import Callable, Mapping
from typing import Any

from companion.rope_scaling.ramps import Llama3Scaling, YarnScaling, yarn_magnitude
from companion.rope_scaling.scaling import DynamicNTKScaling, LinearScaling, RopeScaling

NUMBER = (int, float)

# What may stand among RoPE parameters, with its types.
ROPE_KEYS: dict[str, tuple[type, ...]] = {
    "attention_factor": NUMBER,
    "beta_fast": NUMBER,
    "beta_slow": NUMBER,
    "factor": NUMBER,
    "finetuned": (bool,),  # how the first YaRN checkpoints were made; changes nothing
    "high_freq_factor": NUMBER,
    "low_freq_factor": NUMBER,
    "mscale": NUMBER,
    "mscale_all_dim": NUMBER,
    "original_max_position_embeddings": (int,),
    "partial_rotary_factor": NUMBER,
    "rope_theta": NUMBER,
    "rope_type": (str,),
    "truncate": (bool,),
    "type": (str,),
}


# Parameters of every kind; any other says that RoPE is scaled.
PLAIN = ("rope_theta", "partial_rotary_factor", "original_max_position_embeddings")


def as_kind(value: Any, kind: Any) -> Any:
    """8192.0 as 8192 where a whole number is meant, 10000 as 10000.0 where a fraction may
    be; anything else as it is.
    """
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return float(value) if kind is float and type(value) is int else value


def rope_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config says of RoPE, in `rope_scaling` (old) or `rope_parameters` (new).

    Where both are there, the old one counts alone, as in Hugging Face.

    Raises: ValueError for a kind of RoPE, or a parameter of it, not known here.
    """
    for name in ("rope_scaling", "rope_parameters"):
        if not isinstance(config.get(name) or {}, Mapping):
            raise ValueError(f"config has {name} = {config[name]!r}: it must be a dict")
    given = config.get("rope_scaling") or config.get("rope_parameters") or {}
    found = {
        key: as_kind(value, int) if ROPE_KEYS.get(key) == (int,) else value
        for key, value in given.items()
        if value is not None
    }
    if given.get("truncate", True) is None:
        found["truncate"] = False  # what Hugging Face makes of a null
    check_kinds([found[key] for key in ("rope_type", "type") if key in found])
    check_keys(found)
    return found


def check_kinds(kinds: list[Any]) -> None:
    """Refuse a kind of RoPE by its name, and two kinds at once."""
    for kind in kinds:
        if kind != "default" and not (isinstance(kind, str) and kind in SCALINGS):
            raise ValueError(
                f"config has rope_type = {kind!r}: this package computes only "
                f"'default', {', '.join(map(repr, SCALINGS))}"
            )
        if kind != kinds[0]:
            raise ValueError(
                f"config has rope_type = {kinds[0]!r} and type = {kind!r} among its "
                "RoPE parameters: keep the one that is meant"
            )


def check_keys(found: Mapping[str, Any]) -> None:
    """Refuse parameters that are not known, and those of a kind that is not said."""
    said = {"rope_type", "type"} & found.keys()
    for name, value in found.items():
        if isinstance(value, Mapping) or name not in ROPE_KEYS:
            raise ValueError(
                f"config has {name} = {value!r} among its RoPE parameters: this "
                f"package knows only {', '.join(sorted(ROPE_KEYS))}"
            )
        if not said and name not in PLAIN:
            raise ValueError(
                f"config has {name} = {value!r} among its RoPE parameters and no "
                f"rope_type: add one of 'default', {', '.join(map(repr, SCALINGS))}"
            )


def read_scaling(
    rope: Mapping[str, Any], config: Mapping[str, Any]
) -> RopeScaling | None:
    """The scaling that RoPE parameters describe; None for plain RoPE.

    Keys of another scaling are passed over, as Hugging Face does.

    Raises: ValueError for a parameter that is missing or of another type.
    """
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    longest = as_kind(config.get("max_position_embeddings"), int) or 2048
    original = (
        as_kind(config.get("original_max_position_embeddings"), int)
        or rope.get("original_max_position_embeddings")
        or longest
    )
    lengths = {
        "max_position_embeddings": longest,
        "original_max_position_embeddings": original,
    }
    for name, value in {**rope, **lengths}.items():
        allowed = ROPE_KEYS.get(name, (int,))
        if type(value) not in allowed:
            raise ValueError(
                f"config has {name} = {value!r} for rope_type {kind!r}: it must be "
                f"{' or '.join(a.__name__ for a in allowed)}"
            )
    try:
        return SCALINGS[kind](rope, original, longest)
    except KeyError as error:
        raise ValueError(
            f"config has rope_type = {kind!r} but lacks {error}: add it to its RoPE "
            "parameters"
        ) from error


def read_yarn(rope: Mapping[str, Any], original: int, longest: int) -> YarnScaling:
    """YaRN's parameters; `mscale` and `mscale_all_dim` amount to an attention_factor."""
    stretched = {"factor": longest / original} if longest != original else {}
    factor = {**stretched, **rope}["factor"]
    attention_factor = rope.get("attention_factor")
    mscale, all_dim = rope.get("mscale"), rope.get("mscale_all_dim")
    if attention_factor is None and mscale and all_dim:
        attention_factor = yarn_magnitude(factor, mscale) / yarn_magnitude(
            factor, all_dim
        )
    return YarnScaling(
        float(factor),
        original,
        float(rope.get("beta_fast") or 32),
        float(rope.get("beta_slow") or 1),
        None if attention_factor is None else float(attention_factor),
        rope.get("truncate", True),
    )


# How each `rope_type` is read: (parameters, original length, max_position_embeddings).
SCALINGS: dict[str, Callable[[Mapping[str, Any], int, int], RopeScaling]] = {
    "linear": lambda rope, original, longest: LinearScaling(
        float(rope["factor"]), original if original != longest else None
    ),
    "dynamic": lambda rope, original, longest: DynamicNTKScaling(
        float(rope["factor"]), longest
    ),
    "yarn": read_yarn,
    "llama3": lambda rope, original, longest: Llama3Scaling(
        float(rope["factor"]),
        float(rope["low_freq_factor"]),
        float(rope["high_freq_factor"]),
        original,
    ),
}
