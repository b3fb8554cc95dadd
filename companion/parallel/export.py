"""A model out, as the directory that Hugging Face's library, vLLM and others load."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file

from companion.config import LlamaConfig
from companion.model import LlamaForCausalLM
from companion.parallel.refusals import check_whole
from companion.refusals.generate import check_model
from companion.rope_scaling import (
    DynamicNTKScaling,
    LinearScaling,
    Llama3Scaling,
    RopeScaling,
    YarnScaling,
)

ROPE_TYPES: dict[type[RopeScaling], str] = {
    LinearScaling: "linear",
    DynamicNTKScaling: "dynamic",
    YarnScaling: "yarn",
    Llama3Scaling: "llama3",
}


def export(model: LlamaForCausalLM, directory: str | Path) -> Path:
    """Write config.json and model.safetensors; the directory, which is new or was empty.

    Names, shapes and dtype are the model's own. It appears at once, when both files
    are complete. A tokenizer is not written: copy the one that the model came with.

    Raises: ValueError for a model that is split, packed or quantized, for a RoPE
    scaling that Hugging Face has no name for, and for a directory with files in it.
    OSError for a disk that is full or takes nothing.
    """
    check_model(model)
    check_whole(model)
    config = config_json(model)
    target = Path(directory)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(f"{target} is there already: export to a new directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = f".{target.name}."
    with TemporaryDirectory(".part", prefix=hidden, dir=target.parent) as scratch:
        part = Path(scratch, target.name)  # whose mode is that of any new directory
        part.mkdir()
        (part / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        tensors = {name: x.contiguous() for name, x in model.state_dict().items()}
        try:
            save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
        except SafetensorError as error:  # the library's word for a full disk
            raise OSError(f"{target} cannot be written: {error}") from error
        # for whoever may read config.json: the library's file is its owner's alone
        mode = (part / "config.json").stat().st_mode
        (part / "model.safetensors").chmod(mode)
        part.replace(target)
    return target


def config_json(model: LlamaForCausalLM) -> dict[str, Any]:
    """What config.json says: `LlamaConfig.from_hf` gives the model's config again."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "torch_dtype": str(model.dtype).removeprefix("torch."),
        # Hugging Face's default for a key that is left out would be another model's token
        "bos_token_id": None,
        "eos_token_id": None,
        **{
            field.name: getattr(model.config, field.name)
            for field in fields(model.config)
        },
        "rope_scaling": rope_json(model.config),
    }


def rope_json(config: LlamaConfig) -> dict[str, Any] | None:
    """The RoPE scaling, under Hugging Face's names.

    Raises: ValueError for one that they have no name for.
    """
    scaling = config.rope_scaling
    if scaling is None or type(scaling) is RopeScaling:
        return None
    kind = ROPE_TYPES.get(type(scaling))
    said = {key: x for key, x in asdict(scaling).items() if x is not None}
    if kind == "dynamic":
        original = said.pop("original_max_position_embeddings")
        kind = kind if original == config.max_position_embeddings else None
    if kind is None:
        raise ValueError(
            f"the model has rope_scaling {scaling}, which a Hugging Face config.json "
            f"cannot say: it knows {', '.join(ROPE_TYPES.values())}, the second only "
            "from max_position_embeddings on"
        )
    return {"rope_type": kind, **said}
