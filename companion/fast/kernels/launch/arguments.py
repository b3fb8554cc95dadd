"""What launchers tell a kernel of its tensors: strides, tile widths, how the work is cut."""

import torch
from torch import Tensor

MOST_SPLITS = 64


def number_of_splits(programs: int, kv_len: int, device: torch.device) -> int:
    """The splits of keys for the multiprocessors of this device; the CPU is one."""
    processors = 1
    if device.type == "cuda":
        processors = torch.cuda.get_device_properties(device).multi_processor_count
    return splits_for(programs, kv_len, processors)


def splits_for(programs: int, kv_len: int, processors: int) -> int:
    """As many splits as give each multiprocessor of the GPU two programs or more, but
    at most one for each 128 keys begun: of 129 there may be two.
    """
    wanted = -(-2 * processors // programs)
    return max(1, min(wanted, -(-kv_len // 128), MOST_SPLITS))


def strides(*tensors: Tensor | None) -> tuple[tuple[int, ...] | None, ...]:
    """How far apart the elements of each axis are, of each tensor."""
    return tuple(None if x is None else x.stride() for x in tensors)


def kind_of(mask: Tensor | None) -> str:
    """Which of its three ways the kernel treats a mask."""
    if mask is None:
        return "none"
    return "bool" if mask.dtype == torch.bool else "float"


def padded(width: int) -> int:
    """The width of a tile: a power of two, and 16 at least, as tensor cores take them."""
    return max(16, power_of_two(width))


def power_of_two(number: int) -> int:
    """The smallest power of two that is no less."""
    return 1 << max(number - 1, 0).bit_length()
