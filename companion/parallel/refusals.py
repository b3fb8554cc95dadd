"""What is not split over ranks, in words that say what would be."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from companion.config import LlamaConfig


def check_ranks(sizes: Mapping[str, int], ranks: int) -> None:
    """Refuse a number of ranks that does not divide every one of these sizes.

    Raises: ValueError that quotes the sizes and says which numbers of ranks do.
    """
    wrong = {name: size for name, size in sizes.items() if size % ranks}
    if wrong:
        quoted = [
            f"{size} {name.removesuffix('s') if size == 1 else name}"
            for name, size in wrong.items()
        ]
        common = math.gcd(*sizes.values())
        counts = [str(n) for n in range(1, common + 1) if common % n == 0]
        raise ValueError(
            f"the model has {listed(quoted, 'and')}, which {ranks} ranks do not divide: "
            f"use {listed(counts, 'or')} (--nproc-per-node)"
        )


def model_sizes(config: LlamaConfig) -> dict[str, int]:
    """What the ranks of a split model share out."""
    return {
        "heads": config.num_attention_heads,
        "KV heads": config.num_key_value_heads,
        "intermediate features": config.intermediate_size,
        "rows of the vocabulary": config.vocab_size,
    }


def check_whole(module: nn.Module) -> None:
    """Refuse matrices that are stored in another way than they were loaded, or in part.

    Raises: ValueError that names the layer.
    """
    for path, each in module.named_modules():
        if not path.endswith(("_proj", "embed_tokens", "lm_head")):
            continue
        if type(each) not in (nn.Linear, nn.Embedding):
            raise ValueError(
                f"{path} is a {type(each).__name__}: split the model as it was loaded, "
                "neither packed nor quantized"
            )
        if isinstance(each.weight, DTensor):
            raise ValueError(
                f"{path} is split over {each.weight.device_mesh.size()} ranks already: "
                "split the model as it was loaded"
            )


def check_devices(kind: str, ranks: int) -> None:
    """Refuse more ranks on this machine than it has GPUs, where they are to run on those.

    Raises: ValueError that quotes both numbers.
    """
    if kind == "cuda" and ranks > (gpus := torch.cuda.device_count()):
        raise ValueError(
            f"there are {ranks} ranks on this machine and {gpus} GPU{'s'[: gpus != 1]}: "
            f"each rank needs its own; use {gpus} (--nproc-per-node), or --device cpu"
        )


def listed(words: Sequence[str], last: str) -> str:
    """Words as in `1, 2 or 4`."""
    *first, final = words
    return f"{', '.join(first)} {last} {final}" if first else final
