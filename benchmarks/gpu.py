"""The kernels on a GPU, beside torch and Hugging Face: `make bench-gpu`.

Every case is checked against float32, then timed within a share of the time that is
left; one that fails is an error in the raw file, and the others go on. They run in a
process of their own, as an error on a GPU can spoil all that follows in its process: the
next ones then get another. The raw file is written after each case, the most important
first, and a table of the goals is printed last.
"""

import argparse
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import whole

RESULTS = Path(__file__).parent / "results"
SECONDS = 450.0
NO_GPU, NEXT_PROCESS = 1, 3  # how a process of cases may end, besides well
GRACE = 15.0  # seconds that it gets to end by itself


@dataclass(frozen=True)
class Case:
    """One part of the raw file. `weight` is its part of the time, in seconds of a run
    that takes `SECONDS`, most of which is compiling.
    """

    name: str
    weight: float
    run: Callable


def cases() -> list[Case]:
    """All of them, named as the goals are, the most important first."""
    import gpu_kernels as kernels
    import gpu_models as models

    attention, decode = "causal attention", "attention in decode, 32k cache"
    return [
        Case("matmul ceiling", 8, kernels.matmul),
        Case("copy bandwidth", 7, kernels.copy),
        *(
            Case(f"{attention}, {name}", 45, partial(kernels.attention, name))
            for name in ("4k", "16k")
        ),
        *(
            Case(f"{decode}, {name}", weight, partial(kernels.decode_attention, name))
            for name, weight in (("batch 1", 25), ("batch 8", 10), ("batch 64", 15))
        ),
        Case("Llama-3-8B's sizes, decode step", 75, models.decode_step),
        Case("Llama-3-8B's sizes, layer, prefill", 30, models.layer),
        Case("16k tokens, RMSNorm", 8, kernels.rms_norm),
        Case("16k tokens, addition and RMSNorm", 8, kernels.add_rms_norm),
        Case("16k tokens, RoPE", 8, kernels.rope),
        Case("16k tokens, SwiGLU", 8, kernels.swiglu),
        Case("SmolLM2-135M's sizes, decode", 130, models.small_decode),
    ]


# ---- the raw file


def keep(path: Path, result: dict) -> None:
    """Write it so that whoever reads it finds the old one or the new one."""
    whole.write(path, json.dumps(result, indent=1, allow_nan=False) + "\n")


def own(path: Path, start: float) -> dict:
    """The raw file if it is of the run that began then, and not an earlier one's."""
    result = json.loads(path.read_text()) if path.exists() else {}
    return result if result.get("started") == start else {}


def figures(case: Mapping, ceilings: Mapping[str, float]) -> dict[str, dict]:
    """What the goals are about, each with its spread: how many times faster ours is than
    each of the others, its share of the ceilings, its launches.
    """
    from harness import ratio, spread

    seconds = case["seconds"]
    ours = seconds.get("companion", [])
    found = {
        name: ratio(seconds, "companion", name)
        for name in seconds
        if ours and name != "companion"
    }
    for amount, name in (("flops", "matmul ceiling"), ("bytes", "copy bandwidth")):
        if ours and amount in case and name in ceilings:
            found[name] = spread(case[amount] / x / ceilings[name] for x in ours)
    if "launches" in case:
        found["launches"] = spread([case["launches"]])
    return found


def ceilings(measured: Mapping[str, Mapping]) -> dict[str, float]:
    """FLOPs and bytes per second of torch's product and copy, by the median of whichever
    form of them is faster.
    """
    import statistics

    found = {}
    for amount, name in (("flops", "matmul ceiling"), ("bytes", "copy bandwidth")):
        case = measured.get(name, {})
        if "seconds" in case:
            best = min(map(statistics.median, case["seconds"].values()))
            found[name] = case[amount] / best
    return found


# ---- one process of cases


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"cut off after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measured(case: Case, share: float, left: float, bench: Callable) -> dict:
    """A case's part of the raw file, with its error if there was one.

    It begins no new round when its share is used, and is cut off when it has taken three
    times that, or all that is left.
    """
    from gpu_timing import said

    start = time.time()
    try:
        with limited(min(left, 3 * share)):
            found = case.run(bench(start + share))
        found["rounds"] = len(next(iter(found["seconds"].values())))
    except Exception as error:
        found = {"error": said(error)}
    taken = {"share_s": round(share, 1), "took_s": round(time.time() - start, 1)}
    return {**found, **taken}


def run_cases(
    todo: list[Case],
    result: dict,
    path: Path,
    until: float,
    bench: Callable,
    spoilt: Callable[[], bool] = lambda: False,
) -> int:
    """Measure what the raw file does not have yet; how the process is to end.

    Each case gets its part, by weight, of the time that those before it have left.
    """
    todo = [case for case in todo if case.name not in result["cases"]]
    while todo:
        left, weights = until - time.time(), sum(case.weight for case in todo)
        case = todo.pop(0)
        if left <= 0:
            result["cases"][case.name] = {"error": "no time was left"}
            keep(path, result)
            continue
        keep(path, {**result, "running": case.name})
        found = measured(case, left * case.weight / weights, left, bench)
        if "error" not in found:
            found["figures"] = figures(found, ceilings(result["cases"]))
        result["cases"][case.name] = found
        keep(path, result)
        print(line(case.name, found), flush=True)
        if "error" in found and spoilt():
            return NEXT_PROCESS
    return 0


