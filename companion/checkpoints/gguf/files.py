"""GGUF files: llama.cpp's format, in one file or in parts, under Hugging Face's names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from companion.checkpoints.gguf.config import check_metadata, gguf_config
from companion.checkpoints.gguf.header import Header, TensorInfo, read_header
from companion.checkpoints.gguf.tensors import GGUFTensor, gguf_tensor, hf_name
from companion.checkpoints.stored import Opened, StoredTensor
from companion.config import LlamaConfig
from companion.tokenizers import Tokenizer


def open_gguf(path: Path) -> Opened:
    """Config, tensors and tokenizer of a GGUF, and of all its parts if it is split."""
    header = read_header(path)
    metadata, files = header.metadata, list(parts(path, header))
    check_metadata(metadata, path)
    stored: dict[str, GGUFTensor] = {}
    for part, tensors in files:
        for name, info in tensors.items():
            if name in stored:
                raise ValueError(f"{part} holds {name}, as {stored[name].path} does")
            stored[name] = gguf_tensor(part, name, info)
    try:
        factors = rope_factors(stored.pop("rope_freqs.weight", None))
        config = gguf_config(metadata, stored, factors)
    except ValueError as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    try:
        tokenizer = Tokenizer.from_gguf(metadata)
    except ValueError as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    except KeyError as error:
        raise ValueError(
            f"{path} lacks the metadata {error}: its tokenizer cannot be read"
        ) from error
    return config, named(stored, config), tokenizer


def parts(path: Path, header: Header) -> Iterator[tuple[Path, dict[str, TensorInfo]]]:
    """Each file of a model with its tensors: `x-00001-of-00003.gguf` and those after it."""
    count = header.metadata.get("split.count", 1)
    if type(count) is not int:
        raise ValueError(f"{path} has split.count = {count!r}: it must be a number")
    if count <= 1:
        yield path, header.tensors
        return
    pattern = re.fullmatch(rf"(.*)-00001-of-{count:05}\.gguf", path.name)
    if header.metadata.get("split.no") != 0 or pattern is None:
        raise ValueError(
            f"{path} is one of {count} parts of a model: load the first, whose name "
            f"ends in -00001-of-{count:05}.gguf"
        )
    for number in range(count):
        part = path.with_name(f"{pattern[1]}-{number + 1:05}-of-{count:05}.gguf")
        if not part.exists():
            raise FileNotFoundError(f"{part} is missing: {path} has {count} parts")
        opened = header if number == 0 else read_header(part)
        says = opened.metadata.get("split.no"), opened.metadata.get("split.count")
        if says != (number, count):
            raise ValueError(
                f"{part} says that it is part {says[0]} of {says[1]}, counted from 0, "
                f"and its name says {number} of {count}"
            )
        yield part, opened.tensors


def rope_factors(stored: GGUFTensor | None) -> tuple[float, ...] | None:
    """What rope_freqs.weight divides the frequencies of the pairs by."""
    if stored is None:
        return None
    if len(stored.shape) != 1:
        raise ValueError(
            f"{stored.name} is {stored.shape}: it must be (head_dim / 2,), a factor for "
            "each pair"
        )
    return tuple(stored.read(0, stored.shape[0]).tolist())


def named(
    stored: Mapping[str, GGUFTensor], config: LlamaConfig
) -> dict[str, StoredTensor]:
    """The tensors under Hugging Face's names, q and k to be read for rotate-half."""
    tensors: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        new_name = hf_name(name)
        if new_name in tensors:
            raise ValueError(
                f"{tensor.path} holds {name} and {tensors[new_name].name}, which are "
                "the same tensor"
            )
        if ".attn_q." in name or ".attn_k." in name:
            tensor = replace(tensor, interleaved_head=config.head_dim)
        tensors[new_name] = tensor
    return tensors
