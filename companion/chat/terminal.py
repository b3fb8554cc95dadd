"""Text in a terminal, or over a pipe: a chat, whose lines are messages and whose answers
are streamed, or what follows a prompt.
"""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator

import torch

from companion.chat.chat import Chat
from companion.chat.options import sampling
from companion.generate import Decode, decode, generate_stream
from companion.model import LlamaForCausalLM
from companion.tokenizers import Tokenizer

HINT = "Chat with the model. Ctrl-C stops an answer, /reset begins anew, /exit or Ctrl-D ends."


def converse(chat: Chat) -> int:
    """Answer line after line; 0 at their end, 2 when a piped message was refused.

    At a terminal a refused message is reported and the chat goes on.
    """
    interactive = (
        sys.stdin is not None and sys.stdin.isatty()
    )  # None where it is closed
    if interactive:
        print(HINT, file=sys.stderr)
    for line in typed() if interactive else piped():
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


def piped() -> Iterator[str]:
    """The lines of standard input.

    Raises: ValueError for lines in another encoding than the terminal's.
    """
    try:
        yield from sys.stdin or ()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"standard input is not {error.encoding} ({error}) but, most likely, "
            f"Latin-1: pipe it through `iconv -f LATIN1 -t {error.encoding}`"
        ) from error


def complete(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    options: argparse.Namespace,
    decode: Decode = decode,
) -> Callable[[], int]:
    """Writes the prompt and what follows it, up to the end of the text."""
    prompt = tokenizer.encode(options.prompt)
    tokens = generate_stream(
        model,
        torch.tensor([prompt], dtype=torch.long),
        64 if options.max_new_tokens is None else options.max_new_tokens,
        **sampling(options),
        stop_tokens=tokenizer.stop_ids,
        decode=decode,
    )
    ids = (int(token) for token in tokens)
    text = tokenizer.decode_stream(
        (i for i in ids if i not in tokenizer.stop_ids), after=prompt
    )

    def write() -> int:
        print(options.prompt, end="", flush=True)
        for piece in text:
            print(piece, end="", flush=True)
        print(flush=True)
        return 0

    return write
