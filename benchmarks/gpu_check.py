"""The kernels on a GPU: their tests, then the benchmark: `make gpu-check`.

It needs no network and nothing installed but torch, Triton, einops, jaxtyping, numpy,
pytest and transformers; with xdist the tests share the cores. What was found is under --out
as it comes, and said in short at the end; the exit code is 0 when every test passed.
"""

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Every test that takes a device, the kernels' first.
TESTS = ["tests/fast", "tests/transformer_2017", "tests/checkpoints"]
TESTS += ["tests/contract/test_recorded.py"]
TESTS += sorted(str(x.relative_to(ROOT)) for x in ROOT.glob("tests/test_*.py"))
ON_A_GPU, TINY = "cuda", "cpu and (one_token_for_all_keys or of_zeros)"
PROCESSES = 12  # more would fill the GPU's memory
GRACE = 15.0  # seconds that pytest gets to end by itself
NO_GPU = (
    "gpu_check needs a CUDA GPU that torch can use, and torch.cuda.is_available() is "
    "False: make unit runs the kernels in Triton's interpreter"
)


def environment(tiny: bool) -> dict[str, str]:
    """What both parts run in: this folder's package, installed or not."""
    there = os.environ.get("PYTHONPATH", "")
    paths = [str(ROOT), str(ROOT / "benchmarks"), *filter(None, [there])]
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    found |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    found.pop("TRITON_INTERPRET", None)
    return found | ({"TRITON_INTERPRET": "1"} if tiny else {})


# ---- the tests


def test_command(out: Path, tiny: bool) -> list[str]:
    """pytest, in as many processes as there are cores where xdist can share the work."""
    command = [sys.executable, "-m", "pytest", *TESTS, "-k", TINY if tiny else ON_A_GPU]
    command += ["-p", "outcomes", "--outcomes", str(out / "gpu-tests.jsonl")]
    command += ["--junitxml", str(out / "gpu-tests.xml"), "--tb=short"]
    command += ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
    processes = min(os.cpu_count() or 1, PROCESSES)
    if processes > 1 and importlib.util.find_spec("xdist") and not tiny:
        command += ["-n", str(processes), "--dist", "load"]
    return command


def run_for(
    command: list[str],
    seconds: float,
    log: Path,
    environ: dict[str, str],
    grace: float = GRACE,
) -> int | None:
    """The exit code of a command that writes to a log; None for one that had to be ended:
    by an interrupt, and then by force, with all that it has started.
    """
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return None


def outcomes(path: Path) -> dict[str, dict]:
    """What each test came to: of several lines, the first that says what went wrong."""
    found: dict[str, dict] = {}
    lines = path.read_text().splitlines() if path.exists() else []
    for each in map(json.loads, lines):
        if found.setdefault(each["test"], each)["outcome"] != "failed":
            found[each["test"]] = each
    return found


def summary(found: dict[str, dict], code: int | None, seconds: float) -> list[str]:
    """Counts, then a line for each file that was left out and each failure."""
    counts = Counter(each["outcome"] for each in found.values())
    said = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items()))
    ended = ", cut off: the others did not run" if code is None else ""
    lines = [f"tests: {said or 'none ran'} after {seconds:.0f} s{ended}"]
    for outcome in ("skipped", "failed"):
        lines += [
            f"  {outcome} {test}: {each['message']}"
            for test, each in found.items()
            if each["outcome"] == outcome
        ]
    return lines


# ---- both


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where all of it goes")
    parser.add_argument("--seconds-tests", type=float, default=240.0)
    parser.add_argument("--seconds-bench", type=float, default=300.0)
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="a few tests and tiny sizes in Triton's interpreter on a CPU: a test of it",
    )
    asked = parser.parse_args()
    if not asked.tiny:
        import torch

        if not torch.cuda.is_available():
            print(NO_GPU, file=sys.stderr)
            return 1
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    environ, start = environment(asked.tiny), time.monotonic()

    one_thread = {**environ, "OMP_NUM_THREADS": "1"}
    command = test_command(out, asked.tiny)
    code = run_for(command, asked.seconds_tests, out / "gpu-tests.log", one_thread)
    found = outcomes(out / "gpu-tests.jsonl")
    lines = summary(found, code, time.monotonic() - start)
    print(lines[0], flush=True)

    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--out", str(out)]
    command += ["--seconds", str(asked.seconds_bench), *(["--tiny"] * asked.tiny)]
    limit = asked.seconds_bench + 2 * GRACE  # it ends its own cases in time
    run_for(command, limit, out / "gpu-bench.log", environ)

    print(*lines, "", (out / "gpu-bench.log").read_text(), sep="\n")
    if code and not any(each["outcome"] == "failed" for each in found.values()):
        print("".join((out / "gpu-tests.log").read_text().splitlines(True)[-20:]))
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
