"""How much memory a computation holds at once: counted while it runs, on any device,
also on `meta`, where nothing is allocated.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode

from companion.show.ledgers.traffic import memory, tensors


class Live(TorchDispatchMode):
    """Counts the bytes of the tensors that operators make, from when one is made until
    nothing refers to it any more: `held` now, `peak` at most.

    What an operator takes inside its kernel and gives back is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self.counted: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator and count what it made."""
        out = func(*args, **(kwargs or {}))
        given = {memory(x) for x in tensors((args, kwargs or {}))}
        for x in tensors(out):
            if memory(x) not in given | self.counted:
                self.count(x.untyped_storage())
        return out

    def count(self, storage: UntypedStorage) -> None:
        """Hold these bytes until the storage is freed."""
        key, size = storage._cdata, storage.nbytes()
        self.counted.add(key)
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self.release, key, size)

    def release(self, key: int, size: int) -> None:
        """Called when a storage is freed."""
        self.counted.remove(key)
        self.held -= size


def peak_bytes(function: Callable, *arguments: Any, **keywords: Any) -> int:
    """Bytes that `function(*arguments, **keywords)` holds at most at one moment beyond
    its arguments, its result included.

    Arguments on the `meta` device have shapes and dtypes but no memory: with them the
    peak is computed, for any length, without running anything.
    """
    with Live() as live, torch.no_grad():
        function(*arguments, **keywords)
    return live.peak