def line(name: str, found: Mapping) -> str:
    """A case in one line, and one for each of its errors."""
    import statistics

    if "error" in found:
        return f"{name}: {found['error']}"
    times = (
        f"{form} {1e3 * statistics.median(x):.3g} ms"
        for form, x in found["seconds"].items()
    )
    rounds = f"{found['rounds']} rounds, {found['took_s']:.0f} s"
    errors = "".join(f"\n  {k}: {v}" for k, v in found.get("errors", {}).items())
    return f"{name}: {', '.join(times)} ({rounds}){errors}"


def spoilt() -> bool:
    """Give memory back; whether the GPU answers no more in this process."""
    import torch

    gc.collect()
    if not torch.cuda.is_available():
        return False
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        return True
    return False


def process_of_cases(asked: argparse.Namespace) -> int:
    """What the process of cases does: as many as it can."""
    import torch
    from gpu_sizes import FULL, TINY, Bench
    from gpu_timing import Timer, gpu_timer

    if not asked.tiny and not torch.cuda.is_available():
        print("make bench-gpu needs a CUDA GPU, and torch finds none.", file=sys.stderr)
        return NO_GPU
    timer, sizes = (
        (Timer(torch.device("cpu")), TINY) if asked.tiny else (gpu_timer(), FULL)
    )
    result = own(asked.into, asked.start)
    if not result:
        result = {"started": asked.start, **gpu_machine(asked.tiny), "cases": {}}
        result |= {"seed": asked.seed}
    torch.manual_seed(asked.seed + len(result["cases"]))

    def bench(deadline: float) -> Bench:
        spoilt()  # what the last case left behind
        return Bench(timer, sizes, deadline)

    with torch.no_grad():
        return run_cases(cases(), result, asked.into, asked.until, bench, spoilt)


def gpu_machine(tiny: bool) -> dict:
    """What the figures depend on."""
    from importlib.metadata import version

    import torch
    from machine import machine

    found = {**machine(), "triton": version("triton"), "cuda": torch.version.cuda}
    if tiny:
        return {**found, "gpu": "none: tiny sizes on a CPU", "driver": None}
    about = torch.cuda.get_device_properties(0)
    return {
        **found,
        "gpu": about.name,
        "driver": driver(),
        "cudnn": torch.backends.cudnn.version(),
        "multiprocessors": about.multi_processor_count,
        "memory_bytes": about.total_memory,
        "cache_bytes": about.L2_cache_size,
    }


def driver() -> str | None:
    """The driver's version."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter(found.stdout.split()), None)


# ---- the process that starts those


def supervise(command: list[str], path: Path, start: float, until: float) -> int:
    """Start processes of cases until all are measured, or the time is over; how the last
    one ended, 0 for well.
    """
    measured_before = 0
    while True:
        process = subprocess.Popen(command)
        try:
            code = process.wait(timeout=max(until + GRACE - time.time(), 0.1))
            ended = f"its process ended with code {code}"
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
            ended = "its process was killed when the time was over"
        result = own(path, start)
        if running := result.pop("running", None):
            result["cases"][running] = {"error": ended}
            keep(path, result)
            print(f"{running}: {ended}", flush=True)
        measured_now = len(result.get("cases", {}))
        if code == 0 or time.time() > until or measured_now == measured_before:
            return code
        measured_before = measured_now


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="all in all")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the file goes")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="the same with tiny sizes on a CPU, with TRITON_INTERPRET=1: a test",
    )
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.tiny and asked.out == RESULTS:
        parser.error("--tiny measures nothing: give another folder, --out")
    return process_of_cases(asked) if asked.into else run(asked)


def run(asked: argparse.Namespace) -> int:
    """Measure everything, and print the goals."""
    start = time.time()
    until = start + asked.seconds
    path = asked.out / f"gpu-{datetime.now(UTC).date().isoformat()}.json"
    given = {"--seed": asked.seed, "--into": path, "--start": start, "--until": until}
    options = [str(part) for pair in given.items() for part in pair]
    code = supervise([sys.executable, *sys.argv, *options], path, start, until)
    result = own(path, start)
    if not result.get("cases"):
        return code or 1
    result["seconds"] = round(time.time() - start, 1)
    keep(path, result)
    print(f"written to {os.path.relpath(path)} after {result['seconds']:.0f} s\n")
    print_goals(result)
    return 0


def print_goals(result: dict) -> None:
    """The goals, the last that is printed."""
    from goals import judged_on_gpu, text

    print("\n".join(text(line) for line in judged_on_gpu(result)))


if __name__ == "__main__":
    sys.exit(main())
