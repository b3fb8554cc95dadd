"""Bytes that torch's operators read and write, counted while they run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
# take memory, and write nothing into it
TAKE = {
    aten.empty, aten.empty_like, aten.empty_permuted, aten.empty_strided,
    aten.new_empty, aten.new_empty_strided, aten.resize_,
}  # fmt: skip
# change how a tensor is seen, in place
TURN = {aten.detach_, aten.squeeze_, aten.t_, aten.transpose_, aten.unsqueeze_}
# write over what was there without looking at it
OVERWRITE = {aten.copy_, aten.fill_, aten.zero_}
# read as much of their first tensor as comes out
LOOK_UP = {aten.embedding, aten.gather, aten.index, aten.index_select, aten.take}
# write as much into their first tensor as their last one holds
PUT = {aten.index_copy_, aten.index_put_, aten.scatter_}


class Traffic(TorchDispatchMode):
    """Counts what every operator reads and writes, if nothing stays in a processor's
    cache between two operators.

    An operator reads each tensor that it is given once, and writes what it makes once,
    in bytes of their dtypes. A view moves nothing. What `expand` repeats is in memory
    once and is read once; a lookup (embedding, indexing) reads the rows that it takes;
    in place, the part that is written to counts, not the buffer around it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes_read = self.bytes_written = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator and count it."""
        out = func(*args, **(kwargs or {}))
        read, written = moved(func, args, kwargs or {}, out)
        self.bytes_read += read
        self.bytes_written += written
        return out


def moved(
    func: Any, args: Sequence, kwargs: Mapping[str, Any], out: Any
) -> tuple[int, int]:
    """The bytes that an operator has read and written."""
    operator = func.overloadpacket
    if operator in TAKE or operator in TURN:
        return 0, 0
    given = {id(x): x for x in tensors((args, kwargs))}  # one given twice is read once
    changed = {id(x): x for x in tensors(written_to(func, args, kwargs))}
    places = {memory(x) for x in given.values()}
    returned = list(tensors(out))
    made = [x for x in returned if memory(x) not in places]
    if returned and not made and not changed:
        return 0, 0  # views
    unread = changed if operator in OVERWRITE | PUT or "out" in kwargs else {}
    read = [in_memory(x) for key, x in given.items() if key not in unread]
    if operator in LOOK_UP:
        read[0] = sum(x.nbytes for x in made)
    if operator in PUT:
        return sum(read), read[-1]
    return sum(read), sum(map(in_memory, (*changed.values(), *made)))


def written_to(func: Any, args: Sequence, kwargs: Mapping[str, Any]) -> list:
    """The arguments that the operator's schema marks as written to."""
    arguments = func._schema.arguments
    named = {**dict(zip((a.name for a in arguments), args, strict=False)), **kwargs}
    marked = (a.name for a in arguments if a.alias_info and a.alias_info.is_write)
    return [named[name] for name in marked if name in named]


def tensors(nested: Any) -> Iterator[Tensor]:
    """The tensors in an argument, or in lists and dicts of them."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, Mapping):
        yield from tensors(list(nested.values()))
    elif isinstance(nested, Sequence) and not isinstance(nested, str):
        for each in nested:
            yield from tensors(each)


def memory(x: Tensor) -> int:
    """Which memory a tensor and its views lie in."""
    strided = x.layout == torch.strided
    return x.untyped_storage()._cdata if strided else id(x)


def in_memory(x: Tensor) -> int:
    """Bytes of a tensor's distinct elements: what is expanded has a stride of 0."""
    if x.layout != torch.strided:
        return x.nbytes
    sizes = zip(x.shape, x.stride(), strict=True)
    return x.itemsize * math.prod(n for n, step in sizes if step or not n)
