"""The header of a GGUF file: what its metadata says, and where each tensor lies.

Every length is checked before anything of that length is read, so a damaged file is
refused at once and not after minutes.

Source: "GGUF", docs/gguf.md in the repository ggml-org/ggml.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from gguf import GGUF_DEFAULT_ALIGNMENT, GGUFValueType

from companion.checkpoints.refusals.files import check_whole

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LONGEST = 2**24  # no text and no list in a header comes near
DIMENSIONS = 4

NUMBERS = {
    GGUFValueType.UINT8: "<u1",
    GGUFValueType.INT8: "<i1",
    GGUFValueType.UINT16: "<u2",
    GGUFValueType.INT16: "<i2",
    GGUFValueType.UINT32: "<u4",
    GGUFValueType.INT32: "<i4",
    GGUFValueType.UINT64: "<u8",
    GGUFValueType.INT64: "<i8",
    GGUFValueType.FLOAT32: "<f4",
    GGUFValueType.FLOAT64: "<f8",
    GGUFValueType.BOOL: "?",
}


class DamagedError(ValueError):
    """The bytes are not what the format says."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's shape (rows first), the number of its type, and its first byte."""

    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Header:
    """A GGUF's metadata and its tensors, each under its name in the file."""

    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]


def read_header(path: Path) -> Header:
    """Read what stands before the tensors' data.

    Raises: ValueError for a file that is damaged, big-endian, of another version, or no
    GGUF at all.
    """
    with path.open("rb") as file:
        try:
            if file.read(len(MAGIC)) != MAGIC:
                check_whole(path)
                raise DamagedError("its magic bytes are not GGUF")
            check_version(read_number(file, "<u4"), path)
            return read_rest(file)
        except (DamagedError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path} is not a complete GGUF file ({error}): download it again"
            ) from error


def check_version(version: int, path: Path) -> None:
    """Refuse versions with another layout; a big-endian file's version reads as a large one."""
    if version & 0xFFFF == 0:
        raise ValueError(
            f"{path} is big-endian: only little-endian GGUF files are supported; "
            "convert it with gguf-convert-endian"
        )
    if version not in VERSIONS:
        raise ValueError(
            f"{path} is GGUF version {version}: only {VERSIONS} are supported; convert "
            "the model again"
        )


def read_rest(file: BinaryIO) -> Header:
    """Metadata and tensor infos, after the version."""
    tensor_count, metadata_count = read_number(file, "<u8"), read_number(file, "<u8")
    metadata: dict[str, Any] = {}
    for _ in range(metadata_count):
        name = read_text(file)
        if name in metadata:
            raise DamagedError(f"it has {name!r} twice")
        metadata[name] = read_value(file, read_number(file, "<u4"))
    infos: dict[str, TensorInfo] = {}
    for _ in range(tensor_count):
        name = read_text(file)
        if name in infos:
            raise DamagedError(f"it has the tensor {name!r} twice")
        dimensions = read_number(file, "<u4")
        if dimensions > DIMENSIONS:
            raise DamagedError(f"{name} has {dimensions} dimensions")
        shape = tuple(reversed(read_numbers(file, "<u8", dimensions)))
        kind, offset = read_number(file, "<u4"), read_number(file, "<u8")
        infos[name] = TensorInfo(shape, kind, offset)
    start = data_start(file.tell(), metadata)
    return Header(
        metadata,
        {
            name: TensorInfo(info.shape, info.kind, start + info.offset)
            for name, info in infos.items()
        },
    )


def data_start(header_end: int, metadata: dict[str, Any]) -> int:
    """The first byte of the data: the end of the header, rounded up to the alignment."""
    alignment = metadata.get("general.alignment", GGUF_DEFAULT_ALIGNMENT)
    if type(alignment) is not int or alignment < 1:
        raise DamagedError(f"general.alignment is {alignment!r}")
    return -(-header_end // alignment) * alignment


def read_value(file: BinaryIO, kind: int) -> Any:
    """One value of the metadata: a number, True or False, a text, or a list of them."""
    if kind == GGUFValueType.STRING:
        return read_text(file)
    if kind != GGUFValueType.ARRAY:
        return read_number(file, number_type(kind))
    kind, count = read_number(file, "<u4"), read_length(file)
    if kind == GGUFValueType.STRING:
        return [read_text(file) for _ in range(count)]
    return read_numbers(file, number_type(kind), count)


def number_type(kind: int) -> str:
    """The numpy dtype of a kind of number."""
    if kind not in NUMBERS:
        raise DamagedError(f"it has a value of type {kind}")
    return NUMBERS[GGUFValueType(kind)]


def read_text(file: BinaryIO) -> str:
    """A length and that many bytes of UTF-8."""
    return read_bytes(file, read_length(file)).decode()


def read_length(file: BinaryIO) -> int:
    """How many bytes or elements follow."""
    length = read_number(file, "<u8")
    if length > LONGEST:
        raise DamagedError(f"it has a text or list of length {length}")
    return length


def read_number(file: BinaryIO, dtype: str) -> Any:
    """One number."""
    return read_numbers(file, dtype, 1)[0]


def read_numbers(file: BinaryIO, dtype: str, count: int) -> list[Any]:
    """Numbers one after the other."""
    size = np.dtype(dtype).itemsize * count
    return np.frombuffer(read_bytes(file, size), dtype).tolist()


def read_bytes(file: BinaryIO, size: int) -> bytes:
    """Exactly this many bytes."""
    read = file.read(size)
    if len(read) < size:
        raise DamagedError("it ends within its header")
    return read
