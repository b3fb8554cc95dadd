"""The feed-forward block of a Llama: SwiGLU, applied to each token by itself.

Source: Shazeer 2020, "GLU Variants Improve Transformer", equation (6).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from companion.config import HuggingFaceConfig, LlamaConfig, as_config


def swiglu(
    gate: Float[Tensor, "*batch intermediate"], up: Float[Tensor, "*batch intermediate"]
) -> Float[Tensor, "*batch intermediate"]:
    """`silu(gate) · up`, silu(x) = x · sigmoid(x): how much of `up` passes."""
    return F.silu(gate) * up


class LlamaMLP(nn.Module):
    """`down(silu(gate(x)) · up(x))`: out to intermediate_size twice, and back."""

    def __init__(self, config: LlamaConfig | HuggingFaceConfig):
        super().__init__()
        config = as_config(config)
        self.gate_proj = nn.Linear(
            config.hidden_size, config.intermediate_size, bias=config.mlp_bias
        )
        self.up_proj = nn.Linear(
            config.hidden_size, config.intermediate_size, bias=config.mlp_bias
        )
        self.down_proj = nn.Linear(
            config.intermediate_size, config.hidden_size, bias=config.mlp_bias
        )

    def forward(
        self, x: Float[Tensor, "*batch hidden"]
    ) -> Float[Tensor, "*batch hidden"]:
        """Transform each token by itself."""
        return self.down_proj(swiglu(self.gate_proj(x), self.up_proj(x)))
