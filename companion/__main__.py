"""`python -m companion PROMPT` writes on from a prompt; without one, it chats."""

import argparse
import io
import os
import sys
from collections.abc import Callable

import torch

from companion.chat import Chat
from companion.chat.options import (
    DTYPES,
    add_decode,
    add_length,
    add_model,
    add_sampling,
    chosen_decode,
    sampling,
)
from companion.chat.terminal import complete, converse
from companion.checkpoints import load

EXAMPLES = """\
examples:
  python -m companion "The capital of France is" --max-new-tokens 24
  python -m companion --temperature 0.7 --top-p 0.9 --system "Be brief."
  printf 'Hello\\nAnd in French?\\n' | python -m companion
  python -m companion --model path/to/llama.gguf --dtype bfloat16
  python -m companion --decode compiled "Once upon a time"

in a chat:
  Ctrl-C stops an answer; /reset begins anew; /exit or Ctrl-D ends
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="python -m companion",
        description="Write on from a prompt with a Llama, or chat with it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "prompt",
        nargs="?",
        metavar="PROMPT",
        help="the text to go on from; without it, lines of standard input are a chat",
    )
    add_length(command, "64 after a prompt, 512 an answer")
    chat = command.add_argument_group("chat")
    chat.add_argument("--system", metavar="TEXT", help="instructions that come first")
    add_sampling(command.add_argument_group("sampling"))
    group = command.add_argument_group("model")
    add_model(group)
    add_decode(group)
    return command


def prepare(options: argparse.Namespace) -> Callable[[], int]:
    """Load the model and check the request; what remains is to write the text.

    Raises: ValueError and OSError for what cannot be done.
    """
    if options.prompt is not None and options.system is not None:
        raise ValueError(
            "--system is for a chat, and a PROMPT is given: leave one of them out"
        )
    model, tokenizer = load(options.model, DTYPES[options.dtype], options.device)
    if tokenizer is None:
        raise FileNotFoundError(f"no tokenizer.json in {options.model}")
    decode = chosen_decode(model, options.decode)
    if options.prompt is not None:
        return complete(model, tokenizer, options, decode)
    if tokenizer.chat_template is None:
        raise ValueError(
            "the checkpoint has no chat template, so it cannot chat: give a PROMPT to "
            "go on from"
        )
    chat = Chat(
        model,
        tokenizer,
        system=options.system,
        max_new_tokens=512
        if options.max_new_tokens is None
        else options.max_new_tokens,
        **sampling(options),
        decode=decode,
    )
    return lambda: converse(chat)


def main(arguments: list[str] | None = None) -> int:
    """Write or chat; return 0, 2 after a message, or 130 when stopped by Ctrl-C."""
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack a character
    try:
        return prepare(options)()
    except BrokenPipeError:  # the reader has gone, as in `| head`: nobody to tell
        write_nowhere()
        return 0
    except KeyboardInterrupt:
        try:
            print(flush=True)
        except OSError:  # the reader has got the same Ctrl-C
            write_nowhere()
        return 130
    except (ValueError, OSError, MemoryError, torch.OutOfMemoryError) as error:
        print(f"companion: {error or type(error).__name__}", file=sys.stderr)
        return 2


def write_nowhere() -> None:
    """What is still to be written is thrown away, without an error at Python's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
