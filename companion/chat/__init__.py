"""A conversation with a model, in a program and in a terminal."""

from companion.chat.chat import Chat

__all__ = ["Chat"]
