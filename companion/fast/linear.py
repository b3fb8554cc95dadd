"""Linear layers whose weights lie in memory as a CPU reads them best."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn


class RowLinear(nn.Module):
    """A Linear whose product with one token is `(weight · x).sum(-1)`.

    torch.compile makes one pass over the weight of this: it is read once, at the
    speed of memory, and what stands before the sum (a cast from bfloat16 or int8) is
    done on the way. Uncompiled, and for more tokens, it is an ordinary matmul.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        self.weight, self.bias = linear.weight, linear.bias

    def forward(
        self, x: Float[Tensor, "*batch in_features"]
    ) -> Float[Tensor, "*batch out_features"]:
        """`x @ weightᵀ + bias`."""
        if not torch.compiler.is_compiling() or x.numel() != self.in_features:
            return F.linear(x, self.dense(x.dtype), self.bias)
        wide = torch.promote_types(x.dtype, torch.float32)
        out = self.product(stored(x.to(wide).flatten()))
        out = out if self.bias is None else out + self.bias
        return out.to(x.dtype).view(*x.shape[:-1], -1)

    def product(self, x: Float[Tensor, " in_features"]) -> Float[Tensor, " out"]:
        """The sum of products with one token, in float32 at least."""
        return (self.weight * x).sum(dim=-1)

    def dense(self, dtype: torch.dtype) -> Float[Tensor, "out in_features"]:
        """The weight as a matmul takes it."""
        return self.weight


class PackedLinear(nn.Module):
    """A Linear whose weight is stored in the blocks that oneDNN's kernels multiply.

    The blocks are a second layout of the same numbers, made once: torch's own Linear
    makes them anew in each call, or multiplies without.

    Source: torch's `mkldnn._linear_pointwise`, which its compiler uses for constant
    weights.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        self.bias = linear.bias
        blocks = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.blocks = blocks  # no parameter: it has no strides that could be saved

    def forward(
        self, x: Float[Tensor, "*batch in_features"]
    ) -> Float[Tensor, "*batch out_features"]:
        """`x @ weightᵀ + bias`."""
        return torch.ops.mkldnn._linear_pointwise(
            x, self.blocks, self.bias, "none", [], ""
        )


def stored(x: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """The same tensor, which a compiler must have in memory before it is used.

    Without this the compiler computes what leads to `x`, a norm or SwiGLU, again for
    each row of the weight that `x` is multiplied with.
    """
    return x.as_strided(x.shape, x.stride())
