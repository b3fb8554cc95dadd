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

from companion.checkpoints.choice import INDEX, weight_files
from companion.checkpoints.names import model_names
from companion.checkpoints.refusals.directories import (
    check_no_adapter,
    refuse_without_config,
)
from companion.checkpoints.refusals.files import check_link, check_whole
from companion.checkpoints.stored import Opened, StoredTensor
from companion.config import LlamaConfig
from companion.tokenizers import Tokenizer
from companion.tokenizers.files import read_object

JSON = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
)
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
    check_no_adapter(path)
    for name in JSON:
        check_whole(path / name)
    if not (path / "config.json").exists():
        refuse_without_config(path)
    said = read_object(path / "config.json")
    config = read_config(said, path / "config.json")
    tensors = directory_tensors(path, said.get("transformers_weights"))
    tokenizer = None
    if (path / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_directory(path, said.get("eos_token_id"))
    return config, tensors, tokenizer


def read_config(config: Mapping[str, Any], path: Path) -> LlamaConfig:
    """The config of config.json, where Hugging Face's defaults do not stand in for sizes."""
    for name in SIZES:
        if config.get(name) is None:
            raise ValueError(
                f"{path} lacks {name}: a Llama's config.json has {', '.join(SIZES)}"
            )
    return LlamaConfig.from_hf(config)


def directory_tensors(path: Path, named: Any = None) -> dict[str, StoredTensor]:
    """The tensors of a directory's model, from the files that hold it."""
    files, weight_map = weight_files(path, named)
    tensors: dict[str, StoredTensor] = {}
    for file in files:
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
                f"{path / (named or INDEX)} says that {name} is in {wanted}, where it is not: "
                "download both again"
            )
    return model_names(tensors)


def file_tensors(file: Path) -> dict[str, SafeTensor]:
    """The tensors of a safetensors file by its header: a length, and JSON of that length."""
    check_link(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there, or no file")
    try:
        with safe_open(file, framework="pt"):
            pass  # the library checks that header and data are whole
    except SafetensorError as error:
        check_whole(file)
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
