"""What every test file shares: fixed seeds, one device after another, no network."""

import gc
import os
import sys
import zipfile
from contextlib import suppress

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

with suppress(ModuleNotFoundError):  # which `gpu_check` does without
    from hypothesis import settings

    settings.register_profile(
        "repeatable", derandomize=True, deadline=None, database=None, max_examples=60
    )
    # `make properties`: what is rare has a chance too
    settings.register_profile(
        "thorough", settings.get_profile("repeatable"), max_examples=2000
    )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `device` on the CPU, and on the GPU where there is one."""
    if "device" in metafunc.fixturenames:
        import torch

        # Triton's interpreter is of the CPU
        gpu = torch.cuda.is_available() and "TRITON_INTERPRET" not in os.environ
        metafunc.parametrize("device", ["cpu", "cuda"] if gpu else ["cpu"])


# What takes longest starts first, so that no worker is left alone with it.
SLOWEST = (
    *(
        "test_smollm2",
        "test_torchrun",
        "test_kernels_compile",
        "test_checkpoint_refusals",
    ),
    *(
        "test_compiled_decode",
        "test_fast_attention",
        "test_compile",
        "test_gpu_benchmark",
    ),
    *(
        "test_their_tests",
        "test_fast_weights",
        "test_checkpoints",
        "test_split",
        "test_run",
    ),
    *("test_kernel_attention", "test_kernel_layers", "test_kernel_faults"),
    "test_equality_ledger",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the bundled model; sort the files, and leave each one's tests in order.

    With WEEKLY set what is marked so runs and nothing else, without it all else.
    """
    weekly = bool(os.environ.get("WEEKLY"))
    items[:] = [item for item in items if ("weekly" in item.keywords) == weekly]
    for item in items:
        if "bundled" in getattr(item, "fixturenames", ()):
            item.add_marker("bundled")
    order = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_collection_finish() -> None:
    """What was imported stays: `gc.collect()` need not look at it, a tenth of a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """The same random tensors whichever tests ran before."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def bundled():
    """The bundled SmolLM2 and its tokenizer, read once for all tests: none changes it."""
    from companion import load

    return load(device="cpu")


@pytest.fixture(scope="session")
def bundled_tokenizer():
    """The tokenizer of the bundled SmolLM2, without its weights."""
    import gguf

    from companion.checkpoints import bundled_path
    from companion.tokenizers import Tokenizer

    fields = gguf.GGUFReader(bundled_path()).fields
    return Tokenizer.from_gguf(
        {name: field.contents() for name, field in fields.items()}
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the store of compiled programs keeps its packages, of this test alone."""
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


@pytest.fixture
def package(tmp_path):
    """A file that is whole as a package is, and none of torch's."""
    path = tmp_path / "package.pt2"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("code", "a program " * 99)
    return path


def pytest_unconfigure() -> None:
    """Python's end looks at everything again, or Triton's binding reports it as leaked."""
    gc.unfreeze()
