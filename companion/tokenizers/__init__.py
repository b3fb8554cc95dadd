"""Text to ids and back, and the templates that make a chat's messages a text."""

from companion.tokenizers.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
