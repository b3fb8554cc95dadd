"""Ranks started from here: for notebooks and tests, on one machine."""

import os
import pickle
import socket
import sys
from collections.abc import Callable
from multiprocessing import set_forkserver_preload
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.distributed import FileStore  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import start_processes

from companion.parallel.ranks import Rank, group, pick_kind
from companion.parallel.refusals import check_devices
from companion.parallel.watch import end, reported, result, watch
from companion.refusals.numbers import is_integer

# On Linux ranks are forked from a process that has imported torch; elsewhere each imports it anew.
START = "forkserver" if sys.platform == "linux" else "spawn"


def run(
    function: Callable[..., Any], ranks: int, *arguments: Any, device: str = "cpu"
) -> list[Any]:
    """What `function(mesh, *arguments)` returns on each of `ranks` processes, in order.

    Each rank is a new process with one thread, which imports `function` from its
    module; arguments and results are pickled. `device` is cpu, cuda, or auto.

    Raises: ValueError for a function that cannot be imported, for no ranks, and for
    more ranks than GPUs. RuntimeError as soon as a rank raises or dies, which ends the
    others: it says which one and why.
    """
    if not is_integer(ranks) or ranks < 1:
        raise ValueError(f"ranks is {ranks!r}: it must be an integer and at least 1")
    check_importable(function)
    check_devices(kind := pick_kind(device), ranks)
    with TemporaryDirectory() as name:
        folder = Path(name)
        call = function, arguments, dict(os.environ)
        (folder / "call").write_bytes(pickle.dumps(call))
        if START == "forkserver":
            set_forkserver_preload([__name__])
        given, options = (folder, kind, ranks), {"join": False, "daemon": True}
        started = start_processes(work, given, ranks, start_method=START, **options)
        try:
            watch(started.processes, folder)
        finally:
            end(started.processes)
        return [pickle.loads(result(folder, i).read_bytes()) for i in range(ranks)]


def check_importable(function: Callable[..., Any]) -> None:
    """Refuse what another process cannot find by its name.

    Raises: ValueError that names the function.
    """
    name = getattr(function, "__qualname__", repr(function))
    module = sys.modules.get(getattr(function, "__module__", ""))
    at_prompt = module is sys.modules["__main__"] and not hasattr(module, "__file__")
    if at_prompt or getattr(module, name, None) is not function:
        raise ValueError(
            f"{name} cannot be imported by another process: a rank runs a function at "
            "the top level of a module, which a notebook is not"
        )


def work(number: int, folder: Path, kind: str, ranks: int) -> None:
    """One rank: call the function, leave its result or its error in the folder."""
    torch.set_num_threads(1)
    with reported(folder, number):
        function, arguments, environment = pickle.loads((folder / "call").read_bytes())
        os.environ.clear()  # the one that it was forked from may be older
        os.environ.update(environment)
        stay_on_this_machine()
        store = FileStore(str(folder / "store"), ranks)
        rank = Rank(number, ranks, number, ranks)
        # noted before the group ends, as its end is an error to the other ranks
        with group(kind, rank, store) as mesh, reported(folder, number):
            returned = function(mesh, *arguments)
            result(folder, number).write_bytes(pickle.dumps(returned))


def stay_on_this_machine() -> None:
    """Have gloo use the loopback interface, for which the machine needs no name."""
    for _, name in socket.if_nameindex():
        if name in ("lo", "lo0"):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
