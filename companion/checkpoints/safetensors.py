"""Hugging Face directories: config.json, safetensors (one file or shards) and tokenizer.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from companion.checkpoints.stored import Opened, StoredTensor
from companion.config import LlamaConfig
from companion.tokenizers import Tokenizer
from companion.tokenizers.files import read_object

INDEX = "model.safetensors.index.json"
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)


@dataclass(frozen=True)
class SafeTensor(StoredTensor):
    """A tensor of a safetensors file, in its dtype from byte `offset` on."""

    dtype: torch.dtype
    offset: int

    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`; unlike the library's, not mapped into memory."""
        size = self.dtype.itemsize * prod(self.shape[1:])
        stored = np.fromfile(
            self.path,
            np.uint8,
            (stop - start) * size,
            offset=self.offset + start * size,
        )
        return torch.from_numpy(stored).view(self.dtype).view(-1, *self.shape[1:])


def open_directory(path: Path) -> Opened:
    """Config, tensors and tokenizer of a directory."""
    config = read_json(path / "config.json")
    tokenizer = None
    if (path / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_directory(path, config.get("eos_token_id"))
    return read_config(config, path / "config.json"), directory_tensors(path), tokenizer


def read_config(config: Mapping[str, Any], path: Path) -> LlamaConfig:
    """The config of config.json, where Hugging Face's defaults do not stand in for sizes."""
    for name in SIZES:
        if config.get(name) is None:
            raise ValueError(
                f"{path} lacks {name}: a Llama's config.json has {', '.join(SIZES)}"
            )
    return LlamaConfig.from_hf(config)


def directory_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of all safetensors files of a directory."""
    index = path / INDEX
    weight_map = read_index(index) if index.exists() else {}
    files = [path / name for name in sorted(set(weight_map.values()))]
    tensors: dict[str, StoredTensor] = {}
    for file in files or safetensors_files(path):
        for name, tensor in file_tensors(file).items():
            if name in tensors:
                raise ValueError(
                    f"{file} and {tensors[name].path.name} both hold {name}: each "
                    "tensor must be in one file"
                )
            tensors[name] = tensor
    for name, wanted in weight_map.items():
        if name not in tensors or tensors[name].path.name != wanted:
            raise ValueError(
                f"{index} says that {name} is in {wanted}, where it is not: download "
                "both again"
            )
    # computed here from the config, and not a weight; old checkpoints carry it
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not name.endswith("rotary_emb.inv_freq")
    }


def read_index(path: Path) -> dict[str, str]:
    """The file of each tensor, as an index names them.

    Raises: ValueError for a name that leads out of the directory. FileNotFoundError
    for a file that is not there.
    """
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(
            f"{path} has no weight_map from tensor names to files: download it again"
        )
    for name in weight_map.values():
        if not is_plain_name(name):
            raise ValueError(
                f"{path} names the file {name!r}: it must be a .safetensors file in "
                "the same directory"
            )
        if not (path.parent / name).is_file():
            raise FileNotFoundError(
                f"{path.parent / name} is named in {path.name} but is not there"
            )
    return weight_map


def is_plain_name(name: Any) -> bool:
    """Whether this names a safetensors file, and not a way to another directory."""
    return (
        isinstance(name, str)
        and name.endswith(".safetensors")
        and not {"/", "\\"} & {*name}
    )


def safetensors_files(path: Path) -> list[Path]:
    """The files of a directory without an index: model.safetensors, else all not hidden."""
    if (path / "model.safetensors").exists():
        return [path / "model.safetensors"]
    # hidden are those that macOS writes beside others: ._model.safetensors
    files = sorted(path.glob("[!.]*.safetensors"))
    pickled = [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth")]
    if not files and pickled:
        raise ValueError(
            f"{path} has only {pickled[0].name}: a pickle can run code and is never "
            "loaded; save as safetensors"
        )
    if not files:
        raise FileNotFoundError(f"no *.safetensors in {path}")
    return files


def file_tensors(file: Path) -> dict[str, SafeTensor]:
    """The tensors of a safetensors file by its header: a length, and JSON of that length."""
    try:
        with safe_open(file, framework="pt"):
            pass  # the library checks that header and data are whole
    except SafetensorError as error:
        raise ValueError(
            f"{file} is not a complete safetensors file ({error}): download it again"
        ) from error
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    header.pop("__metadata__", None)
    tensors = {}
    for name, says in header.items():
        if says["dtype"] not in FLOATS:
            raise ValueError(
                f"{file}: {name} is {says['dtype']}: only {', '.join(FLOATS)} are "
                "supported; quantized weights are read from GGUF"
            )
        shape, offset = tuple(says["shape"]), 8 + length + says["data_offsets"][0]
        tensors[name] = SafeTensor(file, name, shape, FLOATS[says["dtype"]], offset)
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file that a checkpoint directory must have."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: a checkpoint directory has config.json and "
            "*.safetensors"
        )
    return read_object(path)
