"""What the tests of compiled programs share: compiling one takes twenty seconds."""

import pytest
import torch


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
