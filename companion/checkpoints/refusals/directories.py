"""What a directory is that holds no checkpoint, or another kind of one."""

from pathlib import Path
from typing import NoReturn

from companion.checkpoints.refusals.files import what_is

ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
OTHERS = (
    "*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.onnx",
    "onnx/*.onnx",
    "*.msgpack",
    "*.h5",
)

# What a training leaves beside its weights.
TRAINING = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")

# Where checkpoints lie below a directory: a hub cache's, of one model or of all; others.
BELOW = ("snapshots/*", "models--*/snapshots/*", "hub/models--*/snapshots/*", "*")


def check_no_adapter(path: Path) -> None:
    """Refuse an adapter, beside the weights of a model or alone."""
    found = [name for name in ADAPTERS if (path / name).exists()]
    weights = [*path.glob("model*.safetensors")]
    if not found or (weights and found[0] != ADAPTERS[0]):
        return
    beside = f" beside {weights[0].name}" if weights else ""
    remedy = (
        "move it elsewhere to load the model without it, or merge it"
        if weights
        else "load its base model, or merge it into that"
    )
    raise ValueError(
        f"{path} has an adapter, {found[0]}{beside}, which is not applied here: {remedy} "
        "(peft's merge_and_unload, then save_pretrained)"
    )


def refuse_without_config(path: Path) -> NoReturn:
    """Say what a directory without config.json is."""
    refuse_gguf(path)
    if (path / "params.json").exists() or any(path.glob("consolidated.*")):
        raise ValueError(
            f"{path} has a model as Meta or Mistral publish it, without config.json: get "
            "the one for the transformers library, with config.json and *.safetensors"
        )
    if below := checkpoints_below(path):
        raise ValueError(
            f"{path} has no config.json, but a directory in it has a checkpoint: give "
            f"{in_words(below)}"
        )
    if not any(path.glob("*.safetensors")):
        refuse_other_weights(path)
    raise FileNotFoundError(
        f"{path / 'config.json'} is missing: a checkpoint directory has config.json and "
        "*.safetensors"
    )


def checkpoints_below(path: Path) -> list[str]:
    """Directories in this one that hold a checkpoint; of a hub cache's, the newest first."""
    main = path / "refs" / "main"
    newest = main.read_text().strip() if main.is_file() else ""
    below = dict.fromkeys(sub for each in BELOW for sub in sorted(path.glob(each)))
    found = []
    for sub in sorted(below, key=lambda sub: sub.name != newest):
        is_whole = (sub / "config.json").exists()
        found += [sub] if is_whole else sorted(sub.glob("[!.]*.gguf"))
    return [repr(str(each)) for each in found]


def refuse_without_weights(path: Path) -> NoReturn:
    """Say what a directory with config.json has in place of *.safetensors."""
    refuse_gguf(path)
    refuse_other_weights(path)
    raise FileNotFoundError(f"no *.safetensors in {path}")


def refuse_other_weights(path: Path) -> None:
    """Refuse a directory for weights in it that are of another format."""
    for file in (file for pattern in OTHERS for file in sorted(path.glob(pattern))):
        what = what_is(file)
        if what and not file.name.startswith(TRAINING):
            raise ValueError(f"{path} has only {file.relative_to(path)}: it is {what}")


def refuse_gguf(path: Path) -> None:
    """Refuse a directory for the GGUF in it, of which each is loaded by its own path."""
    files = [
        file
        for file in sorted(path.glob("[!.]*.gguf"))
        if "-of-" not in file.stem or "-00001-of-" in file.stem
    ]
    if files:
        raise ValueError(
            f"{path} is a directory with GGUF files, of which each is loaded by its own "
            f"path: give {in_words([repr(str(file)) for file in files])}"
        )


def in_words(names: list[str]) -> str:
    """The first of some names, and whether there are more."""
    return " or ".join([*names[:4], *["another there"][: len(names) > 4]])
