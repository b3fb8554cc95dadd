"""What a computation costs: FLOPs, bytes read, bytes written, counted while it runs."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Size
from torch.utils.flop_counter import FlopCounterMode

from companion.show.ledgers.traffic import Traffic

aten = torch.ops.aten


@dataclass(frozen=True)
class Cost:
    """FLOPs of the matrix products (multiply and add are two), and the bytes that
    operators read and write (see `Traffic`).
    """

    flops: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """FLOPs for each byte moved; 0 where nothing moves."""
        return self.flops / self.bytes_moved if self.bytes_moved else 0.0

    def __sub__(self, before: "Cost") -> "Cost":
        return Cost(
            self.flops - before.flops,
            self.bytes_read - before.bytes_read,
            self.bytes_written - before.bytes_written,
        )


class CostCounter:
    """Counts while it is entered: FLOPs by torch's own counter, bytes by `Traffic`."""

    def __init__(self) -> None:
        # entered second, torch's counter first takes composite operators apart
        self.traffic = Traffic()
        self.arithmetic = FlopCounterMode(display=False, custom_mapping=UNCOUNTED)

    def __enter__(self) -> "CostCounter":
        self.traffic.__enter__()
        self.arithmetic.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.arithmetic.__exit__(*error)
        self.traffic.__exit__(*error)

    @property
    def cost(self) -> Cost:
        """What has run until now."""
        traffic = self.traffic
        flops = self.arithmetic.get_total_flops()
        return Cost(flops, traffic.bytes_read, traffic.bytes_written)


def vector_flops(a: Size, b: Size, **_: Any) -> int:
    """A matrix or a vector times a vector: each element of the first is used once."""
    return 2 * math.prod(a)


def linear_flops(x: Size, weight: Size, *_: Any, **__: Any) -> int:
    """`x @ weightᵀ` of a packed or quantized weight (out, in)."""
    return 2 * math.prod(x) * weight[0]


def attention_flops(query: Size, key: Size, value: Size, *_: Any, **__: Any) -> int:
    """Both products of a fused attention, masked scores included, as torch counts."""
    rows = math.prod(query[:-1])
    return 2 * rows * key[-2] * (query[-1] + value[-1])


# Operators with products in them that torch's counter does not know
UNCOUNTED = {
    aten.dot: vector_flops,
    aten.mv: vector_flops,
    aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
    aten._weight_int8pack_mm: linear_flops,
    torch.ops.mkldnn._linear_pointwise: linear_flops,
}
