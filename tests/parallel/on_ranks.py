"""What the tests of this folder have ranks do: functions that `run` can import."""

import os
import signal
import time
from pathlib import Path

import torch
import torch.distributed as dist


def number_and_double(mesh, x):
    return mesh.get_local_rank(), torch.get_num_threads(), 2 * x


def environment(mesh, name):
    return os.environ.get(name)


def summing(mesh, steps=100_000):
    """Collectives without end: what a rank is in when another goes."""
    for step in range(steps):
        yield step
        dist.all_reduce(torch.ones(8))


def one_raises(mesh, _):
    for step in summing(mesh):
        if mesh.get_local_rank() == 1 and step == 5:
            raise ZeroDivisionError("by the test")


def one_is_killed(mesh, _):
    for step in summing(mesh):
        if mesh.get_local_rank() == 1 and step == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def one_leaves(mesh, folder):
    """Rank 0 ends as if all were well, while rank 1 is there and not even in a collective."""
    there = Path(folder, "there")
    if mesh.get_local_rank() == 0:
        while not there.exists():
            time.sleep(0.01)
        os._exit(0)
    there.touch()
    time.sleep(600)
