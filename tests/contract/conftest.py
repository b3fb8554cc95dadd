"""What files of tests share: a tiny Llama, its directory, and compiled programs, each of which takes
twenty seconds to make.
"""

import pytest
import tiny
import torch


@pytest.fixture(scope="module")
def model():
    """A tiny Llama; who changes it, changes a copy."""
    return tiny.model()


@pytest.fixture
def directory(model, tmp_path):
    """The model as Hugging Face would save it."""
    from tiny_files import write_directory  # gguf, which `gpu_check` does without

    return write_directory(tmp_path, model)


@pytest.fixture
def programs(pytestconfig, monkeypatch):
    """A store for the tests alone, with what earlier runs compiled of the same code; and
    code for two cores, which has other loops than for one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setenv("COMPANION_CACHE", str(pytestconfig.cache.mkdir("programs")))
    yield
    torch.set_num_threads(threads)
