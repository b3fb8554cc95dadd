"""A decode step recorded as a CUDA graph: launched as a whole, without Python between.

A graph holds addresses, not tensors. So the step's inputs are copied to where they were
when it was recorded, and the cache it was recorded with is the only one it knows.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Buffers = tuple[Float[Tensor, "batch kv_heads max_length head_dim"], ...]
# Records what a function launches: gives back what launches it again, and its output.
Record = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]


def cuda_graph(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """`run` as a CUDA graph. It is called three times first, on a stream of its own: kernels
    are compiled and tuned then, which a recording must not contain.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run()
    return graph.replay, output


class Recorded:
    """`step`, recorded at the first call with a cache and replayed after that.

    It keeps the cache of the last recording in memory.
    """

    def __init__(self, step: Callable[..., Tensor], record: Record = cuda_graph):
        self.step, self.record = step, record
        self.buffers: tuple[Buffers, Buffers] | None = None

    @torch.inference_mode()
    def __call__(
        self,
        token: Int[Tensor, "batch 1"],
        position_ids: Int[Tensor, "batch 1"],
        mask: Bool[Tensor, "batch 1 1 max_length"],
        position: Int[Tensor, "1"],
        keys: Buffers,
        values: Buffers,
    ) -> Float[Tensor, "batch vocab"]:
        """The step's output for these inputs, in a tensor that no later call changes."""
        inputs = (token, position_ids, mask, position)
        if not self.knows(keys, values):
            self.inputs = tuple(x.clone() for x in inputs)
            self.buffers = keys, values
            self.replay, self.output = self.record(
                lambda: self.step(*self.inputs, keys, values)
            )
        for held, new in zip(self.inputs, inputs, strict=True):
            held.copy_(new)
        self.replay()
        return self.output.clone()

    def knows(self, keys: Buffers, values: Buffers) -> bool:
        """Whether the recording is of these buffers: the same memory, cut the same way."""
        return self.buffers is not None and all(
            held.data_ptr() == new.data_ptr()
            and held.shape == new.shape
            and held.stride() == new.stride()
            for held, new in zip(sum(self.buffers, ()), keys + values, strict=True)
        )
