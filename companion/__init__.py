"""Attention, heads, masks, RoPE, cache, and the Llama made of them, to run and to read."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from companion.attention import attention_weights, scaled_dot_product_attention
from companion.broadcasting import explain_matmul
from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.decoder import LlamaAttention, LlamaDecoderLayer
from companion.generate import generate, generate_stream
from companion.gqa import repeat_kv
from companion.heads import MultiHeadAttention, merge_heads, split_heads
from companion.masks import causal_mask, padding_mask, position_ids_from_mask
from companion.mlp import LlamaMLP, swiglu
from companion.model import LlamaForCausalLM, LlamaModel
from companion.norm import LlamaRMSNorm, rms_norm
from companion.rope import LlamaRotaryEmbedding, apply_rope, rotate_half
from companion.rope_scaling import (
    DynamicNTKScaling,
    FrequencyFactors,
    LinearScaling,
    Llama3Scaling,
    RopeScaling,
    YarnScaling,
)
from companion.sampling import next_token_probabilities
from companion.transformer_2017 import (
    CrossAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    sinusoidal_positions,
    weights_from_torch,
)

if TYPE_CHECKING:
    from companion.chat import Chat
    from companion.checkpoints import load
    from companion.tokenizers import Tokenizer

__version__ = "0.1.0"

__all__ = [
    "Chat",
    "CrossAttention",
    "DynamicNTKScaling",
    "FrequencyFactors",
    "KVCache",
    "LinearScaling",
    "Llama3Scaling",
    "LlamaAttention",
    "LlamaConfig",
    "LlamaDecoderLayer",
    "LlamaForCausalLM",
    "LlamaMLP",
    "LlamaModel",
    "LlamaRMSNorm",
    "LlamaRotaryEmbedding",
    "MultiHeadAttention",
    "RopeScaling",
    "Tokenizer",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
    "YarnScaling",
    "apply_rope",
    "attention_weights",
    "causal_mask",
    "explain_matmul",
    "generate",
    "generate_stream",
    "load",
    "merge_heads",
    "next_token_probabilities",
    "padding_mask",
    "position_ids_from_mask",
    "repeat_kv",
    "rms_norm",
    "rotate_half",
    "scaled_dot_product_attention",
    "sinusoidal_positions",
    "split_heads",
    "swiglu",
    "weights_from_torch",
]

# What reads files needs gguf, jinja2, safetensors and tokenizers: imported when asked for.
READS_FILES = {"Chat": "chat", "Tokenizer": "tokenizers", "load": "checkpoints"}


def __getattr__(name: str) -> Any:
    if name not in READS_FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{READS_FILES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *READS_FILES})
