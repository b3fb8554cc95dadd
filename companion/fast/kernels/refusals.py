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
