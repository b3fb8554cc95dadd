"""Linear layers whose weights lie in memory as a CPU reads them best."""

import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

TOGETHER = 4  # tokens of a batch for which a row is read once


class RowLinear(nn.Module):
    """A Linear whose product with few tokens is `(weight · x).sum(-1)`, when compiled.

    torch.compile makes one pass over the weight of this: it is read once, at the
    speed of memory, and what stands before the sum (a cast from bfloat16 or int8) is
    done on the way. Uncompiled it is an ordinary matmul.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        self.weight, self.bias = linear.weight, linear.bias

    def forward(
        self, x: Float[Tensor, "*batch in_features"]
    ) -> Float[Tensor, "*batch out_features"]:
        """`x @ weightᵀ + bias`."""
        if not torch.compiler.is_compiling():
            return F.linear(x, self.dense(x.dtype), self.bias)
        wide = torch.promote_types(x.dtype, torch.float32)
        out = self.products(x.to(wide).view(-1, self.in_features))
        out = out if self.bias is None else out + self.bias
        return out.to(x.dtype).view(*x.shape[:-1], -1)

    def products(
        self, x: Float[Tensor, "tokens in_features"]
    ) -> Float[Tensor, "tokens out_features"]:
        """Every token with every row. For one token each value read serves four rows, for
        several each value of a row serves four tokens.
        """
        tokens = x.shape[0]
        if tokens == 1:
            x = stored(x)
            return torch.cat([self.sums(r, x) for r in parts(self.out_features, 4)]).mT
        filling = x.new_zeros(-tokens % TOGETHER, self.in_features)
        x = torch.cat([x, filling])  # which a compiler stores by itself
        groups = x.view(TOGETHER, -1, self.in_features).unbind()
        sums = [
            torch.cat([self.sums(rows, group) for group in groups], dim=-1)
            for rows in parts(self.out_features, 2)
        ]
        return torch.cat(sums)[:, :tokens].mT.contiguous()

    def sums(
        self, rows: slice, x: Float[Tensor, "group in_features"]
    ) -> Float[Tensor, "rows group"]:
        """Some rows with some tokens, in float32 at least."""
        return (self.weight[rows, None] * x).sum(dim=-1)

    def dense(self, dtype: torch.dtype) -> Float[Tensor, "out in_features"]:
        """The weight as a matmul takes it."""
        return self.weight


class DenseLinear(nn.Module):
    """A Linear's product with many tokens, of which a compiler makes one large matmul.

    A quantized weight becomes floating point for it; where `widened`, so do 16-bit
    numbers become float32, in which some processors multiply faster.
    """

    def __init__(self, linear: nn.Linear | RowLinear, widened: bool):
        super().__init__()
        self.linear, self.widened = linear, widened

    def forward(
        self, x: Float[Tensor, "*batch in_features"]
    ) -> Float[Tensor, "*batch out_features"]:
        """`x @ weightᵀ + bias`, in the dtype of `x`."""
        dtype = torch.float32 if self.widened else x.dtype
        linear = self.linear
        weight = linear.dense(dtype) if isinstance(linear, RowLinear) else linear.weight
        bias = None if linear.bias is None else linear.bias.to(dtype)
        return F.linear(x.to(dtype), weight.to(dtype), bias).to(x.dtype)


@cache
def is_faster_widened(dtype: torch.dtype) -> bool:
    """Whether this CPU multiplies numbers of 16 bits clearly faster after a cast to float32:
    measured, once, on a small product, as not every CPU is fast at its instructions for
    bfloat16. torch takes no care of float16 on a CPU.
    """
    if dtype != torch.bfloat16:
        return dtype == torch.float16
    x, weight = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    forms = (lambda: F.linear(x, weight), lambda: F.linear(x.float(), weight.float()))
    rounds = [[seconds(form) for form in forms] for _ in range(8)]
    as_it_is, widened = (min(found) for found in zip(*rounds, strict=True))
    return widened * 1.2 < as_it_is


def seconds(run: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def parts(length: int, count: int) -> list[slice]:
    """Places in `count` equal parts, and in a last one those that are left.

    A compiler makes one loop of sums over parts of a weight that are equal. In it a core
    reads a row of each side by side, and waits for memory as often at once.
    """
    size = length // count
    ends = [i * size for i in range(count + 1)] if size else [0]
    ends += [length] * (ends[-1] < length)
    return [slice(a, b) for a, b in pairwise(ends)]


def stored(x: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """The same tensor, which a compiler must have in memory before it is used.

    Without this the compiler computes what leads to `x`, a norm or SwiGLU, again for
    each row of the weight that `x` is multiplied with. For sizes that are
    numbers: the strides of symbolic sizes are not kept.
    """
    return x.as_strided(x.shape, x.stride())
