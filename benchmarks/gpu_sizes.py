"""The sizes that the GPU's benchmark runs, and tiny ones for a test of it on a CPU."""

from dataclasses import dataclass

import torch
from gpu_timing import Timer

from companion import LlamaConfig, LlamaForCausalLM


@dataclass(frozen=True)
class Sizes:
    """What `gpu_kernels` and `gpu_models` measure. Lengths count tokens."""

    config: LlamaConfig
    product: int  # rows and columns of the matrices of the ceiling
    copied: int  # bytes
    attention: dict[str, int]
    cache: int  # of attention in decode
    batches: dict[str, int]
    tokens: int  # of norms, RoPE and SwiGLU
    prefill: int
    past: int  # of the large model's decode step
    small: LlamaConfig
    prompt: int
    new: int
    rounds: int


@dataclass(frozen=True)
class Bench:
    """What a case is given: it ends its rounds when the deadline has passed."""

    timer: Timer
    sizes: Sizes
    deadline: float


def random_model(config: LlamaConfig, device: torch.device) -> LlamaForCausalLM:
    """Normal weights as a Llama starts from, in bfloat16, made where they stay."""
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model = model.to(torch.bfloat16).to_empty(device=device).requires_grad_(False)
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(1) if weight.ndim == 1 else weight.normal_(0, 0.02)
    return model.eval()


LLAMA_3_8B = LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=8192,
    rms_norm_eps=1e-5,
    rope_theta=500000.0,
)
SMOLLM2_135M = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=8192,
    rms_norm_eps=1e-5,
    rope_theta=100000.0,
    tie_word_embeddings=True,
)
FULL = Sizes(
    config=LLAMA_3_8B,
    product=8192,
    copied=2**32,
    attention={"4k": 4096, "16k": 16384},
    cache=32768,
    batches={"batch 1": 1, "batch 8": 8, "batch 64": 64},
    tokens=16384,
    prefill=4096,
    past=4096,
    small=SMOLLM2_135M,
    prompt=32,
    new=128,
    rounds=20,
)

TINY_LLAMA = LlamaConfig(
    vocab_size=48,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
)
TINY = Sizes(
    config=TINY_LLAMA,
    product=64,
    copied=2**12,
    attention={"4k": 20, "16k": 70},
    cache=70,
    batches={"batch 1": 1, "batch 8": 2, "batch 64": 2},
    tokens=4,
    prefill=6,
    past=9,
    small=TINY_LLAMA,
    prompt=4,
    new=2,
    rounds=2,
)
