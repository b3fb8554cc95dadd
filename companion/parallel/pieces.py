"""Which part of each tensor a rank holds."""

from dataclasses import dataclass

from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from companion.cache import KVCache
from companion.model import LlamaForCausalLM
from companion.parallel.split import split_model


@dataclass(frozen=True)
class Piece:
    """A rank's part of a tensor: where in the whole it begins, and its shape."""

    whole: tuple[int, ...]
    first: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def axis(self) -> int | None:
        """The axis along which the tensor is cut; none when a rank has all of it."""
        cut = [i for i, n in enumerate(self.whole) if n != self.shape[i]]
        return cut[0] if cut else None


def pieces(
    mesh: DeviceMesh, model: LlamaForCausalLM, max_length: int
) -> tuple[dict[str, Piece], tuple[int, ...]]:
    """What one rank holds of a split model: a piece of each parameter by its name, and
    the shape of its cache for one sequence. The model may be on the meta device.
    """
    rank = split_model(model, mesh)
    cache = KVCache(rank.config, 1, max_length, device="meta")
    return {name: piece_of(x) for name, x in rank.named_parameters()}, cache.shape


def piece_of(x: Tensor) -> Piece:
    """What this rank holds of a tensor."""
    if not isinstance(x, DTensor):
        return Piece(tuple(x.shape), (0,) * x.ndim, tuple(x.shape))
    _, first = compute_local_shape_and_global_offset(
        x.shape, x.device_mesh, x.placements
    )
    return Piece(tuple(x.shape), tuple(first), tuple(x.to_local().shape))
