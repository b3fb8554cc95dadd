"""Checkpoints that `load` refuses, and that it leaves as it found them."""

import gc
import sys
from pathlib import Path

import pytest
from refusal import said

from companion import load


def open_files(folder):
    """Files of a folder that this process still holds open or has mapped into memory."""
    gc.collect()
    held = [
        str(link.readlink())
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink()
    ]
    return [
        line
        for line in (*held, *Path("/proc/self/maps").read_text().splitlines())
        if str(folder) in line
    ]


def refused(path, *quotes, error=ValueError):
    """Assert that `load` refuses a path, quoting these, and leaves nothing behind."""
    folder = path if path.is_dir() else path.parent
    before = sorted(folder.iterdir()) if folder.exists() else []
    with pytest.raises(error, match=said(*quotes)) as caught:
        load(path, device="cpu")
    assert type(caught.value) is error
    del caught
    assert (sorted(folder.iterdir()) if folder.exists() else []) == before
    if sys.platform == "linux":
        assert open_files(folder) == []
