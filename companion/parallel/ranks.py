"""Ranks that torchrun has started: who this one is, and the group it joins."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.rendezvous import rendezvous

from companion.checkpoints.loading import pick_device
from companion.parallel.refusals import check_devices, listed

Store = Any  # torch exports its class, but not its type
BACKENDS = {"cuda": "nccl", "cpu": "gloo"}
TIMEOUT = timedelta(minutes=5)  # for the slowest rank to load its share
START = "torchrun --nproc-per-node K -m companion.parallel"


@dataclass(frozen=True)
class Rank:
    """One of `size` processes; on its machine the `local`-th of `local_size`."""

    number: int
    size: int
    local: int
    local_size: int

    @classmethod
    def from_torchrun(cls) -> "Rank":
        """What torchrun has written into this process's environment.

        Raises: ValueError when it has not.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        needed = (*names, "MASTER_ADDR", "MASTER_PORT")
        missing = [name for name in needed if not os.environ.get(name)]
        if missing:
            raise ValueError(
                f"{listed(missing, 'and')} {'are' if missing[1:] else 'is'} not set, so "
                f"this is no rank of a group: start it with {START}"
            )
        values = [os.environ[name] for name in names]
        if not all(value.isdigit() for value in values):
            said = ", ".join(f"{n}={v!r}" for n, v in zip(names, values, strict=True))
            raise ValueError(f"{said}: these must be numbers; start it with {START}")
        return cls(*map(int, values))


@contextmanager
def join(device: str = "auto") -> Iterator[DeviceMesh]:
    """All ranks that torchrun has started, this one among them, as a mesh of devices.

    `device` is cuda, cpu, or auto: GPUs where there are any. GPUs talk by NCCL, CPUs by
    gloo. At the end the group is left.

    Raises: ValueError without torchrun, and for more ranks than GPUs.
    """
    rank = Rank.from_torchrun()
    kind = pick_kind(device)
    check_devices(kind, rank.local_size)
    store, _, _ = next(rendezvous("env://", timeout=TIMEOUT))
    with group(kind, rank, store) as mesh:
        yield mesh


def pick_kind(device: str) -> str:
    """Cuda or cpu, by the name of a device.

    Raises: ValueError for one that is not there, or that no ranks can talk from.
    """
    kind = pick_device(device).type
    if kind not in BACKENDS:
        raise ValueError(
            f"device is {device!r}, and ranks talk between {' or '.join(BACKENDS)}: use "
            "one of those, or 'auto'"
        )
    return kind


@contextmanager
def group(kind: str, rank: Rank, store: Store) -> Iterator[DeviceMesh]:
    """The mesh of all ranks that meet at `store`, until the block ends."""
    if kind == "cuda":
        torch.cuda.set_device(rank.local)
    dist.init_process_group(
        BACKENDS[kind],
        store=store,
        rank=rank.number,
        world_size=rank.size,
        timeout=TIMEOUT,
    )
    try:
        yield init_device_mesh(kind, (rank.size,))
    finally:
        dist.destroy_process_group()
