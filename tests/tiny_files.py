"""Files that hold a tiny Llama and its tokenizer, as Hugging Face and llama.cpp write them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import tiny
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from torch import Tensor

from companion import LlamaConfig

# every byte is a token, and "Ġt", "he" and " the" by their merges; the last two are special
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENS = [*BYTES, "Ġt", "he", "Ġthe", "<|start|>", "<|end|>"]
MERGES = ["Ġ t", "h e", "Ġt he"]
assert len(TOKENS) == tiny.VOCAB_SIZE


def hf_dict(made: LlamaConfig, **changes: Any) -> dict[str, Any]:
    """A config.json that says the same as `made`, whose RoPE is not scaled."""
    plain = {"model_type": "llama", "hidden_act": "silu", "rope_scaling": None}
    return {**asdict(made), **plain, **changes}


def write_directory(path, model, *, tensors=None, shards=1, **changes):
    """A Hugging Face directory of a model, in one file or several with an index."""
    (path / "config.json").write_text(json.dumps(hf_dict(model.config, **changes)))
    tensors = {
        name: x.contiguous() for name, x in (tensors or model.state_dict()).items()
    }
    if shards == 1:
        save_file(tensors, path / "model.safetensors")
        return path
    weight_map = {
        name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors"
        for i, name in enumerate(tensors)
    }
    for file in set(weight_map.values()):
        save_file(
            {name: x for name, x in tensors.items() if weight_map[name] == file},
            path / file,
        )
    (path / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    return path


GGUF_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
GGUF_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """What llama.cpp's convert_hf_to_gguf.py does to the rows of q and k, biases too."""
    return (
        weight.reshape(heads, 2, -1, *weight.shape[1:])
        .swapaxes(1, 2)
        .reshape(weight.shape)
    )


def gguf_tensors(
    made: LlamaConfig, weights: Mapping[str, Tensor]
) -> dict[str, np.ndarray]:
    """Weights under llama.cpp's names, q and k permuted."""
    heads = {"q_proj": made.num_attention_heads, "k_proj": made.num_key_value_heads}
    tensors = {}
    for name, weight in weights.items():
        array = weight.float().numpy()
        if name.startswith("model.layers."):
            _, _, layer, *middle, kind = name.split(".")
            if middle[-1] in heads:
                array = permuted(array, heads[middle[-1]])
            tensors[f"blk.{layer}.{GGUF_LAYER_NAMES['.'.join(middle)]}.{kind}"] = array
        else:
            tensors[GGUF_NAMES[name]] = array
    return tensors


def gguf_metadata(made: LlamaConfig) -> dict[str, Any]:
    """The metadata of a Llama with the tokenizer of TOKENS and MERGES."""
    special = gguf.TokenType.CONTROL
    return {
        "llama.block_count": made.num_hidden_layers,
        "llama.context_length": made.max_position_embeddings,
        "llama.embedding_length": made.hidden_size,
        "llama.feed_forward_length": made.intermediate_size,
        "llama.attention.head_count": made.num_attention_heads,
        "llama.attention.head_count_kv": made.num_key_value_heads,
        "llama.attention.key_length": made.head_dim,
        "llama.attention.value_length": made.head_dim,
        "llama.attention.layer_norm_rms_epsilon": made.rms_norm_eps,
        "llama.rope.freq_base": made.rope_theta,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.token_type": [
            special if t.startswith("<|") else gguf.TokenType.NORMAL for t in TOKENS
        ],
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.eos_token_id": tiny.END,
    }


def write_gguf(
    path: Path,
    made: LlamaConfig,
    weights: Mapping[str, Tensor],
    *,
    architecture: str = "llama",
    metadata: Mapping[str, Any] = {},  # never written to
    tensors: Mapping[str, Any] = {},
    without: Sequence[str] = (),
    quantization: gguf.GGMLQuantizationType | None = None,
    tensors_per_part: int = 0,
) -> Path:
    """Write a GGUF of these weights; `metadata` and `tensors` add or replace.

    A tensor may be a pair of stored bytes (rows, bytes) and their type.
    """
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=tensors_per_part)
    for name, value in {**gguf_metadata(made), **metadata}.items():
        if name in without:
            continue
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_uint32(name, value)
    for name, array in {**gguf_tensors(made, weights), **tensors}.items():
        if name in without:
            continue
        if isinstance(array, tuple):
            writer.add_tensor(name, array[0], raw_dtype=array[1])
        elif quantization is not None and array.ndim == 2:
            writer.add_tensor(
                name, gguf.quantize(array, quantization), raw_dtype=quantization
            )
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
