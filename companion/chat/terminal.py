"""A chat in a terminal, or over a pipe: a line is a message, and its answer is streamed."""

import contextlib
import importlib
import sys
from collections.abc import Iterator

from companion.chat.chat import Chat

HINT = "Chat with the model. Ctrl-C stops an answer, /reset begins anew, /exit or Ctrl-D ends."


def converse(chat: Chat) -> int:
    """Answer line after line; 0 at their end, 2 when a piped message was refused.

    At a terminal a refused message is reported and the chat goes on.
    """
    interactive = sys.stdin.isatty()
    if interactive:
        print(HINT, file=sys.stderr)
    for line in typed() if interactive else sys.stdin:
        text = line.strip()
        if text == "/exit":
            break
        if text == "/reset":
            chat.reset()
        elif text:
            try:
                answer(chat, text)
            except ValueError as error:
                print(f"companion: {error}", file=sys.stderr)
                if not interactive:
                    return 2
    return 0


def answer(chat: Chat, text: str) -> None:
    """Print an answer as it is written; Ctrl-C ends it."""
    with contextlib.suppress(KeyboardInterrupt):
        for piece in chat.stream(text):
            print(piece, end="", flush=True)
    print(flush=True)


def typed() -> Iterator[str]:
    """The lines that someone types after a prompt, until Ctrl-D."""
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # arrows and history; not on Windows
    while True:
        try:
            yield input("> ")
        except KeyboardInterrupt:
            print()
        except EOFError:
            print()
            return
