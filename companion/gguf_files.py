"""GGUF files: config, tensors and tokenizer from llama.cpp's format, under Hugging Face's names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import torch
from torch import Tensor

from companion.config import LlamaConfig
from companion.rope import half_from_interleaved
from companion.tokenizer import Tokenizer

# What opening a checkpoint gives: config, tensors read one by one, their number, tokenizer.
Opened = tuple[LlamaConfig, Iterator[tuple[str, Tensor]], int, Tokenizer | None]

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


def open_gguf(path: Path) -> Opened:
    """Config, tensors (dequantised one by one), their number and tokenizer of a GGUF."""
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
            f"{path} has llama.rope.scaling.type = {scaling!r}: only unscaled RoPE "
            "is supported"
        )
    if metadata.get("llama.expert_count"):
        raise ValueError(
            f"{path} has llama.expert_count = {metadata['llama.expert_count']}: "
            "experts are not supported"
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
                "llama.attention.key_length",
                metadata["llama.embedding_length"] // heads,
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


def gguf_tensors(
    reader: gguf.GGUFReader, config: LlamaConfig
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor as float32 under its Hugging Face name, q and k for rotate-half."""
    for stored in reader.tensors:
        name = hf_name(stored.name)
        try:
            tensor = torch.tensor(gguf.dequantize(stored.data, stored.tensor_type))
        except NotImplementedError as error:
            raise ValueError(
                f"{stored.name} is stored as {stored.tensor_type.name}, which is not "
                "supported"
            ) from error
        if name.endswith("q_proj.weight"):
            tensor = half_from_interleaved(tensor, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            tensor = half_from_interleaved(tensor, config.num_key_value_heads)
        yield name, tensor


def hf_name(name: str) -> str:
    """`blk.3.attn_q.weight` as `model.layers.3.self_attn.q_proj.weight`."""
    parts = name.split(".")
    if parts[0] == "blk" and len(parts) == 4:
        return (
            f"model.layers.{parts[1]}.{GGUF_NAMES.get(parts[2], parts[2])}.{parts[3]}"
        )
    return ".".join([GGUF_NAMES.get(parts[0], parts[0]), *parts[1:]])
