"""Tensors as they lie in a checkpoint's file: known by its header, read a few rows at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from companion.config import LlamaConfig
from companion.tokenizers import Tokenizer

CHUNK = 2**20  # elements that are read at once: 4 MiB as float32


@dataclass(frozen=True)
class StoredTensor(ABC):
    """One tensor of a file, under its name in the file; nothing of it is read yet."""

    path: Path
    name: str
    shape: tuple[int, ...]

    @property
    def rows_together(self) -> int:
        """Reads start at multiples of this many rows."""
        return 1

    @abstractmethod
    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`, in a floating point dtype."""

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows in order, a few at a time, each time with where they belong."""
        together = self.rows_together
        step = max(CHUNK // prod(self.shape[1:]) // together, 1) * together
        for start in range(0, self.shape[0], step):
            stop = min(start + step, self.shape[0])
            yield slice(start, stop), self.read(start, stop)


# What opening a checkpoint gives: its config, tensors by Hugging Face's names, tokenizer.
Opened = tuple[LlamaConfig, dict[str, StoredTensor], Tokenizer | None]


def fill(tensor: Tensor, stored: StoredTensor) -> None:
    """Read into a tensor, converting chunk by chunk: never in memory in two dtypes at once."""
    for rows, chunk in stored.chunks():
        tensor[rows] = chunk


def same_values(first: StoredTensor, second: StoredTensor, dtype: torch.dtype) -> bool:
    """Whether two stored tensors are the same once converted to `dtype`."""
    return first.shape == second.shape and all(
        torch.equal(chunk.to(dtype), second.read(rows.start, rows.stop).to(dtype))
        for rows, chunk in first.chunks()
    )
