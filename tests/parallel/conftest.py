"""Groups in this process, and the environment that torchrun makes."""

import signal
import socket
from contextlib import contextmanager

import pytest
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore


@contextmanager
def mesh_of(backend, store, rank, size):
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield init_device_mesh("cpu", (size,))
    finally:
        dist.destroy_process_group()


@pytest.fixture
def alone():
    """A group of this process alone."""
    with mesh_of("gloo", dist.HashStore(), 0, 1) as mesh:
        yield mesh


@pytest.fixture
def fake():
    """`fake(rank, size)`: a rank whose collectives send nothing, to cut weights with."""
    return lambda rank, size: mesh_of("fake", FakeStore(), rank, size)


@pytest.fixture
def torchrun(monkeypatch):
    """The environment of the one rank of a torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {
        "RANK": 0,
        "WORLD_SIZE": 1,
        "LOCAL_RANK": 0,
        "LOCAL_WORLD_SIZE": 1,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }.items():
        monkeypatch.setenv(name, str(value))
    before = signal.getsignal(signal.SIGTERM)
    yield monkeypatch
    signal.signal(signal.SIGTERM, before)
