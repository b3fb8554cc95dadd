"""A Linear in the layout that oneDNN multiplies, and back in the ordinary one wherever it goes."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

PACKED = (torch.float32, torch.bfloat16)  # what there are fast blocks of, on a CPU


class PackedLinear(nn.Module):
    """A Linear whose weight is stored in the blocks that oneDNN's kernels multiply.

    The blocks are a second layout of the same numbers, made once: torch's own Linear
    makes them anew in each call, or multiplies without. Saved, copied or converted it is
    the weight again, and an ordinary Linear where there are no blocks: in another dtype
    than float32 and bfloat16, or on another device.

    Source: torch's `mkldnn._linear_pointwise`, which its compiler uses for constant
    weights.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        self.bias = linear.bias
        self.hold(linear.weight.detach())

    def forward(
        self, x: Float[Tensor, "*batch in_features"]
    ) -> Float[Tensor, "*batch out_features"]:
        """`x @ weightᵀ + bias`."""
        followed = x.requires_grad and torch.is_grad_enabled()
        if followed or torch.is_autocast_enabled("cpu"):  # which is not for blocks
            return F.linear(x, self.blocks.to_dense(), self.bias)
        return torch.ops.mkldnn._linear_pointwise(
            x, self.blocks, self.bias, "none", [], ""
        )

    def hold(self, weight: Float[Tensor, "out in_features"]) -> None:
        """Take this weight, in blocks if there are some for it."""
        if weight.device.type == "cpu" and weight.dtype in PACKED:
            blocks = torch.ops.mkldnn._reorder_linear_weight(weight, None)
            self.blocks = blocks  # no parameter: it has no strides that could be saved
        else:
            self.__dict__.pop("blocks", None)
            self.__class__ = nn.Linear  # type: ignore[assignment]
            self.weight = nn.Parameter(weight, requires_grad=False)

    # ---- what torch calls to convert, copy and save a module

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        weight = fn(self.blocks.to_dense())
        super()._apply(fn, recurse)
        self.hold(weight)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "blocks": self.blocks.to_dense()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.hold(state["blocks"])

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = self.blocks.to_dense()

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, *options: Any
    ) -> None:
        _, _, missing, _, errors = options
        key, shape = prefix + "weight", (self.out_features, self.in_features)
        weight = state_dict.pop(key, None)  # of a copy that is for this module alone
        super()._load_from_state_dict(state_dict, prefix, *options)
        if weight is None:
            missing.append(key)
        elif weight.shape != shape:
            errors.append(f"{key} is {tuple(weight.shape)} and the layer's {shape}")
        else:
            self.hold(weight.detach().to(self.blocks.dtype))
