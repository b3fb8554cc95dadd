"""The options that the commands share: `python -m companion` and `companion.parallel`."""

import argparse
from typing import Any

import torch

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


def sampling(options: argparse.Namespace) -> dict[str, Any]:
    """The options of sampling, by the names that `generate` has for them."""
    return {
        name: getattr(options, name)
        for name in ("temperature", "top_k", "top_p", "seed")
    }
