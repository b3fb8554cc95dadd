"""The options that the commands share: `python -m companion` and `companion.parallel`."""

import argparse
import sys
from typing import Any

import torch

from companion.fast.compiled import compile_decode, is_compiled
from companion.generate import Decode, decode
from companion.model import LlamaForCausalLM

HINT = (
    "companion: the plain step writes; --decode compiled makes a faster one, once, in "
    "about 20 seconds"
)
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def add_length(command: argparse.ArgumentParser, default: str) -> None:
    """How much is written."""
    command.add_argument(
        "--max-new-tokens",
        type=int,
        metavar="N",
        help=f"at most N tokens (default: {default})",
    )


def add_sampling(group: argparse._ArgumentGroup) -> None:
    """How the next token is chosen."""
    group.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="T",
        help="0 takes the likeliest token (default); above 0 samples",
    )
    group.add_argument(
        "--top-k",
        type=int,
        metavar="K",
        help="sample from the K likeliest tokens only (default: from all)",
    )
    group.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="sample from the likeliest tokens that sum to P only (default: from all)",
    )
    group.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="makes sampling repeatable (default 0)",
    )


def add_model(group: argparse._ArgumentGroup) -> None:
    """Which model, and where it runs."""
    group.add_argument(
        "--model",
        metavar="PATH",
        help="a checkpoint directory or .gguf file (default: the bundled "
        "SmolLM2-135M-Instruct)",
    )
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the weights (default float32)",
    )
    group.add_argument(
        "--device", default="auto", help="auto, cpu or cuda (default auto)"
    )


def add_decode(group: argparse._ArgumentGroup) -> None:
    """How a token is run."""
    group.add_argument(
        "--decode",
        choices=("auto", "plain", "compiled"),
        default="auto",
        help="the step of a token: plain, compiled (about 20 s the first time, then "
        "kept) or auto, compiled where that was done already (default)",
    )


def chosen_decode(model: LlamaForCausalLM, choice: str) -> Decode:
    """The step that `--decode` asks for; on a terminal it is said which `auto` takes.

    Raises: ValueError when "compiled" cannot be had.
    """
    if choice == "compiled":
        return compile_decode(model)
    if choice == "plain" or model.device.type != "cpu":
        return decode
    ready = is_compiled(model)
    if sys.stderr is not None and sys.stderr.isatty():
        said = "companion: the compiled step writes" if ready else HINT
        print(said, file=sys.stderr)
    return compile_decode(model) if ready else decode


def sampling(options: argparse.Namespace) -> dict[str, Any]:
    """The options of sampling, by the names that `generate` has for them."""
    return {
        name: getattr(options, name)
        for name in ("temperature", "top_k", "top_p", "seed")
    }
