"""Where a checkpoint is, and what reads it."""

import os
import re
from contextlib import suppress
from pathlib import Path

from companion.checkpoints.gguf.files import open_gguf
from companion.checkpoints.gguf.header import MAGIC
from companion.checkpoints.refusals.files import check_link, refuse_file
from companion.checkpoints.safetensors import open_directory
from companion.checkpoints.stored import Opened


def checkpoint_path(source: str | os.PathLike[str]) -> Path:
    """The path that is meant, where `~` is the home directory, as in a shell.

    Raises: ValueError for what is no path. FileNotFoundError for one where nothing is.
    """
    text = os.fspath(source) if isinstance(source, os.PathLike) else source
    if not isinstance(text, str) or not text:
        raise ValueError(
            f"source is {source!r}: give the path of a directory or a .gguf file, as "
            "text or a Path; None is the bundled model"
        )
    path = Path(text)
    if not path.exists():
        with suppress(RuntimeError):  # there may be no such user
            path = path.expanduser()
    check_link(path)
    if path.exists():
        return path
    raise FileNotFoundError(
        f"no checkpoint at {path}: give a directory with config.json, or a .gguf file"
        f"{hub_name(text)}"
    )


def hub_name(text: str) -> str:
    """What to do about a path that reads as a model's name or address on the hub."""
    address = re.fullmatch(
        r"(?:https?://(?:www\.)?huggingface\.co/)?([\w.-]+/[\w.-]+)", text
    )
    if "://" not in text and (address is None or text.startswith(".")):
        return ""
    name = address[1] if address else "OWNER/NAME"
    return (
        "; nothing is downloaded here: for a model of the Hugging Face hub, "
        f"load(huggingface_hub.snapshot_download({name!r}))"
    )


def open_checkpoint(path: Path) -> Opened:
    """Config, tensors and tokenizer of a directory or a GGUF; no tensor is read yet."""
    if path.is_dir():
        return open_directory(path)
    if path.suffix == ".gguf" or has_magic(path):
        return open_gguf(path)
    return refuse_file(path)


def has_magic(path: Path) -> bool:
    """Whether a file of any name begins as a GGUF does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC
