"""What a call launches, and the bytes it moves."""

import torch

from companion import show
from companion.show.kernels.launches import Launches


def test_operators_that_compute_are_launches_and_views_are_not():
    x = torch.zeros(4, 6)
    found = show.launches(lambda: x.T.reshape(6, 4)[1:] * 2)
    assert [(each.name, each.bytes_moved) for each in found] == [("mul", 2 * 4 * 5 * 4)]


def test_taking_memory_is_none():
    assert show.launches(lambda: torch.empty(3)) == []


def test_a_product_reads_both_and_writes_one():
    a, b = torch.zeros(2, 3), torch.zeros(3, 5)
    [product] = show.launches(torch.matmul, a, b)
    assert product.name == "mm"
    assert product.bytes_moved == 4 * (6 + 15 + 10)
    assert not product.triton


class Kernel:
    """In place of one of Triton's, which wraps a function."""

    def fn(self):
        """It moves nothing."""

    def run(self, *args, **kwargs):
        """Nothing is launched."""


def test_a_kernel_reads_each_tensor_once_and_both_halves_of_a_memory():
    found = Launches()
    whole = torch.zeros(2, 5)
    first, second = whole.unbind()
    found.launch(Kernel(), (1,), (first, second, first, 3), {})
    [launch] = found.found
    assert launch.bytes_moved == whole.nbytes
    assert launch.triton


def test_without_triton_the_operators_are_still_seen(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "triton.runtime.jit", None)
    assert len(show.launches(torch.add, torch.zeros(2), 1)) == 1
