"""Text to ids and back, as figures of a model's words need it."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Tokenizer(Protocol):
    """`companion.load` gives one; Hugging Face's do as well."""

    def encode(self, text: str, /) -> list[int]:
        """The ids of a text."""

    def decode(self, ids: Sequence[int], /) -> str:
        """The text of ids."""
