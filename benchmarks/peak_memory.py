"""How much memory `load` takes: `peak_memory.py SOURCE DTYPE [SOURCE DTYPE ...]`, Linux only.

Prints a JSON list with, for each, what it held at most beyond what the process held
before, in bytes and as a ratio to the size of the model's weights. A SOURCE "bundled" is
the bundled SmolLM2.
"""

import ctypes
import gc
import json
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from companion import load


def status(key: str) -> int:
    """A line of /proc/self/status, in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{key}:\s+(\d+) kB", text)[1])


def reset_peak() -> int:
    """Set the peak back to what is held now, and give that."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before goes back at once
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def extra_peak(run: Callable[[], object]) -> int:
    """Bytes that a call holds at most beyond what is held before it.

    A first call is not counted: it starts threads, loads kernels and packs weights.
    """
    run()
    before = reset_peak()
    run()
    return status("VmHWM") - before


def in_a_process_of_its_own(run: Callable[..., int], *arguments: object) -> int:
    """What a function gives where nothing ran before, so that no freed memory is used
    again. Torch alone is imported there already, which saves seconds each time.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(run, *arguments).result()


def measure(source: str, dtype: str) -> dict:
    """Load once on the CPU, from a peak that is set back to what is held now."""
    before, start = reset_peak(), time.perf_counter()
    path = None if source == "bundled" else source
    model, _ = load(path, getattr(torch, dtype), "cpu")
    seconds = time.perf_counter() - start
    peak = status("VmHWM") - before
    weights = sum(x.numel() * x.element_size() for x in model.parameters())
    return {
        "dtype": dtype,
        "weights_bytes": weights,
        "peak_bytes": peak,
        "peak_ratio": round(peak / weights, 3),
        "seconds": round(seconds, 2),
    }


if __name__ == "__main__":
    pairs = zip(sys.argv[1::2], sys.argv[2::2], strict=True)
    print(json.dumps([measure(source, dtype) for source, dtype in pairs]))
