"""`torchrun --nproc-per-node K -m companion.parallel PROMPT` writes on from a prompt."""

import argparse
import io
import os
import re
import sys

import torch
import torch.distributed as dist

from companion.chat.options import DTYPES, add_length, add_model, add_sampling
from companion.chat.terminal import complete
from companion.fast.kernels.layers import with_kernels_if_possible
from companion.parallel.last_word import Speaker
from companion.parallel.loading import load_share
from companion.parallel.ranks import START, join

EXAMPLES = """\
examples:
  torchrun --nproc-per-node 3 -m companion.parallel "The capital of France is"
  torchrun --nproc-per-node 8 -m companion.parallel --model path/to/llama "Once"

The number of ranks must divide the model's KV heads. Each rank holds its own share of
the weights and of the cache; the text is that of python -m companion, written once.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments: those of `python -m companion` with a PROMPT."""
    command = argparse.ArgumentParser(
        prog=START,
        description="Write on from a prompt with one Llama on several devices.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("prompt", metavar="PROMPT", help="the text to go on from")
    add_length(command, "64")
    add_sampling(command.add_argument_group("sampling"))
    add_model(command.add_argument_group("model"))
    return command


def write(options: argparse.Namespace) -> int:
    """Join the other ranks, load a share, write the text.

    Raises: ValueError and OSError for what cannot be done.
    """
    with join(options.device) as mesh:
        model, tokenizer = load_share(options.model, mesh, DTYPES[options.dtype])
        if tokenizer is None:
            raise FileNotFoundError(f"no tokenizer.json in {options.model}")
        if options.device == "auto" and mesh.device_type == "cuda":
            model = with_kernels_if_possible(model)
        return complete(model, tokenizer, options)()


def attempt(arguments: list[str] | None, speaker: Speaker) -> tuple[int, str | None]:
    """The exit status, with what is to be said of it on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack a character
    try:
        return write(parser().parse_args(arguments)), None
    except SystemExit as left:  # argparse has said why
        return int(left.code or 0), None
    except BrokenPipeError:  # the reader has gone, as in `| head`: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0, None
    except KeyboardInterrupt:
        print()
        return 130, None
    except (ValueError, OSError, MemoryError, torch.OutOfMemoryError) as error:
        return 2, f"companion.parallel: {error or type(error).__name__}"
    except RuntimeError as error:
        if not from_back_end(error):
            raise
        return 1, speaker.left_alone(first_sentence(error))


def from_back_end(error: RuntimeError) -> bool:
    """Whether it is what gloo or NCCL raise when a rank has gone."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def first_sentence(error: RuntimeError) -> str:
    """What happened, without gloo's file name before it and its guesses after."""
    return re.sub(r"^\[\S+\] ", "", str(error)).split("\n")[0].split(". ")[0]


def main(arguments: list[str] | None = None) -> int:
    """Write, on rank 0 alone; return 0, 2 after a message, or 1 when another rank ended."""
    try:
        speaker = Speaker.of_this_rank()
    except ValueError as error:
        print(f"companion.parallel: {error}", file=sys.stderr)
        return 2
    with speaker.others_silent():
        status, message = attempt(arguments, speaker)
    return speaker.leave(status, message)


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    os._exit(ended)  # torchrun may stop a rank that takes its time, with another status
