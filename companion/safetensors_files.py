"""Hugging Face directories: config.json, safetensors (one file or shards) and tokenizer.json."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from companion.config import LlamaConfig
from companion.gguf_files import Opened
from companion.tokenizer import Tokenizer


def open_directory(path: Path) -> Opened:
    """Config, tensors (read one by one), their number and tokenizer of a directory."""
    config = read_json(path / "config.json")
    files = shards(path)
    tokenizer = None
    if (path / "tokenizer.json").exists():
        stop = config.get("eos_token_id")
        stop_ids = stop if isinstance(stop, list) else [] if stop is None else [stop]
        tokenizer = Tokenizer.from_file(path / "tokenizer.json", stop_ids)
    count = sum(len(names) for names in files.values())
    return LlamaConfig.from_hf(config), safetensors_tensors(files), count, tokenizer


def shards(path: Path) -> dict[Path, list[str]]:
    """The safetensors files of a directory, each with the names of its tensors."""
    files = sorted(path.glob("*.safetensors"))
    index = path / "model.safetensors.index.json"
    if index.exists():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise ValueError(
                f"{index} has no weight_map from tensor names to files: download it "
                "again"
            )
        files = [path / name for name in sorted(set(weight_map.values()))]
    if not files:
        pickled = [
            file.name
            for pattern in ("*.bin", "*.pt", "*.pth")
            for file in path.glob(pattern)
        ]
        if pickled:
            raise ValueError(
                f"{path} has only {pickled[0]}: a pickle can run code and is never "
                "loaded; save as safetensors"
            )
        raise FileNotFoundError(f"no *.safetensors in {path}")
    names: dict[Path, list[str]] = {}
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"{file} is named in {index.name} but is not there")
        try:
            with safe_open(file, framework="pt") as opened:
                # computed here from the config, and not a weight; old checkpoints carry it
                names[file] = [
                    n
                    for n in list(opened.keys())
                    if not n.endswith("rotary_emb.inv_freq")
                ]
        except SafetensorError as error:
            raise ValueError(
                f"{file} is not a complete safetensors file ({error}): download it "
                "again"
            ) from error
    return names


def safetensors_tensors(files: dict[Path, list[str]]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the files, one at a time."""
    for file, names in files.items():
        with safe_open(file, framework="pt") as opened:
            for name in names:
                yield name, opened.get_tensor(name)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: a checkpoint directory has config.json and "
            "*.safetensors"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds a {type(content).__name__}: expected a JSON object"
        )
    return content
