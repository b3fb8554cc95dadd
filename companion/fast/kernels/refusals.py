"""What the kernels refuse, by name, with what to use instead."""

import importlib.util
import os

import torch
from torch import Tensor

from companion.refusals.attention import shape

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
WIDEST_HEAD = 256
WIDEST_ROW = 65536


def check_kernel(name: str, instead: str, **tensors: Tensor) -> None:
    """Refuse what no kernel here takes: a missing Triton, a CPU without the interpreter,
    another dtype, tensors that differ in dtype or device, gradients.

    Raises: ValueError that names the tensor, and what takes it `instead`.
    """
    (first_name, first), *others = tensors.items()
    check_runs(name, instead, first_name, first)
    if first.dtype not in DTYPES:
        raise ValueError(
            f"{first_name} is {first.dtype}: the kernel {name} takes torch.float16, "
            f"torch.bfloat16 and torch.float32; convert with .to(dtype), or use {instead}"
        )
    for other_name, other in others:
        if other.dtype != first.dtype or other.device != first.device:
            raise ValueError(
                f"{first_name} is {first.dtype} on {first.device} and {other_name} "
                f"{other.dtype} on {other.device}: the kernel {name} takes one dtype and "
                "device; convert one with .to()"
            )
    for each_name, each in tensors.items():
        if each.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"{each_name} requires a gradient, and the kernel {name} has no backward "
                f"pass: call it under torch.no_grad(), or use {instead}"
            )


def check_runs(name: str, instead: str, tensor_name: str, tensor: Tensor) -> None:
    """Refuse to launch where no kernel can run.

    Raises: ValueError that says what is missing.
    """
    if not installed():
        raise ValueError(
            f"the kernel {name} needs Triton, which is not installed: on Linux, pip "
            f'install "shape-of-attention[gpu]"; elsewhere use {instead}'
        )
    if tensor.device.type != "cuda" and not interpreted():
        raise ValueError(
            f"{tensor_name} is on {tensor.device}, and the kernel {name} runs on a CUDA "
            f"GPU: use {instead}, or set TRITON_INTERPRET=1 before Python starts, to run "
            "it in Triton's interpreter, thousands of times slower"
        )
    index = tensor.device.index
    if tensor.device.type == "cuda" and index != (here := torch.cuda.current_device()):
        raise ValueError(
            f"{tensor_name} is on cuda:{index}, and kernels are launched on the current "
            f"device, cuda:{here}: torch.cuda.set_device({index}) first"
        )


def installed() -> bool:
    """Whether Triton is there."""
    return importlib.util.find_spec("triton") is not None


def interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, with numpy on the CPU.

    Triton decides that once, for each kernel, when the kernel is imported.
    """
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "y")


def check_attention(query: Tensor, value: Tensor, is_causal: bool, past: int) -> None:
    """Refuse sizes that the attention kernel has no tiles for, and a meaningless `past`.

    Raises: ValueError that names the axis, and what takes it instead.
    """
    for name, axis, x in (("query", "head_dim", query), ("value", "value_dim", value)):
        if not 0 < x.shape[-1] <= WIDEST_HEAD:
            raise ValueError(
                f"{name} has {axis} {x.shape[-1]}: the kernel triton takes 1 to "
                f"{WIDEST_HEAD}; fast.attention['tiled'] takes any"
            )
    if max(query.ndim, value.ndim) > 4:
        raise ValueError(
            f"query is {shape(query)} and value {shape(value)}: the kernel triton takes "
            "(batch, heads, length, head_dim); flatten the first axes, "
            "query.flatten(0, -4), or use fast.attention['tiled']"
        )
    if past < 0 or (past and not is_causal):
        raise ValueError(
            f"past is {past} and is_causal {is_causal}: past is the number of keys before "
            "the first query's own, at least 0, and has a meaning with is_causal=True"
        )


def check_row(name: str, instead: str, row_name: str, x: Tensor) -> None:
    """Refuse a row that does not fit into one program.

    Raises: ValueError that says its width.
    """
    if x.shape[-1] > WIDEST_ROW:
        raise ValueError(
            f"{row_name} has {x.shape[-1]} features: the kernel {name} holds a row of at "
            f"most {WIDEST_ROW}; use {instead}"
        )


def check_norm(weight: Tensor, **tensors: Tensor) -> None:
    """Refuse rows that are not as wide as the weight.

    Raises: ValueError that quotes both shapes.
    """
    name, instead, x = "rms_norm", "companion.rms_norm", tensors["x"]
    check_kernel(name, instead, **tensors, weight=weight)
    if x.shape[-1:] != weight.shape:
        raise ValueError(
            f"x is {shape(x)} and weight {shape(weight)}: the last axis of x must be "
            f"{weight.shape[0]}"
        )
    check_row(name, instead, "x", x)


def check_residual(x: Tensor, residual: Tensor) -> None:
    """Refuse a sum of two shapes.

    Raises: ValueError that quotes both.
    """
    if x.shape != residual.shape:
        raise ValueError(
            f"x is {shape(x)} and residual {shape(residual)}: they must be equal, the "
            "residual is what a block's output is added to"
        )


def check_rope(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Refuse queries, keys and angles that are not of the same tokens.

    Raises: ValueError that quotes the shapes.
    """
    instead = "companion.apply_rope"
    check_kernel("apply_rope", instead, query=query, key=key, cos=cos, sin=sin)
    if query.ndim != 4 or key.ndim != 4 or query.shape[::2] != key.shape[::2]:
        raise ValueError(
            f"query is {shape(query)} and key {shape(key)}: they must be (batch, heads, "
            "length, head_dim), of the same tokens"
        )
    batch, _, length, head_dim = query.shape
    if key.shape[-1] != head_dim or head_dim % 2 or not head_dim:
        raise ValueError(
            f"query has head_dim {head_dim} and key {key.shape[-1]}: both must be the "
            "same even number"
        )
    fits = cos.ndim == 3 and cos.shape[1:] == (length, head_dim)
    if not fits or cos.shape[0] not in (1, batch) or sin.shape != cos.shape:
        raise ValueError(
            f"cos is {shape(cos)} and sin {shape(sin)}: both must be (batch, length, "
            f"head_dim) = ({batch}, {length}, {head_dim}), or of a batch of 1"
        )


def check_swiglu(gate: Tensor, up: Tensor) -> None:
    """Refuse two branches that differ.

    Raises: ValueError that quotes both shapes.
    """
    check_kernel("swiglu", "companion.swiglu", gate=gate, up=up)
    if gate.shape != up.shape:
        raise ValueError(
            f"gate is {shape(gate)} and up {shape(up)}: they must be equal, gate_proj "
            "and up_proj of the same tokens"
        )
