"""Llamas small enough to test with; `tiny_files` writes them to files."""

from typing import Any

import torch
from torch import Tensor

from companion import LlamaConfig, LlamaForCausalLM

VOCAB_SIZE = 261  # every byte, three merges and two special tokens
END = VOCAB_SIZE - 1


def config(**changes: Any) -> LlamaConfig:
    """Two layers, two query heads for each of two key/value heads, 261 tokens."""
    sizes = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    }
    return LlamaConfig(**{**sizes, **changes})


def model(
    dtype: torch.dtype = torch.float32, *, std: float = 0.5, **changes: Any
) -> LlamaForCausalLM:
    """A Llama with random weights, wide enough apart for its logits to differ clearly."""
    made = LlamaForCausalLM(config(**changes)).to(dtype)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return made.requires_grad_(False).eval()


def ids(batch: int, length: int, vocab_size: int = VOCAB_SIZE) -> Tensor:
    """Random token ids."""
    return torch.randint(vocab_size, (batch, length))
