"""What every test file shares: fixed seeds, one device after another, no network."""

import os
import sys
from contextlib import suppress

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

with suppress(ModuleNotFoundError):  # which `gpu_check` does without
    from hypothesis import settings

    settings.register_profile(
        "repeatable", derandomize=True, deadline=None, database=None, max_examples=60
    )
    settings.load_profile("repeatable")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `device` on the CPU, and on the GPU where there is one."""
    if "device" in metafunc.fixturenames:
        import torch

        # Triton's interpreter is of the CPU
        gpu = torch.cuda.is_available() and "TRITON_INTERPRET" not in os.environ
        metafunc.parametrize("device", ["cpu", "cuda"] if gpu else ["cpu"])


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """The same random tensors whichever tests ran before."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


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
