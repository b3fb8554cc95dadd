"""Hugging Face's calling conventions: our layer and our attention in their models, and
their weights in ours. The layer is a class of theirs, and needs transformers; nothing
else here does.
"""

from typing import TYPE_CHECKING, Any

from companion.hugging_face.attention import (
    as_attention_interface,
    attention_interface,
)
from companion.hugging_face.model import from_hugging_face

if TYPE_CHECKING:
    from companion.hugging_face.layer import LlamaAttention, LlamaDecoderLayer

__all__ = [
    "LlamaAttention",
    "LlamaDecoderLayer",
    "as_attention_interface",
    "attention_interface",
    "from_hugging_face",
]


def __getattr__(name: str) -> Any:
    if name not in ("LlamaAttention", "LlamaDecoderLayer"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from companion.hugging_face import layer
    except ModuleNotFoundError as error:
        raise ImportError(
            f"companion.hugging_face.{name} stands in for a class of transformers, "
            f"which is not installed ({error}): pip install 'transformers>=5.23'"
        ) from error
    return getattr(layer, name)
