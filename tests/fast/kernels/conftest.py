"""The kernels run in Triton's interpreter, or on a GPU, and no output is left unwritten."""

import importlib.util
import os
import zlib

import pytest
import torch

INTERPRETED = "TRITON_INTERPRET" in os.environ


@pytest.fixture(autouse=True)
def runs_here(request: pytest.FixtureRequest) -> None:
    """Skip what this process cannot run: `make unit` and `make gpu-check` skip nothing."""
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:  # this folder itself has no origin
        pytest.skip("needs Triton")
    on_gpu = getattr(request.node, "callspec", None) and (
        request.node.callspec.params.get("device") == "cuda"
    )
    if not INTERPRETED and not on_gpu:
        pytest.skip("needs a GPU, or TRITON_INTERPRET=1")


@pytest.fixture(autouse=True)
def fixed_seed(request: pytest.FixtureRequest) -> None:
    """Other random tensors for each case, the same at each run."""
    torch.manual_seed(zlib.crc32(request.node.name.encode()))


@pytest.fixture(autouse=True)
def poisoned():
    """`torch.empty` gives NaN: a place that no kernel writes shows."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture(autouse=True)
def memory_for_all():
    """Gigabytes that a test has spread its tensors over are given back to the GPU, which
    other processes use.
    """
    yield
    if torch.cuda.is_available() and torch.cuda.memory_reserved() > 2**30:
        torch.cuda.empty_cache()


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Large sizes are for a GPU: the interpreter would take hours."""
    large = [
        item
        for item in items
        if item.get_closest_marker("large") and item.callspec.params["device"] == "cpu"
    ]
    config.hook.pytest_deselected(items=large)
    items[:] = [item for item in items if item not in large]


def pytest_configure(config: pytest.Config) -> None:
    """Keep out what Triton 3.6 does at every index."""
    config.addinivalue_line("markers", "large: sizes that only a GPU has the time for")
    config.addinivalue_line(
        "filterwarnings", "ignore:Conversion of an array with ndim:DeprecationWarning"
    )
