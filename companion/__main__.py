"""`python -m companion PROMPT`: write on from a prompt, token by token."""

import argparse
import sys

import torch

from companion.checkpoints import load
from companion.generate import generate_stream

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="python -m companion", description="Write on from a prompt with a Llama."
    )
    command.add_argument("prompt", help="the text to go on from")
    command.add_argument(
        "--max-new-tokens",
        type=int,
        default=64,
        metavar="N",
        help="at most N tokens (default 64)",
    )
    command.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="T",
        help="0 takes the likeliest token (default); above 0 samples",
    )
    command.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="makes sampling repeatable (default 0)",
    )
    command.add_argument(
        "--model",
        metavar="PATH",
        help="a checkpoint directory or .gguf file (default: the bundled SmolLM2-135M-Instruct)",
    )
    command.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the weights (default float32)",
    )
    command.add_argument(
        "--device", default="auto", help="auto, cpu or cuda (default auto)"
    )
    return command


def main(arguments: list[str] | None = None) -> int:
    """Print the prompt and what the model writes on; return 0, or 2 after a message."""
    options = parser().parse_args(arguments)
    try:
        model, tokenizer = load(options.model, DTYPES[options.dtype], options.device)
        if tokenizer is None:
            raise FileNotFoundError(f"no tokenizer.json in {options.model}")
        tokens = generate_stream(
            model,
            torch.tensor([tokenizer.encode(options.prompt)], dtype=torch.long),
            options.max_new_tokens,
            temperature=options.temperature,
            seed=options.seed,
            stop_tokens=tokenizer.stop_ids,
        )
    except (ValueError, FileNotFoundError) as error:
        print(f"companion: {error}", file=sys.stderr)
        return 2
    ids = (int(token) for token in tokens)
    text = tokenizer.decode_stream(i for i in ids if i not in tokenizer.stop_ids)
    print(options.prompt, end="", flush=True)
    for piece in text:
        print(piece, end="", flush=True)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
