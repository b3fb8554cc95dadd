"""What a file is that no checkpoint can be read from: by its first bytes, or its name."""

from pathlib import Path
from typing import NoReturn

PICKLE = (
    "a pickle, which can run code and is never loaded: save the model as safetensors, "
    "with save_pretrained of the library that it was made for"
)
GGML = (
    "a GGML model from before GGUF: convert it with llama.cpp's "
    "convert_llama_ggml_to_gguf.py, or get the model as GGUF"
)
ANSWER = (
    "what a server answered in place of the file: download it again, from the address "
    "of the file itself (on the Hugging Face hub it has /resolve/ in it, not /blob/)"
)
HDF5 = "an HDF5 file, as Keras writes it: get the model as safetensors"
BEGINNINGS = {
    b"version https://git-lfs.github.com/spec": "a Git LFS pointer and not the file that "
    "it stands for: run `git lfs pull` in its directory, or download the file",
    **dict.fromkeys((b"PK\x03\x04", b"\x80\x02\x8a\x0a", b"\x80\x04\x95"), PICKLE),
    **dict.fromkeys((b"lmgg", b"fmgg", b"tjgg", b"ggml", b"ggmf", b"ggjt"), GGML),
    **dict.fromkeys((b"<!doctype", b"<html", b"<?xml", b"entry not found"), ANSWER),
    **dict.fromkeys((b'{"error', b"invalid username", b"access to model"), ANSWER),
    b"gguf": "a GGUF file: give it a name that ends in .gguf, and load it by its path",
    b"\x89hdf": HDF5,
}
ENDINGS = {
    **dict.fromkeys((".bin", ".pt", ".pth", ".ckpt", ".pkl"), PICKLE),
    **dict.fromkeys((".ggml", ".ggjt"), GGML),
    ".onnx": "an ONNX model: get the model as safetensors or GGUF",
    ".msgpack": "a Flax model: get the model as safetensors",
    ".h5": HDF5,
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".zst"), "an archive: unpack it"),
}


def what_begins(path: Path) -> str | None:
    """What a file is by its first bytes, and the remedy; None for bytes not known here."""
    with path.open("rb") as file:
        start = file.read(64)
    for begins, what in BEGINNINGS.items():
        if start.lstrip().lower().startswith(begins.lower()):
            return what
    return None


def what_is(path: Path) -> str | None:
    """What a file is by its first bytes or else by its name; None for one not known here."""
    begins = what_begins(path) if path.is_file() else None
    return begins or ENDINGS.get(path.suffix.lower())


def check_whole(path: Path) -> None:
    """Refuse a file of a directory that is something else than its name says."""
    check_link(path)
    what = what_begins(path) if path.is_file() else None
    if what is not None:
        raise ValueError(f"{path} is {what}")


def check_link(path: Path) -> None:
    """Refuse a link to nothing, as an interrupted download leaves in a hub cache."""
    if path.is_symlink() and not path.exists():
        raise ValueError(
            f"{path} is a link to {path.readlink()}, which is not there: download it "
            "again"
        )


def refuse_file(path: Path) -> NoReturn:
    """Say what a file is that is neither a directory nor a GGUF."""
    if what := what_is(path):
        raise ValueError(f"{path} is {what}")
    if path.suffix == ".safetensors" or (path.parent / "config.json").exists():
        raise ValueError(
            f"{path} is a part of a checkpoint: give its directory, {str(path.parent)!r}, "
            "or a .gguf file"
        )
    empty = "empty, and " if path.is_file() and not path.stat().st_size else ""
    raise ValueError(
        f"{path} is {empty}neither a directory nor a .gguf file: give a directory with "
        "config.json and *.safetensors, or a .gguf file"
    )
